"""Recordings that people send: decoded in a process of their own, and kept under opaque ids until newer ones come.

The decoder (`decoder.py`) is the corpus's reader under limits of memory, time and length, so a file made to do harm
harms only that process. What is kept is 16 kHz mono samples; the file itself is thrown away.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freud.audio import AUDIO_SUFFIXES, SAMPLE_RATE
from freud.errors import UnknownNameError
from freud.server.problems import Problem

DECODING_SECONDS = 30.0
KEPT_BYTES = 512 << 20  # of samples, on disk
KEPT_CLIPS = 64


@dataclass(frozen=True)
class UploadedClip:
    """An upload: its id, its name for people, its length in samples, and what the file was."""

    id: str
    name: str
    samples: int
    sample_rate: int
    channels: int
    path: Path

    @property
    def duration(self) -> float:
        """In seconds."""
        return self.samples / SAMPLE_RATE

    def load(self) -> np.ndarray:
        """float32 [samples] at 16 kHz."""
        return np.fromfile(self.path, np.float32)


class Uploads:
    """The uploads of a server, in a temporary folder; the least recently used go first."""

    def __init__(self, *, max_seconds: float, kept_bytes: int = KEPT_BYTES, kept_clips: int = KEPT_CLIPS) -> None:
        self.max_seconds, self.kept_bytes, self.kept_clips = max_seconds, kept_bytes, kept_clips
        self._folder = tempfile.TemporaryDirectory(prefix="freud-uploads-")
        self.folder = Path(self._folder.name)
        self._clips: OrderedDict[str, UploadedClip] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, clip: str) -> UploadedClip:
        """An upload by its id.

        Raises:
            UnknownNameError: there is none; it may have been pushed out by newer ones.
        """
        with self._lock:
            if clip not in self._clips:
                raise UnknownNameError("this recording is no longer here: send it again")
            self._clips.move_to_end(clip)
            return self._clips[clip]

    def __contains__(self, clip: str) -> bool:
        with self._lock:
            return clip in self._clips

    def add(self, file: Path, name: str) -> UploadedClip:
        """Decode a file and keep its samples.

        Args:
            file: in `folder`; it is removed.
            name: what the sender calls it.

        Raises:
            Problem: it is not audio that can be read, or too long.
        """
        clip_id = "u-" + secrets.token_urlsafe(12)
        shown = _printable(name)
        kept = self.folder / f"{clip_id}.f32"
        try:
            facts = decode_apart(file, kept, shown, self.max_seconds)
        except BaseException:
            kept.unlink(missing_ok=True)
            raise
        finally:
            file.unlink(missing_ok=True)
        clip = UploadedClip(clip_id, shown, facts["samples"], facts["sample_rate"], facts["channels"], kept)
        with self._lock:
            self._clips[clip_id] = clip
            while len(self._clips) > self.kept_clips or self._bytes() > self.kept_bytes:
                _, oldest = self._clips.popitem(last=False)
                oldest.path.unlink(missing_ok=True)
        return clip

    def remove(self, clip: str) -> None:
        """Forget an upload.

        Raises:
            UnknownNameError: there is none.
        """
        path = self.get(clip).path
        with self._lock:
            self._clips.pop(clip, None)
        path.unlink(missing_ok=True)

    def _bytes(self) -> int:
        return 4 * sum(clip.samples for clip in self._clips.values())

    def close(self) -> None:
        """Remove all of them from the disk."""
        self._folder.cleanup()


def decode_apart(file: Path, out: Path, name: str, max_seconds: float) -> dict[str, int]:
    """Run `decoder.py` on a file: float32 samples at 16 kHz go to `out`.

    Raises:
        Problem: 413 if it is too long, 415 if it is not audio that can be read, 504 if it takes too long.
    """
    suffix = Path(name).suffix.lower()
    called = file.with_name(f"upload-{secrets.token_hex(4)}{suffix if suffix in AUDIO_SUFFIXES else ''}")
    file.rename(called)
    try:
        run = subprocess.run(
            [sys.executable, "-P", "-m", "freud.server.decoder", called.name, out.name, str(max_seconds)],
            cwd=file.parent, capture_output=True, timeout=DECODING_SECONDS, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Problem(504, f"{name}: took longer than {DECODING_SECONDS:g} s to decode: send a shorter one") from None
    finally:
        called.unlink(missing_ok=True)
    try:
        answer = json.loads(run.stdout)
    except ValueError:  # it was killed: out of memory or time, or by a fault in a codec
        raise Problem(415, f"{name}: could not be decoded within the limits of memory and time") from None
    if "problem" in answer:
        raise Problem(answer["status"], answer["problem"].replace(called.name, name))
    return answer


def _printable(name: str) -> str:
    """The last part of a name that a client gave, for people; it is never opened."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:100].strip() or "recording"
