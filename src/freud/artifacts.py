"""Folders that stages write: data files in open formats plus a `manifest.json` that says what made them.

The manifest is written last and atomically, so *a folder without a manifest is unfinished*. While a stage runs,
its folder holds `unfinished.json` with the parameters of the run; the same command finds it and resumes.
Every data file is listed in the manifest with its size and SHA-256, and `verify` names the one that changed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from freud.errors import DamagedFileError, FreudError
from freud.version import __version__

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"
_UMASK = os.umask(0o077)  # it can only be read by setting it
os.umask(_UMASK)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` when the block succeeds, remove it otherwise.

    The file is flushed to disk before the rename, so after a crash `path` is either the old file or the new one.

    Raises:
        FreudError: the disk is full or the folder cannot be written.
    """
    temporary = _temporary(path)
    try:
        with writing(path):
            yield temporary
            temporary.chmod(0o666 & ~_UMASK)  # safetensors makes its files private
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk, met while `path` is written, into one line.

    Raises:
        FreudError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        if reason := _unwritable(error):
            raise FreudError(f"{path}: cannot write: {reason}; free some room or choose another --out") from None
        raise


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


def _unwritable(error: BaseException) -> str | None:
    """Why the disk did not take a file, if that is what the error says."""
    if isinstance(error, SafetensorError) and (wrapped := re.search(r"\(os error (\d+)\)", str(error))):
        error = OSError(int(wrapped[1]), "")  # the library keeps the number only as text
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno in _UNWRITABLE else None


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object written by `write_json`.

    Raises:
        DamagedFileError: the file is not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path}: not valid JSON ({error}); delete its folder and run the stage again") from None
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path}: expected a JSON object; delete its folder and run the stage again")
    return value


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Sixteen hexadecimal digits that identify a JSON-serializable value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Artifact:
    """A finished folder: its path and what its manifest says."""

    path: Path
    manifest: dict[str, Any]

    def file(self, name: str) -> Path:
        """The path of data file `name`, checked once against its recorded size and SHA-256.

        Raises:
            DamagedFileError: the file is missing, cut short or altered.
        """
        path = self.path / name
        recorded = self.manifest["files"].get(name)
        rebuild = f"rebuild it: delete {self.path} and run `freud {self.manifest['kind']}` again"
        if recorded is None or not path.is_file():
            raise DamagedFileError(f"{path}: missing; {rebuild}")
        stat = path.stat()
        if stat.st_size != recorded["bytes"]:
            raise DamagedFileError(f"{path}: {stat.st_size} bytes where {recorded['bytes']} were written; {rebuild}")
        key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size, recorded["sha256"])
        if key not in _verified:
            if file_sha256(path) != recorded["sha256"]:
                raise DamagedFileError(f"{path}: its content has changed since it was written; {rebuild}")
            _verified.add(key)
        return path

    def verify(self) -> list[str]:
        """Check every file; return one line for each that is damaged."""
        problems = []
        for name in self.manifest["files"]:
            try:
                self.file(name)
            except DamagedFileError as error:
                problems.append(str(error))
        return problems


_verified: set[tuple[str, int, int, str]] = set()  # files already hashed by this process, by path, time and size


def read(path: Path | str, kind: str) -> Artifact:
    """Open a finished folder of the given kind.

    Raises:
        FreudError: there is no such folder, it is unfinished, or it is of another kind.
    """
    path = Path(path)
    if not path.is_dir():
        raise FreudError(f"{path}: no such folder; expected one written by `freud {kind}`")
    if not (path / MANIFEST).is_file():
        if (path / UNFINISHED).is_file():
            raise FreudError(f"{path}: unfinished; run the same `freud {kind}` command again to resume it")
        raise FreudError(f"{path}: has no {MANIFEST}; expected a folder written by `freud {kind}`")
    manifest = _read_manifest(path)
    if manifest["kind"] != kind:
        raise FreudError(f"{path}: was written by `freud {manifest['kind']}`; expected one written by `freud {kind}`")
    return Artifact(path, manifest)


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a finished folder, checked against the checksum in it."""
    manifest = read_json(path / MANIFEST)
    if manifest.get("checksum") != _checksum(manifest):
        raise DamagedFileError(f"{path / MANIFEST}: its content has changed; delete {path} and run the stage again")
    return manifest


def _checksum(manifest: Mapping[str, Any]) -> str:
    """Of every value in it: the fingerprint is of what identifies the data, which is less."""
    return fingerprint({name: value for name, value in manifest.items() if name != "checksum"})


def begin(path: Path | str, kind: str, parameters: Mapping[str, Any]) -> Artifact | None:
    """Start or resume writing the folder `path`; return the artifact if it is already finished with these parameters.

    `parameters` must hold everything that determines the result, as JSON values.

    Raises:
        FreudError: the folder holds something else, or a run with other parameters.
    """
    path = Path(path)
    wanted = json.loads(json.dumps(dict(parameters)))
    if (path / MANIFEST).is_file():
        finished = _read_manifest(path)
        _check_same(path, finished, kind, wanted)
        with contextlib.suppress(OSError):  # there if the run was killed right after it had finished
            (path / UNFINISHED).unlink(missing_ok=True)
        return Artifact(path, finished)
    if (path / UNFINISHED).is_file() and _others(path):  # without others, that run failed before it made anything
        _check_same(path, read_json(path / UNFINISHED), kind, wanted)
        for pattern in (".*.partial", ".tmp??????"):  # half-written when it was killed; safetensors names the latter
            for leftover in path.rglob(pattern):
                leftover.unlink()
        return None
    if path.exists() and (not path.is_dir() or _others(path)):
        raise FreudError(f"{path}: exists and is not a result of `freud {kind}`; choose another --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # also a file where a folder should be, or a name too long
        raise FreudError(f"{path}: cannot create the folder: {error.strerror}") from None
    write_json(path / UNFINISHED, {"kind": kind, "parameters": wanted})
    return None


def _check_same(path: Path, found: Mapping[str, Any], kind: str, parameters: Mapping[str, Any]) -> None:
    if found.get("kind") != kind:
        raise FreudError(f"{path}: holds a result of `freud {found.get('kind')}`; choose another --out")
    had = found.get("parameters", {})
    if had != parameters:
        changed = ", ".join(sorted(k for k in parameters.keys() | had if parameters.get(k) != had.get(k)))
        raise FreudError(f"{path}: was written with other settings ({changed}); choose another --out or delete it")


def _others(path: Path) -> set[str]:
    """What a folder holds beside the first file of a run, whole or half-written."""
    return {p.name for p in path.iterdir()} - {UNFINISHED, _temporary(path / UNFINISHED).name}


def finish(path: Path | str, kind: str, parameters: Mapping[str, Any], files: list[str], **facts: Any) -> Artifact:
    """Write the manifest of a folder whose data `files` are whole; this makes it a finished artifact.

    `facts` are what the stage found out (counts, statistics, problems); they must be JSON values.
    """
    path = Path(path)
    listed = {
        name: {"bytes": (path / name).stat().st_size, "sha256": file_sha256(path / name)} for name in sorted(files)
    }
    manifest = {
        "kind": kind,
        "freud": __version__,
        "parameters": json.loads(json.dumps(dict(parameters))),
        **facts,
        "files": listed,
    }
    manifest["fingerprint"] = fingerprint({name: manifest[name] for name in ("kind", "parameters", "files")})
    manifest["checksum"] = _checksum(manifest)
    write_json(path / MANIFEST, manifest)
    (path / UNFINISHED).unlink(missing_ok=True)
    return Artifact(path, manifest)


def discard(path: Path) -> None:
    """Remove a temporary folder of a stage, if it is there."""
    shutil.rmtree(path, ignore_errors=True)


def parquet_table(path: Path) -> str:
    """One Parquet file as a table in DuckDB's SQL: `SELECT * FROM {parquet_table(path)}`.

    DuckDB reads a path as a pattern (`run[1]` would match `run1`), and a folder named `feature=3` as a column; neither
    happens with what this returns.
    """
    literal = re.sub(r"([\[*?])", r"[\1]", str(path)).replace("'", "''")
    return f"read_parquet('{literal}', hive_partitioning = false)"
