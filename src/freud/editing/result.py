"""What an edit did, as one typed object and one JSON.

Three variants of the model hear the clip: `plain` (as it is), `reconstruction` (the SAE's bare reconstruction at the
edited sites, nothing edited) and `edited`. All times are clip seconds, all logarithms natural.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

DifferenceKind = Literal["equal", "insert", "delete", "substitute"]


@dataclass(frozen=True)
class Word:
    """A word of a transcript, with how probable it is to the model as it is and to the edited one.

    Attributes:
        text: the word, with its punctuation.
        plain: log-probability (summed over its tokens, given what comes before it in this transcript) as it is.
        edited: the same in the edited model.
        change: edited - plain.
    """

    text: str
    plain: float
    edited: float
    change: float


@dataclass(frozen=True)
class Heard:
    """What one variant of the model heard.

    Attributes:
        text: the transcript.
        words: its words, in order.
        log_probability: of the whole transcript, with its end, in the variant that heard it.
    """

    text: str
    words: tuple[Word, ...]
    log_probability: float


@dataclass(frozen=True)
class Difference:
    """A run of words that the edit left alone, put in, took out, or replaced (jiwer's alignment).

    Attributes:
        kind: `equal`, `insert`, `delete` or `substitute`.
        before, after: the words of the plain and of the edited transcript.
        first, second: positions of the first of `before` and of `after` in their transcripts.
    """

    kind: DifferenceKind
    before: tuple[str, ...]
    after: tuple[str, ...]
    first: int
    second: int


@dataclass(frozen=True)
class Trace:
    """The value of an edited feature on the frames of the clip: as computed, and as the edit left it.

    Attributes:
        before, after: [frames] float32; for a decoder site one value a token of the edited transcript.
        frames_per_second: 50 for Whisper's encoder; None where a frame is a token.
    """

    site: str
    basis: Literal["neurons", "latents"]
    feature: int
    frames_per_second: float | None
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class SiteChange:
    """How much the edits changed the activations x of one site.

    Attributes:
        frames: frames on which anything changed.
        total: sum over frames of ||x' - x||.
        relative: the same over the sum of ||x||.
    """

    site: str
    frames: int
    total: float
    relative: float


@dataclass(frozen=True)
class OutputChange:
    """How much the encoder's final output y changed, on each valid frame.

    Attributes:
        cosine: [frames] cosine of y and y'.
        norm: [frames] ||y' - y|| / ||y||.
    """

    cosine: np.ndarray
    norm: np.ndarray


@dataclass(frozen=True)
class ProbeChange:
    """How often a linear probe on the encoder's final output says a class.

    Attributes:
        label: the class.
        plain, edited: valid frames on which it is the most probable one.
        log_probability: mean over valid frames of the change of its log-probability.
    """

    label: str
    plain: int
    edited: int
    log_probability: float


@dataclass(frozen=True)
class EditResult:
    """Everything `freud.edit` found out.

    Attributes:
        model: name of the model. duration: seconds of the clip.
        edits: as `Edit.as_json` gives them.
        substitute: whether the bare reconstruction was used.
        plain, edited: what was heard; None for a model without a decoder.
        reconstruction: None as well if no edit is of a latent.
        language: as given or detected, None for a model of one language.
        differences: from the plain to the edited transcript.
        wer, cer: word and character error rate of the edited against the plain transcript; None where that is empty.
        traces, changes: by feature, by site. output: of the encoder. probe: if one was given.
        seconds: what it took: `audio`, `encode`, `decode`, `total`.
    """

    model: str
    duration: float
    edits: tuple[dict[str, Any], ...]
    substitute: bool
    plain: Heard | None
    reconstruction: Heard | None
    edited: Heard | None
    language: str | None
    differences: tuple[Difference, ...]
    wer: float | None
    cer: float | None
    traces: tuple[Trace, ...]
    changes: tuple[SiteChange, ...]
    output: OutputChange
    probe: tuple[ProbeChange, ...] | None
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values; arrays become lists of numbers of six digits."""
        return _plain(self)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return [float(f"{number:.6g}") for number in value]
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
