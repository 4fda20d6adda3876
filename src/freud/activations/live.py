"""Frames for training straight from the model, with nothing stored, or with the newest few GiB kept on disk.

Sites that are trained on together come out of one pass of the model (`ModelFrames.of_sites`). What is kept on disk
never changes what is trained: windows are then run in fixed groups, whose frames are the same whenever they are run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from freud import artifacts, audio
from freud.activations import stream
from freud.corpus import Clip, Corpus
from freud.errors import FreudError

if TYPE_CHECKING:
    from freud.models import AudioModel

Window = tuple[Clip, float]  # a clip, and where in it the window starts, in seconds


class ModelFrames:
    """Frames of one site straight from the model; every epoch runs the model again, but for what is kept.

    Args:
        model: the model.
        corpus: the clips to run it on.
        site: name of the site.
        clips: ids of the clips to use; all of them if not given.
        batch_size: windows a batch of the model.
        keep: bytes of the newest frames to keep on disk.
        folder: where to keep them; needed with `keep`. Delete it when it is no longer of use.
    """

    def __init__(
        self,
        model: AudioModel,
        corpus: Corpus,
        site: str,
        clips: Sequence[str] | None = None,
        batch_size: int = 8,
        *,
        keep: int = 0,
        folder: Path | None = None,
    ) -> None:
        self._of(_Pass(model, corpus, [site], clips, batch_size, keep, folder), 0)

    @classmethod
    def of_sites(
        cls,
        model: AudioModel,
        corpus: Corpus,
        sites: Sequence[str],
        batch_size: int = 8,
        *,
        keep: int = 0,
        folder: Path | None = None,
    ) -> list[ModelFrames]:
        """A source for each site, in data-flow order. While all ask for the same pools, one pass serves them."""
        shared = _Pass(model, corpus, sites, None, batch_size, keep, folder)
        return [cls.__new__(cls)._of(shared, number) for number in range(len(shared.sites))]

    def _of(self, shared: _Pass, number: int) -> ModelFrames:
        self._pass, self._number = shared, number
        model, corpus = shared.model, shared.corpus
        self.site = shared.sites[number]
        self.width = self.site.width
        self.origin: dict[str, Any] = {
            "model": model.name,
            "model_fingerprint": model.fingerprint,
            "site": self.site.name,
            "compute_dtype": str(model.dtype).removeprefix("torch."),
        }
        self.fingerprint = self.corpus = corpus.fingerprint
        self.clips = shared.clips
        self.frames = shared.frames
        self.problems = shared.problems
        return self

    def only(self, clips: Sequence[str]) -> ModelFrames:
        return ModelFrames.__new__(ModelFrames)._of(self._pass.only(clips), self._number)

    def pools(self) -> int:
        return self._pass.pools

    def pool(self, seed: int, epoch: int, number: int) -> torch.Tensor:
        return self._pass.pool(self.site.name, seed, epoch, number)

    def ordered(self) -> Iterator[torch.Tensor]:
        for block in self._pass.run():
            yield block[self.site.name]


class _Pass:
    """What the sources of several sites share: windows, how they are dealt into pools, and the pool at hand."""

    def __init__(
        self,
        model: AudioModel,
        corpus: Corpus,
        sites: Sequence[str],
        clips: Sequence[str] | None,
        batch_size: int,
        keep: int,
        folder: Path | None,
    ) -> None:
        self.sites = model.select(list(sites))
        self.model, self.corpus, self.batch_size = model, corpus, batch_size
        self.kept = _Kept(folder, keep) if keep and folder else None
        self.seconds = model.window_samples / audio.SAMPLE_RATE
        wanted = None if clips is None else set(clips)
        windows: list[Window] = [
            (clip, start * self.seconds)
            for clip in corpus
            if wanted is None or clip.id in wanted
            for start in range(max(1, int(np.ceil(clip.duration / self.seconds - 1e-6))))
        ]
        if not windows:
            raise FreudError(f"{corpus.root}: no frames of the clips asked for")
        self.clips = list(dict.fromkeys(clip.id for clip, _ in windows))
        self.frames = sum(  # by the length each file claims
            audio.valid_frames(round(min(self.seconds, clip.duration - start) * audio.SAMPLE_RATE))
            for clip, start in windows
        )
        # Windows are dealt one by one, or where frames are kept, in groups that are always run together.
        self.groups = [[window] for window in windows]
        if self.kept:
            order = np.random.default_rng(0).permutation(len(windows))
            self.groups = [
                [windows[i] for i in order[first : first + batch_size]] for first in range(0, len(order), batch_size)
            ]
        width = max(site.width for site in self.sites)
        together = max(1, stream.POOL_BYTES // (4 * width * model.frames_per_window))
        self.pools = min(-(-len(windows) // together), len(self.groups))
        self.problems: dict[str, str] = {}
        self._parts: dict[tuple[str, ...], _Pass] = {}
        self._at: tuple[int, int, int] | None = None
        self._waiting: dict[str, torch.Tensor] = {}  # frames of pool `_at` of sites that have not asked for them yet

    def only(self, clips: Sequence[str]) -> _Pass:
        """The pass over these clips alone: the same one for all sites."""
        if tuple(clips) not in self._parts:
            sites, kept = [site.name for site in self.sites], self.kept
            self._parts[tuple(clips)] = _Pass(
                self.model, self.corpus, sites, clips, self.batch_size, kept.limit if kept else 0, kept and kept.folder
            )
        return self._parts[tuple(clips)]

    def pool(self, site: str, seed: int, epoch: int, number: int) -> torch.Tensor:
        """Frames of one pool at one site, [frames, width]."""
        if self._at != (seed, epoch, number) or site not in self._waiting:
            self._waiting.clear()
            groups = [self.groups[i] for i in stream.deal(len(self.groups), self.pools, seed, epoch, number)]
            rows = sum(map(len, groups)) * self.model.frames_per_window
            frames = {each.name: torch.empty(rows, each.width) for each in self.sites}
            at = 0
            for block in self._blocks(groups):
                size = len(block[site])
                for name, part in block.items():
                    frames[name][at : at + size] = part
                at += size
            self._at = (seed, epoch, number)
            self._waiting = {name: part[:at] for name, part in frames.items()}
        return self._waiting.pop(site)

    def run(self) -> Iterator[dict[str, torch.Tensor]]:
        """Frames of all windows once, a batch at a time, by site."""
        return self._blocks(self.groups)

    def _blocks(self, groups: list[list[Window]]) -> Iterator[dict[str, torch.Tensor]]:
        if not self.kept:
            windows = [window for group in groups for window in group]
            groups = [windows[first : first + self.batch_size] for first in range(0, len(windows), self.batch_size)]
        for group in groups:
            name = self._name(group) if self.kept else ""
            block = self.kept.get(name) if self.kept else None
            if block is None:
                block = self._run(group)
                if self.kept and block is not None:
                    self.kept.put(name, block)
            if block is not None:
                yield block

    def _name(self, group: list[Window]) -> str:
        """Of a file that keeps the frames of a group."""
        windows = [(clip.id, start) for clip, start in group]
        sites = [site.name for site in self.sites]
        return artifacts.fingerprint(
            [self.model.fingerprint, str(self.model.dtype), self.corpus.fingerprint, sites, windows]
        )

    def _run(self, group: list[Window]) -> dict[str, torch.Tensor] | None:
        """Valid frames of the windows that can be read, by site; what cannot be read goes to `problems`."""
        samples = []
        for clip, start in group:
            try:
                part = self.corpus.samples(clip, start, min(self.seconds, clip.duration - start))
            except FreudError as error:
                self.problems[clip.name] = str(error)
            else:
                samples.append(part[: self.model.window_samples])  # resampling may add one
        if not samples:
            return None
        found = self.model.activations(self.model.log_mel(samples), self.sites)
        valid = [audio.valid_frames(len(part)) for part in samples]
        return {
            site.name: torch.cat(
                [found[site.name][i, :count].to("cpu", torch.float32) for i, count in enumerate(valid)]
            )
            for site in self.sites
        }


class _Kept:
    """A folder that holds the newest frames, up to `limit` bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        with artifacts.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
        self.sizes = {path: path.stat().st_size for path in files}  # oldest first

    def get(self, name: str) -> dict[str, torch.Tensor] | None:
        path = self.folder / f"{name}.safetensors"
        try:
            return load_file(path)
        except (SafetensorError, OSError):  # never kept, given up for newer ones, or damaged: the model runs again
            return None

    def put(self, name: str, block: dict[str, torch.Tensor]) -> None:
        path = self.folder / f"{name}.safetensors"
        size = sum(frames.nbytes for frames in block.values())
        while self.sizes and sum(self.sizes.values()) + size > self.limit:
            oldest = next(iter(self.sizes))
            del self.sizes[oldest]
            oldest.unlink(missing_ok=True)
        if size <= self.limit:
            with artifacts.replacing(path) as temporary:
                save_file(block, temporary)
            self.sizes[path] = size
