"""Unpacking an archive that nobody here has looked into: only plain files, only below the folder, only so many bytes.

Links, devices and names that lead out are errors, not left out: no archive of the catalog has any. A file is written
under a temporary name and renamed when whole, and one that is there with its size is kept, so unpacking resumes too.
"""

from __future__ import annotations

import bisect
import io
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from freud import artifacts
from freud.errors import FreudError

MOST_FILES = 3_000_000
MOST_TIMES = 200  # how much larger than itself an archive may unpack
_SMALL = 1 << 30  # bytes that any archive may unpack to
_BLOCK = 1 << 20


def extract(volumes: Sequence[Path], out: Path, progress: Callable[[int], None] = lambda files: None) -> list[str]:
    """Unpack a tar, or a zip in one or several volumes, below a folder.

    Args:
        volumes: the archive; the volumes of a split zip in their order, the last being the .zip.
        out: the folder.
        progress: called with the number of files so far.

    Returns:
        the first file and the last, below the folder.

    Raises:
        FreudError: the archive is damaged, or has something in it that it should not have.
    """
    limit = max(_SMALL, MOST_TIMES * sum(path.stat().st_size for path in volumes))
    name = volumes[-1].name
    ends: list[str] = []
    count = total = 0
    try:
        members = _zipped(volumes) if name.endswith(".zip") else _tarred(volumes[0])
        for member, size, opened in members:
            count += 1
            total += size
            if count > MOST_FILES or total > limit:
                raise FreudError(
                    f"{volumes[-1]}: unpacks to more than {limit:,} bytes or {MOST_FILES:,} files; stopped"
                )
            path = _checked(member, volumes[-1])
            if path is not None:
                _write(out.joinpath(*path.parts), size, opened, volumes[-1])
                ends = [*ends[:1], str(path)]
            progress(count)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise FreudError(f"{volumes[-1]}: damaged archive ({error}); delete it and fetch it again") from None
    return ends


_Member = tuple[str, int, Callable[[], IO[bytes] | None]]


def _tarred(path: Path) -> Iterator[_Member]:
    with tarfile.open(path, "r|*") as archive:  # a stream: members are read in their order, once
        for member in archive:
            if member.isdir():
                continue
            if not member.isreg():
                kind = "a link" if member.issym() or member.islnk() else "neither a file nor a folder"
                raise FreudError(f"{path}: {member.name!r} is {kind}, which is not unpacked; stopped")
            yield member.name, member.size, lambda member=member: archive.extractfile(member)


def _zipped(volumes: Sequence[Path]) -> Iterator[_Member]:
    with _Volumes(volumes) as file, zipfile.ZipFile(io.BufferedReader(file, _BLOCK)) as archive:
        for member in archive.infolist():
            if len(volumes) > 1:  # offsets count from the start of a volume; zipfile took them for the last one's
                if member.volume >= len(volumes):
                    raise zipfile.BadZipFile(f"volume {member.volume + 1} of {len(volumes)}")
                member.header_offset += file.starts[member.volume] - file.starts[-1]
                if hasattr(member, "_end_offset"):  # where newer Pythons expect it to end, by those offsets
                    member._end_offset = None  # pyright: ignore[reportAttributeAccessIssue]
            if member.is_dir():
                continue
            mode = member.external_attr >> 16
            if mode and (mode & 0o170000) not in (0, 0o100000):
                raise FreudError(f"{volumes[-1]}: {member.filename!r} is a link or a device, which is not unpacked")
            yield member.filename, member.file_size, lambda member=member: archive.open(member)


class _Volumes(io.RawIOBase):
    """Files one after the other as one file."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [path.open("rb") for path in paths]
        sizes = [path.stat().st_size for path in paths]
        self.starts = [sum(sizes[:index]) for index in range(len(sizes))]
        self._size = sum(sizes)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        index = bisect.bisect_right(self.starts, self._at) - 1
        self._files[index].seek(self._at - self.starts[index])
        count = self._files[index].readinto(buffer)
        self._at += count
        return count

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def _checked(name: str, archive: Path) -> PurePosixPath | None:
    """A member's path below the folder; None for what macOS adds.

    Raises:
        FreudError: it leads out of the folder.
    """
    path = PurePosixPath(name)
    bad = path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name
    if bad or "\\" in name or (os.name == "nt" and ":" in name):
        raise FreudError(f"{archive}: {name!r} leads out of the folder; stopped, the archive is not to be trusted")
    if path.parts[0] == "__MACOSX" or path.name.startswith("._"):
        return None
    return path


def _write(path: Path, size: int, opened: Callable[[], IO[bytes] | None], archive: Path) -> None:
    if path.is_file() and not path.is_symlink() and path.stat().st_size == size:
        return
    with artifacts.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.partial")
        source = opened()
        if source is None:
            raise FreudError(f"{archive}: {path.name!r} cannot be read from it")
        try:
            with source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target, _BLOCK)
                written = target.tell()
            if written != size:
                raise FreudError(f"{archive}: {path.name!r} has {written} bytes, not the {size} it claims")
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
