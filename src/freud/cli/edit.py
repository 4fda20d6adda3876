"""`freud edit`: change a feature, and see what the model then hears."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from freud.cli.options import Json, Maybe, Switch
from freud.cli.output import print_json, print_table, printable
from freud.errors import FreudError

if TYPE_CHECKING:
    from freud.corpus import Corpus
    from freud.editing import EditResult
    from freud.models import AudioModel
    from freud.models.edits import Edit, Feature

Features = Annotated[tuple[int, ...], tyro.conf.UseAppendAction]
Spans = Annotated[tuple[tuple[float, float], ...], tyro.conf.UseAppendAction]


def main(
    clip: tyro.conf.Positional[Maybe[str]] = None,
    model: Maybe[str] = None,
    sae: Maybe[str] = None,
    result: Maybe[Path] = None,
    corpus: Maybe[Path] = None,
    site: Maybe[str] = None,
    feature: Features = (),
    scale: Maybe[float] = None,
    set: Maybe[float] = None,
    add: Maybe[float] = None,
    unit: Literal["p99", "raw"] = "p99",
    ablate: Switch = False,
    clamp: Maybe[tuple[float, float]] = None,
    span: Spans = (),
    during: Maybe[tuple[str, str]] = None,
    where_active: Switch = False,
    substitute: Switch = False,
    pad_frames: Switch = False,
    language: Maybe[str] = None,
    beams: Maybe[int] = None,
    temperature: float = 0.0,
    probe: Maybe[Path] = None,
    sweep: tuple[float, ...] = (),
    controls: int = 1,
    out: Maybe[Path] = None,
    json: Json = False,
) -> None:
    """Change features while the model listens, and print what it hears as it is, reconstructed, and edited.

    With --sweep each feature is scaled by each factor, beside random controls, on a clip or on a whole corpus.

    Args:
        clip: An audio file; or, with --corpus or --result, the id of a clip, which has its tiers.
        model: Name of a model (default: that of the result, or nano).
        sae: Folder of an SAE, or "bundled"; without it the features are neurons of --site.
        result: A folder written by `freud discover`: its corpus, its model, and its SAE of --site.
        corpus: A folder of audio, or a corpus written by `freud corpus`.
        site: The site (default: that of the SAE).
        feature: Number of a neuron or latent; may be given several times.
        scale: New value = this factor times the value; -1 turns it around, 0 removes it.
        set: New value = this, also where the feature is silent.
        add: New value = value + this many units.
        unit: Of --add: p99, the feature's own 99th percentile over the corpus where it is active, or raw.
        ablate: New value = 0.
        clamp: Keep the value between MIN and MAX.
        span: Only from START to END, in seconds; may be given several times.
        during: Only during the intervals of a TIER with a LABEL, such as --during phones th.
        where_active: Only on frames on which the feature is above zero.
        substitute: Replace activations by the bare reconstruction, as the original FREUD did.
        pad_frames: Edit the padding behind the clip as well.
        language: Spoken language (default: detected).
        beams: Width of the beam search; 1 is greedy (default: what the model's checkpoint asks for, or 1).
        temperature: Of sampling; 0 is deterministic.
        probe: A linear probe file, to report what it says of the encoder's output.
        sweep: Factors to try.
        controls: With --sweep, random features of about the same density beside each feature.
        out: With --sweep over a corpus, the folder to write; the same command resumes.
        json: Print JSON.
    """
    if not feature:
        raise FreudError("--feature: give the number of at least one neuron or latent")
    listener, clips, features, percentile = _open(model, sae, result, corpus, site, feature)
    if sweep:
        rows = _sweep(listener, clips, clip, features, sweep, controls, substitute, out)
        if json:
            print_json(rows)
        else:
            header = [name.replace("log_probability", "log p").replace("_", " ") for name in rows[0]]
            print_table(header, [list(row.values()) for row in rows])
        return
    from freud.editing import Probe, edit

    where = _clip(clips, clip)
    given = {"scale": scale, "set": set, "add": add, "clamp": clamp, "ablate": ablate or None}
    edits = [_edit(each, given, percentile if unit == "p99" else None) for each in features]
    if span:
        edits = [each.during(*span) for each in edits]
    if during:
        edits = [each.at(*during) for each in edits]
    if where_active:
        edits = [each.where_active() for each in edits]
    told = edit(
        listener,
        edits=edits,
        **where,
        substitute=substitute,
        pad_frames=pad_frames,
        language=language,
        num_beams=beams,
        temperature=temperature,
        probe=Probe.load(probe) if probe else None,
    )
    if json:
        print_json(told.as_json())
    else:
        _print(told)


def _open(
    model: str | None,
    sae: str | None,
    result: Path | None,
    corpus: Path | None,
    site: str | None,
    numbers: Sequence[int],
) -> tuple[AudioModel, Corpus | None, list[Feature], Callable[[Feature], float]]:
    """The model, the corpus if there is one, the features, and what finds a feature's own 99th percentile."""
    from freud import models
    from freud.models.edits import latent, neuron
    from freud.results import Layout, open_sae

    clips, indexed = None, None if sae else result  # an SAE that is named may be another than the result's
    if result is not None:
        from freud import artifacts
        from freud import corpus as corpora

        asked = artifacts.read(result, "discover").manifest["parameters"]
        model = model or asked["model"]
        layout = Layout(result)
        clips = corpora.read(layout.corpus if layout.corpus.is_dir() else asked["audio"])
        has_sae = layout.has_saes if site is None else layout.sae(site).is_dir()
        sae = sae or (str(result) if has_sae else None)
    if corpus is not None:
        from freud import corpus as corpora

        clips = corpora.read(corpus)
    dictionary = open_sae(sae, site) if sae else None
    if dictionary is None and site is None:
        raise FreudError("give --sae for latents (such as --sae bundled), or --site for neurons")
    listener = models.load(model or "nano")
    features = [latent(dictionary, each, site) if dictionary else neuron(site or "", each) for each in numbers]
    return listener, clips, features, lambda feature: _percentile(feature, listener, clips, indexed)


def _percentile(feature: Feature, model: AudioModel, clips: Corpus | None, result: Path | None) -> float:
    """One unit of --add: from the result's index of the feature, or else by running the model on the corpus."""
    if result is not None:
        from freud import results
        from freud.features import browse

        return browse.percentile(results.open_index(result, feature.site, feature.basis), feature.index)
    if clips is None:
        raise FreudError("--add in units of the 99th percentile needs --corpus or --result; or give --unit raw")
    from freud.editing import percentile

    return percentile(model, feature, (clips.samples(each) for each in clips))


def _clip(clips: Corpus | None, clip: str | None) -> dict[str, Any]:
    """The arguments of `freud.edit` that say which clip."""
    if clip is None:
        raise FreudError("give a clip: an audio file, or with --corpus or --result the id of a clip")
    if clips is None or Path(clip).is_file():
        return {"audio": clip}
    found = clips[clip]
    return {"audio": clips.samples(found), "segments": clips.segments(found.id)}


def _edit(feature: Feature, given: dict[str, Any], unit: Callable[[Feature], float] | None) -> Edit:
    """The one edit that the flags describe; `unit` says how much one is of what is added, if not 1."""
    asked = {name: value for name, value in given.items() if value is not None}
    if len(asked) != 1:
        names = ", ".join(f"--{name}" for name in given)
        raise FreudError(f"give exactly one of {names}; {len(asked)} were given")
    ((name, value),) = asked.items()
    if name == "ablate":
        return feature.ablate()
    if name == "clamp":
        return feature.clamp(*value)
    if name == "add" and unit is not None:
        return feature.add(value, unit(feature))
    return getattr(feature, name)(value)


def _sweep(
    model: AudioModel,
    clips: Corpus | None,
    clip: str | None,
    features: list[Feature],
    factors: Sequence[float],
    controls: int,
    substitute: bool,
    out: Path | None,
) -> list[dict[str, Any]]:
    """Effect curves on one clip, or on every clip of a corpus."""
    from freud.editing import curves, sweep_clip, sweep_corpus

    if clip is None:
        if clips is None or out is None:
            raise FreudError("--sweep needs a clip; or a corpus (--corpus or --result) and the folder to write (--out)")
        import pyarrow.parquet as pq

        done = sweep_corpus(model, clips, features, factors, out, controls=controls, substitute=substitute)
        return pq.read_table(done.file("curves.parquet")).to_pylist()
    where = _clip(clips, clip)
    told = sweep_clip(
        model, where["audio"], features, factors,
        segments=where.get("segments", ()), controls=controls, substitute=substitute,
    )  # fmt: skip
    return curves(told).to_pylist()


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
