"""Edits as the API takes them: from a request to `freud.editing`, and its result as a schema."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from freud import editing, naming
from freud.editing import Edit, Feature
from freud.errors import FreudError
from freud.features import browse
from freud.saes import SAE
from freud.server import schemas
from freud.server.bundled import bundled_sae
from freud.server.result import IndexedSite, encoded

if TYPE_CHECKING:
    from freud.server.serving import Serving

SHOWN_EXAMPLES = 6
SHOWN_SOUNDS = 24


def run(here: Serving, request: schemas.EditRequest) -> schemas.EditResult:
    """Run a clip with features changed.

    Raises:
        UnknownNameError: no such clip, site or feature.
        FreudError: an edit does not fit, or the model cannot be used.
    """
    samples = here.library.samples(request.clip)
    edits = [_edit(here, operation, request.bundled_sae) for operation in request.edits]
    segments = here.library.segments(request.clip) if any(edit.label for edit in edits) else ()
    with here.model.using() as model:
        found = editing.edit(model, samples, edits, segments=segments, substitute=request.substitute)
        rate = next(iter(model.sites.values())).frames_per_second or 50.0
    return schemas.EditResult(
        said=here.library.row(request.clip)["transcript"],
        plain=_heard(found.plain),
        reconstruction=_heard(found.reconstruction),
        edited=_heard(found.edited),
        differences=[
            schemas.Difference(kind=d.kind, before=list(d.before), after=list(d.after), first=d.first)
            for d in found.differences
        ],
        wer=found.wer,
        cer=found.cer,
        traces=[
            schemas.EditedTrace(
                site=trace.site,
                basis=trace.basis,
                feature=trace.feature,
                name=_name(here, trace, request.bundled_sae),
                frames_per_second=trace.frames_per_second,
                before=encoded(trace.before),
                after=encoded(trace.after),
            )
            for trace in found.traces
        ],
        changes=[schemas.SiteChange(**vars(change)) for change in found.changes],
        output_cosine=encoded(found.output.cosine),
        output_norm=encoded(found.output.norm),
        output_frames_per_second=rate,
        seconds=found.seconds,
    )


def _name(here: Serving, trace: editing.Trace, bundled: bool) -> str | None:
    """What a feature that was edited is called, if anybody knows."""
    if bundled and trace.basis == "latents":
        return ", ".join(sound.label for sound in here.sounds if trace.feature in sound.latents) or None
    site = here.result.find(trace.site, trace.basis)
    return site.names.text(trace.feature) if site else None


def _heard(heard: editing.Heard | None) -> schemas.HeardText | None:
    if heard is None:
        return None
    words = [schemas.HeardWord(**vars(word)) for word in heard.words]
    return schemas.HeardText(text=heard.text, words=words, log_probability=heard.log_probability)


def _edit(here: Serving, asked: schemas.Operation, bundled: bool) -> Edit:
    """An edit of `freud.editing` from what a request says."""
    feature, site = _feature(here, asked.site, asked.basis, asked.feature, bundled)
    match asked.operation:
        case "scale":
            made = feature.scale(asked.value)
        case "set":
            made = feature.set(asked.value)
        case "add":
            unit = 1.0
            if asked.unit == "p99":
                if site is None:
                    raise FreudError("unit p99: is known for the features of this result only, not of the bundled SAE")
                unit = browse.percentile(site.index, asked.feature)
            made = feature.add(asked.value, unit)
        case "ablate":
            made = feature.ablate()
        case "clamp":
            made = feature.clamp(asked.min, asked.max)
    if asked.start is not None or asked.end is not None:
        made = made.during((asked.start or 0.0, 1e6 if asked.end is None else asked.end))
    if asked.tier is not None or asked.label is not None:
        if asked.tier is None or asked.label is None:
            raise FreudError("tier and label: give both, or neither")
        made = made.at(asked.tier, asked.label)
    return made.where_active() if asked.active_only else made


def _feature(
    here: Serving, site: str, basis: schemas.Basis, number: int, bundled: bool
) -> tuple[Feature, IndexedSite | None]:
    if basis == "neurons":
        return editing.neuron(site, number), here.result.find(site, basis)
    if bundled:
        sae = bundled_sae()
        if sae.metadata.get("site") != site:
            raise FreudError(f"site {site!r}: the bundled SAE is of {sae.metadata.get('site')}")
        return editing.latent(_in_range(sae, number), number, site), None
    found = here.result.site(site, basis)
    if found.sae is None:
        raise FreudError(f"{site}: its SAE is not beside the index, so its latents cannot be edited")
    return editing.latent(_in_range(found.sae, number), number, site), found


def _in_range(sae: SAE, number: int) -> SAE:
    if number >= sae.d_sae:
        raise FreudError(f"feature {number}: the SAE has latents 0 to {sae.d_sae - 1}")
    return sae


def curve(here: Serving, request: schemas.CurveRequest) -> schemas.Curve:
    """The effect of scaling a feature by several factors.

    Raises:
        UnknownNameError: no such clip, site or feature.
        FreudError: the feature does not fit, or the model cannot be used.
    """
    started = time.perf_counter()
    samples = here.library.samples(request.clip)
    feature, _ = _feature(here, request.site, request.basis, request.feature, request.bundled_sae)
    factors = list(dict.fromkeys([1.0, *request.factors]))
    with here.model.using() as model:
        table = editing.sweep_clip(
            model, samples, [feature], factors, controls=request.controls, substitute=request.substitute
        )
    rows = table.to_pylist()
    plain = next(row["text"] for row in rows if row["factor"] == 1.0 and row["control_for"] is None)
    place = {float(np.float32(factor)): number for number, factor in enumerate(request.factors)}
    wanted = [row for row in rows if row["factor"] in place]
    wanted.sort(key=lambda row: (row["control_for"] is not None, row["feature"], place[row["factor"]]))
    return schemas.Curve(
        plain=plain,
        points=[_point(row) for row in wanted],
        seconds=round(time.perf_counter() - started, 3),
    )


def _point(row: dict[str, Any]) -> schemas.CurvePoint:
    words, characters = row["words"], row["characters"]
    return schemas.CurvePoint(
        control=row["control_for"] is not None,
        wer=row["word_errors"] / words if words else None,
        cer=row["character_errors"] / characters if characters else None,
        **{field: row[field] for field in ("feature", "factor", "text", "words", "changed_words", "log_probability")},
    )


def examples(here: Serving) -> list[schemas.Example]:
    """Edits to start from: features that have names in the result, then sounds that latents of the bundled SAE agree
    with; each turned around on a clip that has it."""
    found = []
    for site in here.result:
        if site.basis == "latents" and site.has_sae:
            found += [_turned(site, row) for row in _telling(site)]
    for sound in here.sounds[:SHOWN_SOUNDS]:
        edits = [
            schemas.Operation(
                site=here.bundled_site or "", basis="latents", feature=latent, operation="scale", value=-1.0
            )
            for latent in sound.latents
        ]
        scores = ", ".join(f"{latent} ({f1:.2f})" for latent, f1 in zip(sound.latents, sound.f1, strict=True))
        found.append(
            schemas.Example(
                title=f"{sound.label} × -1",
                description=f"latents and their F1 with {sound.label} on this corpus: {scores}",
                request=schemas.EditRequest(clip=sound.clip, edits=edits, bundled_sae=True),
            )
        )
    return found


def _telling(site: IndexedSite) -> list[dict[str, Any]]:
    """Latents that show what an edit does: the best of each name, speech first; the strongest where none has a name."""
    rows = [row for row in site.table().to_pylist() if row["events"]]
    named = [row for row in rows if row["name"]]
    if not named:
        return sorted(rows, key=lambda row: -row["max"])[:SHOWN_EXAMPLES]
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(named, key=lambda row: -(row["score"] or 0.0)):
        best.setdefault(naming.said(row["name"]), row)
    spoken = {"phone", "class", "word"}

    def kind(row: dict[str, Any]) -> str | None:
        return next((name.kind for name in site.names.get(row["feature"])), None)

    return sorted(list(best.values())[: 5 * SHOWN_EXAMPLES], key=lambda row: kind(row) not in spoken)[:SHOWN_EXAMPLES]


def _turned(site: IndexedSite, row: dict[str, Any]) -> schemas.Example:
    """A latent times -1 on the clip that drives it most."""
    event = browse.event_band(site.index, row["feature"], "top", 1).events[0]
    operation = schemas.Operation(
        site=site.site, basis="latents", feature=row["feature"], operation="scale", value=-1.0
    )
    what = naming.said(row["name"]) if row["name"] else f"latent {row['feature']}"
    return schemas.Example(
        title=f"{what} × -1",
        description=f"latent {row['feature']} of {site.site}, turned around on {event.name}",
        request=schemas.EditRequest(clip=event.clip, edits=[operation]),
    )
