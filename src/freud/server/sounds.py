"""Sound as the API gives it: a clip or a span as WAV, the original file, and a clip with a feature's events emphasized.

Answers take HTTP ranges, which browsers need to seek.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import BinaryIO
from urllib.parse import quote

import numpy as np
import soundfile
from starlette.responses import Response

from freud.audio import SAMPLE_RATE
from freud.errors import FreudError
from freud.server.activity import Activity
from freud.server.library import Library
from freud.server.problems import Problem
from freud.server.result import IndexedSite

FADE = 0.02  # seconds in which the level changes
AROUND = 0.1  # seconds of sound before and after an event that stay at full level


def audio(
    library: Library,
    headers: Mapping[str, str],
    clip: str,
    *,
    format: str = "wav",
    start: float | None = None,
    end: float | None = None,
    download: bool = False,
) -> Response:
    """A clip, or a span of it.

    Raises:
        UnknownNameError: no such clip.
        FreudError: an empty span, or no original file that can be given.
    """
    name = library.row(clip)["name"].rsplit("/", 1)[-1].rsplit(".", 1)[0]
    if format == "original":
        original = library.original(clip)
        if original is None or start is not None or end is not None:
            raise FreudError("the original file is there for whole files only, of a kind that browsers play: take wav")
        path, kind = original
        with path.open("rb") as file:
            return ranged(file, kind, headers, path.name if download else None)
    samples = library.samples(clip)
    if start is not None or end is not None:
        samples = cut(samples, start, end)
        name += f"_{start or 0:.2f}-{len(samples) / SAMPLE_RATE + (start or 0):.2f}s"
    return ranged(wav(samples), "audio/wav", headers, f"{name}.wav" if download else None)


def emphasis(
    library: Library,
    activity: Activity,
    headers: Mapping[str, str],
    clip: str,
    site: IndexedSite,
    feature: int,
    *,
    dim: float,
    start: float | None = None,
    end: float | None = None,
) -> Response:
    """A clip, or a span of it, with everything dimmed but the sound around each event of a feature.

    Raises:
        UnknownNameError: no such clip or feature.
        FreudError: an empty span.
    """
    (trace,) = activity.traces(site, clip, [feature])
    samples = library.samples(clip)
    spans = [
        (first / site.index.frames_per_second - AROUND, last / site.index.frames_per_second + AROUND)
        for first, last in active_runs(site, feature, trace)
    ]
    return ranged(wav(cut(samples * envelope(len(samples), spans, dim), start, end)), "audio/wav", headers)


def active_runs(site: IndexedSite, feature: int, trace: np.ndarray) -> list[tuple[int, int]]:
    """The runs of frames in which a feature is active, as its index has it: first, one past the last."""
    low, high = site.index.thresholds(feature)
    active = np.concatenate(([False], (trace > high) | (trace < low), [False]))
    edges = np.flatnonzero(active[1:] != active[:-1])
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def envelope(samples: int, spans: Sequence[tuple[float, float]], dim: float) -> np.ndarray:
    """A level for every sample: 1 in the spans (seconds), `dim` elsewhere, with fades of 20 ms between."""
    level = np.full(samples, dim, np.float32)
    for start, end in spans:
        level[max(0, round(start * SAMPLE_RATE)) : max(0, round(end * SAMPLE_RATE))] = 1.0
    width = round(FADE * SAMPLE_RATE)
    smooth = np.convolve(np.pad(level, width, mode="edge"), np.full(width, 1 / width, np.float32), "same")
    return smooth[width : width + samples].astype(np.float32)


def cut(samples: np.ndarray, start: float | None, end: float | None) -> np.ndarray:
    """The samples of a span in seconds.

    Raises:
        FreudError: nothing of the clip is in it.
    """
    first = round((start or 0.0) * SAMPLE_RATE)
    last = len(samples) if end is None else min(round(end * SAMPLE_RATE), len(samples))
    if first >= last:
        length = len(samples) / SAMPLE_RATE
        raise FreudError(f"span {start or 0:g}..{end if end is not None else length:g} s: the clip has {length:.2f} s")
    return samples[first:last]


def wav(samples: np.ndarray) -> bytes:
    """float32 samples at 16 kHz as a 16-bit WAV; what is too loud is clipped."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def ranged(content: bytes | BinaryIO, kind: str, headers: Mapping[str, str], name: str | None = None) -> Response:
    """Content, or the one range of its bytes that was asked for.

    Args:
        content: all of it, or an open file.
        kind: media type.
        headers: of the request.
        name: what a download is to be called; None to play it in the page.

    Raises:
        Problem: 416 if the range is beyond the end.
    """
    extra = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600"}
    if name is not None:
        extra["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    length = file.seek(0, io.SEEK_END)
    span = _range(headers.get("range", ""), length)
    first, last = span or (0, length - 1)
    if span is not None:
        extra["Content-Range"] = f"bytes {first}-{last}/{length}"
    file.seek(first)
    return Response(file.read(last + 1 - first), 200 if span is None else 206, media_type=kind, headers=extra)


def _range(asked: str, length: int) -> tuple[int, int] | None:
    """The first and last byte that a Range header asks for; None for all (also for several ranges, or nonsense)."""
    unit, _, span = asked.partition("=")
    first, dash, last = span.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash or not all(x == "" or _digits(x) for x in (first, last)):
        return None
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, length - int(last)), length - 1
        beyond = int(last) == 0
    else:
        start, stop = int(first), min(int(last), length - 1) if last else length - 1
        if last and int(last) < start:
            return None
        beyond = start >= length
    if beyond:
        raise Problem(416, f"there are only {length} bytes", headers={"Content-Range": f"bytes */{length}"})
    return start, stop


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
