"""The whole job in one call, and the questions people ask of its result.

`discover` runs every stage into one folder (`corpus/`, `activations/`, `saes/SITE/`, `features/SITE/BASIS/`); each
stage is an artifact of its own, so an interrupted discovery resumes where it stopped. `search` and `open_index` find
their way in that folder; `doctor` checks the machine and the files.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Literal

from freud import activations, artifacts, corpus, features, models, naming, saes
from freud.activations.collect import storable
from freud.artifacts import Artifact
from freud.corpus import Clip
from freud.errors import DamagedFileError, FreudError, UnknownNameError
from freud.features import FeatureIndex, Hit
from freud.saes import Architecture, Options, TopK
from freud.version import __version__

KIND = "discover"
Basis = Literal["neurons", "latents"]


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
        progress: show progress bars on a terminal.

    Raises:
        FreudError: anything the stages raise; finished stages are kept.
    """
    out = Path(out)
    parameters = {
        "audio": str(Path(audio).resolve()),
        "model": model,
        "sites": list(sites),
        "architecture": None if architecture is None else architecture.to_dict(),
        "options": None if options is None else asdict(options),
        "dtype": dtype,
        "batch_size": batch_size,
    }
    if done := artifacts.begin(out, KIND, parameters):
        return _from_manifest(done)

    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[stage] = round(seconds.get(stage, 0) + time.perf_counter() - start, 2)

    with timed("load model"):
        loaded = models.load(model)
        chosen = storable(loaded, sites)
    with timed("corpus"):
        clips = corpus.read(audio) if _is_artifact(audio) else corpus.import_corpus(audio, out / "corpus")
    with timed("collect"):
        frames = activations.collect(
            loaded, clips, [s.name for s in chosen], out / "activations", dtype=dtype, batch_size=batch_size,
            progress=progress,
        )  # fmt: skip
    summaries = []
    for site in chosen:
        bases: list[saes.SAE | None] = [None]
        if architecture is not None and site.residual:
            with timed("train"):
                where = out / "saes" / site.name
                bases.append(saes.train(frames[site.name], architecture, where, options=options, progress=progress))
        for sae in bases:
            with timed("index"):
                where = out / "features" / site.name / _basis(sae)
                index = features.index(frames[site.name], sae, where, corpus=clips, progress=progress)
            summaries.append(_summary(out, index))
    problems = clips.problems + [
        {"path": problem["clip"], "reason": problem["reason"]} for problem in frames.manifest["problems"]
    ]
    facts = {
        "model": loaded.name,
        "clips": frames.manifest["clips"],
        "hours": round(frames.frames / frames[chosen[0].name].frames_per_second / 3600, 4),
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
    name(out, progress=progress)
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


def _summary(out: Path, index: FeatureIndex) -> SiteSummary:
    fvu = l0 = None
    if index.basis == "latents":
        results = artifacts.read(out / "saes" / index.site, "train").manifest["results"]
        quality = results["validation"] or results["train"]
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


def open_index(path: Path | str, site: str | None = None, basis: Basis | None = None) -> FeatureIndex:
    """Open an index, or the one of a site in a folder written by `discover`.

    Args:
        path: the folder.
        site: which site; may be left out where there is only one.
        basis: neurons or latents; latents where there are any, if not given.

    Raises:
        UnknownNameError: no index of that site or basis; the message says which there are.
    """
    path = Path(path)
    if not path.is_dir():
        raise FreudError(f"{path}: no such folder; expected one written by `freud discover` or `freud index`")
    if not (path / "features").is_dir():
        index = features.read(path)
        if site not in {None, index.site} or basis not in {None, index.basis}:
            raise UnknownNameError(f"{path}: is an index of the {index.basis} of {index.site}")
        return index
    found = {(p.parts[-3], p.parts[-2]): p.parent for p in sorted(path.glob("features/*/*/manifest.json"))}
    if not found:
        raise FreudError(f"{path}: no index in it is finished; run the same `freud discover` command again")
    names = list(dict.fromkeys(name for name, _ in found))
    if site is None and len(names) == 1:
        site = names[0]
    if site not in names:
        raise UnknownNameError(
            f"{path}: {'give a site' if site is None else f'no site {site!r}'}; it has {', '.join(names)}"
        )
    bases = [kind for name, kind in found if name == site]
    if basis is None:
        basis = "latents" if "latents" in bases else "neurons"
    if basis not in bases:
        raise UnknownNameError(f"{path}: {site} has no {basis}; it has {', '.join(bases)}")
    index = features.read(found[site, basis])
    where = path / "names" / site / basis
    if (where / artifacts.MANIFEST).is_file():
        index.show_names(naming.read(where).shown())
    return index


def name(
    path: Path | str,
    *,
    site: str | None = None,
    basis: Basis | None = None,
    out: Path | str | None = None,
    corpus: Path | str | None = None,
    kinds: Sequence[str] | None = None,
    words: int = 20,
    by: Literal["auto", "speaker", "clip"] = "auto",
    controls: bool = True,
    seed: int = 0,
    progress: bool = True,
) -> list[naming.Names]:
    """Name every feature of a result, or of one index, after the label that it responds to.

    Args:
        path: a folder written by `discover` or by `index`.
        site: only this site.
        basis: only neurons or only latents.
        out: folder to write; `names/SITE/BASIS` in a result, and needed for a single index.
        corpus: the corpus, if it is not where it was.
        kinds: only labels of these kinds.
        words: how many of the most frequent words are labels.
        by: what is held out as a whole.
        controls: also score raw coordinates, PCA, a frozen random decoder and a linear probe.
        seed: of the split, the shuffles and the intervals.
        progress: show progress bars on a terminal.

    Raises:
        FreudError: no finished index there, or what `naming.name` raises; what is named is kept.
    """
    path = Path(path)
    options = {
        "corpus": corpus, "kinds": None if kinds is None else tuple(kinds), "words": words, "by": by,
        "controls": controls, "seed": seed, "progress": progress,
    }  # fmt: skip
    if not (path / "features").is_dir():
        index = open_index(path, site, basis)
        if out is None:
            raise FreudError(f"{path}: is a single index; say with --out where its names go")
        return [naming.name(index, out, **options)]
    found = [(p.parts[-3], p.parts[-2]) for p in sorted(path.glob("features/*/*/manifest.json"))]
    chosen = [(s, b) for s, b in found if site in {None, s} and basis in {None, b}]
    if not chosen:
        open_index(path, site, basis)  # says what there is
    where = Path(out) if out is not None else path / "names"
    return [
        naming.name(open_index(path, s, b), where / s / b, sound=where / "sound", **options)  # pyright: ignore[reportArgumentType]
        for s, b in chosen
    ]


def search(
    source: Path | str | FeatureIndex,
    feature: int,
    *,
    site: str | None = None,
    basis: Basis | None = None,
    top: int = 10,
    min: float | None = None,
    max: float | None = None,
    absolute: bool = False,
) -> list[Hit]:
    """The clips that drive a feature most, strongest first.

    Args:
        source: a result or an index, to be opened by `open_index` with `site` and `basis`; or an open index.
        feature: number of the neuron or latent.
        site: which index of a result.
        basis: likewise.
        top: how many clips.
        min: only values of at least this.
        max: only values of at most this.
        absolute: rank by magnitude; with `max=0`, the strongest negative activations.

    Raises:
        FreudError: there is no such index, or several that fit. UnknownNameError: no such feature.
    """
    index = source if isinstance(source, FeatureIndex) else open_index(source, site, basis)
    return index.top(feature, top, min=min, max=max, absolute=absolute)


@dataclass(frozen=True)
class Check:
    """One line of `doctor`."""

    name: str
    ok: bool
    detail: str


def doctor(path: Path | str | None = None) -> list[Check]:
    """Check the machine, and every finished folder of ours under `path`, byte by byte.

    Raises:
        FreudError: `path` is not a folder.
    """
    import av
    import duckdb
    import soundfile
    import torch
    import transformers

    checks = [
        Check("freud", True, f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        Check("torch", True, f"{torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores"),
        Check(
            "gpu",
            True,
            torch.cuda.get_device_name() if torch.cuda.is_available() else "none; runs on the CPU",
        ),
        Check("transformers", True, transformers.__version__),
        Check(
            "audio",
            True,
            f"soundfile {soundfile.__version__} ({soundfile.__libsndfile_version__}), PyAV {av.__version__}",
        ),
        Check("duckdb", True, duckdb.__version__),
    ]
    where = Path(path) if path is not None else Path.cwd()
    if not where.is_dir():
        raise FreudError(f"{where}: no such folder")
    free = shutil.disk_usage(where).free / 2**30
    checks.append(Check("disk", free > 1, f"{free:.1f} GiB free at {where}"))
    if path is None:
        return checks
    finished = sorted(path.parent for path in where.rglob(artifacts.MANIFEST))
    checks += [check for folder in finished if (check := _check_folder(folder))]
    for unfinished in sorted(where.rglob(artifacts.UNFINISHED)):
        if unfinished.parent not in finished:  # a run killed after its last file leaves this one
            kind = artifacts.read_json(unfinished).get("kind")
            detail = f"unfinished: run the same `freud {kind}` command again"
            checks.append(Check(str(unfinished.parent), False, detail))
    return checks


def _check_folder(folder: Path) -> Check | None:
    """Whether the files of a folder are as they were written; None if it was not we who wrote it."""
    try:
        kind = artifacts.read_json(folder / artifacts.MANIFEST).get("kind")
        if kind not in _KINDS:
            return None
        artifact = artifacts.read(folder, kind)
    except DamagedFileError as error:
        return Check(str(folder), False, str(error))
    problems = artifact.verify()
    detail = "; ".join(problems) or f"{kind}: {len(artifact.manifest['files'])} files as they were written"
    return Check(str(folder), not problems, detail)


_KINDS = {"corpus", "collect", "train", "import", "evaluate", "index", "name", "sound", KIND}
