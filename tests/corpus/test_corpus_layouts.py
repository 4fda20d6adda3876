"""Each layout on a small tree of its own, on the shared recordings, and the rule that finds it."""

from __future__ import annotations

import csv

import pytest
from trees import recording, text

from freud import corpus
from freud.errors import FreudError


def rows(opened: corpus.Corpus, *fields: str) -> list[tuple]:
    return [tuple(getattr(clip, field) for field in fields) for clip in opened]


# ---- csv


def test_csv(tmp_path):
    for name in ("x/a.wav", "x/b c.wav"):
        recording(tmp_path / name)
    text(tmp_path / "x" / "a.words.tsv", "0\t0.5\thello\n")
    text(
        tmp_path / "manifest.csv",
        "\ufeffgender,path,transcript,class,speaker,split,segments\n"
        'F,x/b c.wav,"yes, or\nno",,s1,test,\n'
        "M,./x/a.wav,,bark,s2,train,a.words.tsv\n",
    )
    opened = corpus.read(tmp_path)
    assert opened.layout == "csv"
    assert rows(opened, "path", "transcript", "label", "speaker", "split") == [
        ("x/a.wav", "hello", "bark", "s2", "train"),
        ("x/b c.wav", "yes, or\nno", None, "s1", "test"),
    ]
    assert opened.tiers == ["words"]
    assert corpus.read(tmp_path / "manifest.csv").fingerprint == opened.fingerprint


def test_csv_without_the_column_segments_takes_the_files_beside_the_recordings(tmp_path):
    recording(tmp_path / "a.wav")
    text(tmp_path / "a.txt", "hello")
    text(tmp_path / "list.tsv", "path\tlabel\na.wav\tgreeting\n")
    assert rows(corpus.read(tmp_path / "list.tsv"), "transcript", "label") == [("hello", "greeting")]


def test_csv_with_parts_of_a_file(tmp_path):
    recording(tmp_path / "a.wav", 2.0)
    text(tmp_path / "a.words.tsv", "0\t0.8\tone\n0.8\t1.2\ttwo\n1.2\t2.0\tthree\n")
    text(tmp_path / "list.csv", "path,offset,duration\na.wav,1.0,1.0004\na.wav,0,1\na.wav,1.5,1\na.wav,3,\n")
    opened = corpus.read(tmp_path / "list.csv")
    assert rows(opened, "name", "offset", "duration", "transcript") == [
        ("a.wav", 0.0, 1.0, "one two"),
        ("a.wav @ 1 s", 1.0, 1.0, "two three"),
    ]
    first, second = opened
    assert first.id != second.id
    assert [(s.start, s.end) for s in opened.segments(second.id)] == [
        (0.0, pytest.approx(0.2)),
        (pytest.approx(0.2), 1.0),
    ]
    assert [problem["reason"] for problem in opened.problems] == [
        "list.csv line 4: lasts 2.00 s; the clip is from 1.5 s to 2.5 s",
        "list.csv line 5: lasts 2.00 s; the clip is from 3 s to 3 s",
    ]


def test_csv_duration_without_offset_only_describes_the_file(tmp_path):
    recording(tmp_path / "a.wav", 0.5)
    text(tmp_path / "list.csv", "path,duration\na.wav,0.501\n")
    assert rows(corpus.read(tmp_path / "list.csv"), "duration") == [(0.5,)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\na.wav,x\n", r"list\.csv: no column path; the columns are file, label"),
        ("", r"list\.csv: no column path; the columns are none"),
        ("path,label\n,y\n", r"list\.csv: line 2: no path"),
        ("path,offset\na.wav,x\n", r"list\.csv: line 2: offset and duration must be seconds, not 'x' and ''"),
        (
            "path,offset,duration\na.wav,0,-1\n",
            r"line 2: offset and duration must be seconds, not '0' and '-1'",
        ),
        (
            "path\nb.wav\n",
            r"none of 1 recordings can be used; the first: b\.wav: list\.csv line 2: no such file",
        ),
        ("path\n", "no recordings found"),
    ],
)
def test_csv_mistakes_are_named_with_their_line(tmp_path, content, message):
    recording(tmp_path / "a.wav")
    text(tmp_path / "list.csv", content)
    with pytest.raises(FreudError, match=message):
        corpus.import_corpus(tmp_path / "list.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_csv_rows_that_cannot_be_used_are_reported(tmp_path):
    recording(tmp_path / "a.wav")
    text(tmp_path / "list.csv", "path,segments\na.wav,a.words.tsv\nb.wav,\na.wav,\n")
    opened = corpus.read(tmp_path / "list.csv")
    assert rows(opened, "path") == [("a.wav",)]
    assert opened.problems == [
        {"path": "a.wav", "reason": "list.csv line 4: listed before at 2; the first is kept"},
        {"path": "a.words.tsv", "reason": "tier words skipped: cannot be read: no such file or directory"},
        {"path": "b.wav", "reason": "list.csv line 3: no such file"},
    ]


def test_csv_may_name_files_elsewhere(tmp_path):
    elsewhere = recording(tmp_path / "elsewhere" / "a.wav")
    text(tmp_path / "lists" / "list.csv", f"path\n{elsewhere}\n../elsewhere/a.wav\n")
    opened = corpus.read(tmp_path / "lists" / "list.csv")
    [clip] = opened  # both rows are the same file
    assert opened.audio_path(clip) == elsewhere


# ---- LibriSpeech


@pytest.fixture
def librispeech(tmp_path):
    root = tmp_path / "LibriSpeech"
    for split, speaker in (("dev-clean", "84"), ("test-other", "1688")):
        chapter = root / split / speaker / "121123"
        for number in ("0000", "0001"):
            recording(chapter / f"{speaker}-121123-{number}.flac")
        text(
            chapter / f"{speaker}-121123.trans.txt",
            f"{speaker}-121123-0000 GO DO YOU HEAR\n{speaker}-121123-0001 BUT IN LESS\n",
        )
    return root


def test_librispeech(librispeech):
    opened = corpus.read(librispeech)
    assert opened.layout == "librispeech"
    assert rows(opened, "path", "transcript", "speaker", "split") == [
        ("dev-clean/84/121123/84-121123-0000.flac", "GO DO YOU HEAR", "84", "dev-clean"),
        ("dev-clean/84/121123/84-121123-0001.flac", "BUT IN LESS", "84", "dev-clean"),
        ("test-other/1688/121123/1688-121123-0000.flac", "GO DO YOU HEAR", "1688", "test-other"),
        ("test-other/1688/121123/1688-121123-0001.flac", "BUT IN LESS", "1688", "test-other"),
    ]
    assert opened.problems == []


@pytest.mark.parametrize("below", ["dev-clean", "dev-clean/84", "dev-clean/84/121123"])
def test_a_part_of_librispeech(librispeech, below):
    opened = corpus.read(librispeech / below)
    assert rows(opened, "transcript", "speaker", "split") == [
        ("GO DO YOU HEAR", "84", "dev-clean"),
        ("BUT IN LESS", "84", "dev-clean"),
    ]


def test_librispeech_with_a_broken_line(librispeech):
    chapter = librispeech / "dev-clean" / "84" / "121123"
    text(chapter / "84-121123.trans.txt", "84-121123-0000 GO\n84-121123-0001\n")
    opened = corpus.read(chapter)
    assert rows(opened, "transcript") == [("GO",), (None,)]
    assert opened.problems == [{"path": "84-121123.trans.txt", "reason": "line 2: expected an utterance and its text"}]


def test_librispeech_rows_that_are_not_used_are_named(librispeech):
    chapter = librispeech / "dev-clean" / "84" / "121123"
    lines = [
        "84-121123-0000 GO",
        "84-121123-0000 STAY",
        "84-121123-0001\tTAB",
        "84-121123-0002 GONE",
        "84-121123-0003 TOO",
    ]
    text(chapter / "84-121123.trans.txt", "\n".join(lines))
    opened = corpus.read(chapter)
    assert rows(opened, "transcript") == [("GO",), ("TAB",)]
    assert [problem["reason"] for problem in opened.problems] == [
        "line 2: 84-121123-0000 was listed before in line 1; the first is kept",
        "2 of its 4 rows have no recording here, the first in line 4",
    ]


# ---- ESC-50, ESC-10


def test_esc50(tmp_path):
    recording(tmp_path / "audio" / "1-100032-A-0.wav")
    recording(tmp_path / "audio" / "5-9032-B-36.wav")
    text(
        tmp_path / "meta" / "esc50.csv",
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n5-9032-B-36.wav,5,36,vacuum_cleaner,False,9032,B\n",
    )
    opened = corpus.read(tmp_path)
    assert opened.layout == "esc50"
    assert rows(opened, "path", "label", "split", "speaker") == [
        ("audio/1-100032-A-0.wav", "dog", "fold 1", "freesound-100032"),
        ("audio/5-9032-B-36.wav", "vacuum_cleaner", "fold 5", "freesound-9032"),
    ]


def test_esc50_rows_that_are_not_used_are_named(tmp_path):
    recording(tmp_path / "audio" / "1-1-A-0.wav")
    content = 'filename,fold,category\n1-1-A-0.wav,1,"dog\n1-2-A-0.wav,1,cat\n1-3-A-0.wav,1,cat,x\n'
    text(tmp_path / "meta" / "esc50.csv", content)
    opened = corpus.read(tmp_path)
    assert rows(opened, "label") == [('"dog',)]
    assert [problem["reason"] for problem in opened.problems] == [
        "line 2: a quotation mark that is not closed; taken as text",
        "line 4: 4 fields in 3 columns; quote a field that holds a delimiter",
        "1 of its 2 rows have no recording here, the first in line 3",
    ]


def test_esc10_by_its_names(tmp_path):
    recording(tmp_path / "001_1-100032-A.ogg", rate=44_100)
    recording(tmp_path / "010_2-4211-A.ogg", rate=44_100)
    opened = corpus.read(tmp_path)
    assert opened.layout == "esc50"
    assert rows(opened, "label", "split") == [("Dog bark", "fold 1"), ("Fire crackling", "fold 2")]


# ---- AudioSet


def test_audioset(tmp_path):
    recording(tmp_path / "audio" / "--4gqARaEJE.wav")
    recording(tmp_path / "audio" / "Y-0RWZT-miFs.flac")
    recording(tmp_path / "audio" / "_0000AAAAAA_30000.wav")
    recording(tmp_path / "audio" / "other.wav")
    text(
        tmp_path / "eval_segments.csv",
        "# Segments csv created Sun Mar  5 10:54:25 2017\n# num_ytids=3\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_"\n'
        '-0RWZT-miFs, 420.000, 430.000, "/m/03v3yw"\n'
        '_0000AAAAAA, 30.000, 40.000, "/m/09x0r"\n'
        'absent00000, 30.000, 40.000, "/m/09x0r"\n',
    )
    text(
        tmp_path / "class_labels_indices.csv",
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/068hy,"Domestic animals, pets"\n2,/m/07q6cd_,"Squeak"\n',
    )
    opened = corpus.read(tmp_path)
    assert opened.layout == "audioset"
    assert rows(opened, "path", "label", "split") == [
        ("audio/--4gqARaEJE.wav", "Domestic animals, pets; Squeak", "eval"),
        ("audio/Y-0RWZT-miFs.flac", "/m/03v3yw", "eval"),
        ("audio/_0000AAAAAA_30000.wav", "Speech", "eval"),
        ("audio/other.wav", None, None),
    ]
    assert opened.problems == [
        {"path": "eval_segments.csv", "reason": "1 of its 4 rows have no recording here, the first in line 7"}
    ]
    assert rows(corpus.read(tmp_path / "eval_segments.csv"), "label") == rows(opened, "label")


def test_audioset_rows_that_are_not_used_are_named(tmp_path):
    recording(tmp_path / "--4gqARaEJE.wav")
    row = '--4gqARaEJE, 0.000, 10.000, "/m/09x0r"\n'
    content = f"# YTID, start_seconds\n{row}{row.replace('09x0r', 'other')}{row}{row.replace('0.000', 'x', 1)}bad\n"
    text(tmp_path / "eval_segments.csv", content)
    opened = corpus.read(tmp_path)
    assert rows(opened, "label") == [("/m/09x0r",)]
    assert [problem["reason"] for problem in opened.problems] == [
        "line 3: --4gqARaEJE was listed before with other labels; the first are kept",
        "line 5: expected YTID, start, end, labels",
        "line 6: expected YTID, start, end, labels (1 field in 4 columns; one is missing)",
    ]


def test_audioset_with_a_broken_row(tmp_path):
    recording(tmp_path / "--4gqARaEJE.wav")
    text(
        tmp_path / "eval_segments.csv",
        "# YTID, start_seconds, end_seconds, positive_labels\n--4gqARaEJE, 0.000\n",
    )
    with pytest.raises(FreudError, match=r"eval_segments\.csv: line 2: expected YTID, start, end, labels"):
        corpus.read(tmp_path)
    with pytest.raises(FreudError, match="no segment table"):
        corpus.import_corpus(tmp_path / "--4gqARaEJE.wav", tmp_path / "out", layout="audioset")


# ---- finding the layout


def test_the_layout_can_be_given(librispeech):
    text(librispeech / "manifest.csv", "path\ndev-clean/84/121123/84-121123-0000.flac\n")
    assert (corpus.read(librispeech).layout, len(corpus.read(librispeech))) == ("csv", 1)
    given = corpus.import_corpus(librispeech, librispeech.parent / "out", layout="librispeech")
    assert (given.layout, len(given)) == ("librispeech", 4)
    plain = corpus.import_corpus(librispeech, librispeech.parent / "plain", layout="folder")
    assert rows(plain, "transcript", "speaker") == [(None, None)] * 4


# ---- the shared recordings


@pytest.mark.shared
def test_the_shared_manifest_imports_whole(shared):
    root = shared / "data" / "real-audio"
    opened = corpus.read(root)
    with (root / "manifest.csv").open(newline="", encoding="utf-8") as file:
        listed = {row["path"]: row for row in csv.DictReader(file)}
    columns, documents, clip = opened.problems
    assert columns["reason"] == ("columns that are not used: dataset, sample_rate, label_kind, phone_source, license")
    assert documents["path"] == "ESC-10_README.txt"  # the licenses are in the reason
    assert clip == {"path": "jfk.flac", "reason": "not used: no table lists it"}
    assert {clip.path for clip in opened} == set(listed)
    assert opened.tiers == ["phones", "words"]
    with_tiers = 0
    for clip in opened:
        row = listed[clip.path]
        assert clip.duration == pytest.approx(float(row["duration"]), abs=1e-3)
        assert clip.sample_rate == int(row["sample_rate"])
        assert (clip.label or "", clip.speaker or "") == (row["label"], row["speaker"])
        assert (clip.transcript or "") == row["transcript"]
        phones = opened.segments(clip.id, "phones")
        assert bool(phones) == bool(row["segments"])
        with_tiers += bool(phones)
        assert all(0 <= s.start <= s.end <= clip.duration + 0.05 for s in phones)
    assert with_tiers == 66


@pytest.mark.shared
def test_shared_folders_without_their_manifest(shared):
    real = shared / "data" / "real-audio"
    with (real / "manifest.csv").open(newline="", encoding="utf-8") as file:
        listed = {row["path"]: row for row in csv.DictReader(file)}
    esc10 = corpus.read(real / "esc10")
    assert len(esc10) == 160
    for clip in esc10:
        row = listed[f"esc10/{clip.path}"]
        assert (clip.label, clip.speaker) == (row["label"], row["speaker"])
    speech = corpus.read(real / "librispeech_test-other")
    assert speech.layout == "librispeech"
    for clip in speech:
        row = listed[f"librispeech_test-other/{clip.path}"]
        assert clip.transcript == row["transcript"]
        assert f"libri-{clip.speaker}" == row["speaker"]
        assert clip.split is None
