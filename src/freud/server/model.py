"""The one model of a server: loaded in the background, used by one thread at a time, and stopped when nobody waits.

Work on it runs inside `using`, which puts a check at every block of the network: a request whose client has gone stops
within one block of one forward pass.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch

from freud import audio, models
from freud.errors import FreudError
from freud.models import AudioModel
from freud.server import schemas
from freud.server.work import check

BATCH = 8  # windows that go through the model together


class ServedModel:
    """A model that may still be loading.

    Attributes:
        name: what it is loaded by.
        fingerprint: of the model that the result was made with.
        device, dtype: where and in what it computes.
    """

    def __init__(self, name: str, fingerprint: str, *, device: str = "cpu", dtype: str = "float32") -> None:
        self.name, self.fingerprint = name, fingerprint
        self.device, self.dtype = device, dtype
        self.problem: str | None = None
        self._model: AudioModel | None = None
        self._ready = threading.Event()

    def load(self) -> None:
        """Load now; what goes wrong is kept in `problem`."""
        try:
            self._model = models.load(self.name, device=self.device, dtype=self.dtype)
        except FreudError as error:
            self.problem = str(error)
        except Exception as error:  # a library's own: the server goes on without a model, and says why
            self.problem = f"{self.name}: cannot be loaded: {error}"
        self._ready.set()

    @property
    def state(self) -> Literal["loading", "ready", "failed"]:
        """Where loading stands."""
        if not self._ready.is_set():
            return "loading"
        return "ready" if self._model else "failed"

    @property
    def same(self) -> bool:
        """Whether the model is the one that the result was made with."""
        return self._model is not None and self.fingerprint in {"", self._model.fingerprint}

    def get(self) -> AudioModel:
        """The model, when it is loaded.

        Raises:
            FreudError: it cannot be loaded.
        """
        self._ready.wait()
        if self._model is None:
            raise FreudError(f"this needs the model, and {self.problem}")
        return self._model

    @contextlib.contextmanager
    def using(self, *, same: bool = True) -> Iterator[AudioModel]:
        """The model for this thread alone; inside the block, every forward pass stops when nobody waits for it.

        Args:
            same: refuse a model other than the one that the result was made with.

        Raises:
            FreudError: it cannot be loaded, or it is another one.
        """
        model = self.get()
        if same and not self.same:
            raise FreudError(
                f"{self.name} has changed since this result was made ({model.fingerprint}, then {self.fingerprint}); "
                "make the result again, or give the old model with --model"
            )

        def checked(activations: torch.Tensor) -> torch.Tensor:
            check()
            return activations

        blocks = {site.name: checked for site in model.sites.values() if site.residual}
        with model.hooked(write=blocks), torch.inference_mode():  # which holds the model's lock
            check()
            yield model

    def activations(self, samples: np.ndarray, site: str, dtype: torch.dtype) -> np.ndarray:
        """The valid frames of a clip at a site, as collecting and storing them in `dtype` would give: [frames, width].

        Args:
            samples: float32 [n] at 16 kHz.
            site: name of the site.
            dtype: that the result's activations are stored in.
        """
        with self.using() as model:
            windows = [samples[i : i + model.window_samples] for i in range(0, len(samples), model.window_samples)]
            frames = []
            for first in range(0, len(windows), BATCH):
                batch = windows[first : first + BATCH]
                values = model.activations(model.log_mel(batch), [site])[site]
                for window, row in zip(batch, values, strict=True):
                    frames.append(row[: audio.valid_frames(len(window))].to(dtype).float().cpu())
            return torch.cat(frames).numpy()

    def describe(self) -> schemas.Model:
        """What the API says of it."""
        model = self._model
        return schemas.Model(
            name=self.name,
            fingerprint=self.fingerprint,
            state=self.state,
            parameters=model and model.parameters,
            n_mels=model and model.n_mels,
            window_seconds=model and model.window_samples / audio.SAMPLE_RATE,
            frames_per_window=model and model.frames_per_window,
            can_transcribe=model and model.can_transcribe,
        )
