"""What the API takes and gives, as pydantic models: the OpenAPI document and the web app's types come from here.

Times are seconds from the start of a clip. Arrays of numbers are base64 of little-endian float32 (`Values`), pictures
have a route each and the binary format of `images.py`. Everything else is plain JSON.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Basis = Literal["neurons", "latents"]
Sort = Literal["density", "max", "name", "score", "feature", "events"]
Dead = Literal["exclude", "include", "only"]
Rank = Literal["max", "unusual"]
Band = Literal["top", "bottom", "random", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
"""Events by the size of their peak: the largest, the smallest, any, or one tenth of them (0 has the largest peaks)."""
Values = Annotated[str, Field(description="base64 of little-endian float32")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# ---- the result


class Limits(Schema):
    """What the server takes at most."""

    upload_bytes: int
    upload_seconds: float
    page: int = Field(description="rows of a list in one answer")


class Status(Schema):
    """What is being served. `model_state` goes from loading to ready, or failed with the reason in `problem`."""

    version: str
    result: str = Field(description="name of the folder")
    model: str
    model_state: Literal["loading", "ready", "failed"]
    problem: str | None
    can_transcribe: bool
    can_edit: bool
    bundled_site: str | None = Field(description="of the SAE that comes with FREUD, if it is of this model")
    limits: Limits


class Model(Schema):
    name: str
    fingerprint: str
    state: Literal["loading", "ready", "failed"]
    parameters: int | None = Field(description="null until the model is loaded, as the next four")
    n_mels: int | None
    window_seconds: float | None
    frames_per_window: int | None
    can_transcribe: bool | None


class Sae(Schema):
    architecture: str
    d_in: int
    d_sae: int
    k: int | None
    fvu: float | None = Field(description="on held-out clips, where there are any")
    l0: float | None


class Site(Schema):
    """A site in one basis: what a search is about."""

    site: str
    basis: Basis
    model: str
    features: int
    dead: int
    named: int = Field(description="features with a name")
    frames: int
    frames_per_second: float
    clips: int
    privileged: bool = Field(description="single coordinates are neurons with a nonlinearity of their own")
    editable: bool
    sae: Sae | None


class Corpus(Schema):
    name: str
    clips: int
    seconds: float
    speakers: list[str]
    labels: list[str] = Field(description="sound classes or keywords")
    tiers: list[str]
    problems: int = Field(description="recordings that could not be read")


# ---- clips


class ClipRow(Schema):
    id: str = Field(description="opaque; the only handle of a clip")
    name: str
    source: Literal["corpus", "upload"]
    duration: float
    transcript: str | None
    label: str | None
    speaker: str | None
    split: str | None
    channel: int | None = Field(description="of its file, from 0; null: the mean of all")


class ClipPage(Schema):
    total: int
    clips: list[ClipRow]


class Interval(Schema):
    start: float
    end: float
    label: str


class Tier(Schema):
    name: str
    intervals: list[Interval]


class Clip(ClipRow):
    tiers: list[Tier]
    original: str | None = Field(description="media type of the original file, if `audio?format=original` gives it")


class Trace(Schema):
    """The value of a feature on each frame; frame f spans f / frames_per_second to (f + 1) / frames_per_second."""

    feature: int
    values: Values


class Traces(Schema):
    frames: int
    frames_per_second: float
    traces: list[Trace]


class ActiveFeature(Schema):
    """A feature on a clip or a span: its largest magnitude there, and when."""

    rank: int
    feature: int
    name: str | None
    value: float
    frame: int
    time: float
    share: float = Field(description="of the largest magnitude of the feature in the corpus")
    unusual: float = Field(description="share of the corpus's clips whose own peak is smaller than this value")
    trace: Values | None = Field(default=None, description="over the whole clip, if asked for")


class ActiveFeatures(Schema):
    start: float
    end: float
    features: list[ActiveFeature]


class Heard(Schema):
    start: float
    end: float
    text: str


class Transcript(Schema):
    """What was said, if the corpus knows, and what the model hears, a segment for each of its windows."""

    said: str | None
    heard: str
    segments: list[Heard]
    language: str | None


class Upload(ClipRow):
    sample_rate: int = Field(description="of the file that was sent")
    channels: int


# ---- features


class Histogram(Schema):
    """Counts in equal bins from `low` to `high`."""

    low: float
    high: float
    counts: list[int]


class FeatureRow(Schema):
    feature: int
    name: str | None
    score: float | None = Field(description="of the name on held-out clips: F1 corrected for chance, or |Spearman|")
    auc: float | None = Field(description="of the name on held-out clips")
    null: float | None = Field(description="the score that the best of shuffled labels reaches")
    dead: bool
    density: float = Field(description="active frames / all frames")
    active_frames: int
    clips: int = Field(description="with an active frame")
    events: int
    mean: float
    std: float
    max: float
    min: float


class FeaturePage(Schema):
    total: int
    features: list[FeatureRow]


class Overview(Schema):
    """Every feature that is not dead, as columns: for a plot of density against max."""

    feature: list[int]
    density: list[float]
    max: list[float]
    name: list[str | None]


Side = Literal["+", "-"]


class Naming(Schema):
    """The name of a feature, or of one side of a neuron, with its evidence on held-out clips."""

    side: Side = Field(description="of a neuron: its highest or its lowest values")
    name: str = Field(description="one line for people, with the numbers")
    short: str = Field(description="the label alone, such as /m/, or unnamed")
    user_name: str | None = Field(description="given by a person; goes before the other")
    label: str | None = Field(description="id, such as phone:M; null where unnamed, as the rest")
    kind: str | None
    agreement: float | None = Field(description="F1 corrected for chance, or |Spearman|")
    f1: float | None
    auc: float | None
    null: float | None = Field(description="what shuffled labels reach")
    clips: int | None = Field(description="held-out clips with the label")
    lag: float | None = Field(description="seconds; above 0: the feature follows the label")
    runners_up: list[str]
    flags: list[str] = Field(description="polysemous, positional, onset, dense, dead, unnamed")


class Feature(FeatureRow):
    """Everything known about one feature."""

    threshold_low: float | None = Field(description="a frame is active below this (neurons)")
    threshold_high: float = Field(description="or above this")
    values: Histogram = Field(description="of frames; for latents, active frames only")
    peaks: Histogram = Field(description="of the largest value on each clip; for latents, clips where it is active")
    magnitudes: Histogram = Field(description="the same by magnitude with sign, as a search with `absolute` ranks")
    naming: list[Naming] = Field(description="empty before `freud name`, but for a user's name")


class Hit(Schema):
    """A clip found by a search."""

    rank: int
    clip: str
    name: str
    value: float
    frame: int
    time: float
    duration: float
    transcript: str | None
    label: str | None
    speaker: str | None
    tiers: dict[str, str] = Field(description="label of each tier at the peak")
    trace: Values | None = Field(default=None, description="if asked for")


class HitPage(Schema):
    total: int = Field(description="clips within the limits")
    hits: list[Hit]


class Event(Schema):
    """A maximal run of frames in which a feature is active."""

    clip: str
    name: str
    onset: float
    offset: float
    peak_time: float
    peak: float
    duration: float = Field(description="of the clip")
    tiers: dict[str, str] = Field(description="label of each tier at the peak")


class EventPage(Schema):
    total: int = Field(description="events of the feature")
    band: Band
    low: float | None = Field(description="smallest and largest peak in the whole band; null where it has no events")
    high: float | None
    events: list[Event]


class SimilarFeature(Schema):
    feature: int
    name: str | None
    cosine: float = Field(description="of the decoder vectors")


class CompanionFeature(Schema):
    feature: int
    name: str | None
    share: float = Field(description="of this feature's active frames on which that one is active, too")
    jaccard: float = Field(description="frames with both / frames with either")
    lift: float = Field(description="share / density of that feature; 1 by chance")


class Neighbours(Schema):
    decoder: list[SimilarFeature] = Field(description="empty for neurons")
    together: list[CompanionFeature]
    frames: int = Field(description="active frames that `together` was counted on")


# ---- edits


class Operation(Schema):
    """A change to one feature while the model runs."""

    site: str = Field(max_length=200)
    basis: Basis
    feature: int = Field(ge=0, lt=2**31)
    operation: Literal["scale", "set", "add", "ablate", "clamp"]
    value: Number = Field(default=0.0, description="factor of scale; value of set; amount of add")
    min: Number | None = Field(default=None, description="of clamp")
    max: Number | None = Field(default=None, description="of clamp")
    unit: Literal["raw", "p99"] = Field(
        default="raw",
        description="of the amount of add; p99 is the 99th percentile of the feature where it is above zero",
    )
    start: Number | None = Field(default=None, ge=0, description="of a span; the whole clip without")
    end: Number | None = Field(default=None, ge=0)
    tier: str | None = Field(default=None, max_length=200, description="with `label`: only during its intervals")
    label: str | None = Field(default=None, max_length=200)
    active_only: bool = Field(default=False, description="only on frames where the feature is above 0")


class EditRequest(Schema):
    clip: str = Field(max_length=100)
    edits: list[Operation] = Field(min_length=1, max_length=32)
    substitute: bool = Field(default=False, description="the bare reconstruction instead of keeping its error")
    bundled_sae: bool = Field(default=False, description="latents are those of the SAE that comes with FREUD")


class HeardWord(Schema):
    """A word, with its log-probability in the model as it is (`plain`) and in the edited one."""

    text: str
    plain: float
    edited: float
    change: float


class HeardText(Schema):
    """What one variant of the model heard."""

    text: str
    words: list[HeardWord]
    log_probability: float


class Difference(Schema):
    """A run of words that the edit left alone, put in, took out, or replaced."""

    kind: Literal["equal", "insert", "delete", "substitute"]
    before: list[str]
    after: list[str]
    first: int = Field(description="position of the first of `before` among the words of the plain transcript")


class EditedTrace(Schema):
    site: str
    basis: Basis
    feature: int
    name: str | None
    frames_per_second: float | None
    before: Values
    after: Values


class SiteChange(Schema):
    """How much the edits changed the activations of a site."""

    site: str
    frames: int
    total: float
    relative: float


class EditResult(Schema):
    """What the model hears as it is, through the unedited reconstruction, and edited."""

    said: str | None
    plain: HeardText | None = Field(description="null for a model without a decoder, as the next two")
    reconstruction: HeardText | None = Field(description="null, too, if no edit is of a latent")
    edited: HeardText | None
    differences: list[Difference] = Field(description="from the plain to the edited transcript")
    wer: float | None = Field(description="word error rate of the edited against the plain transcript")
    cer: float | None
    traces: list[EditedTrace]
    changes: list[SiteChange]
    output_cosine: Values = Field(description="of the encoder's output before and after, a value a frame")
    output_norm: Values = Field(description="of the change of the encoder's output over its own, a value a frame")
    output_frames_per_second: float
    seconds: dict[str, float] = Field(description="that it took: audio, encode, decode, total")


class CurveRequest(Schema):
    clip: str = Field(max_length=100)
    site: str = Field(max_length=200)
    basis: Basis
    feature: int = Field(ge=0, lt=2**31)
    factors: list[Number] = Field(min_length=1, max_length=21)
    controls: int = Field(default=0, ge=0, le=4, description="random features of like density to scale beside it")
    substitute: bool = False
    bundled_sae: bool = False


class CurvePoint(Schema):
    feature: int
    control: bool
    factor: float
    text: str
    words: int = Field(description="of the unedited transcript")
    changed_words: int
    wer: float | None
    cer: float | None
    log_probability: float | None = Field(description="change for the unedited transcript, summed over its words")


class Curve(Schema):
    plain: str
    points: list[CurvePoint]
    seconds: float


class Example(Schema):
    """An edit to start from."""

    title: str
    description: str
    request: EditRequest


# ---- notes


class NewNote(Schema):
    """A note or a bookmark. `view` is the web app's address of what it is about, from the first slash or #."""

    kind: Literal["note", "bookmark"]
    view: str = Field(max_length=2000, pattern=r"^[/#?]")
    title: str = Field(max_length=200)
    text: str = Field(default="", max_length=10_000)
    site: str | None = Field(default=None, max_length=200)
    basis: Basis | None = None
    feature: int | None = Field(default=None, ge=0, lt=2**31)
    clip: str | None = Field(default=None, max_length=100)


class Note(NewNote):
    id: int
    created: str = Field(description="ISO 8601, UTC")
    changed: str


class NameRequest(Schema):
    name: str | None = Field(max_length=200, description="null takes the user's name back")
    side: Side = "+"


# ---- labels


class Label(Schema):
    """A label that features were scored against."""

    label: str = Field(description="id, such as phone:M")
    kind: str
    text: str = Field(description="how it is shown, such as /m/")
    continuous: bool
    clips: int = Field(description="held-out clips with it")


class LabelScore(Schema):
    """A feature, or a control, against a label, on held-out clips."""

    label: str
    text: str
    site: str
    basis: Basis
    feature: int
    side: Side
    control: str | None = Field(description="coordinates, pca, random decoder or probe; null for a feature")
    by: str = Field(description="what it was chosen by: auc, f1 or spearman")
    agreement: float | None
    f1: float | None
    auc: float | None
    average_precision: float | None
    spearman: float | None
    null: float | None
    lag: float | None = Field(description="seconds")
    clips: int | None


class LabelPage(Schema):
    """Everything known about one label."""

    label: str
    kind: str
    text: str
    latent: LabelScore | None = Field(description="the best latent of all sites")
    neuron: LabelScore | None
    curve: list[LabelScore] = Field(description="the best feature of each site and basis, in the order of depth")
    controls: list[LabelScore]
    features: list[LabelScore] = Field(description="the best features over all sites")


class MatrixColumn(Schema):
    label: str = Field(description="that the feature is the best one for")
    text: str
    feature: int
    side: Side


class Matrix(Schema):
    """rates[i][j]: the share of frames of row label i on which feature j is active."""

    labels: list[str]
    texts: list[str]
    features: list[MatrixColumn]
    rates: list[list[float]]


class Question(Schema):
    """Something to listen to: does the feature fire between the marks?"""

    clip: str
    start: float
    end: float
    mark_start: float
    mark_end: float


class Answers(Schema):
    """What somebody heard, to the questions of a side, number and seed in their order: whether it fires."""

    side: Side = "+"
    n: int = Field(default=20, ge=2, le=100)
    seed: int = Field(default=0, ge=0, lt=2**31)
    answers: list[bool] = Field(min_length=1, max_length=100)


class Truth(Schema):
    """What was right; `heard` has the label of each tier between the marks."""

    clip: str
    name: str
    fires: bool
    heard: dict[str, str]


class Detection(Schema):
    """How well events were told from look-alikes; `low` and `high` bound the accuracy, of which 0.5 is guessing."""

    accuracy: float
    low: float
    high: float
    precision: float | None
    recall: float | None
    n: int
    positives: int
    truth: list[Truth]


class Problem(BaseModel):
    """What went wrong, in a sentence for people (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
