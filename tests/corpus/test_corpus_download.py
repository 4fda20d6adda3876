"""Downloads from a server on this machine that drops connections, ignores ranges, lies about lengths and contents."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from freud import corpus
from freud.corpus import fetching as downloads
from freud.corpus.fetching import Part, Remote, Source, extract, fetch
from freud.corpus.fetching.transfer import mirrored
from freud.errors import FreudError, UnknownNameError

BODY = bytes(range(256)) * 4000  # a megabyte
URL = "http://corpora.invalid/data/file.bin"
SHA = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by path; the attributes say how badly."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/data/file.bin": BODY}
        self.drop_after: list[int] = []  # bytes after which each next response breaks off
        self.ranges = True
        self.etag: str | None = '"v1"'
        self.claims: int | None = None  # a Content-Length that is not true
        self.chunked = False
        self.statuses: list[int] = []  # errors to give first
        self.location: str | None = None
        self.seen: list[str | None] = []  # the Range of each request

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        self.close_connection = True
        given = self.headers.get("Range")
        server.seen.append(given)
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        if server.location:
            self.send_response(302)
            self.send_header("Location", server.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        start = 0
        same = self.headers.get("If-Range") == server.etag
        if given and server.ranges and same:
            start = int(given.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        if server.etag:
            self.send_header("ETag", server.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        rest = body[start:]
        stop = server.drop_after.pop(0) if server.drop_after else None
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(rest), 100_000):
                if stop is not None and at >= stop:
                    return
                block = rest[at : at + 100_000]
                self.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(server.claims if server.claims is not None else len(rest)))
        self.end_headers()
        self.wfile.write(rest[:stop])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def get(server: Server, path: Path, checksum: str | None = SHA, size: int | None = None) -> str:
    remote = Remote(URL, size, checksum)
    return fetch(remote, path, mirror=server.address, pause=0.0, timeout=5.0)


def left(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


# ---- one file


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("etag", ['"v1"', None, 'W/"weak"'])
def test_a_file_arrives_although_the_connection_drops(server, tmp_path, etag, chunked):
    server.etag, server.chunked = etag, chunked
    server.drop_after = [300_000, 200_000]
    assert get(server, tmp_path / "a" / "file.bin") == SHA
    assert (tmp_path / "a" / "file.bin").read_bytes() == BODY
    assert left(tmp_path / "a" / "file.bin") == ["file.bin"]
    starts = [0 if seen is None else int(seen[6:-1]) for seen in server.seen]
    assert starts == ([0, 300_000, 500_000] if etag == '"v1"' else [0, 0, 0])  # without a validator, from the start


def test_what_arrived_in_an_earlier_run_is_not_fetched_again(server, tmp_path):
    path = tmp_path / "file.bin"
    server.drop_after = [400_000] + [0] * 8
    with pytest.raises(FreudError, match=r"file\.bin: .*, 8 times; the same command goes on from 400,000 bytes"):
        get(server, path)
    assert left(path) == ["file.bin.part", "file.bin.part.json"]
    server.seen.clear()
    assert get(server, path) == SHA
    assert server.seen == ["bytes=400000-"]


def test_a_whole_part_of_an_earlier_run_is_taken(server, tmp_path):
    path = tmp_path / "file.bin"
    path.with_name("file.bin.part").write_bytes(BODY)
    facts = {"url": f"{server.address}/data/file.bin", "validator": '"v1"', "total": len(BODY)}
    path.with_name("file.bin.part.json").write_text(json.dumps(facts))
    assert get(server, path) == SHA
    assert server.seen == [f"bytes={len(BODY)}-"]


def test_a_file_that_has_changed_meanwhile_is_fetched_anew(server, tmp_path):
    path = tmp_path / "file.bin"
    server.drop_after = [400_000] + [0] * 8
    with pytest.raises(FreudError, match="the same command goes on"):
        get(server, path, checksum=None)
    server.files["/data/file.bin"] = BODY[::-1]
    server.etag = '"v2"'
    get(server, path, checksum=None)
    assert path.read_bytes() == BODY[::-1]


def test_a_server_that_ignores_ranges(server, tmp_path):
    server.ranges = False
    server.drop_after = [300_000]
    assert get(server, tmp_path / "file.bin") == SHA
    assert server.seen == [None, "bytes=300000-"]


def test_a_file_that_is_there_is_not_fetched(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(BODY)
    assert get(server, tmp_path / "file.bin") == SHA
    assert server.seen == []
    (tmp_path / "file.bin").write_bytes(BODY[:-1] + b"x")
    assert get(server, tmp_path / "file.bin") == SHA
    assert (tmp_path / "file.bin").read_bytes() == BODY


def test_a_wrong_checksum(server, tmp_path):
    server.files["/data/file.bin"] = BODY[:-1] + b"x"
    message = r"file\.bin: its sha256 is [0-9a-f]{64}, not [0-9a-f]{64} as published; .* nothing was kept"
    with pytest.raises(FreudError, match=message):
        get(server, tmp_path / "file.bin")
    assert left(tmp_path / "file.bin") == []
    assert len(server.seen) == 2  # once more, in case the first was damaged on the way


@pytest.mark.parametrize(
    ("claims", "size", "message"),
    [
        (len(BODY) + 5, None, r"8 times; the same command goes on"),  # says more than it has
        (len(BODY) - 5, None, r"its sha256 is .*, not .* as published"),  # says less than it has
        (len(BODY) - 5, len(BODY), r"the server has 1,023,995 bytes where 1,024,000 were published; try --mirror"),
        (None, len(BODY) - 5, r"the server has 1,024,000 bytes where 1,023,995 were published"),
    ],
)
def test_a_server_that_lies_about_the_length(server, tmp_path, claims, size, message):
    server.claims = claims
    with pytest.raises(FreudError, match=message):
        get(server, tmp_path / "file.bin", size=size)
    assert not (tmp_path / "file.bin").exists()


def test_a_server_that_does_not_stop(server, tmp_path):
    server.chunked = True
    with pytest.raises(FreudError, match=r"sends more than the 500,000 bytes that it should have"):
        get(server, tmp_path / "file.bin", size=500_000)


def test_errors_of_the_server(server, tmp_path):
    server.statuses = [503, 429, 500]
    assert get(server, tmp_path / "file.bin") == SHA
    server.statuses = [404]
    with pytest.raises(FreudError, match="the server says 404 Not Found; try --mirror"):
        get(server, tmp_path / "other.bin")
    server.statuses = [500] * 8
    with pytest.raises(FreudError, match="the server says 500 Internal Server Error, 8 times"):
        get(server, tmp_path / "other.bin")


def test_no_server(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(FreudError, match="connection refused, 8 times"):
        get(server, tmp_path / "file.bin")


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_redirections_that_are_not_followed(server, tmp_path, location):
    server.location = location
    with pytest.raises(
        FreudError, match=f"leads to {location}, which is not followed|to url '{location}' is not allowed"
    ):
        get(server, tmp_path / "file.bin")


def test_addresses_of_mirrors():
    url = "https://www.openslr.org/resources/12/dev-clean.tar.gz"
    assert mirrored(url, None) == url
    assert mirrored(url, "http://cache.local:8080/a/") == "http://cache.local:8080/a/resources/12/dev-clean.tar.gz"
    for mirror in ("ftp://x", "cache.local", "file:///tmp"):
        with pytest.raises(FreudError, match="expected an address such as"):
            mirrored(url, mirror)


def test_a_full_disk(server, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))  # pyright: ignore
    with pytest.raises(FreudError, match="needs 1,024,000 bytes, 0 are free; make room"):
        get(server, tmp_path / "file.bin")


# ---- unpacking


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def plain(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o777
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_unpacking_a_tar(tmp_path, mode):
    members = [
        (plain("./a/b.txt"), b"b"),
        (plain("c.txt"), b"c"),
        (plain("a/._b.txt"), b"resource fork"),
        (plain("a", tarfile.DIRTYPE), b""),
    ]
    archive = tar_of(tmp_path / "x.tar", *members, mode=mode)
    assert extract([archive], tmp_path / "out") == ["a/b.txt", "c.txt"]
    assert (tmp_path / "out" / "a" / "b.txt").read_bytes() == b"b"
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["a", "b.txt", "c.txt"]
    assert not os.access(tmp_path / "out" / "c.txt", os.X_OK)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (plain("../evil"), "leads out of the folder"),
        (plain("/tmp/evil"), "leads out of the folder"),
        (plain("a/../../evil"), "leads out of the folder"),
        (plain("a\\..\\..\\evil"), "leads out of the folder"),
        (plain("evil", tarfile.SYMTYPE, "/etc/passwd"), "is a link, which is not unpacked"),
        (plain("evil", tarfile.LNKTYPE, "../../secret"), "is a link, which is not unpacked"),
        (plain("evil", tarfile.CHRTYPE), "is neither a file nor a folder"),
        (plain("evil", tarfile.FIFOTYPE), "is neither a file nor a folder"),
    ],
)
def test_a_tar_with_what_it_should_not_have(tmp_path, member, message):
    archive = tar_of(tmp_path / "x.tar.gz", (member, b""))
    with pytest.raises(FreudError, match=message):
        extract([archive], tmp_path / "in" / "out")
    assert not any(path.name == "evil" for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "evil"])
def test_a_zip_with_what_it_should_not_have(tmp_path, name):
    info = zipfile.ZipInfo(name)
    if name == "evil":
        info.external_attr = 0o120777 << 16  # a symbolic link
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(FreudError, match=r"leads out of the folder|is a link or a device"):
        extract([tmp_path / "x.zip"], tmp_path / "in" / "out")
    assert not any(path.name == "evil" for path in tmp_path.rglob("*"))


def test_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("freud.corpus.fetching.archives._SMALL", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10_000_000))
    with pytest.raises(FreudError, match="unpacks to more than"):
        extract([tmp_path / "x.zip"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_damaged_archive(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    data = os.urandom(200_000)
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", data)
        damaged = bytearray(path.read_bytes())
        damaged[1000] ^= 1
    else:
        tar_of(path, (plain("a"), data))
        damaged = path.read_bytes()[:-1000]
    path.write_bytes(damaged)
    with pytest.raises(FreudError, match="damaged archive"):
        extract([path], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs the program zip, which writes split archives")
def test_a_zip_in_volumes(tmp_path):
    contents = {f"audio/{index}.bin": os.urandom(30_000) for index in range(9)}
    for name, data in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    subprocess.run(["zip", "-q", "-r", "-s", "64k", "x.zip", "audio"], cwd=tmp_path, check=True)
    volumes = [*sorted(tmp_path.glob("x.z[0-9]*")), tmp_path / "x.zip"]
    assert len(volumes) > 3
    assert len(extract(volumes, tmp_path / "out")) == 2
    assert {name: (tmp_path / "out" / name).read_bytes() for name in contents} == contents


# ---- whole corpora


@pytest.fixture
def tiny(server, tmp_path, monkeypatch) -> Source:
    """A corpus of two parts on the server, of which one has a checksum; its address is redirected to the server."""
    from trees import recording

    parts = {}
    for name in ("one", "two"):
        audio = recording(tmp_path / "made" / f"{name}.wav", 0.25).read_bytes()
        archive = tar_of(tmp_path / f"{name}.tar.gz", (plain(f"Tiny/{name}/{name}.wav"), audio)).read_bytes()
        server.files[f"/tiny/{name}.tar.gz"] = archive
        checksum = f"md5:{hashlib.md5(archive).hexdigest()}" if name == "one" else None
        parts[name] = Part((Remote(f"http://corpora.invalid/tiny/{name}.tar.gz", len(archive), checksum),))
    source = Source("Tiny", "CC0", "http://corpora.invalid", parts, default=("one",))
    monkeypatch.setitem(downloads.SOURCES, "tiny", source)
    monkeypatch.setenv("FREUD_MIRROR", server.address)
    return source


def test_a_corpus_from_server_to_clips(tiny, server, tmp_path):
    out = tmp_path / "out"
    first = corpus.download("tiny", out, progress=False)
    assert (first.parts, first.unverified, first.license) == (["one"], [], "CC0")
    assert [clip.path for clip in corpus.read(out)] == ["Tiny/one/one.wav"]
    assert len(server.seen) == 1
    both = corpus.download("tiny", out, parts=["one", "two"], progress=False)
    assert both.unverified == ["two.tar.gz"]
    assert len(corpus.read(out)) == 2
    assert len(server.seen) == 2  # the first part was there
    assert corpus.download("tiny", out, parts=["two"], progress=False).unverified == ["two.tar.gz"]
    assert len(server.seen) == 2
    shutil.rmtree(out / "Tiny" / "one")
    corpus.download("tiny", out, progress=False)
    assert len(corpus.read(out)) == 2
    assert len(server.seen) == 3
    assert sorted(path.name for path in (out / ".download").iterdir()) == ["tiny.one.json", "tiny.two.json"]


def test_a_download_that_was_broken_off_goes_on(tiny, server, tmp_path, monkeypatch):
    monkeypatch.setattr("freud.corpus.fetching.transfer._PATIENCE", 1)
    size = tiny.parts["one"].files[0].size
    server.drop_after = [size // 2, 0]
    with pytest.raises(FreudError, match="the same command goes on"):
        corpus.download("tiny", tmp_path / "out", progress=False)
    assert corpus.download("tiny", tmp_path / "out", progress=False).parts == ["one"]
    assert server.seen[-1] == f"bytes={size // 2}-"


def test_names_that_do_not_exist(tiny, tmp_path):
    with pytest.raises(UnknownNameError, match=r"no corpus 'x' to download: there are librispeech, ljspeech, .*, tiny"):
        corpus.download("x", tmp_path)
    with pytest.raises(UnknownNameError, match="tiny has no part 'three': there are one, two"):
        corpus.download("tiny", tmp_path, parts=["three"])
    with pytest.raises(FreudError, match=r"librispeech has parts; choose with --part: dev-clean, .*, alignments"):
        corpus.download("librispeech", tmp_path)
    with pytest.raises(UnknownNameError, match="common-voice: Mozilla gives it out after a registration"):
        corpus.download("common-voice", tmp_path)


def test_the_catalog():
    for name, source in downloads.SOURCES.items():
        assert set(source.default) <= set(source.parts), name
        for part in source.parts.values():
            for remote in part.files:
                assert remote.url.startswith("https://")
                assert remote.name.endswith((".tar.gz", ".tar.bz2", ".zip", ".csv")) or ".z0" in remote.name
                algorithm, _, digits = (remote.checksum or "md5:" + "0" * 32).partition(":")
                assert len(digits) == 2 * hashlib.new(algorithm).digest_size
            if len(part.files) > 1:
                assert part.files[-1].name.endswith(".zip")
