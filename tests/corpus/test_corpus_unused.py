"""Whatever lies in a folder becomes a clip, a label or a table, or is named with the reason."""

from __future__ import annotations

import unicodedata

import pytest
from trees import LONG_GRID, recording, text

from freud import corpus


def named(opened: corpus.Corpus) -> dict[str, str]:
    return {problem["path"]: problem["reason"] for problem in opened.problems}


NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("sound", "labels"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
def test_names_are_compared_however_their_accents_are_composed(tmp_path, sound, labels):
    recording(tmp_path / "audio" / f"{sound}.wav")
    grid = text(tmp_path / "audio" / f"{labels}.TextGrid", LONG_GRID)
    assert corpus.read(tmp_path / "audio").tiers == ["tones", "words"]
    (tmp_path / "labels").mkdir()
    grid.rename(tmp_path / "labels" / grid.name)
    imported = corpus.import_corpus(tmp_path / "audio", tmp_path / "out", labels=tmp_path / "labels")
    assert (imported.tiers, imported.problems) == (["tones", "words"], [])
    text(tmp_path / "audio" / "all.ctm", f"{labels} 1 0.1 0.2 one\n")
    assert [clip.transcript for clip in corpus.read(tmp_path / "audio")] == ["one"]
    (tmp_path / "audio" / "all.ctm").unlink()
    text(tmp_path / "audio" / "manifest.csv", f"path,transcript\n{labels}.wav,hello\n")
    opened = corpus.read(tmp_path / "audio")
    assert [(clip.path, clip.transcript) for clip in opened] == [(f"{sound}.wav", "hello")]
    assert opened.audio_path(opened.clips[0]).is_file()
    assert opened.problems == []


def test_tables_of_layouts_name_files_however_accents_are_composed(tmp_path):
    """In the folder as macOS writes names, in the tables composed."""
    tables = {
        "lj/metadata.csv": (f"{NFC}|hello|hello\n", f"lj/wavs/{NFD}.wav"),
        "cv/train.tsv": (f"client_id\tpath\tsentence\n1\t{NFC}.wav\thello\n", f"cv/clips/{NFD}.wav"),
        "fsd/FSD50K.ground_truth/eval.csv": (f"fname,labels\n{NFC},hello\n", f"fsd/FSD50K.eval_audio/{NFD}.wav"),
        "esc/meta/esc50.csv": (f"filename,category\n{NFC}.wav,hello\n", f"esc/audio/{NFD}.wav"),
        "hf/metadata.csv": (f"file_name,text\n{NFC}.wav,hello\n", f"hf/{NFD}.wav"),
    }
    for table, (content, sound) in tables.items():
        text(tmp_path / table, content)
        recording(tmp_path / sound)
        opened = corpus.read(tmp_path / table.partition("/")[0])
        assert [clip.transcript or clip.label for clip in opened] == ["hello"], opened.layout
        assert opened.problems == [], opened.layout
    for name in ("validation_list.txt", "testing_list.txt"):
        text(tmp_path / "sc" / name, f"{NFC}/0a1b2c3d_nohash_0.wav\n" if name.startswith("v") else "")
    recording(tmp_path / "sc" / NFD / "0a1b2c3d_nohash_0.wav")
    assert [clip.split for clip in corpus.read(tmp_path / "sc")] == ["validation"]


def test_kaldi_finds_a_file_however_its_accents_are_composed(tmp_path):
    recording(tmp_path / f"{NFD}.wav")
    text(tmp_path / "wav.scp", f"a {NFC}.wav\n")
    assert len(corpus.read(tmp_path)) == 1


def test_timit_as_kaggle_has_it(tmp_path):
    """SA1.WAV.wav is SA1.WAV in another format: its labels are those of SA1, and it is no second clip beside it."""
    recording(tmp_path / "SA1.WAV.wav", 1.0)
    text(tmp_path / "SA1.PHN", "1600 3200 aa\n")
    text(tmp_path / "SA1.TXT", "0 16000 One.\n")
    [clip] = opened = corpus.read(tmp_path)
    assert (clip.transcript, opened.tiers, opened.problems) == ("One.", ["phones"], [])
    recording(tmp_path / "SA1.WAV", 1.0)
    [clip] = opened = corpus.read(tmp_path)
    assert (clip.path, clip.transcript, opened.tiers) == ("SA1.WAV", "One.", ["phones"])
    assert named(opened) == {
        "SA1.WAV.wav": "left out as a copy of SA1.WAV, whose name it has with another suffix",
    }
    imported = corpus.import_corpus(tmp_path, tmp_path.parent / f"{tmp_path.name} out", labels=tmp_path)
    assert imported.tiers == ["phones"]


def test_a_table_may_list_a_recording_beside_its_copy(tmp_path):
    for name in ("a.wav", "a.wav.wav"):
        recording(tmp_path / name)
    text(tmp_path / "manifest.csv", "path\na.wav\na.wav.wav\n")
    assert len(corpus.read(tmp_path)) == 2


def test_what_nobody_owns_is_named(tmp_path):
    recording(tmp_path / "Rec1.WAV")
    recording(tmp_path / "far" / "b.wav")
    for name in ("rec1.TextGrid", "b.TextGrid", "c.TextGrid"):
        text(tmp_path / name, LONG_GRID)
    for name in ("Rec1.pdf", "noise", "sub/manifest.csv", "README.md", "LICENSE", "sub/ReadMe.txt"):
        text(tmp_path / name, "x\n")
    opened = corpus.read(tmp_path)
    assert [clip.path for clip in opened] == ["Rec1.WAV", "far/b.wav"]
    assert named(opened) == {
        "LICENSE": "documentation, not read; so are README.md, sub/ReadMe.txt",
        "noise": "not used: neither audio, nor labels, nor a table that can be read",
        "Rec1.pdf": "not used: neither audio, nor labels, nor a table that can be read",
        "sub/manifest.csv": "not used: a table of recordings belongs at the top; "
        "import its folder, or give the table itself",
        "rec1.TextGrid": "not used: no recording beside it has its name (but Rec1.WAV: mind case and folder)",
        "b.TextGrid": "not used: no recording beside it has its name (but far/b.wav: mind case and folder)",
        "c.TextGrid": "not used: no recording beside it has its name",
    }
    assert opened.unused == corpus.info(opened).unused == 9
    imported = corpus.import_corpus(tmp_path, tmp_path.parent / f"{tmp_path.name} out")
    assert (imported.unused, imported.problems) == (9, opened.problems)
    assert corpus.read(imported.path).unused == 9


def test_labels_elsewhere_without_a_recording_are_named(tmp_path):
    recording(tmp_path / "audio" / "a.wav")
    for name in ("a", "b"):
        text(tmp_path / "labels" / f"{name}.TextGrid", LONG_GRID)
    imported = corpus.import_corpus(tmp_path / "audio", tmp_path / "out", labels=tmp_path / "labels")
    assert named(imported) == {"b.TextGrid": "not used: no recording beside it has its name"}


def test_recordings_that_a_table_does_not_list_are_named(tmp_path):
    for name in ("a.wav", "b.wav"):
        recording(tmp_path / name)
    text(tmp_path / "manifest.csv", "path\na.wav\n")
    assert named(corpus.read(tmp_path)) == {"b.wav": "not used: no table lists it"}
    assert corpus.read(tmp_path / "manifest.csv").problems == [], "only the table was asked for"


def test_a_million_files_of_another_tool_are_counted(tmp_path):
    recording(tmp_path / "a.wav")
    for number in range(1005):
        (tmp_path / f"{number:04}.npy").touch()
    opened = corpus.read(tmp_path)
    assert opened.unused == 1005
    assert len(opened.problems) == 1001
    assert opened.problems[-1]["reason"] == "and 5 more files ending in .npy are not used"
