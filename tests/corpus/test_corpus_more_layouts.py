"""LJSpeech, Speech Commands, MUSAN, FSD50K, Common Voice, audiofolder, Kaldi and Lhotse, each on a small tree."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from trees import LONG_GRID, recording, text

from freud import corpus
from freud.errors import FreudError


def rows(opened: corpus.Corpus, *fields: str) -> list[tuple]:
    return [tuple(getattr(clip, field) for field in fields) for clip in opened]


def labels(opened: corpus.Corpus) -> list[tuple]:
    return [(row["tier"], row["start"], row["end"], row["label"]) for row in opened.segment_table.to_pylist()]


# ---- LibriSpeech: what lies around the recordings


@pytest.fixture
def librispeech(tmp_path):
    root = tmp_path / "LibriSpeech"
    recording(root / "dev-clean" / "84" / "121123" / "84-121123-0000.flac", 0.5)
    text(root / "dev-clean" / "84" / "121123" / "84-121123.trans.txt", "84-121123-0000 GO DO\n")
    text(root / "SPEAKERS.TXT", ";ID  |SEX| SUBSET\n84   | F | dev-clean        |  8.02 | Christie Nowak\n")
    return root


@pytest.mark.parametrize("below", ["", "dev-clean", "dev-clean/84"])
def test_librispeech_knows_the_sex_of_its_speakers(librispeech, below):
    assert rows(corpus.read(librispeech / below), "speaker", "sex") == [("84", "female")]


def test_librispeech_with_textgrids_anywhere(librispeech):
    text(librispeech / "alignments" / "dev-clean" / "84" / "84-121123-0000.TextGrid", LONG_GRID)
    assert corpus.read(librispeech).tiers == ["tones", "words"]


def test_librispeech_with_alignments_by_chapter(librispeech):
    line = '84-121123-0000 ",GO,,DO" "0.1,0.2,0.3,0.45"\n'
    chapter = librispeech / "dev-clean" / "84" / "121123"
    text(chapter / "84-121123.alignment.txt", line)
    assert labels(corpus.read(librispeech)) == [("words", 0.1, 0.2, "GO"), ("words", 0.3, 0.45, "DO")]
    text(chapter / "84-121123.alignment.txt", line + '84-121123-0001 ",GO" "0.1"\n')
    opened = corpus.read(librispeech)
    assert labels(opened) == []
    reason = "labels skipped: line 2: expected an utterance, its words and their ends"
    assert [problem["reason"] for problem in opened.problems] == [reason]
    text(chapter / "84-121123.alignment.txt", line + '84-121123-0001 ",GO" "0.1,0.2"\n')
    [problem] = corpus.read(librispeech).problems
    assert problem["reason"] == "has labels that are of no recording here: 84-121123-0001"


# ---- labels in a tree of their own, and CTMs


def test_labels_in_a_tree_of_their_own(tmp_path):
    for name in ("a/x.wav", "b/x.wav", "b/y.wav", "z.wav"):
        recording(tmp_path / "audio" / name)
    text(tmp_path / "aligned" / "b" / "x.words.tsv", "0\t0.5\tsecond\n")
    text(tmp_path / "aligned" / "speaker1" / "y.TextGrid", LONG_GRID)
    text(tmp_path / "aligned" / "x.words.tsv", "0\t0.5\tambiguous\n")
    opened = corpus.import_corpus(tmp_path / "audio", tmp_path / "out", labels=tmp_path / "aligned")
    assert rows(opened, "path", "transcript") == [
        ("a/x.wav", None),
        ("b/x.wav", "second"),
        ("b/y.wav", "Käse log"),
        ("z.wav", None),
    ]
    assert opened.problems == [
        {"path": str(tmp_path / "aligned"), "reason": "2 clips have no label file in it"},
        {
            "path": "x.words.tsv",
            "reason": "not used: several recordings have its name (but a/x.wav, b/x.wav: mind case and folder)",
        },
    ]
    beside = text(tmp_path / "audio" / "b" / "x.words.tsv", "0\t0.5\tsecond\n")
    again = corpus.import_corpus(tmp_path / "audio" / "b", tmp_path / "again", labels=beside.parent)
    assert labels(again) == [("words", 0.0, 0.5, "second")]  # once, although it was found twice
    with pytest.raises(FreudError, match="no label file in it has the name of a recording"):
        corpus.import_corpus(tmp_path / "audio", tmp_path / "out2", labels=recording(tmp_path / "c" / "q.wav").parent)


def test_a_ctm_over_many_recordings(tmp_path):
    for name in ("x/a.wav", "b.wav"):
        recording(tmp_path / name)
    text(tmp_path / "all.words.ctm", ";; said by\nb 1 0.1 0.2 two 0.9\nx/a 1 0.0 0.1 one\nb 1 0.3 0.1 three\n")
    text(tmp_path / "b.ctm", "b 1 0.0 0.5 alone\n")
    opened = corpus.read(tmp_path)
    assert opened.problems == []
    assert rows(opened, "path", "transcript") == [("b.wav", "alone two three"), ("x/a.wav", "one")]
    text(tmp_path / "all.words.ctm", "b 1 0.1 0.2 two\nb 1 zero 0.2 two\n")
    opened = corpus.read(tmp_path)
    assert rows(opened, "transcript") == [("alone",), (None,)]
    [problem] = opened.problems
    assert problem["path"] == "all.words.ctm"
    assert problem["reason"].startswith("labels skipped: line 2: expected recording channel start duration label")


# ---- LJSpeech, Speech Commands, MUSAN


def test_ljspeech(tmp_path):
    recording(tmp_path / "wavs" / "LJ001-0001.wav", rate=22_050)
    recording(tmp_path / "wavs" / "LJ001-0002.wav", rate=22_050)
    text(
        tmp_path / "metadata.csv",
        'LJ001-0001|in "1455,|in "fourteen fifty-five,\nLJ001-0002|two|two\nLJ001-0003|absent|absent\n',
    )
    opened = corpus.read(tmp_path)
    assert opened.layout == "ljspeech"
    assert rows(opened, "path", "transcript", "speaker", "sex") == [
        ("wavs/LJ001-0001.wav", 'in "fourteen fifty-five,', "LJ", "female"),
        ("wavs/LJ001-0002.wav", "two", "LJ", "female"),
    ]
    assert opened.problems == [{"path": "wavs/LJ001-0003.wav", "reason": "metadata.csv line 3: no such file"}]
    text(tmp_path / "metadata.csv", "LJ001-0001|one|one\nLJ001-0002\nLJ001-0002|two|or|three\n")
    opened = corpus.read(tmp_path)
    assert rows(opened, "transcript") == [("one",)]
    assert [problem["reason"] for problem in opened.problems] == [
        "line 2: expected ID|text|normalized text (1 field in 3 columns; one is missing)",
        "line 3: expected ID|text|normalized text (4 fields in 3 columns; quote a field that holds a delimiter)",
        "not used: no table lists it",
    ]
    text(tmp_path / "metadata.csv", "LJ001-0001\n")
    with pytest.raises(FreudError, match=r"metadata\.csv: line 1: expected ID\|text\|normalized text"):
        corpus.import_corpus(tmp_path, tmp_path / "out", layout="ljspeech")


def test_speech_commands(tmp_path):
    for name in ("cat/0a7c2a8d_nohash_0.wav", "cat/ffd2ba2f_nohash_1.wav", "yes/0a7c2a8d_nohash_0.wav"):
        recording(tmp_path / name)
    recording(tmp_path / "_background_noise_" / "pink_noise.wav")
    known = rows(corpus.read(tmp_path), "label", "speaker", "split")
    assert known[1] == ("cat", "0a7c2a8d", None)
    text(tmp_path / "validation_list.txt", "cat/ffd2ba2f_nohash_1.wav\n")
    text(tmp_path / "testing_list.txt", "yes/0a7c2a8d_nohash_0.wav\n")
    opened = corpus.read(tmp_path)
    assert opened.layout == "speech-commands"
    assert rows(opened, "label", "speaker", "split") == [
        ("_background_noise_", None, None),
        ("cat", "0a7c2a8d", "train"),
        ("cat", "ffd2ba2f", "validation"),
        ("yes", "0a7c2a8d", "test"),
    ]


def test_speech_commands_lists_of_recordings_that_are_not_there(tmp_path):
    recording(tmp_path / "cat" / "0a7c2a8d_nohash_0.wav")
    text(tmp_path / "validation_list.txt", "cat/0a7c2a8d_nohash_0.wav\n\ncat/ffd2ba2f_nohash_1.wav\n")
    text(tmp_path / "testing_list.txt", "")
    opened = corpus.read(tmp_path)
    assert rows(opened, "split") == [("validation",)]
    reason = "1 of its 2 rows have no recording here, the first in line 3"
    assert opened.problems == [{"path": "validation_list.txt", "reason": reason}]


def test_speech_commands_in_one_folder(tmp_path):
    names = ("down_1acc97de_nohash_0", "_unknown__wow_4f8ef132_nohash_1", "_silence__1292")
    for name in names:
        recording(tmp_path / f"{name}.wav")
    opened = corpus.read(tmp_path)
    assert opened.layout == "speech-commands"
    assert sorted(rows(opened, "label", "speaker"), key=str) == [
        ("_silence_", None),
        ("_unknown_", "4f8ef132"),
        ("down", "1acc97de"),
    ]


def test_fsdd(tmp_path):
    for digit in range(10):
        recording(tmp_path / "recordings" / f"{digit}_jackson_{digit}.wav")
    opened = corpus.read(tmp_path)
    assert opened.layout == "fsdd"
    assert rows(opened, "label", "speaker", "split")[4:6] == [("4", "jackson", "test"), ("5", "jackson", "train")]
    (tmp_path / "recordings" / "9_jackson_9.wav").unlink()
    assert corpus.read(tmp_path).layout == "folder", "nine numbers are no digits"


def test_musan(tmp_path):
    for name in ("music/fma-western-art/music-fma-wa-0000.wav", "noise/free-sound/noise-free-sound-0001.wav"):
        recording(tmp_path / "musan" / name)
    opened = corpus.read(tmp_path)
    assert (opened.layout, rows(opened, "label")) == ("musan", [("music",), ("noise",)])


# ---- FSD50K, Common Voice, audiofolder


def test_fsd50k(tmp_path):
    recording(tmp_path / "FSD50K.dev_audio" / "64760.wav", rate=44_100)
    recording(tmp_path / "FSD50K.eval_audio" / "37199.wav", rate=44_100)
    truth = tmp_path / "FSD50K.ground_truth"
    text(
        truth / "dev.csv",
        'fname,labels,mids,split\n64760,"Electric_guitar,Guitar,Music","/m/02sgy,/m/0342h",val\n1,Rain,/m/06mb1,train\n',
    )
    text(truth / "eval.csv", "fname,labels,mids\n37199,Rain,/m/06mb1\n")
    opened = corpus.read(tmp_path)
    assert opened.layout == "fsd50k"
    assert rows(opened, "path", "label", "split") == [
        ("FSD50K.dev_audio/64760.wav", "Electric_guitar; Guitar; Music", "val"),
        ("FSD50K.eval_audio/37199.wav", "Rain", "eval"),
    ]
    reason = "1 of its 2 rows have no recording here, the first in line 3"
    assert opened.problems == [{"path": "FSD50K.ground_truth/dev.csv", "reason": reason}]


def test_common_voice(tmp_path):
    for name in "abcd":
        recording(tmp_path / "clips" / f"{name}.wav")
    head = "client_id\tpath\tsentence\tup_votes\tage\tgender\n"
    text(tmp_path / "train.tsv", head + f'{"1" * 128}\ta.wav\t"Quoted, he said\t2\t\tfemale_feminine\n')
    text(tmp_path / "test.tsv", head + "2\tb.wav\tzwei\t2\t\tmale\n3\tgone.wav\tweg\t2\t\t\n")
    text(tmp_path / "validated.tsv", head + "1\ta.wav\tx\t2\t\t\n4\tc.wav\tdrei\t2\t\tother\n")
    text(tmp_path / "invalidated.tsv", head + "4\td.wav\tvier\t0\t\t\n")
    opened = corpus.read(tmp_path)
    assert opened.layout == "common-voice"
    assert rows(opened, "path", "transcript", "speaker", "split", "sex") == [
        ("clips/a.wav", '"Quoted, he said', "1" * 16, "train", "female"),
        ("clips/b.wav", "zwei", "2", "test", "male"),
        ("clips/c.wav", "drei", "4", "validated", "other"),
    ]
    assert opened.problems == [
        {"path": "test.tsv", "reason": "1 of its 2 rows have no recording here, the first in line 3"},
        {"path": "invalidated.tsv", "reason": "not used: no recording beside it has its name"},
        {"path": "clips/d.wav", "reason": "not used: no table lists it"},
    ]
    reason = "1 of its 2 rows have no recording here, the first in line 3"
    text(tmp_path / "train.tsv", head + "1\ta.wav\tx\t2\t\t\n1\ta.wav\ty\t2\t\t\n1\tb.wav\tan\textra\t2\t\t\n")
    assert [problem["reason"] for problem in corpus.read(tmp_path).problems] == [
        "line 3: a.wav was listed before; the first is kept",
        "line 4: 7 fields in 6 columns; quote a field that holds a delimiter",
        reason,
        "not used: no recording beside it has its name",
        "not used: no table lists it",
    ]
    text(tmp_path / "dev.tsv", head + "4\t../../secret.wav\tx\t2\t\t\n")
    with pytest.raises(FreudError, match=r"dev\.tsv line 2: '\.\./\.\./secret\.wav' is not a path in the corpus"):
        corpus.read(tmp_path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_audiofolder_with_a_table(tmp_path, kind):
    table = [
        {"file_name": "a.wav", "transcription": "one, two", "speaker_id": 7, "gender": "F"},
        {"file_name": "sub/b.wav", "transcription": "three", "speaker_id": 8, "gender": "M"},
    ]
    for row in table:
        recording(tmp_path / "train" / row["file_name"])
    path = tmp_path / "train" / f"metadata.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(table), path)
    elif kind == "jsonl":
        text(path, "".join(json.dumps(row) + "\n" for row in table))
    else:
        text(path, 'file_name,transcription,speaker_id,gender\na.wav,"one, two",7,F\nsub/b.wav,three,8,M\n')
    opened = corpus.read(tmp_path)
    assert opened.layout == "audiofolder"
    assert rows(opened, "path", "transcript", "speaker", "split", "sex") == [
        ("train/a.wav", "one, two", "7", "train", "female"),
        ("train/sub/b.wav", "three", "8", "train", "male"),
    ]


def test_audiofolder_by_its_folders(tmp_path):
    for name in ("train/dog/1.wav", "train/cat/2.wav", "test/dog/3.wav"):
        recording(tmp_path / name)
    opened = corpus.read(tmp_path)
    assert opened.layout == "audiofolder"
    assert rows(opened, "label", "split") == [("dog", "test"), ("cat", "train"), ("dog", "train")]
    given = corpus.import_corpus(tmp_path / "train", tmp_path / "out", layout="audiofolder")
    assert rows(given, "label", "split") == [("cat", None), ("dog", None)]


@pytest.mark.parametrize("line", ['{"file_name": "../a.wav"}', '{"file_name": "/etc/a.wav"}'])
def test_audiofolder_stays_in_its_folder(tmp_path, line):
    text(tmp_path / "set" / "metadata.jsonl", line)
    with pytest.raises(FreudError, match=r"metadata\.jsonl line 1: '.*' is not a path in the corpus"):
        corpus.read(tmp_path / "set")


def test_audiofolder_with_a_broken_table(tmp_path):
    recording(tmp_path / "a.wav")
    text(tmp_path / "metadata.jsonl", '{"file_name": "a.wav"}\n{"file": "b.wav"}\n')
    opened = corpus.read(tmp_path)
    assert rows(opened, "path") == [("a.wav",)]
    reason = "line 2: expected a JSON object with file_name"
    assert opened.problems == [{"path": "metadata.jsonl", "reason": reason}]
    text(tmp_path / "metadata.jsonl", '{"file_name": 3}\n')
    with pytest.raises(FreudError, match=r"metadata\.jsonl: line 1: expected a JSON object with file_name"):
        corpus.read(tmp_path)


# ---- Kaldi


@pytest.fixture
def kaldi(tmp_path):
    """A recipe's folder with data/train, whose paths are relative to the recipe's folder, and one outside of it."""
    recording(tmp_path / "egs" / "audio" / "one.wav", 2.0)
    elsewhere = recording(tmp_path / "elsewhere" / "two.wav", 1.0)
    data = tmp_path / "egs" / "data" / "train"
    text(data / "wav.scp", f"rec1 audio/one.wav\nrec2 {elsewhere}\n")
    text(data / "utt2spk", "rec1 anna\nrec2 bob\nutt1 anna\nutt2 anna\nutt3 bob\n")
    text(data / "spk2gender", "anna f\nbob m\n")
    text(data / "text", "rec1 whole one\nutt1 hello  there\nutt2\nutt3 bye\n")
    return data


def test_kaldi_without_segments(kaldi):
    opened = corpus.read(kaldi)
    assert opened.layout == "kaldi"
    assert rows(opened, "duration", "transcript", "speaker", "sex", "split") == [
        (2.0, "whole one", "anna", "female", "train"),
        (1.0, None, "bob", "male", "train"),
    ]


def test_kaldi_with_segments(kaldi):
    text(kaldi / "segments", "utt1 rec1 0.25 1.0\nutt2 rec1 1.0 -1\nutt3 rec2 0 0.5\nutt4 rec9 0 1\n")
    text(kaldi / "ctm", "utt1 1 0.25 0.25 hello\nutt2 1 0.5 0.25 late\nrec2 1 0.25 0.125 bye\n")
    opened = corpus.read(kaldi)
    assert sorted(rows(opened, "offset", "duration", "transcript", "speaker")) == [
        (0.0, 0.5, "bye", "bob"),
        (0.25, 0.75, "hello  there", "anna"),
        (1.0, 1.0, "late", "anna"),
    ]
    assert sorted(labels(opened)) == [
        ("words", 0.25, 0.375, "bye"),
        ("words", 0.25, 0.5, "hello"),
        ("words", 0.5, 0.75, "late"),
    ]
    assert opened.problems == [{"path": "segments", "reason": "line 4: utt4: no recording rec9 in wav.scp"}]


def test_kaldi_never_runs_a_command(kaldi, tmp_path):
    ran = tmp_path / "ran"
    two = tmp_path / "elsewhere" / "two.wav"
    text(kaldi / "wav.scp", f"rec1 touch {ran} |\nrec2 {two}\nrec3 sph2pipe x |\nrec4 a.ark:17\n")
    opened = corpus.read(kaldi)
    assert rows(opened, "speaker") == [("bob",)]
    assert [problem["reason"] for problem in opened.problems] == [
        "line 1: rec1 is a command (and 1 more); commands are never run; write their output to files and list those",
        "line 4: rec4 is in an archive; audio in archives is not read; write it to files and list those",
    ]
    text(kaldi / "wav.scp", f"rec1 touch {ran} |\n")
    with pytest.raises(FreudError, match=r"wav\.scp: no recording can be used: line 1: rec1 is a command; "):
        corpus.read(kaldi)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("segments", "utt1 rec1 0.5", "expected utterance recording start end, in seconds"),
        ("segments", "utt1 rec1 1.0 0.5", "expected utterance recording start end, in seconds"),
        ("wav.scp", "rec1", "expected a name and a value"),
        ("utt2spk", "utt1", "expected a name and a value"),
    ],
)
def test_kaldi_with_a_broken_line(kaldi, name, line, message):
    text(kaldi / name, f"{line}\n")
    with pytest.raises(FreudError, match=rf"{name}: line 1: {message}"):
        corpus.read(kaldi)


# ---- Lhotse, by its own recipes


def test_lhotse_recipe_of_librispeech(tmp_path):
    pytest.importorskip("lhotse")
    from lhotse import CutSet
    from lhotse.recipes import prepare_librispeech
    from lhotse.supervision import AlignmentItem

    chapter = tmp_path / "LibriSpeech" / "dev-clean" / "84" / "121123"
    for number in range(2):
        recording(chapter / f"84-121123-000{number}.flac", 0.5)
    text(chapter / "84-121123.trans.txt", "84-121123-0000 GO\n84-121123-0001 BUT IN\n")
    prepared = prepare_librispeech(tmp_path / "LibriSpeech", output_dir=tmp_path / "manifests")
    opened = corpus.read(tmp_path / "manifests")
    assert opened.layout == "lhotse"
    assert rows(opened, "transcript", "speaker", "duration", "split") == [
        ("GO", "84", 0.5, "dev-clean"),
        ("BUT IN", "84", 0.5, "dev-clean"),
    ]
    cuts = CutSet.from_manifests(**prepared["dev-clean"])
    for cut in cuts:
        cut.supervisions[0].alignment = {"word": [AlignmentItem("GO", 0.125, 0.125), AlignmentItem("", 0.25, 0.25)]}
    windows = cuts.cut_into_windows(0.25).to_eager()
    for name in ("windows", "mixed"):
        (tmp_path / name).mkdir()
    windows.to_file(tmp_path / "windows" / "cuts_all.jsonl.gz")
    opened = corpus.read(tmp_path / "windows" / "cuts_all.jsonl.gz")
    assert rows(opened, "offset", "duration", "speaker") == [(0.0, 0.25, "84"), (0.25, 0.25, "84")] * 2
    assert labels(opened) == [("words", 0.125, 0.25, "GO")] * 2
    # What Lhotse would have to compute is left out.
    mixed = CutSet.from_cuts([next(iter(cuts)).pad(1.0), next(iter(cuts)).perturb_speed(1.1), next(iter(cuts))])
    mixed.to_file(tmp_path / "mixed" / "cuts.jsonl")
    opened = corpus.read(tmp_path / "mixed")
    assert len(opened) == 1
    assert sorted(problem["reason"].split(": ")[2] for problem in opened.problems) == [
        "MixedCut is not a part of one recording",
        "its audio is changed when it is loaded; save it to files with lhotse",
    ]


def test_lhotse_with_several_supervisions(tmp_path):
    pytest.importorskip("lhotse")
    from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet

    path = recording(tmp_path / "meeting.wav", 2.0)
    RecordingSet.from_recordings([Recording.from_file(path)]).to_file(tmp_path / "recordings.jsonl.gz")
    said = [("b", 1.0, "bye", "bob", "M"), ("a", 0.25, "hello", "anna", "F")]
    SupervisionSet.from_segments(
        SupervisionSegment(key, "meeting", start, 0.5, text=word, speaker=speaker, gender=sex)
        for key, start, word, speaker, sex in said
    ).to_file(tmp_path / "supervisions.jsonl.gz")
    opened = corpus.read(tmp_path)
    assert rows(opened, "speaker", "sex", "split") == [(None, None, None)]
    assert labels(opened) == [
        ("speakers", 0.25, 0.75, "anna"),
        ("speakers", 1.0, 1.5, "bob"),
        ("utterances", 0.25, 0.75, "hello"),
        ("utterances", 1.0, 1.5, "bye"),
    ]


def test_lhotse_never_runs_a_command(tmp_path):
    pytest.importorskip("lhotse")
    ran = tmp_path / "ran"
    source = {"type": "command", "channels": [0], "source": f"touch {ran}"}
    entry = {"id": "x", "sources": [source], "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0}
    text(tmp_path / "recordings.jsonl", json.dumps(entry) + "\n")
    with pytest.raises(FreudError, match="line 1: x: its audio is a command, which is never run or fetched"):
        corpus.read(tmp_path)
    assert not ran.exists()
    text(tmp_path / "recordings.jsonl", json.dumps(entry) + "\n{broken\n")
    with pytest.raises(FreudError, match=r"recordings\.jsonl: line 2: not a recording of Lhotse"):
        corpus.read(tmp_path)
