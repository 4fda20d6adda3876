"""ELAN's and Praat's files at the times that the programs show: origins, units, chains, counts and domains."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import text

from freud.corpus.tiers import LabelFile, read_labels
from freud.errors import FreudError

Rows = list[tuple[str, float, float, str]]


def rows(found: LabelFile) -> Rows:
    return [(row.tier, round(row.start, 6), round(row.end, 6), row.label) for row in found.intervals]


# ---- ELAN


def slots(**times: int | None) -> str:
    values = {name: "" if time is None else f' TIME_VALUE="{time}"' for name, time in times.items()}
    return "".join(f'<TIME_SLOT TIME_SLOT_ID="{name}"{value}/>\n' for name, value in values.items())


def aligned(key: str, first: str, second: str, label: str, more: str = "") -> str:
    ids = f'ANNOTATION_ID="{key}" TIME_SLOT_REF1="{first}" TIME_SLOT_REF2="{second}"{more}'
    value = f"<ANNOTATION_VALUE>{label}</ANNOTATION_VALUE>"
    return f"<ANNOTATION><ALIGNABLE_ANNOTATION {ids}>{value}</ALIGNABLE_ANNOTATION></ANNOTATION>\n"


def referring(key: str, parent: str, label: str, previous: str = "") -> str:
    ids = f'ANNOTATION_ID="{key}" ANNOTATION_REF="{parent}"'
    ids += f' PREVIOUS_ANNOTATION="{previous}"' if previous else ""
    value = f"<ANNOTATION_VALUE>{label}</ANNOTATION_VALUE>"
    return f"<ANNOTATION><REF_ANNOTATION {ids}>{value}</REF_ANNOTATION></ANNOTATION>\n"


def tier(name: str, *annotations: str, parent: str = "", kind: str = "t") -> str:
    refers = f' PARENT_REF="{parent}"' if parent else ""
    return f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="{kind}"{refers}>\n{"".join(annotations)}</TIER>\n'


def eaf(order: str, *tiers: str, media: str = "", units: str = "milliseconds", more: str = "") -> str:
    return (
        f'<?xml version="1.0"?>\n<ANNOTATION_DOCUMENT>\n<HEADER TIME_UNITS="{units}">{media}</HEADER>\n'
        f"<TIME_ORDER>\n{order}</TIME_ORDER>\n{''.join(tiers)}"
        '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t"/>'
        f'<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="sub" CONSTRAINTS="Symbolic_Subdivision"/>{more}</ANNOTATION_DOCUMENT>'
    )


def elan(tmp_path, content: str, recording: str | None = "a") -> LabelFile:
    return read_labels(text(tmp_path / "a.eaf", content), None, 10.0, recording=recording)


SPAN = slots(s1=500, s2=2000)
PHRASE = tier("utt", aligned("a1", "s1", "s2", "x y z"))


def medium(url: str, kind: str, origin: int | None = None) -> str:
    given = "" if origin is None else f' TIME_ORIGIN="{origin}"'
    return f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///x/{url}" MIME_TYPE="{kind}"{given}/>'


@pytest.mark.parametrize(
    ("media", "recording", "start", "problems"),
    [
        (medium("film.mp4", "video/mp4") + medium("a.wav", "audio/x-wav", 1000), "a", 1.5, []),
        (medium("b.wav", "audio/x-wav", 1000) + medium("a.wav", "audio/x-wav", 250), "a", 0.75, []),
        (medium("a%20b.wav", "audio/x-wav", 1000) + medium("z.wav", "audio/x-wav", 2000), "a b", 1.5, []),
        (medium("a.mp4", "video/mp4", 3000) + medium("a.wav", "audio/x-wav", 250), "a", 0.75, []),
        (medium("a.mp4", "video/mp4", 700) + medium("z.wav", "audio/x-wav", 100), "a", 1.2, []),
        (medium("film.mp4", "video/mp4") + medium("old.wav", "audio/x-wav", 1000), "a", 1.5, []),
        (medium("film.mp4", "video/mp4", 1000), None, 1.5, []),
        (
            medium("p.wav", "audio/x-wav", 300) + medium("q.wav", "audio/x-wav", 100),
            "a",
            0.5,
            ["its media have TIME_ORIGINs of 0.1 s, 0.3 s, and none is named as the recording; taken as 0 s"],
        ),
    ],
)
def test_the_origin_of_the_recordings_medium(tmp_path, media, recording, start, problems):
    found = elan(tmp_path, eaf(SPAN, PHRASE, media=media), recording)
    assert rows(found) == [("utt", start, start + 1.5, "x y z")]
    assert found.problems == problems


def test_an_origin_before_the_recording(tmp_path):
    found = elan(tmp_path, eaf(SPAN, PHRASE, media=medium("a.wav", "audio/x-wav", -600)))
    assert rows(found) == [("utt", 0.0, 1.4, "x y z")]
    assert found.problems == ["line 9: starts at -0.1 s, before the recording; taken from 0 s"]


@pytest.mark.parametrize(("units", "second"), [("milliseconds", 1000), ("PAL-frames", 25), ("NTSC-frames", 30 / 1.001)])
def test_units_of_time(tmp_path, units, second):
    found = elan(tmp_path, eaf(slots(s1=0, s2=6000), PHRASE, units=units))
    assert rows(found) == [("utt", 0.0, pytest.approx(6000 / second), "x y z")]
    with pytest.raises(FreudError, match="line 3: expected TIME_UNITS of milliseconds, PAL-frames, NTSC-frames, found"):
        elan(tmp_path, eaf(SPAN, PHRASE, units="hours"))


@given(order=st.permutations(range(5)))
@settings(max_examples=30, deadline=None)
def test_a_chain_stored_in_any_order(tmp_path_factory, order):
    words = [referring(f"w{i}", "a1", f"word{i}", f"w{i - 1}" if i else "") for i in range(5)]
    content = eaf(SPAN, PHRASE, tier("w", *(words[i] for i in order), parent="utt"))
    found = elan(tmp_path_factory.mktemp("chain"), content)
    words = [row[1:] for row in found.intervals if row.tier == "w"]
    assert [label for _, _, label in words] == [f"word{i}" for i in range(5)]
    assert [start for start, _, _ in words] == pytest.approx([0.5, 0.8, 1.1, 1.4, 1.7])


@pytest.mark.parametrize("previous", [("w2", "w0", "w1"), ("", "", "w1"), ("gone", "w0", "w1"), ("", "w0", "w0")])
def test_a_broken_chain_is_refused(tmp_path, previous):
    words = [referring(f"w{i}", "a1", "x", before) for i, before in enumerate(previous)]
    with pytest.raises(FreudError, match=r"a\.eaf: line \d+: PREVIOUS_ANNOTATION does not put it in one chain"):
        elan(tmp_path, eaf(SPAN, PHRASE, tier("w", *words, parent="utt")))


def test_a_subdivision_without_a_chain_is_in_the_order_of_the_file(tmp_path):
    words = tier("w", referring("w1", "a1", "x"), referring("w2", "a1", "y"), parent="utt", kind="sub")
    assert rows(elan(tmp_path, eaf(SPAN, PHRASE, words)))[1:] == [("w", 0.5, 1.25, "x"), ("w", 1.25, 2.0, "y")]


@given(
    annotations=st.permutations(range(3)),
    order=st.permutations([("s1", 500), ("s2", None), ("s3", None), ("s4", 2000)]),
)
@settings(max_examples=40, deadline=None)
def test_slots_without_a_time_in_any_order(tmp_path_factory, annotations, order):
    words = [aligned(f"w{i}", f"s{i + 1}", f"s{i + 2}", f"word{i}") for i in range(3)]
    found = elan(
        tmp_path_factory.mktemp("slots"), eaf(slots(**dict(order)), tier("w", *(words[i] for i in annotations)))
    )
    assert rows(found) == [("w", 0.5 + 0.5 * i, 1 + 0.5 * i, f"word{i}") for i in range(3)]


def test_slots_between_gaps_and_levels(tmp_path):
    order = slots(s1=500, s2=None, s3=None, s4=2000)
    apart = tier("utt", aligned("a1", "s1", "s2", "x"), aligned("a2", "s3", "s4", "z"))
    assert rows(elan(tmp_path, eaf(order, apart))) == [("utt", 0.5, 1.0, "x"), ("utt", 1.5, 2.0, "z")]
    parts = [("s1", "c1"), ("c1", "c2"), ("c2", "s2"), ("s2", "s3")]  # the child stands before its parent
    morphs = tier("m", *(aligned(f"m{i}", *part, f"m{i}") for i, part in enumerate(parts)), parent="w")
    words = tier("w", aligned("w1", "s1", "s2", "abc"), aligned("w2", "s2", "s3", "d"))
    content = eaf(slots(s1=0, s2=None, s3=3000, c1=None, c2=None), morphs, words)
    found = [(start, end) for name, start, end, _ in rows(elan(tmp_path, content)) if name == "m"]
    assert found == [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 3.0)]


def test_words_of_a_controlled_vocabulary(tmp_path):
    entry = '<CV_ENTRY_ML CVE_ID="c1"><CVE_VALUE LANG_REF="eng">noun</CVE_VALUE><CVE_VALUE>substantief</CVE_VALUE>'
    vocabulary = f'<CONTROLLED_VOCABULARY CV_ID="v">{entry}</CV_ENTRY_ML></CONTROLLED_VOCABULARY>'
    tags = tier("pos", *(aligned(f"a{i}", "s1", "s2", "", f' CVE_REF="c{i}"') for i in (1, 2)))
    found = elan(tmp_path, eaf(SPAN, tags, more=vocabulary))
    assert rows(found) == [("pos", 0.5, 2.0, "noun")]
    assert found.problems == ["line 10: no text, and no entry c2 of a vocabulary in it"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (eaf(SPAN, PHRASE, PHRASE.replace("utt", "v")), "line 12: there are two annotations a1"),
        (eaf(SPAN + slots(s1=600), PHRASE), "line 7: there are two time slots s1"),
        (eaf(SPAN, PHRASE, tier("w", referring("w1", "w1", "x"))), "refers to w1, which is no annotation with a time"),
        (eaf(slots(s1=None, s2=None), PHRASE), "line 9: no time slot s1 with a time"),
        (eaf(SPAN, PHRASE, media=medium("a.wav", "audio/x-wav", 1).replace('"1"', '"1 s"')), "expected TIME_ORIGIN in"),
    ],
)
def test_what_is_wrong_in_an_eaf_is_named(tmp_path, content, message):
    with pytest.raises(FreudError, match=rf"a\.eaf: .*{message}"):
        elan(tmp_path, content)


# ---- TextGrid


def grid(start: float, end: float, *tiers: tuple[str, list[tuple]], domain: tuple[float, float] | None = None) -> str:
    """A short TextGrid; a row of two is a point."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", *map(str, domain or (start, end))]
    lines += ["<exists>", str(len(tiers))]
    for name, items in tiers:
        kind = "TextTier" if items and len(items[0]) == 2 else "IntervalTier"
        lines += [f'"{kind}"', f'"{name}"', str(start), str(end), str(len(items))]
        lines += [str(part) if i < len(item) - 1 else f'"{part}"' for item in items for i, part in enumerate(item)]
    return "\n".join([*lines, ""])


def praat(tmp_path, content: str, duration: float | None = 3.0) -> LabelFile:
    return read_labels(text(tmp_path / "a.TextGrid", content), None, duration)


PART = ("w", [(0.8, 1.3, ""), (1.3, 1.4, "one"), (1.4, 3.8, "")])


@pytest.mark.parametrize(
    ("content", "duration", "times", "problems"),
    [
        (grid(0.8, 3.8, PART), 3.0, (0.5, 0.6), ["it is as long as the recording; taken from 0 s"]),
        (grid(0.8, 3.8, PART), 3.02, (0.5, 0.6), ["it is as long as the recording; taken from 0 s"]),
        (grid(0.8, 3.8, ("w", [(1.3, "one")])), 3.0, (0.5, 0.5), ["taken from 0 s"]),
        (grid(-0.5, 2.5, ("w", [(0.0, 0.1, "one")])), 3.0, (0.5, 0.6), ["its times start at -0.5 s"]),
        (grid(0.8, 3.8, PART), 3.8, (1.3, 1.4), []),
        (grid(0.8, 3.8, PART), None, (1.3, 1.4), []),
        (grid(0.8, 3.8, PART), 10.0, (1.3, 1.4), ["the recording lasts 10 s; they are taken as they stand"]),
        (grid(0.01, 3, ("w", [(1, 2, "one")])), 3.0, (1, 2), []),
        (grid("-1e-17", 3, ("w", [("-1e-17", 0.5, "one")])), 3.0, (0, 0.5), []),
        (
            grid(0, 3, ("w", [(1, 2, "one")]), domain=(0.8, 3.8)),
            3.0,
            (1, 2),
            ["line 11: tier w starts at 0 s, and the"],
        ),
    ],
)
def test_grids_that_do_not_start_at_0(tmp_path, content, duration, times, problems):
    found = praat(tmp_path, content, duration)
    assert rows(found) == [("w", *times, "one")]
    assert len(found.problems) == len(problems)
    assert all(part in problem for part, problem in zip(problems, found.problems, strict=True))


def test_a_grid_of_another_part_of_the_recording(tmp_path):
    found = praat(tmp_path, grid(10, 12, ("w", [(10, 11, "one")])))
    reason = "tier w: its times run from 10 s to 12 s, and the recording lasts 3 s; left out"
    assert found == LabelFile(None, [], [reason])


@pytest.mark.parametrize("count", [0, 1, 3, 9])
@pytest.mark.parametrize("tiers", [1, 2, 5])
def test_what_stands_there_counts(tmp_path, count, tiers):
    content = grid(0, 3, ("v", [(0, 1, "x"), (1, 2, "y")]), ("w", [(0.5, "p"), (1.5, "q")]))
    first, _, rest = content.replace("<exists>\n2", f"<exists>\n{tiers}").partition('"v"\n0\n3\n2\n')
    found = praat(tmp_path, f'{first}"v"\n0\n3\n{count}\n{rest}')
    assert rows(found) == [("v", 0, 1, "x"), ("v", 1, 2, "y"), ("w", 0.5, 0.5, "p"), ("w", 1.5, 1.5, "q")]
    expected = [] if tiers == 2 else [f"line 7: there should be {tiers} tiers; there are 2"]
    assert found.problems == [*expected, f"line 12: tier v should have {count} intervals; it has 2"]


def test_overlaps_are_said_and_tiers_of_one_name_are_kept_apart(tmp_path):
    overlapping = ("w", [(0, 1, "a"), (0.5, 1.5, "b"), (1.4995, 2, "c"), (2, 2, "d")])
    found = praat(tmp_path, grid(0, 3, overlapping, ("w", [(0, 1, "x")]), ("w_2", [(0, 1, "y")])))
    assert rows(found)[:4] == [("w", 0, 1, "a"), ("w", 0.5, 1.5, "b"), ("w", 1.4995, 2, "c"), ("w", 2, 2, "d")]
    assert rows(found)[4:] == [("w_2", 0, 1, "x"), ("w_2_2", 0, 1, "y")]
    assert found.problems == ["line 17: tier w: an interval starts at 0.5 s, before the last one ends"]


def test_other_forms_of_praat(tmp_path):
    chronological = (
        '"Praat chronological TextGrid text file"\n0 3   ! Time domain.\n2   ! Number of tiers.\n'
        '"IntervalTier" "words" 0 3\n"TextTier" "p" 0 3\n\n! tier 1:\n1 0 1\n"one"\n'
        '\n! tier 2:\n2 0.5\n"!"\n1 1 3\n""\n'
    )
    assert praat(tmp_path, chronological) == LabelFile(None, [("words", 0.0, 1.0, "one"), ("p", 0.5, 0.5, "!")], [])
    with pytest.raises(FreudError, match=r"line 8: .*: expected the number of a tier, 1 to 2"):
        praat(tmp_path, chronological.replace("\n1 0 1\n", "\n3 0 1\n"))
    old = grid(0, 3, ("p", [(0.5, "x")])).replace("\n0.5\n", "\ntime = 0.5\n").replace('\n"x"\n', '\nvalue = "x"\n')
    assert rows(praat(tmp_path, old)) == [("p", 0.5, 0.5, "x")]
    trigraphs = praat(tmp_path, grid(0, 3, ("w", [(0, 1, "\\ae\\:f")])))
    assert rows(trigraphs) == [("w", 0, 1, "\\ae\\:f")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ooBinaryFile\x08TextGrid\0\0\1\xff", "a binary TextGrid; open it in Praat and save it as a text file"),
        (
            b'File type = "ooTextFile"\nObject class = "Collection"\n\n1\n',
            r"line 1: .*of a collection, save each TextGrid",
        ),
        (grid(0, 3, ("w", [(0, 1, "caf\u00e9")])).encode("latin-1"), "not UTF-8 text; convert it to UTF-8"),
        (grid(0, 3, ("w", [(0, 1, "a\0")])).encode(), "line 14: holds a NUL byte"),
        (grid(0, 3, PART).replace("<exists>", "<exist").encode(), "line 6: .*: expected <exists>, or <absent>"),
        (grid(0, 3, PART).replace("<exists>", "<absent>").encode(), "line 6: .*: expected <exists>, or <absent>"),
        (grid(0, 3, ("w", [("0,5", 1, "a")])).encode(), "line 15: .*: expected time"),
        (grid(0, 3, ("w", [(0, 1, 'say "hi" now'), (1, 2, "b")])).encode(), "line 15: .*: expected a time, .* ' now'"),
    ],
)
def test_what_is_no_textgrid_that_can_be_read(tmp_path, content, message):
    (tmp_path / "a.TextGrid").write_bytes(content)
    with pytest.raises(FreudError, match=rf"a\.TextGrid: {message}"):
        read_labels(tmp_path / "a.TextGrid", None, 3.0)
