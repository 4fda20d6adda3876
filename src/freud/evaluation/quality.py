"""The quality report of an SAE: what it reconstructs, how its latents fire, how alike they are, which come back.

All of it is measured on clips that were held out of its training, in two passes over the frames whose memory does not
grow with them; each number comes with the N it was measured on, and with a control where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from freud import artifacts, saes
from freud.activations import Activations, FrameSource, StoredFrames, split_clips
from freud.activations import read as read_activations
from freud.errors import FreudError
from freud.evaluation.controls import Moments, pca_fvu
from freud.evaluation.dictionary import Geometry, Stability, geometry, stability
from freud.models.checkpoints import fingerprint
from freud.saes import SAE
from freud.saes.formats.sites import canonical
from freud.saes.metrics import Firing, Reconstruction, measure

KIND = "evaluate"
REPORT = "report.html"
RESULTS = "quality.json"
Split = Literal["held-out", "train", "all"]


@dataclass(frozen=True)
class Frames:
    """What was measured on.

    Attributes:
        split: which clips were asked for.
        why: how those were found, in a sentence.
        clips: how many clips. frames: how many frames, N. data: fingerprint of the store.
        largest_norm: frames of a larger norm are left out, as they were in training; None if none are.
        left_out: how many those are.
    """

    split: Split
    why: str
    data: str
    clips: int = 0
    frames: int = 0
    largest_norm: float | None = None
    left_out: int = 0


@dataclass(frozen=True)
class Activity:
    """How often latents fire, over the N frames.

    Attributes:
        l0: active latents a frame: mean, and the quantiles "5%", "50%", "95%", and "100%".
        dead: share of the latents that never fired. dense: share that fired on more than a tenth of the frames.
        alive: number of latents that fired.
    """

    l0: dict[str, float]
    dead: float
    dense: float
    alive: int


@dataclass(frozen=True)
class Quality:
    """The report; see the classes of its parts.

    Attributes:
        sae: path, architecture, sizes, model and site, and settings of its training.
        pca_fvu: FVU of as many principal components as a frame has active latents, rounded; the control of `fvu`.
        against: path of the SAE that `stability` compares with.
    """

    sae: dict[str, Any]
    measured: Frames
    reconstruction: Reconstruction
    pca_fvu: float
    activity: Activity
    geometry: Geometry
    against: str | None = None
    stability: Stability | None = None


@dataclass(frozen=True)
class Curves:
    """What the page draws: distributions behind the numbers of a `Quality`.

    Attributes:
        firing: counts a latent and a frame.
        nearest: [alive] largest cosine of each alive latent's decoder row with another.
        partner: [alive] cosine with its partner in the other SAE, or None.
        training: rows of the training's log.
    """

    firing: Firing
    nearest: Tensor
    partner: Tensor | None
    training: list[dict[str, Any]]


def evaluate(
    sae: Path | str,
    activations: Activations | Path | str,
    out: Path | str,
    *,
    against: Path | str | None = None,
    split: Split = "held-out",
    site: str | None = None,
    progress: bool = True,
) -> Quality:
    """Measure an SAE and write the numbers (`quality.json`) and a page with plots (`report.html`) to the folder `out`.

    Args:
        sae: a folder in any layout that `freud.saes.load` reads.
        activations: a store, or its folder, that holds the site of the SAE.
        out: folder to write; a finished one with the same parameters is read.
        against: another SAE of the same site, to see which latents come back; trained with another seed as a rule.
        split: which clips: those held out of the training, those trained on, or all. Where the SAE does not say what
            it was trained on, or it was other data, all clips are measured, and the report says so.
        site: the site, where the SAE does not say it.
        progress: show a progress bar on a terminal.

    Raises:
        FreudError: activations of another site or model, a transcoder, no frames, matplotlib is missing, or `out`
            holds something else.
    """
    if split not in get_args(Split):
        raise FreudError(f"split {split!r}: expected one of {', '.join(get_args(Split))}")
    _need_matplotlib()
    loaded = _load(sae, site)
    store = activations if isinstance(activations, Activations) else read_activations(activations)
    name = loaded.metadata.get("site")
    if name is None:
        raise FreudError(f"{sae}: does not say which site it is of; give --site, one of {', '.join(store.sites)}")
    if site is not None and name not in {site, canonical(site)}:
        raise FreudError(f"{sae}: says that its site is {name}, not {site}")
    frames = store[name]
    loaded.check_site(frames.origin, frames.width)
    other = None if against is None else _load(against, name)
    if other is not None:
        other.check_site(frames.origin, frames.width)
    # trained from a store an SAE records the store's fingerprint, straight from the model that of the corpus
    data = {store.manifest["fingerprint"], store.manifest["corpus"]["fingerprint"]}
    source, fitting, measured = choose(loaded, StoredFrames(frames), split, data)
    if ratio := _options(loaded).get("largest_norm"):
        measured = replace(measured, largest_norm=ratio * frames.norm["median"])
    parameters = {
        "sae": fingerprint(loaded.config(), loaded.state_dict()),
        "against": None if other is None else fingerprint(other.config(), other.state_dict()),
        "site": name,
        "data": store.manifest["fingerprint"],
        "split": split,
    }
    out = Path(out)
    if artifacts.begin(out, KIND, parameters):
        return read(out)

    quality, curves = compare(
        loaded, source, measured, fitting=fitting, other=other, training=_log(Path(sae)), progress=progress
    )
    facts = {"path": str(Path(sae).resolve()), **quality.sae}
    quality = replace(quality, sae=facts, against=None if against is None else str(Path(against).resolve()))
    from freud.evaluation.page import page

    artifacts.write_json(out / RESULTS, _finite(asdict(quality)))
    with artifacts.replacing(out / REPORT) as temporary:
        temporary.write_text(page(quality, curves), encoding="utf-8")
    artifacts.finish(out, KIND, parameters, [RESULTS, REPORT])
    return quality


def compare(
    sae: SAE,
    source: FrameSource,
    measured: Frames,
    *,
    fitting: FrameSource | None = None,
    other: SAE | None = None,
    training: list[dict[str, Any]] | None = None,
    progress: bool = False,
) -> tuple[Quality, Curves]:
    """Measure `sae` on the frames of `source`; what `evaluate` does, without files.

    Args:
        sae: what to measure.
        source: the frames.
        measured: what they are; N is filled in.
        fitting: frames that the control is fitted on; `source` if not given.
        other: another SAE of the same site.
        training: rows of the log, passed through.
        progress: show progress bars on a terminal.
    """
    largest = measured.largest_norm
    fitted, here = Moments.zero(source.width), Moments.zero(source.width)
    found, firing = measure(sae, here.watch(_shown(source, "evaluate", largest, progress)))
    if fitting is None:
        fitted = here
    else:
        for _ in fitted.watch(_shown(fitting, "control", largest, progress)):
            pass
    directions, similar = geometry(sae.W_dec[firing.alive])
    matched = partner = None
    if other is not None:
        _, theirs = measure(other, _shown(source, "against", largest, progress))
        matched, partner = stability(sae.W_dec[firing.alive], other.W_dec[theirs.alive])
    quality = Quality(
        sae={
            "architecture": sae.architecture,
            "d_in": sae.d_in,
            "d_sae": sae.d_sae,
            **sae.config(),
            "model": sae.metadata.get("model"),
            "site": sae.metadata.get("site"),
            "training": sae.metadata.get("training"),
        },
        measured=replace(measured, clips=len(source.clips), frames=found.frames, left_out=source.frames - found.frames),
        reconstruction=found,
        pca_fvu=pca_fvu(fitted, here, max(1, round(found.l0))),
        activity=Activity(
            l0={"mean": found.l0, **{f"{share}%": firing.l0_quantile(share / 100) for share in (5, 50, 95, 100)}},
            dead=found.dead,
            dense=firing.dense,
            alive=int(firing.alive.sum()),
        ),
        geometry=directions,
        stability=matched,
    )
    return quality, Curves(firing, similar, partner, training or [])


def choose(
    sae: SAE, every: FrameSource, split: Split, data: Collection[str]
) -> tuple[FrameSource, FrameSource | None, Frames]:
    """The frames to measure `sae` on, those to fit the control on, and why.

    The clips held out of its training are found again from the seed and the share that its metadata has, if it was
    trained on these clips: on data with one of the fingerprints `data`.

    Raises:
        FreudError: no clips are left.
    """

    def measured(why: str) -> Frames:
        return Frames(split, why, every.fingerprint)

    training, options = sae.metadata.get("training"), _options(sae)
    if split == "all":
        return every, None, measured("all clips, as asked")
    if not isinstance(training, dict) or "validation" not in options:
        return every, None, measured("all clips, as the SAE does not say what it was trained on")
    if training.get("data") not in data:
        return every, None, measured("all clips, as the SAE was trained on other activations than these")
    seed = options.get("data_seed", options.get("seed", 0))  # SAEs of before 0.2 have one seed for everything
    kept, held = split_clips(every.clips, options["validation"], seed)
    if split == "train":
        return every.only(kept), None, measured(f"the {len(kept)} clips it was trained on, as asked")
    if not held:
        return every, None, measured("all clips, which it was trained on, as none were held out")
    why = f"{len(held)} of {len(every.clips)} clips, held out of its training (seed {seed})"
    return every.only(held), every.only(kept), measured(why)


def _options(sae: SAE) -> dict[str, Any]:
    """The options it was trained with; none if it does not say."""
    training = sae.metadata.get("training")
    options = training.get("options") if isinstance(training, dict) else None
    return options if isinstance(options, dict) else {}


def read(out: Path | str) -> Quality:
    """The report in a folder that `evaluate` wrote.

    Raises:
        FreudError: there is no finished one.
    """
    artifact = artifacts.read(out, KIND)
    found = artifacts.read_json(artifact.file(RESULTS))
    parts = {
        "measured": Frames,
        "reconstruction": Reconstruction,
        "activity": Activity,
        "geometry": Geometry,
        "stability": Stability,
    }
    for name, kind in parts.items():
        if found[name] is not None:
            # null stands for a number that is not finite, where None cannot be meant
            numbers = {field.name for field in fields(kind) if field.type == "float"}
            values = found[name].items()
            found[name] = kind(
                **{key: float("nan") if value is None and key in numbers else value for key, value in values}
            )
    return Quality(**found)


def _load(path: Path | str, site: str | None) -> SAE:
    sae = saes.load(path)
    if sae.metadata.get("transcoder"):
        raise FreudError(f"{path}: is a transcoder, which reconstructs another site than it reads; give an SAE")
    if site is not None and sae.metadata.get("site") is None:
        sae.metadata["site"] = site
    return sae


def _shown(source: FrameSource, what: str, largest: float | None, progress: bool) -> Iterator[Tensor]:
    """The frames in order whose norm is not above `largest`, with a progress bar, as finite float32."""
    with tqdm(total=source.frames, unit="frame", desc=what, disable=None if progress else True) as bar:
        for block in source.ordered():
            if not torch.isfinite(block).all():
                raise FreudError(f"{source.origin['site']}: activations are not finite; collect them again")
            yield block if largest is None else block[block.norm(dim=1) <= largest]
            bar.update(len(block))


def _log(sae: Path) -> list[dict[str, Any]]:
    """The rows of a training's log, if the SAE has one."""
    path = sae / "training.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _finite(value: Any) -> Any:
    """JSON has no NaN; null stands for it."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise FreudError("matplotlib: not installed; run `pip install 'freud-audio[report]'`") from None
