"""What the tests of the server share: where things are, and making and reading what is sent."""

from __future__ import annotations

import base64
import io
import struct
from dataclasses import dataclass

import av
import numpy as np
import soundfile
from starlette.types import ASGIApp

RESIDUAL, NEURONS = "encoder.blocks.0", "encoder.blocks.0.mlp.1"
LATENTS = f"/api/sites/{RESIDUAL}/latents"
COORDINATES = f"/api/sites/{RESIDUAL}/neurons"
ADDRESS = "http://127.0.0.1:7860"


@dataclass
class Running:
    """A server on a port of this machine."""

    port: int
    app: ASGIApp

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def floats(text: str) -> np.ndarray:
    """An array of the API: base64 of float32."""
    return np.frombuffer(base64.b64decode(text), "<f4")


def picture(data: bytes) -> tuple[np.ndarray, dict[str, float]]:
    """The values of a picture, [columns, rows], and its header."""
    magic, rows, columns, step, start, low, high, top = struct.unpack("<4sIIfffff", data[:32])
    assert magic == b"FRIM"
    values = np.frombuffer(data[32:], np.uint8).reshape(columns, rows)
    header = {"step": step, "start": start, "low": low, "high": high, "top": top}
    return low + values / 255 * (high - low), header


def wav_bytes(samples: np.ndarray, rate: int = 16000, subtype: str = "PCM_16", format: str = "WAV") -> bytes:
    """Samples [n] or [n, channels] as the bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def encoded_bytes(samples: np.ndarray, rate: int, container: str, codec: str) -> bytes:
    """Mono samples as FFmpeg encodes them: webm/libopus is what a browser's recorder makes."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size or 960
        )
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()
