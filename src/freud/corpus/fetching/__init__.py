"""Downloading published corpora: fetch, check, unpack, and remember what is there.

Every part is fetched into `.download/` in the output folder, unpacked, and its archive deleted; `.download/PART.json`
then says what it was, so that the same command again does nothing. A run that was broken off is taken up again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from freud import artifacts
from freud.corpus.fetching.archives import extract
from freud.corpus.fetching.catalog import BY_HAND, SOURCES, Part, Remote, Source, find
from freud.corpus.fetching.transfer import fetch
from freud.errors import FreudError, UnknownNameError

__all__ = ["BY_HAND", "MIRROR", "SOURCES", "Downloaded", "Part", "Remote", "Source", "download", "extract", "fetch"]

MIRROR = "FREUD_MIRROR"
"""The environment variable that names a mirror: scheme and host to fetch from in place of the published ones."""
_STATE = ".download"


@dataclass(frozen=True)
class Downloaded:
    """What a download has brought."""

    name: str
    path: Path
    parts: list[str]
    license: str
    home: str
    unverified: list[str]
    """Files for which no checksum is published."""
    after: str


def download(
    name: str,
    out: str | os.PathLike[str],
    *,
    parts: Sequence[str] = (),
    mirror: str | None = None,
    progress: bool = True,
) -> Downloaded:
    """Download a published corpus, or parts of it, into a folder; `import_corpus` then imports it.

    Args:
        name: one of `SOURCES`.
        out: the folder; parts that are in it already are not fetched again.
        parts: which parts; by default those that the catalog names.
        mirror: address of a server that has the same paths as the published one, such as
            https://openslr.elda.org for LibriSpeech; by default that in the environment variable FREUD_MIRROR.
        progress: show a bar for each part.

    Raises:
        FreudError: no such corpus or part, it is not to be had, it is not what was published, or the disk is full.
    """
    source = find(name)
    parts = list(dict.fromkeys(parts or source.default))
    known = ", ".join(source.parts)
    if not parts:
        raise FreudError(f"{name} has parts; choose with --part: {known}")
    if unknown := [part for part in parts if part not in source.parts]:
        raise UnknownNameError(f"{name} has no part {unknown[0]!r}: there are {known}")
    mirror = mirror or os.environ.get(MIRROR)
    out = Path(out)
    state = out / _STATE
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FreudError(f"{out}: cannot create the folder: {error.strerror}") from None
    unverified: list[str] = []
    for part in parts:
        record = state / f"{name}.{part}.json"
        if not _there(record, out):
            artifacts.write_json(record, _bring(source.parts[part], part, out, mirror, progress))
        files = artifacts.read_json(record)["files"]
        unverified += [file["url"].rpartition("/")[2] for file in files if not file["verified"]]
    return Downloaded(name, out, parts, source.license, source.home, unverified, source.after)


def _there(record: Path, out: Path) -> bool:
    """Whether a part is in the folder: it was unpacked, and its first and last file have not been deleted."""
    return record.is_file() and all((out / name).is_file() for name in artifacts.read_json(record)["ends"])


def _bring(part: Part, title: str, out: Path, mirror: str | None, progress: bool) -> dict[str, Any]:
    """Fetch and unpack a part; return what to remember of it."""
    where = out / _STATE
    missing = sum(remote.size or 0 for remote in part.files if not (where / remote.name).is_file())
    needed, free = missing + part.unpacked, shutil.disk_usage(where).free
    if needed > free:
        raise FreudError(f"{out}: {title} needs {needed:,} bytes, {free:,} are free; make room or choose another --out")
    fetched: list[dict[str, Any]] = []
    for remote in part.files:
        path = where / remote.name
        with tqdm(total=remote.size, unit="B", unit_scale=True, desc=remote.name, disable=not progress) as bar:
            checksum = fetch(remote, path, mirror=mirror, progress=lambda n, bar=bar: _show(bar, n))
        fetched.append({"url": remote.url, "checksum": checksum, "verified": remote.checksum is not None})
    volumes = [where / remote.name for remote in part.files]
    into = out / part.into
    if all(path.name.endswith(".csv") for path in volumes):
        into.mkdir(parents=True, exist_ok=True)
        for path in volumes:
            path.replace(into / path.name)
        return {"files": fetched, "ends": [(Path(part.into) / path.name).as_posix() for path in volumes]}
    with tqdm(unit=" files", desc=f"unpacking {title}", disable=not progress) as bar:
        ends = extract(volumes, into, lambda n, bar=bar: _show(bar, n))
    for path in volumes:
        path.unlink()
    return {"files": fetched, "ends": [(Path(part.into) / name).as_posix() for name in ends]}


def _show(bar: tqdm[Any], reached: int) -> None:
    bar.n = reached
    bar.update(0)
