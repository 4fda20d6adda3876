"""Labels in lines of text: which texts are labels, what their columns mean, and the units of their times."""

from __future__ import annotations

import pytest
from trees import recording, text

from freud import corpus
from freud.corpus.tiers import Interval, LabelFile, read_labels
from freud.corpus.tiers.times import is_time, parse_time
from freud.errors import FreudError

ONE = Interval("labels", 0.5, 0.6, "one")
TWO = Interval("labels", 1.0, 1.1, "two")


def read(tmp_path, name: str, content: str, duration: float | None = 3.0, **options) -> LabelFile:
    return read_labels(text(tmp_path / name, content), options.pop("tier", None), duration, recording="a", **options)


# ---- times


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1", 1), (".5", 0.5), ("5.", 5), ("0,5", 0.5), ("-0.02", -0.02), ("+1", 1), ("5e-1", 0.5), (" 1 ", 1),
        ("1:30", 90), ("0:01.5", 1.5), ("00:00:01,500", 1.5), ("1:00:00", 3600), ("-0:01", -1),
    ],
)  # fmt: skip
def test_times(written, seconds):
    assert parse_time(written) == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["", "x", "nan", "inf", "1e999", "1_0", "1.2.3", "1,2,3", "0x1", "1:75", "1:2:3:4"])
def test_what_is_no_time(written):
    assert not is_time(written)


# ---- labels or a transcript?


@pytest.mark.parametrize("suffix", ["txt", "lab"])
@pytest.mark.parametrize(
    "content",
    [
        "0.5 0.6 one\n1.0 1.1 two\n",
        "0,5 0,6 one\n1,0 1,1 two\n",
        ".5 .6 one\n1. 1.1 two\n",
        "5e-1 6e-1 one\n1 11e-1 two\n",
        "\n0:00.5 0:00.6 one\n0:01 0:01.1 two\n",
        "0.5\u00a00.6\u00a0one\r1.0\u00a01.1\u00a0two",
        "\ufeff0.5\t0.6\tone\r\n1.0\t1.1\ttwo\r\n",
    ],
)
def test_lines_that_start_with_two_times_are_labels(tmp_path, suffix, content):
    assert read(tmp_path, f"a.{suffix}", content) == LabelFile(None, [ONE, TWO], [])


@pytest.mark.parametrize(
    "content",
    ['0.5,0.6,"one"\n1.0,1.1,"two"', '"0,5","0,6","one"\n"1,0","1,1","two"\n', "0.5,0.6,one\n\n1.0,1.1,two\n"],
)
def test_quoted_tables_without_a_header(tmp_path, content):
    assert read(tmp_path, "a.csv", content) == LabelFile(None, [ONE, TWO], [])


@pytest.mark.parametrize("content", ["0.5;0.6;one\n1.0;1.1;two", "0,5;0,6;one\n1;1,1;two", "0.5,0.6,one\n1.0,1.1,two"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.tsv"])
def test_tables_without_a_header(tmp_path, name, content):
    assert read(tmp_path, name, content) == LabelFile(None, [ONE, TWO], [])


@pytest.mark.parametrize(
    "words",
    [
        "1984 1985 were years", "9 3 go", "12 monkeys", "2,500 people came", "1,000 2,000 men", "5", "3-5 people came",
        "between 3.5 and 4.5 percent", "10:15 on Monday", "one 2 3", "1 2 3 testing\nhello", "Start, stop, go",
        "rose 3.5 to 4.5\nfell 1.5 to 0.5",
    ],
)  # fmt: skip
def test_transcripts_with_numbers(tmp_path, words):
    assert read(tmp_path, "a.txt", words) == LabelFile(" ".join(words.split()), [], [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "2 3 go", "line 1: starts with two numbers that may be times or words"),
        ("a.txt", "500 600 one", "line 1: starts with two numbers that may be times or words"),
        ("a.lab", "1 2 3 4", "line 1: starts with two numbers that may be times or words"),
        ("a.txt", "0.5 0,", "line 1: numbers without a text|line 1: ends at 0 s"),
        ("a.txt", "0.5", "line 1: numbers without a text are neither labels"),
        ("a.lab", "2300000", "line 1: numbers without a text are neither labels"),
        ("a.txt", "[00:00.000 --> 00:02.000] Hello", "line 1: expected start<TAB>end<TAB>label"),
        ("a.txt", "0.5-0.6 one", "line 1: expected start<TAB>end<TAB>label"),
        ("a.txt", "one\t0.5\t0.6\ntwo\t1.0\t1.1\n", "line 1: expected start<TAB>end<TAB>label"),
        ("a.txt", "one 0.5 0.6\ntwo 1.0 1.1\n", "line 1: expected start<TAB>end<TAB>label"),
        ("a.txt", "start end text\n0 1 hi\n", "line 1: no columns start and end; the columns are start end text"),
        (
            "a.txt",
            "500\t600\tone\n",
            "its whole numbers run to 600, and the recording lasts 3.00 s; if they are millis",
        ),
        ("a.csv", "start,end,label\n500,600,one\n", "its whole numbers run to 600, and the recording lasts 3.00 s"),
        ("a.csv", "0,5,0,6,one\n", "line 1: 5 fields in 3 columns"),
        ("a.csv", "start_sample,end_sample,label\n1,2,one\n", "line 1: no columns start and end"),
        ("a.csv", "start,end,end,label\n1,2,3,one\n", "line 1: two columns are called end; rename one"),
        ("a.txt", "0.5\t0.6\tone\ttwo\n", "line 1: 4 fields where start, end and label are expected"),
        ("a.txt", "hello\0\n", "line 1: holds a NUL byte"),
    ],
)
def test_what_could_be_either_or_is_broken_is_refused(tmp_path, name, content, message):
    with pytest.raises(FreudError, match=rf"{name}: ({message})"):
        read(tmp_path, name, content)


def test_times_before_the_recording(tmp_path):
    found = read(tmp_path, "a.txt", "-2.0\t-1.5\tx\n-0.02\t0.6\tone\n-1e-17\t0.6\ttwo\n")
    assert found.intervals == [Interval("labels", 0.0, 0.6, "one"), Interval("labels", 0.0, 0.6, "two")]
    assert found.problems == [
        "line 1: ends at -1.5 s, before the recording starts",
        "line 2: starts at -0.02 s, before the recording; taken from 0 s",
    ]


def test_a_text_whose_name_has_a_tier(tmp_path):
    assert read(tmp_path, "a.normalized.txt", "hello", tier="normalized").transcript == "hello"
    found = read(tmp_path, "a.words.txt", "hello", tier="words")
    assert found[:2] == (None, [])
    assert found.problems[0].startswith("no line of it starts with two times")


# ---- units


@pytest.mark.parametrize(
    ("content", "label", "problems"),
    [
        ("start\tend\ttext\n500\t600\tone\n", ONE, []),
        ("start\tend\ttext\n0\t2\thello\n", Interval("labels", 0.0, 2.0, "hello"), []),
        (
            "start\tend\tconfidence\ttext\n500\t600\t1\tone\n",
            ONE,
            ["its times are whole numbers: taken as milliseconds, as Whisper writes them"],
        ),
        ("start_ms\tend_ms\tlabel\n500\t600\tone\n", ONE, []),
        ("startMs\tendMs\tlabel\n500\t600\tone\n", ONE, []),
        ("Start (s)\tEnd (s)\tLabel\n0.5\t0.6\tone\n", ONE, []),
        ("begin_sec\tstop_sec\tlabel\n0.5\t0.6\tone\n", ONE, []),
        ("onset\tduration\tlabel\n0.5\t0.1\tone\n", ONE, []),
        ("offset\tduration\tlabel\n0.5\t0.1\tone\n", ONE, []),
        ("onset\toffset\tevent_label\n0.5\t0.6\tone\n", ONE, []),
        ("start\tend\tlabel\n00:00:00.5\t00:00:00.6\tone\n", ONE, []),
        ("start\tend\tspeaker\ttext\n0.5\t0.6\tA\tone\n", ONE, ["column speaker: its text is not used"]),
    ],
)
def test_columns_and_units(tmp_path, content, label, problems):
    found = read(tmp_path, "a.tsv", content)
    assert found.problems == problems
    [interval] = found.intervals
    assert (interval.tier, interval.label) == (label.tier, label.label)
    assert interval[1:3] == pytest.approx(label[1:3])


def test_whispers_milliseconds_in_a_long_recording(tmp_path):
    found = read(tmp_path, "a.tsv", "start\tend\ttext\n0\t4800\tone\n4800\t9000\ttwo\n", 36_000.0)
    assert [row[1:] for row in found.intervals] == [(0.0, 4.8, "one"), (4.8, 9.0, "two")]


# ---- Raven, BirdNET, DCASE

HEAD = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
ROW = "1\tSpectrogram 1\t1\t0.5\t0.6\t900\t1100"


@pytest.mark.parametrize(
    ("names", "values"),
    [
        ("Begin File\tSound", "a.wav\tone"),
        ("Begin Path\tFile Offset (s)\tSong Type", "C:\\rec\\a.wav\t0.5\tone"),
        ("Energy (dB FS)\tDelta Pres (dB)\tScore\tCall", "-12.5\t3\t0.9\tone"),
        ("Begin Date\tBegin Clock Time\tPeak Freq (Hz)\tMy Labels", "2024/05/01\t06:00:12.3\t1000\tone"),
        ("Notes File\tWhat", "/x/notes.txt\tone"),
        ("Name\tAnnotation\tMy Labels", "a.wav\t\tone"),
        ("Annotation\tBegin File", "one\ta.wav"),
        ("Common Name\tSpecies Code\tConfidence\tBegin Path\tFile Offset (s)", "one\txyz\t0.91\t/x/a.wav\t0.5"),
        ("Occupancy\tInband Power (dB FS)\tDelta Time (s)\tSpecies", "1\t-3\t0.1\tone"),
    ],
)
def test_the_label_column_of_raven(tmp_path, names, values):
    found = read(tmp_path, "a.txt", f"{HEAD}\t{names}\n{ROW}\t{values}\n")
    assert (found.intervals, found.problems) == ([ONE], [])


def test_columns_of_text_that_are_not_used_are_named(tmp_path):
    found = read(tmp_path, "a.txt", f"{HEAD}\tSpecies\tCall Type\tMood\n{ROW}\tone\tsong\thappy\n")
    assert found.intervals == [ONE]
    assert found.problems == ["column call type: its text is not used", "column mood: its text is not used"]
    found = read(tmp_path, "a.txt", f"{HEAD}\tScore\n{ROW}\t0.5\n")
    assert found.intervals == [ONE._replace(label="")]
    assert found.problems[0].startswith("none of its columns is known to hold labels; they are selection, view")


def test_only_rows_that_agree_in_all_but_the_view_are_one(tmp_path):
    rows = [
        "1\tWaveform 1\t1\t0.5\t0.6\tone", "1\tSpectrogram 1\t1\t0.5\t0.6\tone", "1\tSpectrogram 1\t1\t0.5\t0.6\ttwo",
        "1\tSpectrogram 1\t1\t1.0\t1.1\ttwo", "\tSpectrogram 1\t1\t2.0\t2.1\tx", "\tSpectrogram 1\t1\t2.2\t2.3\tx",
    ]  # fmt: skip
    head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tSpecies"
    found = read(tmp_path, "a.txt", "\n".join([head, *rows]))
    assert [row[1:] for row in found.intervals] == [
        (0.5, 0.6, "one"), (0.5, 0.6, "two"), (1.0, 1.1, "two"), (2.0, 2.1, "x"), (2.2, 2.3, "x"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "Start (s),End (s),Scientific name,Common name,Confidence,File\n0.5,0.6,Turdus,one,0.9,/x/A.wav\n",
        "filepath,start,end,scientific_name,common_name,confidence,lat,lon,week,overlap,sensitivity,min_conf,"
        "species_list,model\n/x/a.wav,0.5,0.6,Turdus,one,0.9,-1,-1,-1,0,1,0.1,,V2.4\n",
        "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,common_name\n/x,y,a.wav,0.5,0.1,Turdus,one\n",
        "filename,onset,offset,event_label\na.wav,0.5,0.6,one\n",
        "0.5\t0.6\tone\t0.9123\n",
    ],
)
def test_what_birdnet_and_dcase_write(tmp_path, content):
    name = "a.txt" if "\t" in content else "a.csv"
    assert read(tmp_path, name, content) == LabelFile(None, [ONE], [])


def files(*names: str) -> str:
    head = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tAnnotation\n"
    return head + "".join(f"{i}\t0.5\t0.6\t{name}\tone\n" for i, name in enumerate(names))


def test_rows_about_other_recordings(tmp_path):
    found = read(tmp_path, "a.txt", files("a.wav", "/x/b.wav", "c.wav", "d.wav", "e.wav"))
    assert found.intervals == [ONE]
    assert found.problems == [
        "it has no column File Offset (s): its times are taken from the start of each file",
        "4 rows are about /x/b.wav, c.wav, d.wav and 1 more, not this recording; left out",
    ]
    found = read(tmp_path, "a.txt", files("SITE7.WAV", "SITE7.WAV"))
    assert [row[1:] for row in found.intervals] == [(0.5, 0.6, "one")] * 2
    assert found.problems == ["2 rows are about SITE7.WAV; taken for this recording, since it has the name of this one"]
    found = read(tmp_path, "a.txt", files("SITE7.WAV").replace("0.6", "60"))  # longer than this recording
    assert found == LabelFile(None, [], ["1 row is about SITE7.WAV, not this recording; left out"])
    found = read(tmp_path, "a.txt", files("b.wav", "c.wav"))
    assert found.intervals == []
    assert found.problems[-1] == "2 rows are about b.wav, c.wav, not this recording; left out"


# ---- captions and RTTM


def test_captions(tmp_path):
    srt = "1\n00:00:00,500 --> 00:00:00,600\none <i>and</i>\nmore\n2\n00:00:01,000 --> 00:00:01,100\n22\n\nlost\n"
    found = read(tmp_path, "a.srt", srt)
    assert [row[:] for row in found.intervals] == [
        ("utterances", 0.5, 0.6, "one and more"), ("utterances", 1.0, 1.1, "22")
    ]  # fmt: skip
    assert found.problems == ["line 9: belongs to no cue; expected start --> end, and text below it"]
    assert read(tmp_path, "a.txt", srt) == found
    vtt = (
        "WEBVTT - title\nKind: captions\n\nNOTE a\nb\n\nSTYLE\n::cue {}\n\nid\n00:00.500 --> 00:00.600 align:start\n"
        "<v Anna>one &amp; <00:00.550>two</v>\n\n00:01.000 --> 00:01.100\n\n"
    )
    found = read(tmp_path, "a.vtt", vtt)
    assert [row[1:] for row in found.intervals] == [(0.5, 0.6, "one & two"), (1.0, 1.1, "")]
    assert found.problems == []
    with pytest.raises(FreudError, match=r"a\.srt: line 1: belongs to no cue"):
        read(tmp_path, "a.srt", "hello\n")


def test_speakers_of_an_rttm(tmp_path):
    recording(tmp_path / "a.wav", 2.0)
    text(
        tmp_path / "a.rttm",
        ";; comment\nSPKR-INFO a 1 <NA> <NA> <NA> unknown anna <NA> <NA>\n"
        "SPEAKER a 1 0.5 0.25 <NA> <NA> anna <NA> <NA>\nSPEAKER b 1 0.5 0.25 <NA> <NA> ben <NA> <NA>\n"
        "LEXEME a 1 0.5 0.1 hi lex anna 0.5 <NA>\nSPEAKER a 1 x 0.25 <NA> <NA> anna <NA> <NA>\n",
    )
    opened = corpus.read(tmp_path)
    [row] = opened.segment_table.to_pylist()
    assert (row["tier"], row["start"], row["end"], row["label"]) == ("speakers", 0.5, 0.75, "anna")
    assert [problem["reason"] for problem in opened.problems] == [
        "line 5: rows of type LEXEME are not read, only SPEAKER",
        "line 6: expected SPEAKER recording channel start duration <NA> <NA> speaker, in seconds",
        "1 row is about b, not this recording; left out",
    ]


# ---- CTM, TIMIT, HTK


def test_alternatives_of_a_ctm(tmp_path):
    lines = [
        "a A * * <ALT_BEGIN>", "a A 0.5 0.1 uh 0.9", "a A 0.6 0.1 @", "a A * * <ALT>", "a A 0.5 0.1 um",
        "a A * * <ALT_END>", "a A 1.0 0.1 two NA lex anna",
    ]  # fmt: skip
    found = read(tmp_path, "a.ctm", "\n".join(lines))
    assert [(row.start, row.label) for row in found.intervals] == [(0.5, "uh"), (1.0, "two")]
    assert found.problems == ["line 5: another alternative for the words before it; only the first is taken"]
    recording(tmp_path / "x" / "a.wav", 2.0)
    text(tmp_path / "x" / "all.words.ctm", "\n".join(lines))
    assert corpus.read(tmp_path / "x").problems == [{"path": "all.words.ctm", "reason": found.problems[0]}]
    with pytest.raises(FreudError, match=r"line 7: the alternatives of a before it have no <ALT_END>"):
        read(tmp_path, "a.ctm", "\n".join([*lines[:5], "", "b A 1.0 0.1 two"]))


@pytest.mark.parametrize("line", ["a 1 0.5 0.1 two words", "a 0.5 1 0.1 two", "a 1 -1 0.1 two", "a 1 0.5 -0.1 two"])
def test_lines_of_a_ctm_that_make_no_sense(tmp_path, line):
    with pytest.raises(FreudError, match=r"a\.ctm: line 2: expected recording channel start duration label"):
        read(tmp_path, "a.ctm", f"a 1 0 0.5 one\n{line}\n")


@pytest.mark.parametrize(("rate", "factor"), [(16_000, 16_000), (8000, 16_000), (48_000, 16_000), (48_000, 48_000)])
def test_timit_at_another_rate(tmp_path, rate, factor):
    content = f"0 {factor // 2} h#\n{factor // 2} {3 * factor} sh\n"
    found = read(tmp_path, "a.phn", content, sample_rate=rate)
    assert [row[1:] for row in found.intervals] == [(0.0, 0.5, "h#"), (0.5, 3.0, "sh")]
    notes = [f"its sample numbers are read at TIMIT's 16000 Hz; the recording has {rate} Hz"]
    assert found.problems == ([] if rate == factor else notes)
    found = read(tmp_path, "a.txt", f"0 {3 * factor} She had.", sample_rate=rate)
    assert found == LabelFile("She had.", [], [])


def test_timit_whose_rate_is_not_clear(tmp_path):
    for content in ("0 800 h#\n", "0 9999999 h#\n"):
        with pytest.raises(FreudError, match=r"a\.phn: its last label ends at .* whose samples it counts is not clear"):
            read(tmp_path, "a.phn", content, sample_rate=48_000)
    found = read(tmp_path, "a.txt", "0 480000 She had.")
    assert found == LabelFile("She had.", [], ["line 1: it is about 480000 samples, but the recording lasts 3.00 s"])


def test_a_master_label_file(tmp_path):
    content = '#!MLF!#\n"*/a.lab"\n0 5000000 x\n.\n"*/b.lab"\n0 6000000 y\n.\n'
    found = read(tmp_path, "a.lab", content)
    assert found.intervals == [Interval("labels", 0.0, 0.5, "x")]
    assert found.problems == ["1 row is about */b.lab, not this recording; left out"]
    assert read(tmp_path, "a.lab", "0 5000000 sil\n").intervals == [Interval("labels", 0.0, 0.5, "sil")]
