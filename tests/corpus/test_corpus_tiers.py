"""Tiers in other tools' files: what is written is read again, by us and by praatio; what is malformed is one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees import LONG_GRID, SHORT_GRID, recording, text

from freud import corpus
from freud.corpus.tiers import SUFFIXES, Interval, LabelFile, audacity, read_labels, read_textgrid, textgrid, tier_csv
from freud.errors import FreudError

LABEL = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12).map(
    lambda label: " ".join(label.split())
)
NAME = st.text("abcdefgh-_ ÄΩ語", min_size=1, max_size=8).map(str.strip).filter(bool)
SECONDS = st.floats(0, 100, allow_nan=False)
MILLISECONDS = st.integers(0, 100_000).map(lambda count: count / 1000)


@st.composite
def tiers(draw: st.DrawFn, seconds: st.SearchStrategy[float] = SECONDS) -> list[Interval]:
    """Tiers whose intervals do not overlap, one of points among them, in a file of 200 s."""
    rows: list[Interval] = []
    names = draw(st.lists(NAME, unique=True, min_size=1, max_size=3))
    for index, name in enumerate(names):
        times = sorted(set(draw(st.lists(seconds, max_size=9))))
        labels = draw(st.lists(LABEL.filter(bool), min_size=len(times), max_size=len(times)))
        if index == 0:
            rows += [Interval(name, time, time, label) for time, label in zip(times, labels, strict=True)]
        else:
            pairs = zip(times[::2], times[1::2], labels, strict=False)
            rows += [Interval(name, start, end, label) for start, end, label in pairs]
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tiers")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@given(rows=tiers())
@settings(max_examples=20, deadline=None)
def test_a_textgrid_is_read_as_it_was_written(folder, encoding, rows):
    path = text(folder / "a.TextGrid", textgrid(rows, 200.0), encoding)
    assert sorted(read_textgrid(path).intervals) == sorted(rows)


@given(rows=tiers())
@settings(max_examples=20, deadline=None)
def test_praatio_reads_what_we_write(folder, rows):
    from praatio import textgrid as praat

    rows = [row._replace(label=row.label.replace('"', "'")) for row in rows]  # praatio leaves them doubled in points
    path = text(folder / "b.TextGrid", textgrid(rows, 200.0))
    grid = praat.openTextgrid(str(path), False, reportingMode="error")
    found = []
    for tier in grid.tiers:
        assert tier.maxTimestamp == 200.0
        for entry in tier.entries:
            times = (entry.start, entry.end) if hasattr(entry, "start") else (entry.time, entry.time)
            found.append(Interval(tier.name, *times, entry.label))
    assert sorted(found) == sorted(rows)


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
@given(rows=tiers(MILLISECONDS))  # praatio drops shorter intervals
@settings(max_examples=20, deadline=None)
def test_we_read_what_praatio_writes(folder, form, rows):
    from praatio import textgrid as praat

    rows = [row._replace(label=row.label.replace('"', "'")) for row in rows]
    grid = praat.Textgrid(0, 200)
    by_name: dict[str, list[Interval]] = {}
    for row in rows:
        by_name.setdefault(row.tier, []).append(row)
    for name, items in by_name.items():
        if items[0].start == items[0].end:
            grid.addTier(praat.PointTier(name, [(row.start, row.label) for row in items], 0, 200))
        else:
            grid.addTier(praat.IntervalTier(name, [tuple(row)[1:] for row in items], 0, 200))
    grid.save(str(folder / "c.TextGrid"), form, includeBlankSpaces=True, reportingMode="silence")
    found = sorted(read_textgrid(folder / "c.TextGrid").intervals)
    assert [(row.tier, row.label) for row in found] == [(row.tier, row.label) for row in sorted(rows)]
    assert [row.start for row in found] == pytest.approx([row.start for row in sorted(rows)], abs=1e-4)


@given(rows=tiers())
@settings(max_examples=20, deadline=None)
def test_csv_is_read_as_it_was_written(folder, rows):
    path = text(folder / "a.csv", tier_csv(rows))
    assert sorted(read_labels(path)[1]) == sorted(rows)


@given(rows=tiers())
@settings(max_examples=20, deadline=None)
def test_audacity_is_read_as_it_was_written(folder, rows):
    for name in {row.tier for row in rows}:
        mine = [row for row in rows if row.tier == name]
        path = text(folder / "a.txt", audacity(mine))
        assert sorted(read_labels(path, name)[1]) == sorted(mine)


def test_overlaps_and_points_get_tiers_of_their_own(tmp_path):
    rows = [
        Interval("x", 0.0, 1.0, "a"),
        Interval("x", 0.5, 1.5, "b"),
        Interval("x", 1.0, 2.0, "c"),
        Interval("x", 0.7, 0.7, "!"),
    ]
    path = text(tmp_path / "a.TextGrid", textgrid(rows, 2.0))
    assert sorted(read_textgrid(path).intervals) == [
        Interval("x", 0.0, 1.0, "a"),
        Interval("x", 1.0, 2.0, "c"),
        Interval("x_2", 0.5, 1.5, "b"),
        Interval("x_3", 0.7, 0.7, "!"),
    ]


@pytest.mark.parametrize(("start", "end"), [(-1.0, 1.0), (2.0, 1.0), (0.0, float("nan")), (0.0, float("inf"))])
def test_times_that_cannot_be_written(start, end):
    row = Interval("x", start, end, "a")
    for write in (tier_csv, audacity, lambda rows: textgrid(rows, 1.0)):
        with pytest.raises(FreudError, match=r"tier x: 'a' from .* cannot be written; expected 0 <= start <= end"):
            write([row])


PIECES = [
    "0",
    "1",
    "9" * 20,
    ".",
    ",",
    ";",
    "\t",
    " ",
    "\n",
    "\r",
    '"',
    "-",
    ":",
    "-->",
    "e5",
    "start",
    "end",
    "text",
    "#",
    "<ALT>",
]


@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from(PIECES), max_size=60).map(lambda parts: "".join(parts).encode()),
    ),
    suffix=st.sampled_from(sorted(SUFFIXES)),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_read_or_refused_in_one_line(folder, data, suffix):
    path = folder / f"any{suffix}"
    path.write_bytes(data)
    refused_in_one_line(path)


@given(
    cut=st.integers(0, 1500),
    at=st.integers(0, 1500),
    put=st.sampled_from(['"', "\n", "x", "9", "<", "&", "\0", " -1 "]),
)
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("sample", ["long", "short", "elan"])
def test_damaged_files_are_read_or_refused_in_one_line(folder, sample, cut, at, put):
    content = {"long": LONG_GRID, "short": SHORT_GRID, "elan": ELAN}[sample]
    damaged = (content[:at] + put + content[at:])[: len(content) + 1 - cut % 50]
    refused_in_one_line(text(folder / ("d.eaf" if sample == "elan" else "d.TextGrid"), damaged))


def refused_in_one_line(path: Path) -> None:
    said, rows = "", []
    try:
        rows = read_labels(path, None, 10.0)[1]
    except FreudError as error:
        said = str(error)
    assert not said or re.fullmatch(rf"{re.escape(str(path))}: .+", said)  # "." is no line end
    assert all(0 <= row.start <= row.end for row in rows)


# ---- TextGrids as others write them


def test_what_praat_takes_for_comment(tmp_path):
    content = SHORT_GRID.replace("<exists>", '! a comment 7 "quoted"\n<exists> really').replace('"H*"', '"say ""ah"""')
    found = read_textgrid(text(tmp_path / "a.TextGrid", content)).intervals
    assert found[-1] == Interval("tones", 0.25, 0.25, 'say "ah"')
    assert len(found) == 3


def test_a_textgrid_without_tiers(tmp_path):
    content = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n0.5\n<absent>\n'
    assert read_textgrid(text(tmp_path / "a.TextGrid", content)) == LabelFile(None, [], [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            LONG_GRID.replace("xmin = 0.1\n", "xmin = 0.4\n"),
            "line 21: .*: expected xmin <= xmax",
        ),
        (LONG_GRID.replace("size = 3", "size = 2.5"), r"line 14: .*: expected size of a tier \(a whole number\)"),
        (LONG_GRID.replace('"IntervalTier"', '"Matrix"'), 'line 10: .*: expected a time, "IntervalTier" or "TextTier"'),
        (SHORT_GRID[:-5], r"line 27: .*: expected label \(text\), but the file ends"),
        ("ooBinaryFile\x08TextGrid", "a binary TextGrid; open it in Praat and save it as a text file"),
        (
            '"Praat chronological TextGrid text file"\n0 1\n',
            r"line 2: .*: expected number of tiers \(number\), but the file ends",
        ),
    ],
)
def test_where_a_textgrid_is_broken(tmp_path, content, message):
    with pytest.raises(FreudError, match=rf"a\.TextGrid: {message}"):
        read_textgrid(text(tmp_path / "a.TextGrid", content))


# ---- ELAN

ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" FORMAT="3.0" VERSION="3.0">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="file:///a.wav"/></HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="100"/><TIME_SLOT TIME_SLOT_ID="ts2"/>
    <TIME_SLOT TIME_SLOT_ID="ts3"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="400"/>
  </TIME_ORDER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="words">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
      <ANNOTATION_VALUE>Käse &amp; Öl</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
      <ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
      <ANNOTATION_VALUE>log</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="sub" PARENT_REF="words" TIER_ID="morphs">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a1">
      <ANNOTATION_VALUE>kä</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a5" ANNOTATION_REF="a1" PREVIOUS_ANNOTATION="a4">
      <ANNOTATION_VALUE>se</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="gloss" PARENT_REF="morphs" TIER_ID="gloss">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a6" ANNOTATION_REF="a5">
      <ANNOTATION_VALUE>cheese</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
  </TIER>
</ANNOTATION_DOCUMENT>
"""


def test_elan(tmp_path):
    recording(tmp_path / "a.wav", 0.5)
    text(tmp_path / "a.eaf", ELAN)
    opened = corpus.read(tmp_path)
    assert opened.problems == []
    approx = pytest.approx
    assert [(row["tier"], row["start"], row["end"], row["label"]) for row in opened.segment_table.to_pylist()] == [
        ("gloss", approx(0.15), approx(0.2), "cheese"),
        ("morphs", approx(0.1), approx(0.15), "kä"),
        ("morphs", approx(0.15), approx(0.2), "se"),
        ("words", approx(0.1), approx(0.2), "Käse & Öl"),
        ("words", approx(0.3), approx(0.4), "log"),
    ]


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<ANNOTATION_DOCUMENT", f"{BOMB}\n<ANNOTATION_DOCUMENT", "line 2: a document type is not allowed"),
        (
            "<ANNOTATION_DOCUMENT",
            '<!DOCTYPE x SYSTEM "file:///etc/passwd">\n<ANNOTATION_DOCUMENT',
            "line 2: a document type is not allowed",
        ),
        ("</TIME_ORDER>", "", "line 26: not XML that can be read: mismatched tag"),
        ("ANNOTATION_DOCUMENT", "html", "line 2: not an ELAN file: expected ANNOTATION_DOCUMENT, found html"),
        ('TIME_VALUE="400"', 'TIME_VALUE="4 s"', "line 6: expected TIME_VALUE in milliseconds, found '4 s'"),
        ('TIME_VALUE="400"', 'TIME_VALUE="50"', "line 9: the annotation ends at .* before it starts"),
        ('ANNOTATION_REF="a1"', 'ANNOTATION_REF="a9"', "line 17: refers to a9, which is no annotation with a time"),
        ('TIME_SLOT_REF2="ts4"', 'TIME_SLOT_REF2="ts9"', "no time slot ts"),
        (' TIME_SLOT_ID="ts4"', "", "line 6: no attribute TIME_SLOT_ID"),
    ],
)
def test_an_elan_file_that_is_broken_or_a_bomb(tmp_path, old, new, message):
    path = text(tmp_path / "a.eaf", ELAN.replace(old, new))
    with pytest.raises(FreudError, match=rf"a\.eaf: .*{message}"):
        read_labels(path)


# ---- Raven, CTM, TIMIT, HTK, Festival, tables


RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"
    "1\tWaveform 1\t1\t0.1\t0.2\t100\t2000\twren\n"
    "1\tSpectrogram 1\t1\t0.1\t0.2\t100\t2000\twren\n"
    '2\tSpectrogram 1\t1\t0.25\t0.4\t100\t2000\t"robin\n'
)


@pytest.mark.parametrize("name", ["a.Table.1.selections.txt", "a.selections.txt"])
def test_raven(tmp_path, name):
    recording(tmp_path / "a.wav", 0.5)
    text(tmp_path / name, RAVEN)
    opened = corpus.read(tmp_path)
    assert [(row["tier"], row["start"], row["end"], row["label"]) for row in opened.segment_table.to_pylist()] == [
        ("selections", 0.1, 0.2, "wren"),
        ("selections", 0.25, 0.4, '"robin'),
    ]
    text(tmp_path / name, RAVEN.replace("0.25", "soon"))
    assert corpus.read(tmp_path).problems == [
        {"path": name, "reason": "line 4: expected times, in seconds, not 'soon' and '0.4'"}
    ]


def test_raven_over_several_files(tmp_path):
    content = (
        "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tAnnotation\n"
        "1\t0.1\t0.2\ta.wav\t0.1\tone\n2\t60.5\t60.75\tb.wav\t0.5\ttwo\n"
    )
    path = text(tmp_path / "all.txt", content)
    assert read_labels(path, recording="b")[1] == [Interval("labels", 0.5, 0.75, "two")]
    assert len(read_labels(path)[1]) == 2


def test_ctm(tmp_path):
    path = text(tmp_path / "a.ctm", ";; comment\na 1 0.5 0.25 two 0.9\na 1 0.0 0.5 one\n")
    assert read_labels(path)[1] == [Interval("words", 0.0, 0.5, "one"), Interval("words", 0.5, 0.75, "two")]
    text(path, "a 1 0.5 0.25 two\nb 1 0.0 0.5 one\n")
    assert read_labels(path, recording="b")[1] == [Interval("words", 0.0, 0.5, "one")]
    with pytest.raises(FreudError, match=r"a\.ctm: line 1: expected recording channel start duration label"):
        read_labels(text(path, "a 1 0.5 0.25\n"))


def test_timit(tmp_path):
    recording(tmp_path / "SA1.wav", 0.5)
    text(tmp_path / "SA1.PHN", "0 1600 h#\n1600 3200 sh\n3200 8000 iy\n")
    text(tmp_path / "SA1.WRD", "1600 8000 she\n")
    text(tmp_path / "SA1.TXT", "0 8001 She had your dark suit.\n")
    opened = corpus.read(tmp_path)
    [clip] = opened
    assert clip.transcript == "She had your dark suit."
    assert [(s.tier, s.start, s.end, s.label) for s in opened.segments(clip.id)] == [
        ("phones", 0.0, 0.1, "h#"),
        ("phones", 0.1, 0.2, "sh"),
        ("phones", 0.2, 0.5, "iy"),
        ("words", 0.1, 0.5, "she"),
    ]
    text(tmp_path / "SA1.PHN", "0 0.1 h#\n")
    expected = "labels skipped: line 1: expected start end label, in samples"
    assert corpus.read(tmp_path).problems == [{"path": "SA1.PHN", "reason": expected}]


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("0 2000000 x -71.25\n2000000 5000000 y\n", [(0.0, 0.2, "x"), (0.2, 0.5, "y")]),
        ("0.0 0.2 x\n0.2 0.5 y 2\n", [(0.0, 0.2, "x"), (0.2, 0.5, "y 2")]),
        ("separator ;\nnfields 1\n#\n0.2 125 x ;\n0.5 125 y\n", [(0.0, 0.2, "x"), (0.2, 0.5, "y")]),
    ],
)
def test_lab(tmp_path, content, labels):
    found = read_labels(text(tmp_path / "a.lab", content), "phones", duration=0.5)[1]
    assert [(row.tier, row.label) for row in found] == [("phones", label) for _, _, label in labels]
    assert [row[1:3] for row in found] == [pytest.approx(times[:2]) for times in labels]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.lab", "#\n0.2 125 x\n0.1 125 y\n", "line 3: expected end color label"),
        ("a.csv", "path,text\na,b\n", "line 1: no columns start and end; the columns are path, text"),
        ("a.csv", "start,end,label\n0,x,b\n", "line 2: expected times, in seconds, not '0' and 'x'"),
        ("a.tsv", "start\tend\tlabel\n0\n", "line 2: 1 field in 3 columns; one is missing"),
        ("a.tsv", "1\t0.5\tb\n", "line 1: ends at 0.5 s, before it starts at 1 s"),
    ],
)
def test_lines_that_make_no_sense(tmp_path, name, content, message):
    with pytest.raises(FreudError, match=rf"{re.escape(name)}: {message}"):
        read_labels(text(tmp_path / name, content))


def test_columns_in_any_order(tmp_path):
    path = text(tmp_path / "a.tsv", "label\ttier\tEnd\tStart\nx\twords\t0.5\t0.25\ny\t\t1\t0.5\n")
    assert read_labels(path)[1] == [Interval("words", 0.25, 0.5, "x"), Interval("labels", 0.5, 1.0, "y")]


def test_a_label_file_of_absurd_size(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv"
    with path.open("wb") as file:
        file.truncate(300 * 2**20)
    for name in ("a.tsv", "a.eaf"):
        with pytest.raises(FreudError, match=r"314,572,800 bytes; a label file has at most 268,435,456"):
            read_labels(path.rename(tmp_path / name))
        path = tmp_path / name


# ---- export of a whole corpus


@pytest.mark.parametrize("format", ["textgrid", "audacity", "csv"])
def test_what_is_exported_is_imported_again(tmp_path, demo, format):
    done = corpus.export_tiers(demo, tmp_path / "tiers", format=format)
    spoken = [clip for clip in demo if clip.transcript]
    assert done.recordings == len(spoken)
    assert done.files == len(spoken) * (2 if format == "audacity" else 1)
    assert done == corpus.export_tiers(demo, tmp_path / "tiers", format=format)  # the same again changes nothing
    bare = tmp_path / "bare"
    bare.mkdir()
    for clip in demo:
        (bare / clip.path).symlink_to(demo.audio_path(clip))
    again = corpus.import_corpus(bare, tmp_path / "again", labels=tmp_path / "tiers")
    assert again.segment_table.num_rows == demo.segment_table.num_rows
    for name in ("tier", "label", "clip_id", "start", "end"):
        assert again.segment_table[name].to_pylist() == demo.segment_table[name].to_pylist()


def test_an_export_of_parts_is_in_times_of_the_file(tmp_path):
    recording(tmp_path / "a.wav", 2.0)
    text(tmp_path / "a.words.tsv", "0\t0.75\tone\n1.25\t2.0\ttwo\n")
    text(tmp_path / "list.csv", "path,offset,duration\na.wav,0,1\na.wav,1,1\n")
    done = corpus.export_tiers(corpus.read(tmp_path / "list.csv"), tmp_path / "out")
    assert (done.recordings, done.files, done.intervals) == (1, 1, 2)
    expected = [Interval("words", 0.0, 0.75, "one"), Interval("words", 1.25, 2.0, "two")]
    assert read_textgrid(tmp_path / "out" / "a.TextGrid").intervals == expected


def test_an_export_replaces_nothing_and_stays_in_its_folder(tmp_path, demo):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "awb-01.TextGrid").write_text("mine")
    with pytest.raises(FreudError, match=r"awb-01\.TextGrid: is there already and differs"):
        corpus.export_tiers(demo, tmp_path / "out")
    with pytest.raises(FreudError, match="no format 'x': there are textgrid, audacity, csv"):
        corpus.export_tiers(demo, tmp_path / "out", format="x")
    with pytest.raises(FreudError, match="no tier 'x': there are phones, words"):
        corpus.export_tiers(demo, tmp_path / "out", tiers=["x"])
    elsewhere = recording(tmp_path / "elsewhere" / "a.wav")
    text(tmp_path / "elsewhere" / "a.words.tsv", "0\t0.25\tone\n")
    text(tmp_path / "lists" / "list.csv", f"path\n{elsewhere}\n")
    corpus.export_tiers(corpus.read(tmp_path / "lists" / "list.csv"), tmp_path / "apart")
    assert [path.suffix for path in (tmp_path / "apart").iterdir()] == [".TextGrid"]
