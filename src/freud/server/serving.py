"""Everything a running server holds: the result, the model, clips and uploads, notes, and the pools of threads."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from starlette.requests import ClientDisconnect, Request

from freud.errors import FreudError
from freud.server import bundled, pages, schemas, sounds
from freud.server.activity import Activity
from freud.server.library import Library
from freud.server.model import ServedModel
from freud.server.notes import Notes
from freud.server.problems import Problem
from freud.server.result import Result
from freud.server.uploads import Uploads
from freud.server.work import Pool, Stopped
from freud.version import __version__

T = TypeVar("T")
PAGE = 200
_KINDS = ("audio/", "video/webm", "video/mp4", "video/quicktime", "video/x-matroska", "application/octet-stream",
          "application/ogg")  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What `freud serve` can be told.

    Attributes:
        upload_bytes, upload_seconds: the largest recording that is taken.
        body_seconds: in which a client must have sent its request.
        query_seconds, model_seconds: in which a question to the index, or one that runs the model, must be answered.
        model_waiting: requests that may wait for the model.
        notes: file of notes; `notes.sqlite` in the result if not given.
        model: what to load in place of the model that the result names.
        device, dtype: where and in what the model computes.
    """

    upload_bytes: int = 25_000_000
    upload_seconds: float = 300.0
    body_seconds: float = 60.0
    query_seconds: float = 30.0
    model_seconds: float = 120.0
    model_waiting: int = 8
    notes: Path | None = None
    model: str | None = None
    device: str = "cpu"
    dtype: str = "float32"


class Serving:
    """The state of one server."""

    def __init__(self, path: Path | str, options: Options = Options()) -> None:
        self.options = options
        self.notes = Notes(options.notes or Path(path) / "notes.sqlite")
        self.result = Result(path, model=options.model, notes=self.notes)
        self.model = ServedModel(
            self.result.model, self.result.model_fingerprint, device=options.device, dtype=options.dtype
        )
        self.uploads = Uploads(max_seconds=options.upload_seconds)
        self.library = Library(self.result, self.model, self.uploads)
        self.activity = Activity(self.library, self.model)
        self._finding = threading.Lock()
        threads = max(4, os.cpu_count() or 1)
        self.queries = Pool("search", workers=threads, waiting=256, seconds=options.query_seconds)
        self.sound = Pool("audio", workers=threads, waiting=256, seconds=options.query_seconds)
        # what stands beside the results of a search takes no time from them, nor from the browser that draws them
        self.beside = Pool("statistics", workers=1, waiting=256, seconds=options.query_seconds, nice=10)
        self.decoding = Pool("uploads", workers=1, waiting=8, seconds=options.query_seconds + 30)
        self.model_work = Pool(
            "model", workers=1, waiting=options.model_waiting, seconds=options.model_seconds,
            cores=torch.get_num_threads(),
        )  # fmt: skip

    def start(self) -> None:
        """Get ready in the background: check the files that a first search needs, then load the model."""
        threading.Thread(target=self._prepare, name="freud-prepare", daemon=True).start()

    def _prepare(self) -> None:
        for site in self.result:
            with contextlib.suppress(FreudError):  # whoever asks for it is told
                site.table()
                pages.hits(site, self.library, 0, traces=True)
        self.model.load()
        gc.freeze()  # or every full collection walks the libraries' objects again, while all threads wait: 0.2 s
        with contextlib.suppress(FreudError):
            _ = self.sounds

    def close(self) -> None:
        """Stop the pools, and remove the uploads from the disk."""
        for pool in (self.queries, self.sound, self.beside, self.decoding, self.model_work):
            pool.close()
        self.uploads.close()
        self.notes.close()
        gc.unfreeze()

    @property
    def bundled_site(self) -> str | None:
        """The site of the SAE that comes with FREUD, if the result is of its model."""
        return bundled.site_for(self.result.model_fingerprint)

    @property
    def sounds(self) -> list[bundled.Sound]:
        """The phones that latents of the bundled SAE agree with, where the result has what it takes to find out; found
        once, by whoever comes first, while the others wait.
        """
        with self._finding:
            return self._sounds

    @cached_property
    def _sounds(self) -> list[bundled.Sound]:
        for site in self.result:
            if site.site == self.bundled_site and site.index.has_activations and self.library.has_corpus:
                return bundled.sounds(bundled.bundled_sae(), site.index.activations, self.library.corpus)
        return []

    def status(self) -> schemas.Status:
        """What is being served."""
        model = self.model
        described = model.describe()
        problem = model.problem
        if problem is None and model.state == "ready" and not model.same:
            problem = f"the model {model.name} has changed since this result was made: nothing that runs it is possible"
        usable = model.state == "ready" and problem is None
        return schemas.Status(
            version=__version__,
            result=self.result.path.resolve().name,
            model=model.name,
            model_state=model.state,
            problem=problem,
            can_transcribe=usable and bool(described.can_transcribe),
            can_edit=usable,
            bundled_site=self.bundled_site if usable else None,
            limits=schemas.Limits(
                upload_bytes=self.options.upload_bytes, upload_seconds=self.options.upload_seconds, page=PAGE
            ),
        )

    def transcript(self, clip: str, start: float | None = None, end: float | None = None) -> schemas.Transcript:
        """What was said in a clip, and what the model hears in it, or in a span of it.

        Raises:
            UnknownNameError: no such clip.
            FreudError: an empty span, or the model writes no text.
        """
        row = self.library.row(clip)
        samples = sounds.cut(self.library.samples(clip), start, end)
        with self.model.using(same=False) as model:
            heard = model.transcribe(samples)
        return schemas.Transcript(
            said=row["transcript"],
            heard=heard.text,
            segments=[
                schemas.Heard(text=one.text, start=one.start + (start or 0.0), end=one.end + (start or 0.0))
                for one in heard.segments
            ],
            language=heard.language,
        )

    async def model_or_query(
        self, clip: str, request: Request, function: Callable[..., T], *args: Any, **options: Any
    ) -> T:
        """Run in the pool of the model if the clip is an upload, in that of the queries otherwise."""
        pool = self.model_work if self.activity.needs_model(clip) else self.queries
        return await pool.run(request, function, *args, **options)

    async def receive_upload(self, request: Request, name: str) -> schemas.Upload:
        """Take a recording from the body of a request.

        Raises:
            Problem: it is too large, too long, or not audio.
        """
        kind = request.headers.get("content-type", "application/octet-stream").split(";")[0].strip().lower()
        if not kind.startswith(_KINDS):
            raise Problem(415, f"a body of {kind} is not a recording: send the file as audio or octet-stream")
        file = self.uploads.folder / secrets.token_hex(16)
        try:
            size = 0
            with file.open("wb") as out:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > self.options.upload_bytes:
                        raise self.too_large()
                    out.write(chunk)
            if not size:
                raise Problem(422, "the body is empty: send the recording as the body of the request")
            clip = await self.decoding.run(request, self.uploads.add, file, name)
        except ClientDisconnect:
            raise Stopped from None
        finally:
            await asyncio.to_thread(file.unlink, missing_ok=True)
        return schemas.Upload(**self.library.row(clip.id), sample_rate=clip.sample_rate, channels=clip.channels)

    def too_large(self) -> Problem:
        """The answer to a body that is larger than is taken."""
        return Problem(413, f"the recording is larger than {self.options.upload_bytes / 1e6:g} MB: send a part of it")
