"""What every audio model offers, whatever its family: named sites to read and write while it runs.

A family (see `whisper.py`) builds the network, says which module is which site, and runs a forward pass; the
hooks live here. Hooks sit on the network itself, so whoever runs it holds the model's lock: threads that share a
model take turns, and none sees the edits of another.
"""

from __future__ import annotations

import abc
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from freud.audio import SAMPLE_RATE
from freud.errors import FreudError
from freud.models import edits as _edits
from freud.models import sites as _sites
from freud.models.edits import Edit, Window
from freud.models.sites import Site

Write = Callable[[Tensor], Tensor]
"""Receives the activations of a site, [B, T, width], and returns what the model shall use instead."""


@dataclass(frozen=True)
class Tap:
    """Where a site is in the network: the output of `module`, or its (first) input."""

    module: nn.Module
    at_input: bool = False

    def read(self, keep: Callable[[Tensor], None]) -> list[RemovableHandle]:
        """Call `keep` with the activations each time they are computed."""
        if self.at_input:
            return [self.module.register_forward_pre_hook(_on_input(keep))]
        return [self.module.register_forward_hook(_on_output(keep))]

    def write(self, replace: Write) -> list[RemovableHandle]:
        """Use `replace(activations)` in place of the activations."""
        if self.at_input:
            return [self.module.register_forward_pre_hook(_on_input(replace))]
        return [self.module.register_forward_hook(_on_output(replace))]


def _on_output(function: Callable[[Tensor], Tensor | None]) -> Callable[..., Tensor | None]:
    return lambda _module, _args, output: function(output)


def _on_input(function: Callable[[Tensor], Tensor | None]) -> Callable[..., Tensor | None]:
    return lambda _module, args: function(args[0])


@dataclass(frozen=True)
class PatternTap:
    """Attention weights, softmax(q k^T / sqrt(d_head)), computed from the projections' outputs.

    The network itself goes on using its fused attention, which never forms them.
    """

    query: nn.Module
    key: nn.Module
    heads: int
    causal: bool

    def read(self, keep: Callable[[Tensor], None]) -> list[RemovableHandle]:
        """Call `keep` with [B, heads, T_query, T_key] each time query and key, in this order, have run."""
        query: Tensor | None = None

        def hold(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
            nonlocal query
            query = output

        def finish(_module: nn.Module, _args: tuple[Any, ...], key: Tensor) -> None:
            assert query is not None
            keep(self._weights(query, key))

        return [self.query.register_forward_hook(hold), self.key.register_forward_hook(finish)]

    def _weights(self, query: Tensor, key: Tensor) -> Tensor:
        q, k = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key))  # [B, heads, T, d_head]
        scores = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).float()
        if self.causal:
            scores = scores.masked_fill(scores.new_ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
        return scores.softmax(-1).to(query.dtype)


@dataclass(frozen=True)
class Segment:
    """A stretch of a clip and what is said in it."""

    start: float
    """Seconds from the start of the clip."""
    end: float
    text: str


@dataclass(frozen=True)
class Transcript:
    """What a model heard in a clip."""

    text: str
    segments: tuple[Segment, ...]
    """One for each window of the model."""
    language: str | None
    """Code of the language that was given or detected (`en`); None for a model of one language."""


@dataclass(frozen=True)
class Hearing:
    """What one row of a batch was decoded to, and how probable that is to each row."""

    text: str
    words: tuple[str, ...]
    tokens: tuple[int, ...]
    """With the prompt, without the end."""
    scores: Tensor | None
    """[rows, words] log-probability of each word to each row, given the words before it; None if not asked for."""
    totals: Tensor | None
    """[rows] log-probability of the whole text, with its end."""
    language: str | None
    """Code of the language that was given or detected."""


class _Stop(Exception):  # noqa: N818 - not an error: ends a forward pass when everything asked for is there
    pass


class AudioModel(abc.ABC):
    """An audio model with named sites. Get one from `freud.models.load`."""

    name: str
    """What `load` was called with; the last part of the path for a folder or a file."""
    fingerprint: str
    """Sixteen hex digits of the architecture and weights, the same from any file format and at any dtype."""
    sites: dict[str, Site]
    """By canonical name, in data-flow order."""
    window_samples: int
    """Samples at 16 kHz that one forward pass sees (Whisper: 480000)."""
    frames_per_window: int
    """Encoder frames of one window (Whisper: 1500)."""
    n_mels: int
    parameters: int
    """Number of weights."""
    device: torch.device
    dtype: torch.dtype
    can_transcribe: bool = False
    notes: tuple[str, ...] = ()
    """What a user should know of the checkpoint, such as tensors that are not used."""

    _taps: dict[str, Tap | PatternTap]

    def __init__(self) -> None:
        self.lock = threading.RLock()  # held while the network runs or hooks are on it

    @abc.abstractmethod
    def log_mel(self, samples: Sequence[np.ndarray]) -> Tensor:
        """The model's input for windows of 16 kHz mono audio, padded with zeros: [B, n_mels, mel frames]."""

    @abc.abstractmethod
    def run(self, mel: Tensor, tokens: Tensor | None = None) -> Tensor:
        """One forward pass: the encoder's output [B, T, width], or with `tokens` [B, L] the decoder's."""

    @abc.abstractmethod
    def transcribe(
        self,
        audio: str | Path | np.ndarray,
        *,
        language: str | None = None,
        task: str | None = None,
        max_new_tokens: int | None = None,
        num_beams: int | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        edits: Sequence[Edit] = (),
        substitute: bool = False,
        pad_frames: bool = False,
    ) -> Transcript:
        """What is said in a clip, decoded greedily unless told otherwise, window by window.

        `freud.edit` says more of the effect of edits.

        Args:
            audio: a file, or an array of 16 kHz mono samples.
            language: code or name (`en`, `german`); if not given, what the checkpoint's generation config asks for,
                or the language detected in the first window.
            task: `transcribe`, or `translate` to English; if not given, what the checkpoint asks for.
            max_new_tokens: at most so many tokens a window; by default as many as the decoder can hold.
            num_beams: width of a beam search; 1 is greedy; if not given, what the checkpoint asks for, or 1.
            temperature: draw tokens from probabilities^(1 / temperature); 0 takes the most probable.
            seed: of the draw.
            edits: changes to features while the model listens: `[sae[30].scale(-1)]`.
            substitute: with edits of latents, replace activations by the bare reconstruction.
            pad_frames: edit the padding behind the clip as well.

        Raises:
            UnknownNameError: the model does not know the language or the task, or a feature that is edited.
            FreudError: the model has no decoder or no vocabulary, or the audio cannot be read.
        """

    def hear(
        self,
        encoded: Tensor,
        *,
        language: str | None = None,
        task: str | None = None,
        search: Any = None,
        scored: Sequence[int] = (),
        alike: bool = False,
    ) -> list[Hearing]:
        """Decode rows of encoder output as one batch.

        Args:
            encoded: [rows, T, width], as from `run`.
            language: as `transcribe`; that of the first row if not given.
            task: as `transcribe`.
            search: how, a `whisper_decoding.Search`; greedy if not given.
            scored: rows whose text is to be scored by every row.
            alike: the rows likely hear the same, which makes it faster; hooks must treat rows alike.

        Raises:
            FreudError: the model cannot transcribe.
        """
        raise FreudError(f"{self.name} cannot transcribe; load a whole checkpoint, such as tiny")

    def reread(self, encoded: Tensor, hearing: Hearing) -> None:
        """Run the decoder over a text that was heard, for hooks to see: encoded [1, T, width]."""
        raise FreudError(f"{self.name} cannot transcribe; load a whole checkpoint, such as tiny")

    def run_variants(self, mel: Tensor, variants: Sequence[Mapping[str, Write]]) -> list[Tensor]:
        """`run` under each of several sets of writes at encoder sites, without gradients.

        Each output is bit for bit what `run` gives under those writes alone. What comes before the first site written
        is computed once, where the family knows how.

        Args:
            mel: [B, n_mels, mel frames].
            variants: for each, functions by site, as `hooked` takes them; an empty one is the model as it is.
        """
        outputs = []
        for variant in variants:
            with torch.inference_mode(), self.hooked(write=variant):
                outputs.append(self.run(mel))
        return outputs

    @contextlib.contextmanager
    def edited(
        self,
        edits: Sequence[Edit],
        *,
        samples: int | Sequence[int] | None = None,
        substitute: bool = False,
        pad_frames: bool = False,
    ) -> Iterator[None]:
        """Apply edits to any forward pass inside the block; they are gone after it, also after an exception.

        Args:
            edits: one or many.
            samples: how many samples at 16 kHz each window given to the model holds, to leave the padding behind
                them alone; one number for all, or one a row. Left out, every frame counts as sound.
            substitute: replace activations by the bare reconstruction of the edited latents.
            pad_frames: edit padding as well.

        Raises:
            FreudError: an edit does not fit the model, or two contradict each other.
        """
        counts = [samples] if isinstance(samples, int) else samples or [self.window_samples]
        _edits.check(edits, self, max(counts) / SAMPLE_RATE)
        windows = [Window(0, count) for count in counts]
        write = _edits.writes(edits, self, windows, substitute=substitute, pad_frames=pad_frames)
        with self.hooked(write=write):
            yield

    def select(self, patterns: Sequence[str]) -> list[Site]:
        """The sites that match names, aliases or globs, in data-flow order; see `sites.select`."""
        return _sites.select(self.sites, patterns)

    def site(self, site: str | Site) -> Site:
        """The site of this model with the given name or alias.

        Raises:
            UnknownNameError: this model has no such site.
        """
        name = site.name if isinstance(site, Site) else site
        return self.sites.get(name) or self.select([name])[0]

    @contextlib.contextmanager
    def hooked(
        self, read: Sequence[str | Site] = (), write: Mapping[str, Write] | None = None, *, stop: bool = False
    ) -> Iterator[dict[str, Tensor]]:
        """Read and write sites in whatever the model runs inside the block; every hook is gone after it.

        The block holds the model's lock: another thread's passes wait for its end.

        Args:
            read: sites to keep. Each time one is computed the yielded dict gets it, as the rest of the model
                sees it (after a write at the same site). Its tensors are the network's: do not change them.
            write: for each site, a function from its activations [B, T, width] to their replacement.
            stop: end the block at the moment the last of `read` is there; nothing after that runs.

        Yields:
            the activations read so far, by canonical name.

        Raises:
            UnknownNameError: there is no such site.
            FreudError: a site cannot be written, or a replacement has another shape.
        """
        wanted = [self.site(site) for site in read]
        writes = {self.site(name): function for name, function in (write or {}).items()}
        captured: dict[str, Tensor] = {}
        expected = len({site.name for site in wanted})

        def keeper(name: str) -> Callable[[Tensor], None]:
            def keep(activations: Tensor) -> None:
                captured[name] = activations
                if stop and len(captured) == expected:
                    raise _Stop(captured)

            return keep

        handles: list[RemovableHandle] = []
        self.lock.acquire()
        try:
            for site, function in writes.items():  # before the reads, which so see what was written
                tap = self._taps[site.name]
                if isinstance(tap, PatternTap):
                    heads = site.name.removesuffix("pattern") + "heads"
                    raise FreudError(f"site {site.name} is read-only; write {heads} instead")
                handles += tap.write(same_shape(site, function))
            for name in dict.fromkeys(site.name for site in wanted):
                handles += self._taps[name].read(keeper(name))
            yield captured
        except _Stop as reached:
            if reached.args[0] is not captured:  # another `hooked` block around this one
                raise
        finally:
            for handle in handles:
                handle.remove()
            self.lock.release()

    def activations(
        self, mel: Tensor, sites: Sequence[str | Site], *, tokens: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Activations at many sites from one forward pass, which ends right after the deepest of them.

        Args:
            mel: [B, n_mels, mel frames], as from `log_mel`.
            sites: names, aliases or sites.
            tokens: [B, L] token ids that the decoder is given (teacher forcing), for decoder sites only.

        Returns:
            by canonical name, in the order asked: [B, T, width] in the model's dtype on its device; patterns
            are [B, heads, T_query, T_key]. T is `frames_per_window` in the encoder and L in the decoder.

        Raises:
            UnknownNameError: there is no such site.
            FreudError: `mel` has the wrong shape, or a decoder site is asked without tokens.
        """
        names = list(dict.fromkeys(self.site(site).name for site in sites))
        decoder = next((name for name in names if name.startswith("decoder.")), None)
        if decoder and tokens is None:
            raise FreudError(f"site {decoder} needs tokens=[batch, length], the text the decoder is given")
        with torch.inference_mode(), self.hooked(read=names, stop=True) as captured:
            if names:
                self.run(mel, tokens if decoder else None)
        return {name: captured[name] for name in names}

    def describe(self) -> dict[str, Any]:
        """What `freud models NAME` prints, as JSON values."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "parameters": self.parameters,
            "window_seconds": self.window_samples / 16000,
            "frames_per_window": self.frames_per_window,
            "n_mels": self.n_mels,
            "can_transcribe": self.can_transcribe,
            **({"notes": "; ".join(self.notes)} if self.notes else {}),
            "sites": [site.as_json() for site in self.sites.values()],
        }


def same_shape(site: Site, function: Write) -> Write:
    """`function`, with a clear error where its result has another shape, in the dtype of what it was given."""

    def checked(activations: Tensor) -> Tensor:
        replacement = function(activations)
        if replacement.shape != activations.shape:
            raise FreudError(
                f"the write at {site.name} returned {tuple(replacement.shape)} for"
                f" {tuple(activations.shape)}; it must keep the shape"
            )
        return replacement.to(activations)

    return checked
