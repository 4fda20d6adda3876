"""Building the index, out of core and in linear time.

First, one pass over the shards writes a *part* per shard: its postings sorted by feature (and, for dense sites, the
extremes of every piece of a clip). Then, for one range of features after another, the slices of all parts are put
together and become rows of the final tables. Memory holds one shard and one range. Parts survive an interruption.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

from freud import artifacts
from freud.activations import Pieces, SiteActivations
from freud.corpus import Corpus
from freud.errors import FreudError
from freud.features import tables
from freud.features.query import KIND, FeatureIndex
from freud.features.tables import BINS, Postings
from freud.saes import SAE
from freud.saes import load as load_sae

ROW_GROUP = 131_072  # rows; one row group is what a query reads
RANGE_POSTINGS = 1_000_000  # postings merged at a time
RANGE_PEAKS = 1_000_000  # peaks of a dense site merged at a time
BLOCK = 1024  # frames looked at together
QUANTILE_SAMPLE = 16_384  # frames from which a neuron's thresholds are taken
_NOTHING = Postings(*(np.zeros(0, kind) for kind in (np.int32, np.int32, np.int32, np.float32)))
TAIL = 0.01  # a neuron is active in its highest and its lowest 1 % of frames


def index(
    activations: SiteActivations,
    sae: SAE | Path | str | None = None,
    out: Path | str = "features",
    *,
    corpus: Corpus | Path | str | None = None,
    progress: bool = True,
) -> FeatureIndex:
    """Index every neuron of a site, or every latent of an SAE on it.

    A latent is active where it is above zero, a signed one where it is not zero. A neuron is dense, so it counts as
    active in the highest and lowest 1 % of its frames (thresholds from an even sample of frames, written to the
    `features` table); its peaks, mean and histogram are over all frames.

    Args:
        activations: one site of a store.
        sae: an SAE of that site, or its folder; None indexes the neurons.
        out: folder to write; an unfinished one is resumed, a finished one with the same parameters is opened.
        corpus: the corpus, if it is not where it was when the activations were collected.
        progress: show a progress bar on a terminal.

    Raises:
        FreudError: the SAE is of another site, width or model, the corpus is gone or another one, or `out` holds
            something else.
    """
    out = Path(out)
    if isinstance(sae, str | Path):
        sae = load_sae(sae)
    if sae is not None:
        sae.check_site(activations.origin, activations.width)
    store = activations.store
    parameters = {
        **activations.origin,
        "activations": store.manifest["fingerprint"],
        "basis": "neurons" if sae is None else "latents",
        "sae": None if sae is None else _weights_fingerprint(sae),
    }
    work = out / "parts"
    if done := artifacts.begin(out, KIND, parameters):
        artifacts.discard(work)  # left over if the run that finished was killed right then
        return FeatureIndex(done)
    corpus = store.open_corpus(corpus)

    work.mkdir(exist_ok=True)
    source = _Latents(activations, sae) if sae is not None else _Neurons(activations)
    for shard, pieces, rows in tqdm(
        activations.blocks(),
        total=len(store.shards),
        unit="shard",
        desc="index",
        disable=None if progress else True,
    ):
        part = work / f"{shard:05d}.safetensors"
        if not part.is_file():
            with artifacts.replacing(part) as temporary:
                save_file(source.part(pieces, rows), temporary)
    files = merge(out, work, source, len(store.shards))
    files += _write_clips(out, activations, corpus)
    facts: dict[str, Any] = {
        "features": source.count,
        "frames": activations.frames,
        "frames_per_second": activations.frames_per_second,
        "store": {
            "path": str(store.path.resolve()),
            "beside": os.path.relpath(store.path.resolve(), out.resolve()),
        },
    }
    artifact = artifacts.finish(out, KIND, parameters, files, **facts)
    artifacts.discard(work)
    return FeatureIndex(artifact)


def _weights_fingerprint(sae: SAE) -> str:
    digest = hashlib.sha256(str(sorted(sae.config().items())).encode())
    for name, tensor in sorted(sae.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass
class _Latents:
    """Sparse features: the active latents of an SAE."""

    activations: SiteActivations
    sae: SAE

    @property
    def count(self) -> int:
        return self.sae.d_sae

    @torch.inference_mode()
    def part(self, pieces: Pieces, rows: torch.Tensor) -> dict[str, np.ndarray]:
        """The postings of one shard, sorted by feature, with the first row of every feature."""
        clip, frame = clip_and_frame(pieces)
        found = [_NOTHING]
        for start in range(0, len(rows), BLOCK):
            sparse = self.sae.to_sparse(rows[start : start + BLOCK].float())
            row = sparse.frame.numpy() + start
            latent = sparse.latent.numpy().astype(np.int32)
            found.append(Postings(latent, clip[row], frame[row], sparse.value.numpy()))
        return _sorted_part(_joined(found), self.count)

    def statistics(self, parts: Parts, postings: Postings, first: int, last: int) -> dict[str, np.ndarray]:
        """Columns of FEATURES that the postings of features first..last-1 give."""
        active = tables.count_by_feature(postings.feature, first, last)
        row = postings.feature - first
        value = postings.value.astype(np.float64)
        frames = self.activations.frames
        mean = np.bincount(row, value, minlength=last - first) / frames
        square = np.bincount(row, value**2, minlength=last - first) / frames
        zero = np.zeros(last - first, np.float32)
        high, low = np.full_like(zero, -np.inf), np.full_like(zero, np.inf)
        np.maximum.at(high, row, postings.value)
        np.minimum.at(low, row, postings.value)
        above, below = np.maximum(high, 0), np.minimum(low, 0)  # a silent frame is 0
        always = (active == frames) & (active > 0)
        return {
            "mean": mean,
            "std": np.sqrt(np.maximum(square - mean**2, 0)),
            "max": np.where(always, high, above),
            "min": np.where(always, low, below),
            "threshold_low": np.where(below < 0, zero, -np.inf).astype(np.float32),
            "threshold_high": zero,
            "histogram_low": below,
            "histogram_high": above,
            "histogram": tables.histogram(postings.feature, postings.value, first, last, below, above),
        }

    def peaks(self, parts: Parts, postings: Postings, first: int, last: int) -> dict[str, np.ndarray]:
        """Columns of PEAKS. A clip on which a latent is silent has none."""
        return tables.peaks(postings)


class _Neurons:
    """Dense features: the coordinates of a site."""

    def __init__(self, activations: SiteActivations) -> None:
        self.activations = activations
        self.count = activations.width
        sample = activations.sample(QUANTILE_SAMPLE).numpy()
        self.low, self.high = np.quantile(sample, [TAIL, 1 - TAIL], axis=0).astype(np.float32)
        self.least, self.most = sample.min(0), sample.max(0)

    def part(self, pieces: Pieces, rows: torch.Tensor) -> dict[str, np.ndarray]:
        """Postings beyond the thresholds, extremes of each piece, moments and histogram of one shard."""
        clip, frame = clip_and_frame(pieces)
        pieces = pieces.cut(BLOCK)
        extremes = {name: np.empty((len(pieces), self.count), np.float32) for name in ("max", "min")}
        places = {name: np.empty((len(pieces), self.count), np.int32) for name in ("max_frame", "min_frame")}
        total, square = np.zeros(self.count), np.zeros(self.count)
        counts = np.zeros((self.count, BINS), np.int64)
        found = [_NOTHING]
        for i, (start, length) in enumerate(zip(pieces.first_row, pieces.rows, strict=True)):
            values = rows[start : start + length].float()
            for name, extreme in (("max", values.max(0)), ("min", values.min(0))):
                extremes[name][i] = extreme.values.numpy()
                places[f"{name}_frame"][i] = extreme.indices.numpy() + pieces.first_frame[i]
            total += values.sum(0, dtype=torch.float64).numpy()
            square += values.double().square_().sum(0).numpy()
            block = values.numpy()
            row, feature = ((block > self.high) | (block < self.low)).nonzero()
            found.append(Postings(feature, clip[row + start], frame[row + start], block[row, feature]))
            counts += tables.dense_histogram(block, self.least, self.most)
        return {
            **_sorted_part(_joined(found), self.count),
            "piece_clip": pieces.clip.astype(np.int32),
            **extremes,
            **places,
            "total": total,
            "square": square,
            "counts": counts,
        }

    def statistics(self, parts: Parts, postings: Postings, first: int, last: int) -> dict[str, np.ndarray]:
        """Columns of FEATURES, from the moments and histograms of all parts."""
        frames = self.activations.frames
        mean = parts.slices("total", first, last).sum(0) / frames
        square = parts.slices("square", first, last).sum(0) / frames
        return {
            "mean": mean,
            "std": np.sqrt(np.maximum(square - mean**2, 0)),
            "max": parts.concatenated("max", first, last).max(0),
            "min": parts.concatenated("min", first, last).min(0),
            "threshold_low": self.low[first:last],
            "threshold_high": self.high[first:last],
            "histogram_low": self.least[first:last],
            "histogram_high": self.most[first:last],
            "histogram": parts.slices("counts", first, last).sum(0),
        }

    def peaks(self, parts: Parts, postings: Postings, first: int, last: int) -> dict[str, np.ndarray]:
        """Columns of PEAKS: every neuron has a largest and a smallest value on every clip."""
        clip = parts.whole("piece_clip")
        starts = tables.runs(np.diff(clip) != 0)  # pieces of one clip are neighbours
        columns: dict[str, np.ndarray] = {}
        for name in ("max", "min"):
            values = parts.concatenated(name, first, last)  # [pieces, features]
            frames = parts.concatenated(f"{name}_frame", first, last)
            if len(starts) < len(clip):
                at = np.stack([tables.first_extreme(column, starts, name == "max") for column in values.T], axis=1)
                values, frames = np.take_along_axis(values, at, 0), np.take_along_axis(frames, at, 0)
            columns[name], columns[f"{name}_frame"] = values.T.ravel(), frames.T.ravel()
        features = np.repeat(np.arange(first, last), len(starts))
        return {"feature": features, "clip": np.tile(clip[starts], last - first), **columns}


def clip_and_frame(pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """The clip and the frame within it of every row of a shard, int32."""
    clip = np.repeat(pieces.clip, pieces.rows).astype(np.int32)
    first = np.repeat(pieces.first_frame - pieces.first_row, pieces.rows)
    return clip, (np.arange(len(clip)) + first).astype(np.int32)


def _joined(found: list[Postings]) -> Postings:
    return Postings(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _sorted_part(postings: Postings, count: int) -> dict[str, np.ndarray]:
    ordered = tables.sort_by_feature(postings, 0, count)
    starts = np.concatenate(([0], np.cumsum(tables.count_by_feature(ordered.feature, 0, count))))
    return {
        "starts": starts.astype(np.int64),  # feature f has rows starts[f] .. starts[f + 1]
        "clip": ordered.clip.astype(np.int32),
        "frame": ordered.frame.astype(np.int32),
        "value": ordered.value.astype(np.float32),
    }


class Parts:
    """The parts of an index being built, sliced by feature."""

    def __init__(self, folder: Path, count: int) -> None:
        self.files: list[Any] = []
        for number in range(count):
            path = folder / f"{number:05d}.safetensors"
            try:
                self.files.append(safe_open(path, framework="np"))  # pyright: ignore[reportArgumentType]
            except (SafetensorError, OSError) as error:
                raise FreudError(f"{path}: damaged ({error}); delete it and run the same command again") from None
        self.starts = [file.get_tensor("starts") for file in self.files]

    def counts(self) -> np.ndarray:
        """Postings of every feature, over all parts."""
        return np.sum([np.diff(starts) for starts in self.starts], axis=0)

    def postings(self, first: int, last: int) -> Postings:
        """Postings of features first..last-1, sorted."""
        found = [_NOTHING]
        for file, starts in zip(self.files, self.starts, strict=True):
            rows = slice(int(starts[first]), int(starts[last]))
            if rows.start == rows.stop:  # safetensors cannot slice nothing
                continue
            feature = np.repeat(np.arange(first, last, dtype=np.int32), np.diff(starts[first : last + 1]))
            found.append(Postings(feature, *(file.get_slice(name)[rows] for name in ("clip", "frame", "value"))))
        return tables.sort_by_feature(_joined(found), first, last)

    def slices(self, name: str, first: int, last: int) -> np.ndarray:
        """[parts, last - first, ...] of a tensor with one row a feature."""
        return np.stack([file.get_slice(name)[first:last] for file in self.files])

    def concatenated(self, name: str, first: int, last: int) -> np.ndarray:
        """[pieces of all parts, last - first] of a tensor with one row a piece."""
        slices = [file.get_slice(name) for file in self.files]
        return np.concatenate([each[:, first:last] for each in slices if each.get_shape()[0]])

    def whole(self, name: str) -> np.ndarray:
        """A tensor of all parts, one after the other."""
        return np.concatenate([file.get_tensor(name) for file in self.files])


def merge(out: Path, work: Path, source: _Latents | _Neurons, shards: int) -> list[str]:
    """Write the final tables from the parts, one range of features after another; returns the file names."""
    parts = Parts(work, shards)
    counts = parts.counts()
    frames = source.activations.frames
    keep_postings = isinstance(source, _Latents)
    pieces = 0 if keep_postings else len(parts.whole("piece_clip"))
    with _Tables(out, keep_postings) as write:
        for first, last in _ranges(counts, pieces):
            postings = parts.postings(first, last)
            events = tables.events(postings)
            peaks = source.peaks(parts, postings, first, last)
            clips = peaks if keep_postings else tables.peaks(postings)
            active = counts[first:last]
            write("events", events)
            write("peaks", peaks)
            write(
                "features",
                {
                    "feature": np.arange(first, last),
                    "name": np.full(last - first, None),
                    "dead": active == 0,
                    "active_frames": active,
                    "density": active / frames,
                    "clips": tables.count_by_feature(clips["feature"].astype(np.int64), first, last),
                    "events": tables.count_by_feature(events["feature"].astype(np.int64), first, last),
                    **source.statistics(parts, postings, first, last),
                },
            )
            if keep_postings:
                write("postings", postings._asdict())
    return write.files


def _ranges(counts: np.ndarray, pieces: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of features, each with a bounded number of postings and peaks (at least one feature)."""
    first, postings = 0, 0
    for feature, count in enumerate(counts):
        too_many = postings + count > RANGE_POSTINGS or (feature - first + 1) * pieces > RANGE_PEAKS
        if feature > first and too_many:
            yield first, feature
            first, postings = feature, 0
        postings += count
    yield first, len(counts)


class _Tables:
    """Parquet writers for the tables of an index; all files appear together when the block succeeds."""

    SCHEMAS = {  # noqa: RUF012
        "features": tables.FEATURES,
        "peaks": tables.PEAKS,
        "events": tables.EVENTS,
        "postings": tables.POSTINGS,
    }

    def __init__(self, out: Path, postings: bool) -> None:
        self.out = out
        self.names = [name for name in self.SCHEMAS if postings or name != "postings"]
        self.files = [f"{name}.parquet" for name in self.names]

    def __enter__(self) -> Self:
        self.writers = {}
        with contextlib.ExitStack() as stack:
            for name in self.names:
                temporary = stack.enter_context(artifacts.replacing(self.out / f"{name}.parquet"))
                writer = pq.ParquetWriter(
                    temporary,
                    self.SCHEMAS[name],
                    compression="zstd",
                    compression_level=1,
                    # The other columns hardly repeat: a dictionary only costs time.
                    use_dictionary=["feature", "clip"],  # pyright: ignore[reportArgumentType]
                    write_page_checksum=True,
                )
                self.writers[name] = stack.enter_context(writer)
            self.stack = stack.pop_all()  # closed here and now if a file could not be opened
        return self

    def __call__(self, name: str, columns: dict[str, Any]) -> None:
        schema = self.SCHEMAS[name]
        arrays = [_column(columns[field.name], field.type) for field in schema]
        self.writers[name].write_table(pa.table(arrays, schema=schema), row_group_size=ROW_GROUP)

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(values).ravel(), kind.value_type), BINS)
    return pa.array(values, kind, from_pandas=False) if pa.types.is_string(kind) else pa.array(values).cast(kind)


def _write_clips(out: Path, activations: SiteActivations, corpus: Corpus) -> list[str]:
    """What a result says about its clip, by clip number, so that an index can be searched without its corpus."""
    pieces = activations.store.pieces
    frames = np.bincount(pieces.clip, pieces.rows, minlength=len(corpus)).astype(np.int64)
    table = pa.table(
        {
            "clip": pa.array(range(len(corpus)), pa.int32()),
            "id": [clip.id for clip in corpus],
            "name": [clip.name for clip in corpus],
            "transcript": pa.array([clip.transcript for clip in corpus], pa.string()),
            "class": pa.array([clip.label for clip in corpus], pa.string()),
            "speaker": pa.array([clip.speaker for clip in corpus], pa.string()),
            "frames": frames,
        }
    )
    with artifacts.replacing(out / "clips.parquet") as temporary:
        pq.write_table(table, temporary)
    segments = corpus.segment_table
    number = pc.index_in(segments["clip_id"], value_set=table["id"]).cast(pa.int32())  # pyright: ignore[reportAttributeAccessIssue]
    with artifacts.replacing(out / "segments.parquet") as temporary:
        pq.write_table(segments.drop(["clip_id"]).add_column(0, "clip", number), temporary, row_group_size=ROW_GROUP)
    return ["clips.parquet", "segments.parquet"]
