"""An open audio file: its rate, its channels, and its blocks of samples, read by libsndfile or by FFmpeg.

libsndfile is fast and exact, FFmpeg reads more. Neither can be trusted with the length of a file: they believe a wrong
header, stop after the first of several parts, or shorten a cut file in silence. So each container is looked into first
(`headers`, `flac`, `mpeg`, `ogg`, `bare`, `boxes`), and the reader is given what is there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from os import PathLike
from typing import BinaryIO

import soundfile

from freud.audio import bare, boxes, flac, headers, mpeg, ogg
from freud.audio.containers import TOLERANCE, Container
from freud.audio.errors import AudioError, cut_short, refusing_failures, two_lengths
from freud.audio.layout import Layout, UnreadableError
from freud.audio.readers import Chain, Raw, SoundFile
from freud.audio.view import Piece, View

_LONGEST = 1 << 48  # libsndfile gives 2**63 - 1 for "length unknown"
_RATES = (1_000, 10_000_000)  # samples a second: below, a small file becomes hours of samples; above, nothing records

File = str | PathLike[str]


@contextlib.contextmanager
def open_source(path: File, name: str) -> Iterator[Source]:
    """Open a file for reading from its start.

    Raises:
        AudioError: it is missing, empty, not audio, or known to be cut short.
    """
    with refusing_failures(name), open(path, "rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        if not size:
            raise AudioError(f"{name}: the file is empty")
        source = _open(raw, size, name)
        try:
            check_rate(source.rate, name)
            yield source
        finally:
            source.close()


def check_rate(rate: int, name: str) -> None:
    """Refuse a sample rate that no recording has.

    Raises:
        AudioError: it is too low or too high.
    """
    low, high = _RATES
    if not low <= rate <= high:
        raise AudioError(f"{name}: its sample rate is {rate} Hz; expected {low} to {high}")


Source = SoundFile | Container | Chain


# ---- choosing the reader


def _open(raw: BinaryIO, size: int, name: str) -> Source:
    """Look into the container, and open what it holds with the reader that reads all of it."""
    raw.seek(0)
    head = raw.read(1 << 12)
    try:
        layout = headers.read_layout(raw, size)
    except UnreadableError as error:
        raise AudioError(f"{name}: {error}") from None
    if layout is not None:
        return _open_layout(raw, layout, name)
    if (info := flac.read_stream_info(raw)) is not None:
        return _open_flac(raw, size, info, name)
    if b"OggS" in head and (pages := ogg.read_pages(raw, size)).links:
        return _open_ogg(raw, size, pages, name)
    if head.startswith(b"#!AMR") and (frames := bare.read_amr(raw, size)) is not None:
        return _open_amr(raw, *frames, name)
    if (chain := boxes.read_boxes(raw, size)) is not None:
        if chain.files > 1:
            raise AudioError(
                f"{name}: is {chain.files} files one behind the other, of which players show one; split it"
            )
        if chain.is_edited:  # FFmpeg plays empty edits in the middle, and is some packets off in between
            raise AudioError(f"{name}: its edit list puts the sound together from several pieces; export it anew")
        return Container(raw, name, is_cut=chain.is_cut, origin=chain.fragmented or head[4:8] not in boxes.MP4)
    if (stream := mpeg.read_stream(raw, size)) is not None:
        return _open_mpeg(raw, size, stream, name)
    # libsndfile takes for an MP3 what looks like a frame or a tag; the MP3s were sorted out above.
    sound = None if head.startswith((b"\xff", b"ID3")) else _try_libsndfile(raw, name)
    return sound or Container(raw, name, is_cut=bare.ends_within_adts_frame(raw, size))


def _try_libsndfile(raw: Raw, name: str) -> SoundFile | None:
    """Open with libsndfile, if it knows the content and its length."""
    try:
        source = SoundFile(raw, name)
    except (soundfile.SoundFileError, ValueError, TypeError):
        return None
    sound = source.sound
    if 0 < sound.frames < _LONGEST and sound.subtype != "GSM610":  # of which it takes a byte of padding for a block
        return source
    source.close()
    return None


def _open_layout(raw: BinaryIO, layout: Layout, name: str) -> Source:
    views = [raw] if layout.pieces is None else [View(raw, pieces) for pieces in layout.pieces]

    share = 1.0 if layout.stated is None or layout.stated <= layout.present else layout.present / layout.stated
    if not share:
        raise AudioError(f"{name}: ends within its header: the file is cut short")
    if not layout.present:
        raise AudioError(f"{name}: holds no samples")

    def open_view(view: Raw) -> SoundFile | Container:
        sound = None if layout.ffmpeg else _try_libsndfile(view, name)
        known = 1.0 if layout.is_variable else share
        return sound or Container(view, name, is_cut=share < 1, share=known, stated=layout.frames)

    def open_all() -> Source:
        if len(views) == 1:
            return open_view(views[0])
        return Chain([lambda view=view: open_view(view) for view in views], name)

    if share < 1 or layout.behind:
        source = open_all()
        try:
            seconds = source.count() / source.rate
        finally:
            source.close()
        if share < 1:
            raise cut_short(name, seconds, None if layout.is_variable else seconds / share)
        behind = seconds * layout.behind / layout.present
        if behind > TOLERANCE:
            raise two_lengths(name, seconds, seconds + behind)
        layout.notes += (f"{layout.behind} bytes behind its sound are left out",)
    source = open_all()
    source.notes += layout.notes
    return source


def _join(openers: list[Callable[[], SoundFile | Container]], kind: str, name: str) -> Source:
    """The only part of a file, or all of several, which is noted."""
    if len(openers) == 1:
        return openers[0]()
    source = Chain(openers, name)
    source.notes.append(f"is {len(openers)} {kind} one behind the other: all are read")
    return source


def _open_flac(raw: BinaryIO, size: int, info: flac.StreamInfo, name: str) -> Source:
    if info.total and flac.is_count_doubtful(raw, size, info):
        files = flac.find_files(raw, size)
        if len(files) > 1:
            return _join(
                [lambda piece=piece: SoundFile(View(raw, [piece]), name) for piece in files], "FLAC files", name
            )
        container = Container(raw, name, kind="flac")
        try:
            total = container.count()
        except AudioError:
            total = info.total  # damaged: libsndfile says where
        finally:
            container.close()
        if total < info.total:
            raise cut_short(name, total / info.rate, info.total / info.rate)
        if total > info.total:
            source = Container(raw, name, kind="flac")
            source.notes.append(f"its header says {info.total / info.rate:.2f} s; {total / info.rate:.2f} s are there")
            return source
    sound = _try_libsndfile(raw, name) if info.total else None
    return sound or Container(raw, name, kind="flac")


def _open_ogg(raw: BinaryIO, size: int, pages: ogg.Pages, name: str) -> Source:
    links = pages.links

    def open_link(link: ogg.Link) -> SoundFile | Container:
        view: Raw = raw if (link.start, link.end) == (0, size) else View(raw, [(link.start, link.end)])
        sound = None if link.lost or link.open else _try_libsndfile(view, name)
        return sound or Container(view, name, kind="ogg")

    if pages.ends_within_page or any(link.open for link in links):
        seconds = 0.0
        for link in links:
            # In the first pages of a cut one there may be nothing to read.
            with contextlib.suppress(AudioError) if link.open else contextlib.nullcontext():
                part = open_link(link)
                try:
                    seconds += part.count() / part.rate
                finally:
                    part.close()
            if link.open:
                break
        within = "within a page" if pages.ends_within_page else "without a last page"
        raise AudioError(f"{name}: ends {within}, after {seconds:.1f} s: the file is cut short")
    source = _join([lambda link=link: open_link(link) for link in links], "Ogg streams", name)
    if pages.junk:
        source.notes.append(f"{pages.junk} bytes in it are no Ogg pages, and are left out")
    return source


def _open_amr(raw: BinaryIO, parts: list[tuple[int, int, int]], ends_within_frame: bool, name: str) -> Source:
    if ends_within_frame:
        raise cut_short(name, bare.AMR_SECONDS * sum(frames for _, _, frames in parts))
    if len(parts) == 1:
        return Container(raw, name)
    views: list[list[Piece]] = [[(start, end)] for start, end, frames in parts if frames]
    return _join([lambda view=view: Container(View(raw, view), name) for view in views], "AMR files", name)


def _open_mpeg(raw: BinaryIO, size: int, stream: mpeg.Stream, name: str) -> Source:
    parts = stream.parts
    seconds = 0.0
    for part in parts:
        if part.is_cut:
            raise cut_short(name, seconds + part.seconds, seconds + part.stated_seconds)
        seconds += part.seconds
    if stream.cut_frame:
        raise cut_short(name, seconds)

    def open_part(part: mpeg.Part) -> SoundFile | Container:
        pieces = mpeg.corrected_pieces(raw, part)
        view: Raw = raw if pieces == [(0, size)] else View(raw, pieces)
        sound = _try_libsndfile(view, name) if part.counted is not None else None
        return sound or Container(view, name, kind="mp3")

    source = _join([lambda part=part: open_part(part) for part in parts], "MPEG files", name)
    if stream.junk:
        source.notes.append(f"{stream.junk} bytes in it are no MPEG audio, and are left out")
    return source
