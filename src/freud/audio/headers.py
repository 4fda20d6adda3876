"""How much sound the header of a file states, and how much is there: for containers with one block of samples.

WAV and its large forms (RF64, BW64, W64), AIFF, 8SVX, AU, CAF, SPHERE, VOC and AVR state the length of their sound in
bytes. A program that writes to a pipe, or is killed, leaves a length that means nothing; a copy that breaks off leaves
one that is too large. Sources: the formats' specifications, and what SoX, FFmpeg, arecord and espeak leave in a pipe.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from freud.audio.layout import (
    Layout,
    UnreadableError,
    count_unknown,
    find_sound_end,
    is_open_length,
    read_at,
    read_chunk,
)
from freud.audio.riff import read_riff


def read_layout(raw: BinaryIO, size: int) -> Layout | None:
    """The layout of a file of `size` bytes; None if it is of another container, or damaged beyond telling."""
    raw.seek(0)
    head = raw.read(32)
    for magic, read in _READERS.items():
        if head.startswith(magic):
            try:
                return read(raw, size)
            except (struct.error, ValueError, IndexError):  # damaged: the decoders say what they make of it
                return None
    return None


def _read_w64(raw: BinaryIO, size: int) -> Layout | None:
    """Sony Wave64: chunks named by 16 bytes, lengths of 64 bits that count their 24 bytes of header, aligned to 8."""
    at = 40
    while at + 24 <= size:
        head = read_at(raw, at, 24)
        length = struct.unpack("<q", head[16:])[0]
        if head[:4] == b"data":
            start = at + 24
            is_open = is_open_length(length, 64) or length == 24
            end = size if is_open else min(at + length, size)
            if not is_open:
                length -= 24
            return _layout(raw, size, start, end, None if is_open else length, at + 16, "<q", 24, skip=_skip_w64)
        if length < 24:
            return None
        at += length + (-length % 8)
    return Layout(0, 1)


def _read_iff(raw: BinaryIO, size: int) -> Layout | None:
    """AIFF, AIFF-C and 8SVX: big-endian chunks; the count of samples is stated beside the length of their chunk."""
    kind, at, frame, count = read_at(raw, 8, 4), 12, 0, 0
    if kind not in {b"AIFF", b"AIFC", b"8SVX", b"16SV"}:
        return None
    while (chunk := read_chunk(raw, at, size, ">")) is not None:
        name, length, start = chunk
        if name == b"COMM":
            channels, count, bits = struct.unpack(">HIH", read_at(raw, start, 8))
            coded = kind == b"AIFC" and read_at(raw, start + 18, 4).lower() not in _PLAIN_AIFC
            frame = 0 if coded else channels * (-(-bits // 8))
        if name in {b"SSND", b"BODY"}:
            if name == b"SSND":
                skip = struct.unpack(">I", read_at(raw, start, 4))[0]
                start, length = start + 8, length - 8 if not is_open_length(length) else length
                if skip:
                    return None
            is_open = is_open_length(length) and (length <= 0 or start + length > size)
            end = find_sound_end(raw, start, size, ">") if is_open else min(start + length, size)
            stated = None if is_open else length
            if frame and not is_open_length(count * frame) and not is_open_length(count):
                stated = max(stated or 0, count * frame)
            extra = 8 if name == b"SSND" else 0
            position = start - 4 - extra
            layout = _layout(raw, size, start, end, stated, position, ">I", extra, skip=_skip_iff)
            if is_open and layout.pieces:
                head = bytearray(layout.pieces[0][0])  # pyright: ignore[reportArgumentType]
                head[4:8] = struct.pack(">I", len(head) + end - start - 8)
                layout.pieces[0][0] = bytes(head)
            return layout
        at = start + length + (length & 1)
    return Layout(0, 1) if at > size else None


_PLAIN_AIFC = {b"none", b"twos", b"sowt", b"raw ", b"in24", b"in32", b"42ni", b"23ni", b"fl32", b"fl64"}


def _read_au(raw: BinaryIO, size: int) -> Layout | None:
    """Sun and NeXT: magic, offset of the sound, its length."""
    order = ">" if read_at(raw, 0, 4) == b".snd" else "<"
    start, length = struct.unpack(order + "II", read_at(raw, 4, 8))
    if start > size:
        return Layout(0, 1)
    is_open = is_open_length(length) and (length == 0 or start + length > size)
    end = size if is_open else min(start + length, size)
    return _layout(raw, size, start, end, None if is_open else length, 8, order + "I", 0)


def _read_caf(raw: BinaryIO, size: int) -> Layout | None:
    """Apple's Core Audio Format: chunks with lengths of 64 bits; -1 for a sound that goes on to the end."""
    at = 8
    while at + 12 <= size:
        name, length = struct.unpack(">4sq", read_at(raw, at, 12))
        if name == b"data":
            start = at + 16  # a count of edits comes first
            is_open = is_open_length(length, 64)
            end = size if is_open else min(at + 12 + length, size)
            stated = None if is_open else length - 4
            layout = _layout(raw, size, start, end, stated, at + 4, ">q", 4, skip=_skip_caf)
            layout.is_variable = read_at(raw, 28, 4) not in {b"lpcm", b"ulaw", b"alaw", b"ima4"}  # "desc" comes first
            return layout
        if length < 0:
            return None
        at += 12 + length
    return Layout(0, 1)


def _read_nist(raw: BinaryIO, size: int) -> Layout | None:
    """SPHERE: a header of text; the count of samples is a field of it, which may be missing."""
    start = int(read_at(raw, 8, 8))
    fields = dict(re.findall(rb"^(\w+) -\w+ (\S+)", read_at(raw, 0, min(start, 1 << 16)), re.MULTILINE))
    if start > size:
        return Layout(0, 1)
    coding = fields.get(b"sample_coding", b"pcm")
    if b"," in coding:  # compressed: the decoded samples are counted
        count = int(fields.get(b"sample_count", b"0"))
        return Layout(size - start, None, ffmpeg=True, frames=count or None)
    frame = int(fields.get(b"sample_n_bytes", b"2")) * int(fields.get(b"channel_count", b"1"))
    stated = int(fields.get(b"sample_count", b"0")) * frame
    end = min(start + stated, size) if stated else size
    return _layout(raw, size, start, end, stated or None, None, "", 0)


def _read_voc(raw: BinaryIO, size: int) -> Layout | None:
    """Creative Voice: blocks of a type and 24 bits of length; a type of 0, or the end of the file, ends them."""
    at = struct.unpack("<H", read_at(raw, 20, 2))[0]
    present = stated = sounds = end = 0
    open_ended = False
    last = at
    for kind, start, length in _voc_blocks(raw, at, size):
        last = start + length
        if kind in {3, 6, 7}:
            raise UnreadableError("holds blocks of silence or repeats of a VOC file, which are not read")
        if kind in {1, 2, 9}:
            skip = {1: 2, 2: 0, 9: 12}[kind]
            open_ended = (length in {0, 0xFF_FFFF} and start + length > size) or length == 0
            end = size if open_ended else min(start + length, size)
            present += max(0, end - start - skip)
            stated += end - start - skip if open_ended else length - skip
            sounds += 1
        if open_ended:
            break
    if not sounds:
        return Layout(0, 1) if at < size else None
    layout = Layout(present, None if open_ended else stated, ffmpeg=sounds > 1)
    layout.behind = 0 if open_ended else count_unknown(raw, last + 1, size)  # a byte ends the blocks
    if sounds == 1 and end < size:
        layout.pieces = [[(0, end)]]  # libsndfile takes the byte that ends the blocks for a sample
    return layout


def _voc_blocks(raw: BinaryIO, at: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(type, position of its content, length) of each block."""
    while at + 4 <= size:
        head = read_at(raw, at, 4)
        if head[0] == 0:
            return
        length = int.from_bytes(head[1:], "little")
        yield head[0], at + 4, length
        at += 4 + length


def _read_avr(raw: BinaryIO, size: int) -> Layout | None:
    """Audio Visual Research: a header of 128 bytes with the count of frames."""
    mono, bits = struct.unpack(">HH", read_at(raw, 12, 4))
    count = struct.unpack(">I", read_at(raw, 26, 4))[0]
    stated = count * (1 if mono == 0 else 2) * (bits // 8)
    return _layout(raw, size, 128, min(128 + stated, size) if stated else size, stated or None, None, "", 0)


def _layout(
    raw: BinaryIO,
    size: int,
    start: int,
    end: int,
    stated: int | None,
    position: int | None,
    pack: str,
    extra: int,
    *,
    skip: Callable[[BinaryIO, int, int], int] | None = None,
) -> Layout:
    """A layout whose sound is [start, end); `position` is where the header states the length, `extra` counted in."""
    layout = Layout(end - start, stated)
    if stated is None and position is not None:
        head = bytearray(read_at(raw, 0, start))
        limit = (1 << 8 * struct.calcsize(pack)) - 1
        head[position : position + struct.calcsize(pack)] = struct.pack(pack, min(end - start + extra, limit))
        layout.pieces = [[bytes(head), (start, end)]]
    elif end < size:
        at = skip(raw, end, size) if skip else end
        layout.behind = count_unknown(raw, at, size)
        if skip in {None, _skip_w64}:  # libsndfile takes what is behind for sound, too
            layout.pieces = [[(0, end)]]
    return layout


def _skip_iff(raw: BinaryIO, at: int, size: int) -> int:
    """Where the chunks that begin at `at`, or a byte of padding later, end."""
    if at & 1 and read_chunk(raw, at, size, ">") is None:
        at += 1
    while (chunk := read_chunk(raw, at, size, ">")) is not None:
        at = chunk[2] + chunk[1] + (chunk[1] & 1)
    return at


def _skip_caf(raw: BinaryIO, at: int, size: int) -> int:
    while at + 12 <= size and (chunk := read_chunk(raw, at, size, ">")) is not None:
        length = struct.unpack(">q", read_at(raw, at + 4, 8))[0]
        if length < 0:
            break
        at = chunk[2] + 4 + length
    return at


def _skip_w64(raw: BinaryIO, at: int, size: int) -> int:
    at += -at % 8
    while at + 24 <= size:
        head = read_at(raw, at, 24)
        length = struct.unpack("<q", head[16:])[0]
        if head[:4] == b"riff" or not head[:4].isalnum() or length < 24:
            break
        at += length + (-length % 8)
    return at


_READERS: dict[bytes, Callable[[BinaryIO, int], Layout | None]] = {
    b"RIFF": read_riff,
    b"RIFX": read_riff,
    b"RF64": read_riff,
    b"BW64": read_riff,
    b"riff": _read_w64,
    b"FORM": _read_iff,
    b".snd": _read_au,
    b"dns.": _read_au,
    b"caff": _read_caf,
    b"NIST_1A": _read_nist,
    b"Creative Voice File": _read_voc,
    b"2BIT": _read_avr,
}
