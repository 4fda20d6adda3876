"""A clip heard three times in one go: by the model as it is, through the SAE unedited, and with the edits.

The encoder up to the first edited site runs once; what comes after runs for each variant by itself, so that each gets
bit for bit what a plain run computes; the variants are decoded as one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from freud.corpus.table import Segment
from freud.editing.probe import Probe
from freud.editing.result import EditResult
from freud.models import AudioModel
from freud.models.edits import Edit


def edit(
    model: AudioModel,
    audio: str | Path | np.ndarray,
    edits: Sequence[Edit],
    *,
    offset: float = 0.0,
    duration: float | None = None,
    segments: Iterable[Segment] = (),
    substitute: bool = False,
    pad_frames: bool = False,
    language: str | None = None,
    task: str = "transcribe",
    max_new_tokens: int | None = None,
    num_beams: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    probe: Probe | None = None,
) -> EditResult:
    """Change features while the model listens to a clip, and report all that it changes.

    Safe to call from several threads with one model.

    Args:
        model: any model; without a decoder, the change of the encoder's output is reported.
        audio: a file, or 16 kHz mono samples.
        edits: one or many, at one or several sites: `[sae[30].scale(-1)]`.
        offset, duration: the part of the file that is the clip, in seconds.
        segments: labeled intervals of the clip (`corpus.segments(clip.id)`), for edits with a label.
        substitute: replace activations by the bare reconstruction of the edited latents.
        pad_frames: edit the padding behind the clip as well.
        language, task, max_new_tokens, num_beams, temperature, seed: as `AudioModel.transcribe`.
        probe: a linear probe on the encoder's final output, to report on.

    Raises:
        FreudError: an edit does not fit the model or the clip, or two contradict each other; the audio cannot be read.
    """
    raise NotImplementedError
