"""The whole job in one call: from a folder of audio to trained, indexed features.

`discover` runs every stage into the folder of one result; each stage is an artifact of its own, so an interrupted
discovery resumes where it stopped. `demo` does it with what is bundled. This module is not called `discover`: a module
of that name would hide the function `freud.discover`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import islice
from pathlib import Path

from freud import activations, artifacts, corpus, features, models, results, saes
from freud.activations.collect import storable
from freud.artifacts import Artifact
from freud.corpus import Clip
from freud.features import FeatureIndex
from freud.results import Basis, Layout
from freud.saes import Architecture, Options, TopK

KIND = "discover"


@dataclass(frozen=True)
class SiteSummary:
    """One row of the summary: a site in one basis.

    Attributes:
        frames: frames indexed. features: neurons or latents.
        fvu, l0: of the SAE on held-out clips (on the training clips if none were held out); None for neurons.
        dead: features never active on any of the frames.
        index_bytes: size of the index on disk.
    """

    site: str
    basis: Basis
    frames: int
    features: int
    dead: int
    fvu: float | None
    l0: float | None
    index_bytes: int


@dataclass(frozen=True)
class Discovery:
    """The result of `discover`: the folder, a row for each site and basis, and the seconds each stage took."""

    path: Path
    model: str
    clips: int
    hours: float
    problems: list[dict[str, str]]
    sites: list[SiteSummary]
    seconds: dict[str, float]


def discover(
    audio: Path | str,
    model: str,
    sites: Sequence[str],
    out: Path | str,
    *,
    architecture: Architecture | None = TopK(),  # noqa: B008 - frozen
    options: Options | None = None,
    dtype: str = "float16",
    batch_size: int = 8,
    device: str | None = None,
    compute_dtype: str = "float32",
    progress: bool = True,
) -> Discovery:
    """From a folder of audio to trained, indexed, searchable features.

    Imports the folder, collects all sites in one pass, trains an SAE on each residual-stream site, and indexes the
    neurons of every site and the latents of every SAE.

    Args:
        audio: a folder of audio, or a corpus written by `freud corpus`.
        model: name of a model.
        sites: names, aliases or globs.
        out: folder to write; the same call resumes or returns what is there.
        architecture: the SAE to train; None looks at neurons only.
        options: how to train.
        dtype: what activations are stored as.
        batch_size: windows a batch.
        device: where the model runs and SAEs are trained; the CPU to run it, a GPU if there is one to train, if not
            given.
        compute_dtype: of the model's weights and activations.
        progress: show progress bars on a terminal.

    Raises:
        FreudError: anything the stages raise; finished stages are kept.
    """
    out = Path(out)
    layout = Layout(out)
    parameters = {
        "audio": str(Path(audio).resolve()),
        "model": model,
        "sites": list(sites),
        "architecture": None if architecture is None else architecture.to_dict(),
        "options": None if options is None else asdict(options),
        "dtype": dtype,
        "batch_size": batch_size,
        "compute_dtype": compute_dtype,
    }
    if finished := artifacts.begin(out, KIND, parameters):
        return _from_manifest(finished)

    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[stage] = round(seconds.get(stage, 0) + time.perf_counter() - start, 2)

    with timed("load model"):
        loaded = models.load(model, device=device or "cpu", dtype=compute_dtype)
        stored_sites = storable(loaded, sites)
    with timed("corpus"):
        clips = corpus.read(audio) if _is_artifact(audio) else corpus.import_corpus(audio, layout.corpus)
    with timed("collect"):
        frames = activations.collect(
            loaded, clips, [site.name for site in stored_sites], layout.activations, dtype=dtype,
            batch_size=batch_size, progress=progress,
        )  # fmt: skip
    summaries = []
    for site in stored_sites:
        bases: list[saes.SAE | None] = [None]
        if architecture is not None and site.residual:
            with timed("train"):
                sae_folder = layout.sae(site.name)
                bases.append(
                    saes.train(
                        frames[site.name], architecture, sae_folder, options=options, device=device, progress=progress
                    )
                )
        for sae in bases:
            with timed("index"):
                index_folder = layout.index(site.name, _basis(sae))
                index = features.index(frames[site.name], sae, index_folder, corpus=clips, progress=progress)
            summaries.append(_summary(layout, index))
    problems = clips.problems + [
        {"path": problem["clip"], "reason": problem["reason"]} for problem in frames.manifest["problems"]
    ]
    facts = {
        "model": loaded.name,
        "clips": frames.manifest["clips"],
        "hours": round(frames.frames / frames[stored_sites[0].name].frames_per_second / 3600, 4),
        "problems": problems,
        "sites": [asdict(summary) for summary in summaries],
        "seconds": seconds,
    }
    return _from_manifest(artifacts.finish(out, KIND, parameters, [], **facts))


DEMO_SITES = ("encoder.blocks.2.mlp.1", "encoder.blocks.2")


def demo_folder() -> Path:
    """The bundled clips: synthesized speech with exact phone and word tiers, and a few sounds."""
    return Path(str(resources.files("freud") / "bundled" / "demo"))


def demo(out: Path | str, *, progress: bool = True) -> Discovery:
    """`discover` on the bundled clips with the bundled model, and `name`; the training is short."""
    result = discover(demo_folder(), "nano", DEMO_SITES, out, options=Options(steps=200), progress=progress)
    results.name(out, progress=progress)
    return result


def demo_transcripts(model: models.AudioModel, voices: int = 4) -> list[tuple[Clip, str]]:
    """Of each of the first `voices`, the first bundled clip that was not trained on, and what `model` hears in it."""
    clips = corpus.read(demo_folder())
    first: dict[str | None, Clip] = {}
    for clip in clips:
        if clip.transcript and clip.split == "test":
            first.setdefault(clip.speaker, clip)
    return [(clip, model.transcribe(clips.samples(clip)).text) for clip in islice(first.values(), voices)]


def _is_artifact(path: Path | str) -> bool:
    return (Path(path) / artifacts.MANIFEST).is_file()


def _basis(sae: saes.SAE | None) -> Basis:
    return "neurons" if sae is None else "latents"


def _summary(layout: Layout, index: FeatureIndex) -> SiteSummary:
    fvu = l0 = None
    if index.basis == "latents":
        measured = artifacts.read(layout.sae(index.site), "train").manifest["results"]
        quality = measured["validation"] or measured["train"]
        fvu, l0 = quality["fvu"], quality["l0"]
    dead = index.count_dead()
    return SiteSummary(index.site, index.basis, index.frames, index.features, dead, fvu, l0, index.bytes)


def _from_manifest(artifact: Artifact) -> Discovery:
    facts = artifact.manifest
    return Discovery(
        path=artifact.path,
        sites=[SiteSummary(**row) for row in facts["sites"]],
        **{name: facts[name] for name in ("model", "clips", "hours", "problems", "seconds")},
    )
