"""WAV files and their large forms, RF64 and BW64: chunks, of which "data" holds the sound.

Sources: Microsoft's RIFF specification, EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64).
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

from freud.audio.layout import Layout, count_unknown, find_sound_end, is_open_length, read_at, read_chunk
from freud.audio.view import Piece

_FORM = re.compile(rb"(?:RIFF|RIFX|RF64|BW64)....WAVE", re.DOTALL)

_MPEG = {0x50, 0x55}  # formats of MPEG audio, whose length libsndfile guesses


def read_riff(raw: BinaryIO, size: int) -> Layout | None:
    """A WAV file, or several one behind the other, each with one data chunk or more."""
    pieces: list[list[Piece]] = []
    layout = Layout(0, 0)
    base = 0
    while True:
        head = read_at(raw, base, 12)
        order = ">" if head[:4] == b"RIFX" else "<"
        large = _read_ds64(raw, base) if head[:4] in {b"RF64", b"BW64"} else None
        sounds: list[tuple[int, int]] = []
        corrected, at = head[:4] == b"BW64", base + 12
        while (chunk := read_chunk(raw, at, size, order)) is not None:
            name, length, start = chunk
            if name == b"data":
                if large and length == 0xFFFF_FFFF:
                    length = large[1]
                is_open = is_open_length(length, 64 if large else 32) and (length == 0 or start + length > size)
                end = find_sound_end(raw, start, size, order) if is_open else min(start + length, size)
                layout.stated = None if is_open or layout.stated is None else layout.stated + length
                corrected |= is_open or bool(sounds)
                sounds.append((start, end))
                at = end if is_open else start + length
            else:
                at = start + length
                if name == b"fmt " and struct.unpack(order + "H", read_at(raw, start, 2))[0] in _MPEG:
                    layout.ffmpeg = True
            if at >= size:
                break
            if at & 1 and read_chunk(raw, at, size, order) is None:  # most writers pad to an even length
                at += 1
        layout.present += sum(end - start for start, end in sounds)
        if not sounds:
            if at > size and not pieces:
                layout.stated = layout.present + 1  # cut before the sound
                return layout
            return None
        pieces.append(
            [_correct_riff(raw, base, sounds, order, large), *sounds] if corrected else [(base, min(at, size))]
        )
        if at < size and _FORM.match(read_at(raw, at, 12)):
            base = at
            continue
        if at > size and sounds[-1][1] < size:
            layout.notes = ("its last chunk is cut; its sound is whole",)
        layout.behind = count_unknown(raw, at, size)
        plain = len(pieces) == 1 and not corrected
        layout.pieces = None if plain else pieces
        if len(pieces) > 1:
            layout.notes += (f"is {len(pieces)} WAV files one behind the other: all are read",)
        return layout


def _read_ds64(raw: BinaryIO, base: int) -> tuple[int, int]:
    """(position of the ds64 chunk's content, bytes of sound that it states) of an RF64 file: EBU Tech 3306."""
    at = base + 12
    while (chunk := read_chunk(raw, at, 1 << 62, "<")) is not None:
        if chunk[0] == b"ds64":
            return chunk[2], struct.unpack("<Q", read_at(raw, chunk[2] + 8, 8))[0]
        at = chunk[2] + chunk[1]
    raise ValueError("no ds64 chunk")


def _correct_riff(
    raw: BinaryIO, base: int, sounds: list[tuple[int, int]], order: str, large: tuple[int, int] | None
) -> bytes:
    """The bytes before the sound, with its true length in them."""
    head = bytearray(read_at(raw, base, sounds[0][0] - base))
    length = sum(end - start for start, end in sounds)
    if large:
        head[:4] = b"RF64"  # libsndfile does not know the newer name
        at = large[0] - base
        head[at : at + 16] = struct.pack("<QQ", len(head) + length - 8, length)
    else:
        head[4:8] = struct.pack(order + "I", min(len(head) + length - 8, 0xFFFF_FFFF))
        head[-4:] = struct.pack(order + "I", min(length, 0xFFFF_FFFF))
    return bytes(head)
