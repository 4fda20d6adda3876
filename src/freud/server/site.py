"""A static site of features: pages with sound, pictures and traces that need no server and work from a disk.

The data are the app's, from the same functions. Links are relative, and the one script only moves cursors.
"""

from __future__ import annotations

import html
import struct
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from freud import artifacts
from freud.audio import SAMPLE_RATE
from freud.errors import FreudError
from freud.server import montage, pages, schemas
from freud.server.activity import Activity
from freud.server.images import Image
from freud.server.library import COLUMN, Library
from freud.server.model import ServedModel
from freud.server.result import IndexedSite, Result

KIND = "export"
AVERAGED = 100  # events in the mean spectrogram
# Black over purple and orange to light yellow, evenly spaced in lightness; safe for the color-blind.
_STOPS = ((0, 0, 4), (59, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191))
_PALETTE = np.stack(
    [np.interp(np.arange(256), np.linspace(0, 255, len(_STOPS)), [s[i] for s in _STOPS]) for i in range(3)], axis=1
).astype(np.uint8)


def export_site(
    path: Path | str,
    features: Sequence[int],
    out: Path | str,
    *,
    site: str | None = None,
    basis: schemas.Basis | None = None,
    clips: int = 10,
    model: str | None = None,
    title: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    progress: bool = True,
) -> Path:
    """Write a folder of pages, one for each feature, to publish or to open from the disk.

    Args:
        path: a folder written by `freud discover` or `freud index`.
        features: numbers of the features.
        out: folder to write; a finished one with the same parameters is returned as it is.
        site: which site; may be left out where there is only one.
        basis: neurons or latents; latents where there are any, if not given.
        clips: shown of each feature, the strongest first.
        model: name or folder of the model, if it is not where it was.
        title: of the site.
        device: where the model computes.
        dtype: of its weights and activations.
        progress: show a progress bar on a terminal.

    Returns:
        the page to open

    Raises:
        FreudError: no such features, no audio, or `out` holds something else.
    """
    result = Result(path, model=model)
    shown = _choose(result, site, basis)
    if not features:
        raise FreudError("features: expected at least one")
    if clips < 1:
        raise FreudError(f"clips {clips}: expected at least 1")
    features = list(dict.fromkeys(features))
    for feature in features:
        shown.index.check(feature)
    served = ServedModel(result.model, result.model_fingerprint, device=device, dtype=dtype)
    served.load()
    served.get()
    library = Library(result, served)
    if not library.corpus:
        raise FreudError(f"{path}: its corpus has no clips")
    out = Path(out)
    heading = title or f"{shown.basis} of {shown.site}"
    parameters = {
        "index": shown.index.artifact.manifest["fingerprint"],
        "features": features,
        "clips": clips,
        "title": heading,
        "compute_dtype": dtype,
        "names": [shown.names.text(feature) for feature in features],
    }
    if artifacts.begin(out, KIND, parameters):
        return out / "index.html"
    for folder in ("audio", "images"):
        (out / folder).mkdir(exist_ok=True)
    templates = resources.files("freud.server") / "site_template"
    for name in ("site.css", "site.js"):
        _write(out / name, (templates / name).read_bytes())
    activity = Activity(library, served)
    bar = tqdm(features, unit="feature", desc="export", disable=None if progress else True)
    rows = [_feature_page(out, shown, library, activity, feature, clips, heading) for feature in bar]
    facts = f"{shown.index.model} · {shown.index.frames:,} frames · {shown.index.clip_count:,} clips"
    _page(out / "index.html", heading, f"<h1>{_text(heading)}</h1><p class=facts>{_text(facts)}</p>" + _cards(rows))
    written = sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())
    artifacts.finish(out, KIND, parameters, [name for name in written if not name.endswith(".json")])
    return out / "index.html"


def _choose(result: Result, site: str | None, basis: schemas.Basis | None) -> IndexedSite:
    """The site that is meant; latents where there are any."""
    found = [each for each in result if site in {None, each.site} and basis in {None, each.basis}]
    names = list(dict.fromkeys(each.site for each in found))
    if len(names) != 1:
        there = ", ".join(f"{each.basis} of {each.site}" for each in result)
        raise FreudError(f"{result.path}: give one --site (and --basis) of these: {there}")
    return next((each for each in found if each.basis == "latents"), found[0])


def _feature_page(
    out: Path, site: IndexedSite, library: Library, activity: Activity, feature: int, clips: int, heading: str
) -> schemas.Feature:
    """Write the page of one feature, with its sounds and pictures; returns what the list says of it."""
    facts = pages.feature(site, feature)
    name = facts.name or ""
    body = [
        f'<p><a href="index.html">{_text(heading)}</a></p>',
        f"<h1>{_text(site.basis[:-1])} {feature} <small>{_text(name)}</small></h1>",
        f"<p class=facts>active on {facts.density:.2%} of frames and {facts.clips:,} clips · {facts.events:,} events"
        f" · max {facts.max:.4g} · min {facts.min:.4g}</p>",
    ]
    body += [f"<p>{_text(naming.user_name or naming.name)}</p>" for naming in facts.naming]
    if facts.dead:
        body.append("<p>This feature was never active.</p>")
        _page(out / f"feature-{feature}.html", f"{feature} {name}", "".join(body))
        return facts
    average = montage.mean_spectrogram(site, library, feature, "top", AVERAGED, 0)
    _write(out / "images" / f"average-{feature}.png", png(average))
    body.append(
        f'<div class=pair><figure><img class=average src="images/average-{feature}.png" alt="mean spectrogram">'
        "<figcaption>mean log-mel, 0.4 s before and after its strongest peaks</figcaption></figure>"
        f"<figure>{_bars(facts.peaks)}<figcaption>its maximum on each clip (log counts), "
        f"{facts.peaks.low:.3g} to {facts.peaks.high:.3g}</figcaption></figure></div>"
    )
    hits = pages.hits(site, library, feature, n=clips).hits
    largest = max(abs(hit.value) for hit in hits)
    body += [_player(out, site, library, activity, feature, hit, largest) for hit in hits]
    _page(out / f"feature-{feature}.html", f"{feature} {name}", "".join(body))
    return facts


def _player(
    out: Path, site: IndexedSite, library: Library, activity: Activity, feature: int, hit: schemas.Hit, largest: float
) -> str:
    """A clip: its spectrogram with the feature over it, tiers and sound."""
    sound, picture = out / "audio" / f"{hit.clip}.flac", out / "images" / f"{hit.clip}.png"
    if not sound.is_file():
        with artifacts.replacing(sound) as temporary:
            samples = np.clip(library.samples(hit.clip), -1, 1)
            soundfile.write(temporary, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        _write(picture, png(Image(library.log_mel(hit.clip), COLUMN, 0.0, SAMPLE_RATE / 2, mel=True)))
    (trace,) = activity.traces(site, hit.clip, [feature])
    seconds = hit.duration
    tiers = "".join(_tier(tier, seconds) for tier in library.describe(hit.clip).tiers)
    what = " · ".join(part for part in (hit.speaker, hit.transcript or hit.label) if part)
    return (
        f"<section class=clip data-seconds={seconds:.4f}><p><b>{hit.rank}.</b> {hit.value:.4g} at {hit.time:.2f} s"
        f" · {_text(hit.name)}{' · ' + _text(what) if what else ''}</p>"
        f'<div class=strip><img src="images/{hit.clip}.png" alt="log-mel spectrogram">{_overlay(trace, largest)}'
        f"<i class=cursor></i></div>{tiers}"
        f'<audio controls preload=none src="audio/{hit.clip}.flac"></audio></section>'
    )


def _overlay(trace: np.ndarray, largest: float) -> str:
    """The values of a feature as an area over the picture: green above zero, red below."""
    frames = len(trace)
    paths = []
    for sign, color in ((1, "up"), (-1, "down")):
        heights = np.clip(sign * trace, 0, None) / largest
        if heights.any():
            steps = np.where(heights > 0.004, 1 - heights, 1.0)
            changes = np.flatnonzero(np.diff(steps, prepend=2.0))
            points = "".join(f"L{x} {steps[x]:.3f}H{e}" for x, e in zip(changes, [*changes[1:], frames], strict=True))
            paths.append(f'<path class={color} d="M0 1{points}V1Z"/>')
    return f'<svg viewBox="0 0 {frames} 1" preserveAspectRatio="none" aria-hidden=true>{"".join(paths)}</svg>'


def _tier(tier: schemas.Tier, seconds: float) -> str:
    """The labels of a tier, each where it is."""
    spans = "".join(
        f'<span style="left:{100 * i.start / seconds:.2f}%;width:{100 * (i.end - i.start) / seconds:.2f}%"'
        f' title="{_text(i.label)}">{_text(i.label)}</span>'
        for i in tier.intervals
        if i.end > i.start
    )
    return f'<div class=tier role=list aria-label="{_text(tier.name)}">{spans}</div>'


def _bars(histogram: schemas.Histogram) -> str:
    heights = np.log1p(histogram.counts)
    heights = heights / max(heights.max(), 1e-9)
    bars = "".join(f'<rect x="{x}" y="{1 - y:.3f}" width=".9" height="{y:.3f}"/>' for x, y in enumerate(heights) if y)
    return f'<svg class=bars viewBox="0 0 {len(heights)} 1" preserveAspectRatio="none" role=img>{bars}</svg>'


def _cards(features: Sequence[schemas.Feature]) -> str:
    """The list of features."""
    cards = "".join(
        f'<a class=card href="feature-{f.feature}.html">'
        + ("" if f.dead else f'<img src="images/average-{f.feature}.png" alt="">')
        + f"<b>{f.feature}</b> {_text(f.name or '')}<small>{f.density:.2%} · max {f.max:.3g}</small></a>"
        for f in features
    )
    return f"<div class=cards>{cards}</div>"


def _page(path: Path, title: str, body: str) -> None:
    document = (
        '<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f'<title>{_text(title)}</title><link rel=stylesheet href="site.css"><script defer src="site.js"></script>'
        f"<main>{body}<footer>made with FREUD</footer></main></html>\n"
    )
    _write(path, document.encode())


def _write(path: Path, content: bytes) -> None:
    with artifacts.replacing(path) as temporary:
        temporary.write_bytes(content)


def _text(value: str) -> str:
    return html.escape(value, quote=True)


def png(image: Image) -> bytes:
    """A picture as PNG with a palette, time to the right and frequency upwards."""
    columns, rows = image.values.shape
    low, high = (float(image.values.min()), float(image.values.max())) if image.values.size else (0.0, 1.0)
    pixels = np.frombuffer(image.bytes_of(low, high), np.uint8).reshape(columns, rows).T[::-1]
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels], axis=1)  # each line begins with its filter, none

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)  # eight bits, palette
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"PLTE", _PALETTE.tobytes())
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + chunk(b"IEND", b"")
    )
