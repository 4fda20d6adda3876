"""Folders with a manifest: whole or unfinished, never half; what is damaged is named."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from freud import artifacts
from freud.artifacts import MANIFEST, UNFINISHED, Artifact
from freud.errors import DamagedFileError, FreudError


@pytest.fixture
def finished(tmp_path: Path) -> Artifact:
    """A finished folder of kind "collect" with two data files."""
    out = tmp_path / "result"
    assert artifacts.begin(out, "collect", {"a": 1}) is None
    (out / "one.bin").write_bytes(bytes(range(256)) * 8)
    (out / "two.bin").write_bytes(b"second")
    return artifacts.finish(out, "collect", {"a": 1}, ["two.bin", "one.bin"], found=7)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can grow over 1000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def one_line(error: pytest.ExceptionInfo[FreudError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# ---- begin and finish


def test_a_folder_is_unfinished_until_its_manifest_is_there(tmp_path: Path) -> None:
    out = tmp_path / "a" / "result"
    parameters = {"sites": ("x", "y"), "dtype": "float16"}
    assert artifacts.begin(out, "collect", parameters) is None
    assert [p.name for p in out.iterdir()] == [UNFINISHED]
    with pytest.raises(FreudError, match=r"result: unfinished; run the same `freud collect` command again"):
        artifacts.read(out, "collect")
    assert artifacts.begin(out, "collect", parameters) is None  # resumes
    (out / "data").write_bytes(b"x")
    made = artifacts.finish(out, "collect", parameters, ["data"])
    assert {p.name for p in out.iterdir()} == {MANIFEST, "data"}
    again = artifacts.begin(out, "collect", parameters)
    assert again is not None
    assert again.manifest == made.manifest == artifacts.read(out, "collect").manifest
    assert json.loads((out / MANIFEST).read_text())["parameters"]["sites"] == ["x", "y"]


def test_a_run_killed_between_manifest_and_clean_up_counts_as_finished(finished: Artifact) -> None:
    artifacts.write_json(finished.path / UNFINISHED, {"kind": "collect", "parameters": {"a": 1}})
    assert artifacts.begin(finished.path, "collect", {"a": 1}) is not None


def test_a_run_killed_at_its_first_write_can_start_again(tmp_path: Path) -> None:
    (tmp_path / f".{UNFINISHED}.partial").write_text("{")
    assert artifacts.begin(tmp_path, "collect", {}) is None
    assert [p.name for p in tmp_path.iterdir()] == [UNFINISHED]


def test_a_run_that_made_nothing_does_not_bind_the_folder_to_its_settings(tmp_path: Path) -> None:
    artifacts.begin(tmp_path, "collect", {"dtype": "float16"})
    assert artifacts.begin(tmp_path, "collect", {"dtype": "bfloat16"}) is None
    assert json.loads((tmp_path / UNFINISHED).read_text())["parameters"] == {"dtype": "bfloat16"}


def test_resuming_sweeps_up_half_written_files(tmp_path: Path) -> None:
    artifacts.begin(tmp_path, "train", {})
    (tmp_path / "checkpoint").mkdir()
    strays = [tmp_path / ".x.parquet.partial", tmp_path / ".tmpAb3dE9", tmp_path / "checkpoint" / ".tmpAb3dE8"]
    kept = [tmp_path / "frames-00000.safetensors", tmp_path / "checkpoint" / "state.safetensors"]
    for path in strays + kept:
        path.write_bytes(b"x")
    artifacts.begin(tmp_path, "train", {})
    assert not any(path.exists() for path in strays)
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("finish", [False, True])
def test_other_settings_are_refused_and_named(tmp_path: Path, finish: bool) -> None:
    out = tmp_path / "result"
    artifacts.begin(out, "train", {"lr": 1, "k": 3, "same": 0})
    (out / "data").write_bytes(b"x")
    if finish:
        artifacts.finish(out, "train", {"lr": 1, "k": 3, "same": 0}, [])
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(FreudError, match=r"other settings \(extra, k, lr\)") as error:
        artifacts.begin(out, "train", {"lr": 2, "extra": 5, "same": 0})
    one_line(error)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_other_kinds_and_other_peoples_folders_are_refused(finished: Artifact, tmp_path: Path) -> None:
    with pytest.raises(FreudError, match=r"holds a result of `freud collect`"):
        artifacts.begin(finished.path, "train", {"a": 1})
    with pytest.raises(FreudError, match=r"written by `freud collect`; expected one written by `freud train`"):
        artifacts.read(finished.path, "train")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("x")
    with pytest.raises(FreudError, match=r"mine: exists and is not a result"):
        artifacts.begin(mine, "train", {})
    with pytest.raises(FreudError, match=r"thesis.tex: exists and is not a result"):
        artifacts.begin(mine / "thesis.tex", "train", {})
    with pytest.raises(FreudError, match=r"cannot create the folder: Not a directory"):
        artifacts.begin(mine / "thesis.tex" / "below", "train", {})
    with pytest.raises(FreudError, match=r"mine: has no manifest.json"):
        artifacts.read(mine, "train")
    with pytest.raises(FreudError, match=r"absent: no such folder"):
        artifacts.read(tmp_path / "absent", "train")


def test_the_fingerprint_says_what_was_made_not_when_or_where(tmp_path: Path) -> None:
    def make(name: str, content: bytes, **facts: object) -> str:
        artifacts.begin(tmp_path / name, "collect", {"p": 1})
        (tmp_path / name / "data").write_bytes(content)
        return artifacts.finish(tmp_path / name, "collect", {"p": 1}, ["data"], **facts).manifest["fingerprint"]

    assert make("a", b"x", seconds=1) == make("b", b"x", seconds=2) != make("c", b"y", seconds=1)


# ---- damage


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (lambda p: p.write_bytes(p.read_bytes()[:99] + b"!" + p.read_bytes()[100:]), "content has changed"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-1]), "2047 bytes where 2048 were written"),
    "missing": (lambda p: p.unlink(), "missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("read_before", [False, True])
def test_a_damaged_file_is_named_with_how_to_rebuild_it(finished: Artifact, damage: str, read_before: bool) -> None:
    if read_before:  # what was verified once is verified again when the file has changed
        assert finished.file("one.bin").read_bytes()[:3] == b"\0\1\2"
    path = finished.path / "one.bin"
    change, reason = DAMAGE[damage]
    change(path)
    with pytest.raises(DamagedFileError) as error:
        artifacts.read(finished.path, "collect").file("one.bin")
    message = one_line(error)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert f"delete {finished.path} and run `freud collect` again" in message
    assert finished.verify() == [message]
    assert finished.file("two.bin").read_bytes() == b"second"


def test_an_unchanged_file_is_hashed_once(finished: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    real = artifacts.file_sha256
    monkeypatch.setattr(artifacts, "file_sha256", lambda path: hashed.append(path) or real(path))
    for _ in range(3):
        finished.file("one.bin")
        artifacts.read(finished.path, "collect").file("one.bin")
    assert len(hashed) == 1
    os.utime(finished.path / "one.bin", ns=(1, 1))
    finished.file("one.bin")
    assert len(hashed) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"kind": "collect"}', b'{"kind": "collect", "parameters": {}, "files": {}}'],
)
def test_a_damaged_manifest_is_named(finished: Artifact, content: bytes) -> None:
    (finished.path / MANIFEST).write_bytes(content)
    for use in (artifacts.read, lambda path, kind: artifacts.begin(path, kind, {"a": 1})):
        with pytest.raises(DamagedFileError, match=r"manifest.json: .*run the stage again") as error:
            use(finished.path, "collect")
        one_line(error)


def test_every_byte_of_a_manifest_that_identifies_the_result_is_checked(finished: Artifact) -> None:
    path = finished.path / MANIFEST
    text = path.read_text()
    for old, new in ((": 2048", ": 2049"), ("one.bin", "ome.bin"), ('"a": 1', '"a": 2')):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(DamagedFileError):
            artifacts.read(finished.path, "collect")


# ---- writing


def test_replacing_leaves_the_old_file_and_nothing_else_on_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), artifacts.replacing(path) as temporary:  # noqa: PT012 - the error comes last
            temporary.write_text("half")
            raise error
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
        assert path.read_text() == "old"
    with artifacts.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "new"


@pytest.mark.parametrize("writer", ["json", "parquet", "safetensors"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, full_disk: None, writer: str) -> None:
    path = tmp_path / "file"

    def write() -> None:
        if writer == "json":
            artifacts.write_json(path, "x" * 5000)
        else:
            with artifacts.replacing(path) as temporary:
                if writer == "parquet":
                    pq.write_table(pa.table({"x": torch.randn(5000).numpy()}), temporary)
                else:
                    save_file({"x": torch.randn(5000)}, temporary)

    with pytest.raises(FreudError, match=r"file: cannot write: File too large; free some room") as error:
        write()
    one_line(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_no_space_left_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".file.partial").symlink_to("/dev/full")
    with pytest.raises(FreudError, match=r"file: cannot write: No space left on device; free some room"):
        artifacts.write_json(tmp_path / "file", {})
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_no_fault_of_the_disk_is_not_disguised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), artifacts.replacing(tmp_path / "file"):
        raise FileNotFoundError(errno.ENOENT, "a bug")


def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    with artifacts.replacing(tmp_path / "file") as temporary:
        save_file({"x": torch.zeros(1)}, temporary)  # made private by the library
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_duckdb_reads_the_file_of_a_path_and_no_other(tmp_path: Path) -> None:
    """Brackets, stars and question marks are patterns to DuckDB, and `feature=3` a column; other data lies nearby."""
    names = ["run1", "run[1]", "run*", "run?", "run[!1]", "[[]", "a'b", "feature=3", "run{1,2}", "run\\1", "é ["]
    for number, name in enumerate(names):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"value": [number]}), tmp_path / name / "t.parquet")
    for number, name in enumerate(names):
        rows = duckdb.sql(f"SELECT * FROM {artifacts.parquet_table(tmp_path / name / 't.parquet')}").fetchall()
        assert rows == [(number,)], name
