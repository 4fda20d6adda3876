"""Collecting: one pass of a model over a corpus, many sites at once, valid frames only.

Audio is decoded and turned into log-mel by one thread while the model runs in another. Batches never cross a shard
and a shard records where the next one starts, so an interrupted run resumes at a shard boundary and gives the same
bytes as an uninterrupted one.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from freud import artifacts, audio
from freud.activations.store import KIND, Activations
from freud.corpus import Corpus
from freud.corpus import read as read_corpus
from freud.errors import DamagedFileError, FreudError
from freud.models import load as load_model
from freud.models.devices import DTYPES

if TYPE_CHECKING:
    from freud.models import AudioModel, Site

SHARD_BYTES = 64 * 2**20
MASSIVE = 10.0  # a frame or coordinate is massive when it exceeds this many times the median (DESIGN.md 5.10)


def collect(
    model: AudioModel | str,
    corpus: Corpus | Path | str,
    sites: Sequence[str],
    out: Path | str,
    *,
    dtype: str = "float16",
    batch_size: int = 8,
    progress: bool = True,
) -> Activations:
    """Run `model` over `corpus` and store the valid frames of `sites` under `out`.

    The model sees whole padded windows, as it was trained to; only the ceil(samples / 320) frames that lie inside the
    audio are kept. It runs up to the deepest site and no further. Clips that cannot be read are skipped and listed in
    the manifest with the reason; of a long clip that fails on the way, the windows before the failure are kept.

    Args:
        model: a loaded model or the name of one.
        corpus: a corpus, or the folder of one.
        sites: names, aliases or globs of encoder sites.
        out: folder to write; an unfinished one is resumed, a finished one with the same parameters is returned.
        dtype: what frames are stored as; a value beyond float16's range is an error, not an infinity.
        batch_size: windows a batch.
        progress: show a progress bar on a terminal.

    Raises:
        FreudError: an unknown site, a site that cannot be stored, float16 overflow, no clip that can be read, or
            `out` holds something else.
    """
    if dtype not in DTYPES:
        raise FreudError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    if batch_size < 1:
        raise FreudError(f"batch_size {batch_size}: expected at least 1")
    model = load_model(model) if isinstance(model, str) else model
    corpus = corpus if isinstance(corpus, Corpus) else read_corpus(corpus)
    chosen = storable(model, sites)
    parameters = {
        "model": model.fingerprint,
        "corpus": corpus.fingerprint,
        "sites": [site.name for site in chosen],
        "dtype": dtype,
        "batch_size": batch_size,
        "compute_dtype": str(model.dtype).removeprefix("torch."),
    }
    out = Path(out)
    if done := artifacts.begin(out, KIND, parameters):
        return Activations(done)

    writer = _Writer(out, chosen, DTYPES[dtype], batch_size * model.frames_per_window)
    total = sum(max(1, -(-round(clip.duration * audio.SAMPLE_RATE) // model.window_samples)) for clip in corpus)
    with tqdm(
        total=total, initial=writer.windows, unit="window", desc="collect", disable=None if progress else True
    ) as bar:
        for batch in _prefetch(_batches(model, corpus, batch_size, writer.next, writer)):
            frames = model.activations(batch.mel, chosen)
            writer.add(batch, frames)
            bar.update(len(batch.valid))
    if not writer.rows_written + writer.rows:
        reasons = "; ".join(reason for _, reason in sorted(writer.pending_problems.values())[:3])
        raise FreudError(f"{corpus.root}: none of its {len(corpus)} clips could be read ({reasons})")
    writer.close()
    return Activations(_finish(out, parameters, model, corpus, chosen, writer))


def storable(model: AudioModel, patterns: Sequence[str]) -> list[Site]:
    """The sites of `model` that match, in the order of the model.

    Raises:
        FreudError: there is no such site, or one that cannot be stored.
    """
    sites = model.select(patterns)
    if not sites:
        raise FreudError("sites: expected at least one")
    for site in sites:
        if site.frames_per_second is None:
            raise FreudError(f"{site.name}: a decoder site has one frame a text token; collect stores encoder sites")
        if not site.writable:
            raise FreudError(f"{site.name}: attention patterns are never stored; read them with AudioModel.activations")
    return sites


@dataclass(frozen=True)
class _Batch:
    """Windows that go through the model together."""

    mel: torch.Tensor  # [windows, mels, mel frames]
    clip: list[int]  # index in the corpus
    name: list[str]
    window: list[int]
    valid: list[int]  # valid frames of each window


def _batches(model: AudioModel, corpus: Corpus, size: int, start: tuple[int, int], writer: _Writer) -> Iterator[_Batch]:
    """Batches of windows from (clip, window) `start` on; `writer` is told which clips cannot be read."""
    pending: list[tuple[int, str, int, np.ndarray]] = []
    for index, clip in enumerate(islice(corpus, start[0], None), start[0]):
        read = 0
        try:
            for window, (_, samples) in enumerate(corpus.windows(clip, model.window_samples)):
                read += 1
                if (index, window) < start:
                    continue
                pending.append((index, clip.name, window, samples))
                if len(pending) == size:
                    yield _assemble(model, pending)
                    pending = []
        except FreudError as error:
            kept = f" (its first {read} windows are kept)" if read else ""
            writer.problem(index, clip.name, f"{error}{kept}")
    if pending:
        yield _assemble(model, pending)


def _assemble(model: AudioModel, pending: list[tuple[int, str, int, np.ndarray]]) -> _Batch:
    clip, name, window, samples = map(list, zip(*pending, strict=True))
    return _Batch(model.log_mel(samples), clip, name, window, [audio.valid_frames(len(each)) for each in samples])


def _prefetch(batches: Iterator[_Batch], ahead: int = 2) -> Iterator[_Batch]:
    """Make batches in a thread of their own, at most `ahead` in advance; an error there is raised here."""
    ready: queue.Queue[_Batch | BaseException | None] = queue.Queue(ahead)
    stopping = threading.Event()

    def put(item: _Batch | BaseException | None) -> bool:
        while not stopping.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for batch in batches:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="freud-audio", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopping.set()
        thread.join()


class _Writer:
    """Fills shards and writes each one atomically, with everything needed to resume after it in its header."""

    def __init__(self, out: Path, sites: list[Site], dtype: torch.dtype, largest_batch: int) -> None:
        self.out = out
        self.sites = sites
        self.dtype = dtype
        row_bytes = sum(site.width for site in sites) * dtype.itemsize
        self.full = max(SHARD_BYTES // row_bytes, 1)  # a shard is closed at the first batch that reaches this
        self.capacity = self.full + largest_batch
        self.buffers = {site.name: torch.empty(self.capacity, site.width, dtype=dtype) for site in sites}
        self.norms = {site.name: torch.empty(self.capacity) for site in sites}
        self.peaks = {site.name: torch.zeros(site.width) for site in sites}
        self.rows = 0
        self.records: list[list[int]] = []  # [clip, window, valid frames] of the open shard
        self.pending_problems: dict[int, tuple[str, str]] = {}
        self._resume()

    def _resume(self) -> None:
        self.shards: list[Path] = []
        self.headers: list[dict[str, Any]] = []
        # Up to the first gap: whoever deletes a damaged shard gets it, and those after it, written again.
        while (path := self._shard()).is_file():
            try:
                with safe_open(path, framework="pt") as file:  # pyright: ignore[reportArgumentType]
                    self.headers.append(json.loads(file.metadata()["freud"]))
            except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
                raise DamagedFileError(f"{path}: damaged ({error}); delete it and run the same command again") from None
            self.shards.append(path)
        self.next: tuple[int, int] = tuple(self.headers[-1]["next"]) if self.headers else (0, 0)
        self.windows = sum(len(header["windows"]) for header in self.headers)
        self.problems: list[tuple[str, str]] = [tuple(p) for h in self.headers for p in h["problems"]]
        self.rows_written = sum(valid for header in self.headers for _, _, valid in header["windows"])

    def _shard(self) -> Path:
        """Path of the shard that is written next."""
        return self.out / f"frames-{len(self.shards):05d}.safetensors"

    def problem(self, clip: int, name: str, reason: str) -> None:
        """Note (from the audio thread) that a clip could not be read."""
        self.pending_problems[clip] = (name, reason)

    def add(self, batch: _Batch, frames: dict[str, torch.Tensor]) -> None:
        """Append the valid frames of a batch; close the shard when it is full."""
        ends = list(accumulate(batch.valid, initial=self.rows))
        for site, values in frames.items():
            for window, part in enumerate(map(slice, ends, ends[1:])):
                rows = values[window, : batch.valid[window]].to("cpu", torch.float32)
                self.norms[site][part] = rows.norm(dim=1)
                torch.maximum(self.peaks[site], rows.abs().amax(0), out=self.peaks[site])
                self.buffers[site][part] = rows
                self._check(site, batch.name[window], self.norms[site][part], self.buffers[site][part])
        self.rows = ends[-1]
        self.records += [list(record) for record in zip(batch.clip, batch.window, batch.valid, strict=True)]
        if self.rows >= self.full:
            self.write(after=(batch.clip[-1], batch.window[-1] + 1))

    def _check(self, site: str, clip: str, norms: torch.Tensor, stored: torch.Tensor) -> None:
        """Every stored value must be finite; the norms (float32) tell a bad model from a narrow dtype."""
        if torch.isfinite(stored).all():
            return
        if not torch.isfinite(norms).all():
            raise FreudError(f"{site}: the model gives values that are not finite on {clip}; check its weights")
        dtype = str(self.dtype).removeprefix("torch.")
        raise FreudError(
            f"{site}: a value of {float(self.peaks[site].max()):.4g} on {clip} is too large for {dtype}; "
            "use --store-dtype bfloat16"
        )

    def write(self, after: tuple[int, int]) -> None:
        """Close the open shard; `after` is the (clip, window) at which the next one starts."""
        # The audio thread runs ahead: only what it said of clips before this point is the same in every run.
        due = sorted(clip for clip in list(self.pending_problems) if clip < after[0])
        problems = [self.pending_problems.pop(clip) for clip in due]
        header = {"windows": self.records, "next": list(after), "problems": problems}
        tensors: dict[str, torch.Tensor] = {}
        for site in self.sites:
            tensors[site.name] = self.buffers[site.name][: self.rows]
            tensors[f"{site.name}:norm"] = self.norms[site.name][: self.rows]
            tensors[f"{site.name}:absmax"] = self.peaks[site.name]
        path = self._shard()
        with artifacts.replacing(path) as temporary:
            save_file(tensors, temporary, {"freud": json.dumps(header, separators=(",", ":"))})
        self.shards.append(path)
        self.headers.append(header)
        self.problems += problems
        self.rows_written += self.rows
        self.rows, self.records = 0, []
        for peak in self.peaks.values():
            peak.zero_()

    def close(self) -> None:
        """Write what is left."""
        if self.rows or self.pending_problems:
            self.write(after=(sys.maxsize, 0))


def _finish(
    out: Path,
    parameters: dict[str, Any],
    model: AudioModel,
    corpus: Corpus,
    sites: list[Site],
    writer: _Writer,
) -> artifacts.Artifact:
    columns: dict[str, list[int]] = {name: [] for name in ("clip", "shard", "first_row", "rows", "first_frame")}
    for shard, header in enumerate(writer.headers):
        row = 0
        for clip, window, valid in header["windows"]:
            if row and columns["clip"][-1] == clip:  # the next window of the same clip lengthens its piece
                columns["rows"][-1] += valid
            else:
                for name, value in zip(
                    columns, (clip, shard, row, valid, window * model.frames_per_window), strict=True
                ):
                    columns[name].append(value)
            row += valid
    with artifacts.replacing(out / "clips.parquet") as temporary:
        pq.write_table(pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()}), temporary)
    with artifacts.replacing(out / "clip_ids.parquet") as temporary:
        pq.write_table(pa.table({"id": [clip.id for clip in corpus]}), temporary)
    path = (corpus.path or corpus.root).resolve()  # a folder of audio is a corpus, too
    facts: dict[str, Any] = {
        "model": {
            "model": model.name,
            "model_fingerprint": model.fingerprint,
        },
        "corpus": {
            "path": str(path),
            "beside": os.path.relpath(path, out.resolve().parent),
            "fingerprint": corpus.fingerprint,
        },
        "frames": writer.rows_written,
        "clips": len(set(columns["clip"])),
        "sites": {
            site.name: {
                "width": site.width,
                "frames_per_second": site.frames_per_second,
                "privileged": site.privileged,
                "residual": site.residual,
                "norm": _norm_statistics(writer.shards, site.name),
            }
            for site in sites
        },
        "problems": [{"clip": name, "reason": reason} for name, reason in writer.problems],
    }
    files = [path.name for path in writer.shards] + ["clips.parquet", "clip_ids.parquet"]
    return artifacts.finish(out, KIND, parameters, files, **facts)


def _norm_statistics(shards: list[Path], site: str) -> dict[str, Any]:
    """Frame norms and massive activations of one site, from the small tensors beside the frames.

    The median is read off a histogram of log-norms (1 % wide bins), so that memory does not grow with the corpus.
    """
    edges = np.exp(np.arange(np.log(1e-6), np.log(1e9), 0.01))
    counts = np.zeros(len(edges) + 1, np.int64)
    square_sum, largest, absmax = 0.0, 0.0, np.zeros(0)
    for path in shards:
        with safe_open(path, framework="np") as file:  # pyright: ignore[reportArgumentType]
            norms = file.get_tensor(f"{site}:norm").astype(np.float64)
            peaks = file.get_tensor(f"{site}:absmax")
        counts += np.bincount(np.searchsorted(edges, norms), minlength=len(counts))
        square_sum += float((norms**2).sum())
        largest = max(largest, float(norms.max(initial=0.0)))
        absmax = peaks if not absmax.size else np.maximum(absmax, peaks)
    total = counts.sum()
    median = float(edges[min(np.searchsorted(np.cumsum(counts), total / 2), len(edges) - 1)])
    massive = np.flatnonzero(absmax > MASSIVE * np.median(absmax))
    return {
        "median": median,
        "rms": float(np.sqrt(square_sum / total)),
        "max": largest,
        "massive_frames": int(counts[np.searchsorted(edges, MASSIVE * median) + 1 :].sum()),
        "massive_coordinates": [{"coordinate": int(i), "absmax": float(absmax[i])} for i in massive],
    }
