"""Fetching one file over HTTP: resumed where it broke off, checked against size and checksum, renamed when whole.

What has arrived is kept as NAME.part, with what the server said of the file beside it. A later run asks for the rest,
on condition that the file is still the same (If-Range); a server that ignores this sends all of it, and we start over.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from freud import artifacts
from freud.corpus.fetching.catalog import Remote
from freud.errors import FreudError
from freud.version import __version__

_BLOCK = 1 << 20
_PATIENCE = 8  # attempts that bring nothing new before giving up
_TIMEOUT = 60.0  # seconds without a byte
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


def fetch(
    remote: Remote,
    path: Path,
    *,
    mirror: str | None = None,
    progress: Callable[[int], None] = lambda arrived: None,
    pause: float = 1.0,
    timeout: float = _TIMEOUT,
) -> str:
    """Fetch a file to `path`, unless it is there and right.

    Args:
        remote: what to fetch.
        path: where to put it; until it is whole, `path`.part.
        mirror: scheme and host to take it from in place of those in its address.
        progress: called with the number of bytes there are so far.
        pause: seconds before the second attempt in vain; doubled for each further one, up to a minute.
        timeout: seconds without a byte after which a connection counts as broken.

    Returns:
        the checksum of what is at `path`, ALGORITHM:DIGITS.

    Raises:
        FreudError: it is not to be had, or what the server gives is not what was published.
    """
    url = mirrored(remote.url, mirror)
    part, facts = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
    if path.is_file() and (found := _matching(remote, path)) is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    wrong = 0
    while True:
        _receive(url, remote.size, part, facts, progress, pause, timeout)
        problem, found = _compare(remote, part)
        if problem is None:
            with artifacts.writing(path):
                part.replace(path)
            facts.unlink(missing_ok=True)
            return found
        part.unlink(missing_ok=True)
        facts.unlink(missing_ok=True)
        wrong += 1
        if wrong == 2:  # the first may have been damaged on the way, or put together from two versions
            raise FreudError(f"{url}: {problem}; the file has been changed or damaged there, nothing was kept")


def mirrored(url: str, mirror: str | None) -> str:
    """An address with the scheme and host of a mirror.

    Raises:
        FreudError: the mirror is not an http or https address.
    """
    if not mirror:
        return url
    given = urlsplit(mirror)
    if given.scheme not in {"http", "https"} or not given.netloc:
        raise FreudError(f"mirror {mirror!r}: expected an address such as https://mirror.example.org")
    parts = urlsplit(url)
    return urlunsplit((given.scheme, given.netloc, given.path.rstrip("/") + parts.path, parts.query, ""))


def _matching(remote: Remote, path: Path) -> str | None:
    """The checksum of a file that is there already, if it is the one to fetch; without a known one, nothing is."""
    if remote.checksum is None or (remote.size is not None and path.stat().st_size != remote.size):
        return None
    problem, found = _compare(remote, path)
    return None if problem else found


def _compare(remote: Remote, path: Path) -> tuple[str | None, str]:
    """What is wrong with a file, and its checksum."""
    size = path.stat().st_size
    algorithm, _, expected = (remote.checksum or "sha256:").partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if remote.size is not None and size != remote.size:
        return f"{size} bytes arrived where {remote.size} were published", found
    if expected and found != expected:
        return f"its {algorithm} is {found}, not {expected} as published", found
    return None, f"{algorithm}:{found}"


def _receive(
    url: str,
    size: int | None,
    part: Path,
    facts: Path,
    progress: Callable[[int], None],
    pause: float,
    timeout: float,
) -> None:
    """Bring `part` to its full length, in as many connections as that takes."""
    in_vain = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            with artifacts.writing(part):
                if _attempt(url, size, part, facts, progress, timeout):
                    return
            reason = "the connection broke off"
        except urllib.error.HTTPError as error:
            if error.code not in _RETRIED:
                raise FreudError(f"{url}: the server says {error.code} {error.reason}; try --mirror") from None
            reason = f"the server says {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:  # a URLError is an OSError
            reason = str(getattr(error, "reason", None) or error or type(error).__name__).lower()
        after = part.stat().st_size if part.is_file() else 0
        in_vain = 0 if after > before else in_vain + 1
        if in_vain == _PATIENCE:
            raise FreudError(f"{url}: {reason}, {_PATIENCE} times; the same command goes on from {after:,} bytes")
        if in_vain:
            time.sleep(min(pause * 2 ** (in_vain - 1), 60.0))


def _attempt(
    url: str, size: int | None, part: Path, facts: Path, progress: Callable[[int], None], timeout: float
) -> bool:
    """One connection; whether the file is whole now."""
    known = _known(facts, url)
    have = part.stat().st_size if part.is_file() and known else 0
    headers = {"User-Agent": f"freud/{__version__}", "Accept-Encoding": "identity"}
    if have and known is not None:
        headers |= {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    request = urllib.request.Request(url, headers=headers)
    try:
        response = _OPENER.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # there is nothing after what we have: either it is whole, or it is another file
            raise
        if known is not None and known["total"] == have:
            return True
        facts.unlink(missing_ok=True)
        return False
    with response:
        total = _total(response, have)
        start = have if response.status == 206 else 0
        if total is not None and size is not None and total != size:
            raise FreudError(f"{url}: the server has {total:,} bytes where {size:,} were published; try --mirror")
        limit = size if size is not None else total
        _check_room(part, (limit or 0) - start)
        validator = response.headers.get("ETag") or ""
        if not validator or validator.startswith("W/"):  # only a strong one may be used with If-Range
            validator = response.headers.get("Last-Modified") or ""
        if validator:
            artifacts.write_json(facts, {"url": url, "validator": validator, "total": total})
        else:
            facts.unlink(missing_ok=True)
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            arrived = start
            while block := response.read1(_BLOCK):  # raises if the connection breaks and the length is not known
                arrived += len(block)
                if limit is not None and arrived > limit:
                    raise FreudError(f"{url}: sends more than the {limit:,} bytes that it should have; try --mirror")
                file.write(block)
                progress(arrived)
            file.truncate()
    return limit is None or arrived == limit


def _total(response: Any, have: int) -> int | None:
    """The length of the whole file as the server says it.

    Raises:
        OSError: the range is not the one asked for.
    """
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise OSError("the server sends another range than asked for")
        return None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length")
    return int(length) if length is not None and length.isdecimal() else None


def _known(facts: Path, url: str) -> dict[str, Any] | None:
    """What the server said of the file when the first part of it came."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(facts.read_text(encoding="utf-8"))
        if known["url"] == url and isinstance(known["validator"], str):
            return {"validator": known["validator"], "total": known.get("total")}
    return None


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise FreudError(f"{part}: needs {needed:,} bytes, {free:,} are free; make room or choose another --out")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to the web only, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and not (scheme == "http" and req.type == "http"):
            raise FreudError(f"{req.full_url}: leads to {newurl}, which is not followed; try --mirror")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)
