"""Where the sound of a file lies by its header, and what its stated length can mean.

A program that writes to a pipe, or is killed, leaves a length that means nothing; a copy that breaks off leaves one
that is too large.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from freud.audio.view import Piece

_TAIL = 1 << 20  # bytes at the end of a file in which chunks behind a sound of unknown length are looked for
# Chunks that are written behind the sound, and tags.
_BEHIND = (
    b"LIST id3  ID3  bext iXML axml chna cue  fact smpl inst PEAK _PMX JUNK junk FLLR PAD  cart acid afsp levl plst "
    b"umid minf elm1 regn DGDA guan wamd MARK INST NAME AUTH (c)  ANNO COMT APPL CHAN MIDI AESD SAXL COMM"
)
_BEHIND_IDS = re.compile(b"|".join(re.escape(_BEHIND[i : i + 4]) for i in range(0, len(_BEHIND), 5)))
_TAGS = (b"TAG", b"APETAGEX", b"ID3", b"LYRICSBEGIN", b"3DI")
_PADDING = 1 << 16  # bytes; more zeros than that are silence
_NAME = re.compile(rb"[\w()\xa9 ]{3}[\w() \0]")  # of a chunk


_FILES = {b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"caff"}  # names that begin a file, not a chunk


class UnreadableError(Exception):
    """Sound of a kind that no reader here reads; the message completes "the file ..."."""


@dataclass
class Layout:
    """Where the sound of a file lies."""

    present: int
    """Bytes of sound that are there."""
    stated: int | None
    """Bytes of sound that the header states; None if it leaves the length open."""
    behind: int = 0
    """Bytes behind the sound that are neither chunk, tag nor zeros."""
    pieces: list[list[Piece]] | None = None
    """The corrected files to read, one after the other; None if the file is right as it is."""
    ffmpeg: bool = False
    """Whether FFmpeg reads more of it than libsndfile."""
    is_variable: bool = False
    """Whether the bytes of a second differ, so that no time follows from a count of bytes."""
    frames: int | None = None
    """Frames that the header states, where the sound is compressed."""
    notes: tuple[str, ...] = ()


def is_open_length(length: int, bits: int = 32) -> bool:
    """Whether a stated length means "until the end": 0, or the largest number, or one near it.

    SoX leaves 0x7ffff000 (AIFF: 0x7f000000), rounded down to whole samples; arecord 0x80000000; FFmpeg 0xffffffff;
    many subtract the size of the header, or add it.
    """
    if bits == 64:
        return length <= 0 or length >= 1 << 62
    near = ((0x7EFF_FF00, 0x7F00_0100), (0x7FFF_0000, 0x8000_0100), (0xFFFF_0000, 0xFFFF_FFFF))
    return length == 0 or any(low <= length <= high for low, high in near)


def read_chunk(raw: BinaryIO, at: int, size: int, order: str) -> tuple[bytes, int, int] | None:
    """(name, length, position of its content) of the chunk at `at`, or None if there is none."""
    head = read_at(raw, at, 8) if at + 8 <= size else b""
    if len(head) < 8 or not _NAME.fullmatch(head[:4]) or head[:4] in _FILES or head.startswith((b"TAG", b"APETAGEX")):
        return None
    return head[:4], struct.unpack(order + "I", head[4:])[0], at + 8


def find_sound_end(raw: BinaryIO, start: int, size: int, order: str) -> int:
    """Where a sound of unknown length ends: before the chunks that reach exactly to the end of the file."""
    first = max(start, size - _TAIL)
    tail = read_at(raw, first, size - first)
    for match in _BEHIND_IDS.finditer(tail):
        at = match.start()
        while at + 8 <= len(tail) and _NAME.fullmatch(tail[at : at + 4]):
            length = struct.unpack(order + "I", tail[at + 4 : at + 8])[0]
            at += 8 + length
            if at in {len(tail), len(tail) - 1}:
                return first + match.start()
            at += length & 1
            if at in {len(tail), len(tail) + 1}:
                return first + match.start()
    return size


def count_unknown(raw: BinaryIO, at: int, size: int) -> int:
    """Bytes from `at` to the end of the file, if they are not a tag, or padding with zeros."""
    if at >= size or read_at(raw, at, 11).startswith(_TAGS):
        return 0
    is_padding = not any(read_at(raw, start, 1 << 16).strip(b"\0") for start in range(at, size, 1 << 16))
    return 0 if is_padding and size - at <= _PADDING else size - at


def read_at(raw: BinaryIO, at: int, count: int) -> bytes:
    """Up to `count` bytes from position `at`."""
    raw.seek(at)
    return raw.read(count)
