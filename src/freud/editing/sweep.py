"""Does a feature cause what its name says? Many edits, on one clip or a corpus, as one table of effects.

Each row is one feature scaled by one factor on one clip, against the unedited transcript; density-matched random
latents are scaled beside it as a control (`control_for` says whose). A sweep over a corpus writes an artifact of
Parquet parts and resumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from freud.artifacts import Artifact
from freud.corpus import Corpus
from freud.models import AudioModel
from freud.models.edits import Feature

KIND = "edit"

EFFECTS = pa.schema(
    [
        ("clip", pa.string()),  # id; "" for a clip that is not of a corpus
        ("feature", pa.int32()),
        ("control_for", pa.int32()),  # null for the features asked about
        ("factor", pa.float32()),
        ("active_frames", pa.int32()),  # on this clip, before the edit
        ("words", pa.int32()),  # of the unedited transcript
        ("changed_words", pa.int32()),  # of those, not in the edited transcript, or with an insertion beside them
        ("changed_inside", pa.int32()),  # of those, spoken during an event of the feature; null without word times
        ("words_inside", pa.int32()),
        ("word_errors", pa.int32()),  # of the edited against the unedited transcript
        ("character_errors", pa.int32()),
        ("characters", pa.int32()),
        ("log_probability_inside", pa.float64()),  # sum over words inside: change of the log-probability
        ("log_probability_outside", pa.float64()),
        ("log_probability", pa.float64()),  # sum over all words of the unedited transcript
        ("text", pa.string()),  # the edited transcript
    ]
)
"""Columns of `effects.parquet`."""


def sweep_clip(
    model: AudioModel,
    audio: str | Path | np.ndarray,
    features: Sequence[Feature],
    factors: Sequence[float],
    *,
    controls: int = 0,
    substitute: bool = False,
    seed: int = 0,
) -> pa.Table:
    """One or many features over a range of factors on one clip; a row for each, columns as `EFFECTS`.

    Args:
        model: a model that can transcribe.
        audio: a file, or 16 kHz mono samples.
        features: latents or neurons of one site.
        factors: what each is scaled by.
        controls: random features to scale beside each, the nearest to it in density on this clip.
        substitute: use the bare reconstruction.
        seed: of the choice of controls.
    """
    raise NotImplementedError


def sweep_corpus(
    model: AudioModel,
    corpus: Corpus,
    features: Sequence[Feature],
    factors: Sequence[float],
    out: Path | str,
    *,
    controls: int = 1,
    substitute: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Artifact:
    """One or many features over a range of factors on every clip of a corpus; the same call resumes.

    Writes `effects.parquet` (columns as `EFFECTS`) and `curves.parquet` (`curves` of it).
    """
    raise NotImplementedError


def curves(effects: pa.Table) -> pa.Table:
    """Effect curves: a row for each feature and factor, with its controls' mean beside it.

    Columns: feature, factor, clips, wer, cer, changed_clips, log_probability_inside and _outside (mean a word), and the
    same with the prefix `control_`.
    """
    raise NotImplementedError
