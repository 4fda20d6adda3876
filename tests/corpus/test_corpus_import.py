"""Importing a folder: what is written, that it is deterministic, and what happens to bad files."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from trees import recording, text

from freud import corpus
from freud.errors import DamagedFileError, FreudError, UnknownNameError


def paths(imported: corpus.Corpus) -> list[str]:
    return [clip.path for clip in imported]


def reasons(imported: corpus.Corpus) -> dict[str, str]:
    return {problem["path"]: problem["reason"] for problem in imported.problems}


@pytest.fixture
def tree(tmp_path):
    """Three recordings, one with a transcript and a tier."""
    source = tmp_path / "source"
    recording(source / "b.wav", 0.5)
    recording(source / "a" / "Käse Öl.flac", 1.0, rate=8_000)
    recording(source / "a.wav", 0.25)
    text(source / "b.txt", "hello  world\n")
    text(source / "b.words.tsv", "0.2\t0.5\tworld\n0\t0.2\thello\n")
    return source


def test_what_is_written(tree, tmp_path):
    written = corpus.import_corpus(tree, tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["clips.parquet", "manifest.json", "segments.parquet"]
    clips = pq.read_table(tmp_path / "out" / "clips.parquet")
    assert clips.column_names == (
        ["id", "path", "offset", "duration", "sample_rate", "transcript", "class", "speaker", "split", "sex", "channel"]
    )
    assert clips["path"].to_pylist() == ["a.wav", "a/Käse Öl.flac", "b.wav"]
    assert clips["duration"].to_pylist() == [0.25, 1.0, 0.5]
    assert clips["sample_rate"].to_pylist() == [16_000, 8_000, 16_000]
    assert clips["transcript"].to_pylist() == [None, None, "hello world"]
    segments = pq.read_table(tmp_path / "out" / "segments.parquet")
    assert segments.to_pylist() == [
        {"clip_id": written.clips[2].id, "tier": "words", "start": 0.0, "end": 0.2, "label": "hello"},
        {"clip_id": written.clips[2].id, "tier": "words", "start": 0.2, "end": 0.5, "label": "world"},
    ]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["kind"], manifest["clips"], manifest["problems"]) == ("corpus", 3, [])


def test_reading_it_back(tree, tmp_path):
    written = corpus.import_corpus(tree, tmp_path / "out")
    for opened in (written, corpus.read(tmp_path / "out"), corpus.read(tree)):
        assert len(opened) == 3
        assert opened.clips == written.clips
        assert opened.fingerprint == written.fingerprint
        assert opened.tiers == ["words"]
        assert opened.hours == pytest.approx(1.75 / 3600)
        clip = opened.clips[2]
        assert opened[clip.id] == clip
        assert opened.audio_path(clip).samefile(tree / "b.wav")
        assert [segment.label for segment in opened.segments(clip.id, "words")] == ["hello", "world"]
        assert opened.segments(opened.clips[0].id) == []
    assert corpus.read(tree).path is None
    assert written.path == tmp_path / "out"


def test_unknown_names_say_what_exists(tree):
    opened = corpus.read(tree)
    with pytest.raises(UnknownNameError, match=f"no clip with id 'zzz': there are 3, such as {opened.clips[0].id}"):
        opened["zzz"]
    with pytest.raises(UnknownNameError, match="no clip with id 'zzz'"):
        opened.segments("zzz")
    with pytest.raises(UnknownNameError, match="no tier 'phones': there are words"):
        opened.segments(opened.clips[2].id, "phones")
    with pytest.raises(UnknownNameError, match="no layout 'x': there are auto, csv, kaldi"):
        corpus.import_corpus(tree, tree.parent / "out", layout="x")
    assert not (tree.parent / "out").exists()


def test_the_tables_do_not_depend_on_where_or_when(tree, tmp_path):
    first = corpus.import_corpus(tree, tmp_path / "first", workers=1)
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    tree.rename(moved)
    os.utime(moved / "b.wav", (0, 0))
    second = corpus.import_corpus(moved, tmp_path / "second", workers=7)
    for name in ("clips.parquet", "segments.parquet"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert first.fingerprint == second.fingerprint
    assert corpus.read(tmp_path / "first", root=moved).audio_path(first.clips[0]).is_file()


def test_ids_stay_when_other_files_come_and_go(tree):
    before = {clip.path: clip.id for clip in corpus.read(tree)}
    recording(tree / "0.wav")
    (tree / "a.wav").unlink()
    after = {clip.path: clip.id for clip in corpus.read(tree)}
    assert {path: before[path] for path in ("b.wav", "a/Käse Öl.flac")}.items() <= after.items()
    assert all(len(clip_id) == 12 and int(clip_id, 16) >= 0 for clip_id in before.values())
    assert len(set(after.values())) == 3


def test_ids_that_collide_are_told_apart(tree, monkeypatch):
    from freud.corpus import looking

    class Weak:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def hexdigest(self) -> str:
            return "f" * 12 if b"\0" not in self.data else self.data.hex()[-12:].rjust(12, "0")

    monkeypatch.setattr(looking.hashlib, "sha256", Weak)
    assert len({looking._new_id(looking.Item(name), None, seen) for seen in [set()] for name in "abc"}) == 3


def test_the_same_command_again_returns_what_is_there(tree, tmp_path):
    first = corpus.import_corpus(tree, tmp_path / "out")
    stamp = (tmp_path / "out" / "clips.parquet").stat().st_mtime_ns
    again = corpus.import_corpus(tree, tmp_path / "out")
    assert again.clips == first.clips
    assert (tmp_path / "out" / "clips.parquet").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("change", ["new recording", "other transcript", "recording removed"])
def test_a_source_that_has_changed_is_an_error(tree, tmp_path, change):
    corpus.import_corpus(tree, tmp_path / "out")
    if change == "new recording":
        recording(tree / "c.wav")
    elif change == "other transcript":
        text(tree / "b.txt", "hallo, world\n")
    else:
        (tree / "a.wav").unlink()
    with pytest.raises(FreudError, match=r"out: holds an older state of .*source: files have changed; delete it"):
        corpus.import_corpus(tree, tmp_path / "out")


def test_another_source_or_layout_in_the_same_folder_is_an_error(tree, tmp_path):
    corpus.import_corpus(tree, tmp_path / "out")
    recording(tmp_path / "other" / "a.wav")
    with pytest.raises(FreudError, match=r"out: was imported from .*source; delete it or choose another --out"):
        corpus.import_corpus(tmp_path / "other", tmp_path / "out")
    text(tree / "manifest.csv", "path\na.wav\n")
    with pytest.raises(FreudError, match="other settings"):
        corpus.import_corpus(tree, tmp_path / "out")
    with pytest.raises(FreudError, match="exists and is not a result"):
        corpus.import_corpus(tmp_path / "other", tree)


def test_bad_files_are_left_out_with_their_reasons(tree):
    (tree / "empty.wav").touch()
    text(tree / "text.wav", "not audio\n" * 50)
    (tree / "gone.flac").symlink_to(tree / "nowhere.flac")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * 16_000)
    soundfile.write(tree / "cut.flac", noise, 16_000)
    (tree / "cut.flac").write_bytes((tree / "cut.flac").read_bytes()[:-30_000])
    opened = corpus.read(tree)
    assert paths(opened) == ["a.wav", "a/Käse Öl.flac", "b.wav"]
    found = reasons(opened)
    assert found.pop("cut.flac").endswith("s of 3.0 s: the file is cut short")
    assert found == {
        "empty.wav": "the file is empty",
        "text.wav": "not audio of a format that can be read, or damaged at its start",
        "gone.flac": "no such file",
    }


def test_unusual_but_good_recordings(tmp_path):
    recording(tmp_path / "short.wav", 0.01)
    recording(tmp_path / "eight.wav", rate=8_000)
    recording(tmp_path / "ninety-six.wav", rate=96_000)
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "six.wav", np.zeros((16_000, 6)), 16_000)
    opened = corpus.read(tmp_path)
    assert len(opened) == 5
    assert opened.problems == []


def test_a_name_that_is_not_utf8(tmp_path):
    recording(tmp_path / "good.wav")
    recording(tmp_path / "x.wav").rename(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.wav"))
    opened = corpus.read(tmp_path)
    assert paths(opened) == ["good.wav"]
    assert opened.problems == [{"path": "bad?.wav", "reason": "its name is not valid UTF-8; rename it"}]


def test_hidden_files_are_left_alone(tmp_path):
    recording(tmp_path / "a.wav")
    text(tmp_path / "._a.wav", "a resource fork")
    recording(tmp_path / ".trash" / "b.wav")
    opened = corpus.read(tmp_path)
    assert paths(opened) == ["a.wav"]
    assert opened.problems == []


@pytest.mark.parametrize("bad", [False, True])
def test_nothing_to_import_leaves_nothing_behind(tmp_path, bad):
    text(tmp_path / "source" / "readme.txt", "hello")
    if bad:
        (tmp_path / "source" / "empty.wav").touch()
        expected = r"source: none of 1 recordings can be used; the first: empty\.wav: the file is empty"
    else:
        expected = r"source: no recordings found; looked for .*\.flac"
    with pytest.raises(FreudError, match=expected) as caught:
        corpus.import_corpus(tmp_path / "source", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(FreudError, match=expected):
        corpus.read(tmp_path / "source")


def test_what_is_not_there(tmp_path):
    with pytest.raises(FreudError, match="nowhere: no such file or folder"):
        corpus.read(tmp_path / "nowhere")
    text(tmp_path / "a.txt", "hello")
    with pytest.raises(FreudError, match=r"a\.txt: expected a folder, an audio file or a \.csv or \.tsv table, or"):
        corpus.read(tmp_path / "a.txt")


def test_symbolic_links_may_form_loops(tmp_path):
    source, outside = tmp_path / "source", tmp_path / "outside"
    recording(source / "sub" / "a.wav")
    recording(outside / "b.wav")
    (source / "sub" / "up").symlink_to(source)
    (source / "self").symlink_to(source / "self")
    (source / "root").symlink_to("/")
    (source / "linked").symlink_to(outside)
    (source / "linked again").symlink_to(outside)
    (outside / "back").symlink_to(source)
    assert paths(corpus.read(source)) == ["linked/b.wav", "sub/a.wav"]


def test_one_recording_by_itself(tree):
    opened = corpus.read(tree / "b.wav")
    assert paths(opened) == ["b.wav"]
    assert opened.clips[0].transcript == "hello world"


def test_damage_is_found(tree, tmp_path):
    corpus.import_corpus(tree, tmp_path / "out")
    data = bytearray((tmp_path / "out" / "clips.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "out" / "clips.parquet").write_bytes(data)
    with pytest.raises(DamagedFileError, match=r"clips\.parquet: its content has changed .* run `freud corpus` again"):
        corpus.read(tmp_path / "out")


def test_killed_at_any_moment_the_same_command_finishes_the_job(tree, tmp_path):
    whole = corpus.import_corpus(tree, tmp_path / "whole")
    code = (
        "import os, sys, freud.corpus.importing as i\n"
        "write, step = i.pq.ParquetWriter.write_batch, int(sys.argv[3])\n"
        "def dying(self, batch):\n"
        "    global step\n"
        "    step -= 1\n"
        "    os._exit(9) if step < 0 else write(self, batch)\n"
        "i.pq.ParquetWriter.write_batch = dying\n"
        "i.import_corpus(sys.argv[1], sys.argv[2])\n"
    )
    for step in (0, 1):
        command = [sys.executable, "-c", code, str(tree), str(tmp_path / "out"), str(step)]
        assert subprocess.run(command, check=False).returncode == 9
        with pytest.raises(FreudError, match="unfinished"):
            corpus.read(tmp_path / "out")
    assert corpus.import_corpus(tree, tmp_path / "out").fingerprint == whole.fingerprint
    assert sorted(os.listdir(tmp_path / "out")) == ["clips.parquet", "manifest.json", "segments.parquet"]


def test_a_full_disk_is_a_clear_error(tree, tmp_path, monkeypatch):
    from freud.corpus import importing

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing.pq.ParquetWriter, "write_batch", full)
    with pytest.raises(FreudError, match="No space left on device"):
        corpus.import_corpus(tree, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_many_clips_stay_columns(tmp_path):
    """200 000 clips are opened as columns, in far less memory than as many objects, and are found by id."""
    import pyarrow as pa

    from freud import artifacts
    from freud.corpus.table import CLIP_SCHEMA, SEGMENT_SCHEMA

    n = 200_000
    ids = [f"{i:012x}" for i in range(n)]
    columns = [ids, [f"{i}.wav" for i in range(n)], [0.0] * n, [1.0] * n, [16_000] * n, *[[None] * n] * 6]
    segments = [ids[::2], ["words"] * (n // 2), [0.0] * (n // 2), [1.0] * (n // 2), ["a"] * (n // 2)]
    artifacts.begin(tmp_path / "c", "corpus", {"layout": "folder"})
    pq.write_table(pa.table(columns, CLIP_SCHEMA), tmp_path / "c" / "clips.parquet")
    pq.write_table(pa.table(segments, SEGMENT_SCHEMA), tmp_path / "c" / "segments.parquet")
    names = ["clips.parquet", "segments.parquet"]
    artifacts.finish(tmp_path / "c", "corpus", {"layout": "folder"}, names, root="/", problems=[])
    opened = corpus.read(tmp_path / "c")
    assert opened.table.nbytes < 100 * n
    assert opened[ids[-1]].path == f"{n - 1}.wav"
    assert [segment.clip_id for segment in opened.segments(ids[n - 2])] == [ids[n - 2]]
    assert opened.segments(ids[n - 1]) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux lists them")
def test_no_thread_is_left_that_could_outlive_the_interpreter(tree):
    """A thread of Arrow that still holds a file of Python's at exit aborts the process, or hangs it."""
    code = (
        "import sys, time, pathlib, freud.corpus as c\n"
        "import pyarrow.parquet, freud.corpus.importing\n"
        "def name(thread):\n"
        "    try: return (thread / 'comm').read_text()\n"
        "    except OSError: return ''\n"  # it has ended meanwhile
        "def threads():\n"  # but that of the allocator, which comes when it likes and holds nothing
        "    every = pathlib.Path('/proc/self/task').iterdir()\n"
        "    return {each.name for each in every if name(each)[:8] not in ('', 'jemalloc')}\n"
        "before = threads()\n"
        "found = c.read(sys.argv[1])\n"
        "assert len(found) and found.segment_table is not None\n"
        "for _ in range(50):\n"  # a thread that has been joined is listed until it is gone; one of a pool stays
        "    if threads() <= before: break\n"
        "    time.sleep(0.1)\n"
        "print(len(threads() - before))\n"
    )
    said = subprocess.run([sys.executable, "-c", code, str(tree)], check=True, capture_output=True, text=True)
    assert said.stdout == "0\n"
