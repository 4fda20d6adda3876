"""Transcripts and tiers from the files beside a recording, and what happens when one is malformed."""

from __future__ import annotations

import re

import pytest
from trees import LONG_GRID, SHORT_GRID, recording, text

from freud import corpus


def imported(folder) -> tuple[corpus.Clip, list[tuple[str, float, float, str]], list[dict[str, str]]]:
    """The one clip of a folder, its intervals and the problems."""
    opened = corpus.read(folder)
    [clip] = opened
    return clip, [(s.tier, s.start, s.end, s.label) for s in opened.segments(clip.id)], opened.problems


@pytest.fixture
def folder(tmp_path):
    recording(tmp_path / "a.wav", 0.5)
    return tmp_path


@pytest.mark.parametrize("name", ["a.txt", "a.lab", "a.TXT"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_transcript(folder, name, encoding):
    text(folder / name, "Käse und\n Öl \n", encoding)
    assert imported(folder) == (corpus.read(folder).clips[0], [], [])
    assert imported(folder)[0].transcript == "Käse und Öl"


@pytest.mark.parametrize(
    ("name", "content", "tier"),
    [
        ("a.tsv", "0.0\t0.2\tx\n0.2\t0.5\ty z\n", "labels"),
        ("a.phones.tsv", "start\tend\tlabel\n0.0\t0.2\tx\n0.2\t0.5\ty z\n", "phones"),
        ("a.txt", "0.2\t0.5\ty z\n\\\t100\t2000\n0.0\t0.2\tx\n", "labels"),  # Audacity, with a frequency line
        ("a.sounds.txt", "0\t0.2\tx\n0.2\t0.5\ty z\n", "sounds"),
        ("a.phones.lab", "0.0 0.2 x\n0.2 0.5 y z\n", "phones"),
        ("a.lab", "0 2000000 x\n2000000 5000000 y z\n", "labels"),  # HTK: units of 100 ns
    ],
)
def test_intervals(folder, name, content, tier):
    text(folder / name, content)
    clip, segments, problems = imported(folder)
    assert clip.transcript is None
    assert problems == []
    assert segments == [
        (tier, 0.0, pytest.approx(0.2), "x"),
        (tier, pytest.approx(0.2), pytest.approx(0.5), "y z"),
    ]


@pytest.mark.parametrize("content", [LONG_GRID, SHORT_GRID])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.TextGrid", "a.textgrid"])
def test_a_textgrid(folder, content, encoding, name):
    text(folder / name, "\ufeff" + content if encoding == "utf-16-be" else content, encoding)
    clip, segments, problems = imported(folder)
    assert problems == []
    assert segments == [
        ("tones", 0.25, 0.25, "H*"),
        ("words", 0.1, 0.3, "Käse"),
        ("words", 0.3, 0.5, "log(2)"),
    ]
    assert clip.transcript == "Käse log"


def test_words_make_a_transcript_only_if_there_is_none(folder):
    text(
        folder / "a.words.tsv",
        "0\t.1\t<sil>\n.1\t.2\tthe(2)\n.2\t.3\tlog\n.3\t.35\tsp\n.35\t.4\tSIL\n.4\t.5\t\n",
    )
    assert imported(folder)[0].transcript == "the log"
    text(folder / "a.txt", "The log.")
    assert imported(folder)[0].transcript == "The log."


def test_a_label_file_goes_to_the_recording_with_the_longest_stem(tmp_path):
    for name in ("a.wav", "a.b.wav"):
        recording(tmp_path / name)
    text(tmp_path / "a.b.txt", "for the second")
    assert [clip.transcript for clip in corpus.read(tmp_path)] == ["for the second", None]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "a.words.tsv",
            "0.3\t0.1\ta\n",
            "tier words skipped: line 1: ends at 0.1 s, before it starts at 0.3 s",
        ),
        (
            "a.words.tsv",
            "nan\tnan\ta\n",
            "tier words skipped: line 1: no columns start and end; the columns are nan, nan, a",
        ),
        ("a.tsv", "0\n", "labels skipped: line 1: expected start<TAB>end<TAB>label, in seconds"),
        ("a.lab", "0.1 0 a\n", "labels skipped: line 1: ends at 0 s, before it starts at 0.1 s"),
    ],
)
def test_a_malformed_tier_is_reported_and_the_clip_kept(folder, name, content, reason):
    text(folder / name, content)
    _, segments, problems = imported(folder)
    assert segments == []
    assert problems == [{"path": name, "reason": reason}]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.tsv", "0\t.1\ta\n.1 .2 b\n.2\tc\n", "line 3: expected start<TAB>end<TAB>label, in seconds"),
        ("a.lab", "0 0.1 a\n0.1 x b\n.1 .2 b\n", "line 2: expected start end label, in seconds"),
        ("a.phn", "0 1600 a\n1600 32OO b\n1600 3200 b\n", "line 2: expected start end label, in samples"),
    ],
)
def test_a_malformed_line_is_reported_and_the_others_kept(folder, name, content, problem):
    text(folder / name, content)
    _, segments, problems = imported(folder)
    assert [row[1:] for row in segments] == [(0.0, 0.1, "a"), (0.1, 0.2, "b")]
    assert problems == [{"path": name, "reason": problem}]


@pytest.mark.parametrize("content", ["", "nonsense", LONG_GRID[:300], SHORT_GRID[:90], SHORT_GRID.replace("0.3", "x")])
def test_a_malformed_textgrid_is_reported_and_the_clip_kept(folder, content):
    text(folder / "a.TextGrid", content)
    _, segments, [problem] = imported(folder)
    assert segments == []
    assert re.match(r"labels skipped: line \d+: not a TextGrid that can be read: expected ", problem["reason"])


def test_text_in_another_encoding_is_reported(folder):
    (folder / "a.txt").write_bytes("Käse".encode("latin-1"))
    clip, _, problems = imported(folder)
    assert clip.transcript is None
    assert problems == [{"path": "a.txt", "reason": "labels skipped: not UTF-8 text; convert it to UTF-8"}]


def test_labels_of_another_recording_are_pointed_out(folder):
    text(folder / "a.words.tsv", "0\t9.5\tx\n")
    _, segments, problems = imported(folder)
    assert segments == [("words", 0.0, 9.5, "x")]
    assert problems == [{"path": "a.words.tsv", "reason": "its labels run to 9.5 s, but the recording ends at 0.5 s"}]
