"""`freud edit`: change a feature, and see what the model then hears."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from freud.cli.opening import FeatureFlags
from freud.cli.options import Computation, Json, Maybe, Switch, refuse
from freud.cli.output import print_json, printable
from freud.errors import FreudError

if TYPE_CHECKING:
    from freud.editing import EditResult
    from freud.models.edits import Edit, Feature

Spans = Annotated[tuple[tuple[float, float], ...], tyro.conf.UseAppendAction]


def main(
    features: FeatureFlags,
    computation: Computation,
    clip: tyro.conf.Positional[Maybe[str]] = None,
    scale: Maybe[float] = None,
    set: Maybe[float] = None,
    add: Maybe[float] = None,
    unit: Maybe[Literal["p99", "raw"]] = None,
    ablate: Switch = False,
    clamp: Maybe[tuple[float, float]] = None,
    span: Spans = (),
    during: Maybe[tuple[str, str]] = None,
    where_active: Switch = False,
    substitute: Switch = False,
    pad_frames: Switch = False,
    language: Maybe[str] = None,
    beams: Maybe[int] = None,
    temperature: Maybe[float] = None,
    probe: Maybe[Path] = None,
    json: Json = False,
) -> None:
    """Change features while the model listens, and print what it hears as it is, reconstructed, and edited.

    Args:
        features: Which features, of which model.
        computation: Where the model computes, and in what numbers.
        clip: An audio file; or, with --corpus or --result, the id of a clip, which has its tiers.
        scale: New value = this factor times the value; -1 turns it around, 0 removes it.
        set: New value = this, also where the feature is silent.
        add: New value = value + this many units.
        unit: Of --add: p99 (the default), the feature's own 99th percentile over the corpus where it is active; or raw.
        ablate: New value = 0.
        clamp: Keep the value between MIN and MAX.
        span: Only from START to END, in seconds; may be given several times.
        during: Only during the intervals of a TIER with a LABEL, such as --during phones th.
        where_active: Only on frames on which the feature is above zero.
        substitute: Replace activations by the bare reconstruction, as the original FREUD did.
        pad_frames: Edit the padding behind the clip as well.
        language: Spoken language (default: detected).
        beams: Width of the beam search; 1 is greedy (default: what the model's checkpoint asks for, or 1).
        temperature: Of sampling; 0 is deterministic (default: 0).
        probe: A linear probe file, to report what it says of the encoder's output.
        json: Print JSON.
    """
    from freud.editing import Probe, edit

    if add is None:
        refuse("without --add", unit=unit)
    if clip is None:
        raise FreudError("give a clip: an audio file, or with --corpus or --result the id of a clip")
    if Path(clip).is_file() and (add is None or unit == "raw"):
        refuse("with an audio file", corpus=features.corpus)
    opened = features.open(computation)
    if substitute and opened.features[0].sae is None:
        refuse("with neurons, which no SAE reconstructs", substitute=substitute)
    if not opened.model.can_transcribe:
        refuse(
            f"with {opened.model.name}, which cannot transcribe",
            language=language,
            beams=beams,
            temperature=temperature,
        )
    changes = {"scale": scale, "set": set, "add": add, "clamp": clamp, "ablate": ablate or None}
    edits = [_edit(feature, changes, None if unit == "raw" else opened.percentile) for feature in opened.features]
    if span:
        edits = [change.during(*span) for change in edits]
    if during:
        edits = [change.at(*during) for change in edits]
    if where_active:
        edits = [change.where_active() for change in edits]
    result = edit(
        opened.model,
        edits=edits,
        **opened.clip(clip),
        substitute=substitute,
        pad_frames=pad_frames,
        language=language,
        num_beams=beams,
        temperature=temperature or 0.0,
        probe=Probe.load(probe) if probe else None,
    )
    if json:
        print_json(result.as_json())
    else:
        _print(result)


def _edit(feature: Feature, changes: dict[str, Any], unit: Callable[[Feature], float] | None) -> Edit:
    """The one edit that the flags describe; `unit` says how much one is of what is added, if not 1."""
    present = {name: value for name, value in changes.items() if value is not None}
    if len(present) != 1:
        names = ", ".join(f"--{name}" for name in changes)
        raise FreudError(f"give exactly one of {names}; {len(present)} were given")
    ((name, value),) = present.items()
    if name == "ablate":
        return feature.ablate()
    if name == "clamp":
        return feature.clamp(*value)
    if name == "add" and unit is not None:
        return feature.add(value, unit(feature))
    return getattr(feature, name)(value)


def _print(told: EditResult) -> None:
    """The three transcripts, the difference, and how much changed."""
    if told.plain and told.edited:
        heard = {"as it is": told.plain, "reconstruction": told.reconstruction, "edited": told.edited}
        for name, each in heard.items():
            if each is not None:
                print(f"{name + ':':<16}{printable(each.text)}")
        print(f"{'difference:':<16}{printable(_diff(told))}")
        words = [(word, abs(word.change)) for word in told.plain.words]
        if words:
            most, _ = max(words, key=lambda pair: pair[1])
            print(
                f"{'most affected:':<16}{printable(most.text)!r}, log-probability {most.plain:.2f} -> {most.edited:.2f}"
            )
    else:
        print(f"{told.model} has no decoder; the change of its encoder's output:")
    for site in told.changes:
        moved = f"{site.frames} frames of {site.site} changed, by {100 * site.relative:.2g} % of their norm"
        print(f"{'activations:':<16}{moved}")
    cosine, norm = told.output.cosine, told.output.norm
    moved = f"cosine {cosine.mean():.4f} (lowest {cosine.min():.4f}), change {100 * norm.mean():.2g} %"
    print(f"{'encoder output:':<16}{moved}")
    for each in sorted(told.probe or (), key=lambda change: -abs(change.edited - change.plain))[:5]:
        print(f"{'probe:':<16}{printable(each.label)}: {each.plain} -> {each.edited} frames")


def _diff(told: EditResult) -> str:
    """Both transcripts as one line: [-taken out-] {+put in+}."""
    parts = []
    for each in told.differences:
        if each.kind == "equal":
            parts.append(" ".join(each.before))
            continue
        parts += [f"[-{' '.join(each.before)}-]"] * bool(each.before) + [f"{{+{' '.join(each.after)}+}}"] * bool(
            each.after
        )
    return " ".join(parts) if any(each.kind != "equal" for each in told.differences) else "(none)"
