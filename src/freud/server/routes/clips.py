"""Clips, of the corpus and uploaded: what they are, how they sound and look, and what features do on them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from freud.server import activity, exports, schemas, sounds
from freud.server.images import image_response
from freud.server.library import COLUMNS
from freud.server.routes.common import (
    IMAGE,
    WAV,
    BasisQuery,
    ClipId,
    Count,
    Features,
    Here,
    Offset,
    Search,
    Seconds,
    SiteQuery,
    files,
)

router = APIRouter(prefix="/api", tags=["clips"])
Columns = Annotated[int, Query(ge=16, le=65536, description="at most; each is the mean of several if need be")]


@router.get("/clips")
async def clips(
    here: Here,
    request: Request,
    query: Search = None,
    speaker: Search = None,
    label: Search = None,
    offset: Offset = 0,
    n: Count = 50,
) -> schemas.ClipPage:
    """The clips of the corpus, in its order; `query` looks in names and transcripts."""
    return await here.queries.run(
        request, here.library.page, query=query, speaker=speaker, label=label, offset=offset, n=n
    )


@router.post(
    "/uploads",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "audio/*": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def upload(
    here: Here, request: Request, name: Annotated[str, Query(max_length=200, description="for people")] = "recording"
) -> schemas.Upload:
    """Send a recording as the body, in any format that FREUD reads. Its id serves wherever a clip's does, until newer
    uploads push it out."""
    return await here.receive_upload(request, name)


@router.delete("/uploads/{clip}", status_code=204)
async def forget(here: Here, clip: ClipId) -> None:
    """Forget an upload now."""
    here.uploads.remove(clip)


@router.get("/clips/{clip}")
async def clip(here: Here, request: Request, clip: ClipId) -> schemas.Clip:
    """What is known of a clip, with its tiers."""
    return await here.queries.run(request, here.library.describe, clip)


@router.get("/clips/{clip}/audio", response_class=Response, responses=WAV | {206: {"description": "a range of bytes"}})
async def audio(
    here: Here,
    request: Request,
    clip: ClipId,
    format: Literal["wav", "original"] = "wav",
    start: Seconds = None,
    end: Seconds = None,
    download: bool = False,
) -> Response:
    """A clip, or a span of it, as a 16-bit WAV at 16 kHz (what the model hears), or the original file of a whole clip.
    Takes HTTP ranges."""
    return await here.sound.run(
        request, sounds.audio, here.library, request.headers, clip,
        format=format, start=start, end=end, download=download,
    )  # fmt: skip


@router.get("/clips/{clip}/emphasis", response_class=Response, responses=WAV)
async def emphasis(
    here: Here,
    request: Request,
    clip: ClipId,
    site: SiteQuery,
    basis: BasisQuery,
    feature: Annotated[int, Query(ge=0, lt=2**31)],
    dim: Annotated[float, Query(ge=0, le=1, description="level of the rest")] = 0.1,
    start: Seconds = None,
    end: Seconds = None,
) -> Response:
    """A clip, or a span of it, with the sound around each event of a feature at full level, and the rest dimmed. Takes
    HTTP ranges."""
    return await here.model_or_query(
        clip, request, sounds.emphasis, here.library, here.activity, request.headers, clip,
        here.result.site(site, basis), feature, dim=dim, start=start, end=end,
    )  # fmt: skip


@router.get("/clips/{clip}/mel", response_class=Response, responses=IMAGE)
async def mel(
    here: Here, request: Request, clip: ClipId, start: Seconds = None, end: Seconds = None, columns: Columns = COLUMNS
) -> Response:
    """The log-mel spectrogram that the model receives, or a span of it, 8 bits a value, 100 columns a second; fewer
    where that makes more than `columns`."""
    return image_response(await here.sound.run(request, here.library.mel, clip, start, end, columns))


@router.get("/clips/{clip}/spectrogram", response_class=Response, responses=IMAGE)
async def spectrogram(
    here: Here, request: Request, clip: ClipId, start: Seconds = None, end: Seconds = None, columns: Columns = COLUMNS
) -> Response:
    """A wide-band spectrogram (5 ms windows, linear in frequency, dB), or a span of it, 8 bits a value, 200 columns a
    second; fewer where that makes more than `columns`."""
    return image_response(await here.sound.run(request, here.library.spectrogram, clip, start, end, columns))


@router.get("/clips/{clip}/traces")
async def traces(
    here: Here, request: Request, clip: ClipId, site: SiteQuery, basis: BasisQuery, feature: Features
) -> schemas.Traces:
    """The values of features on every frame of a clip."""
    return await here.model_or_query(
        clip, request, activity.traces, here.activity, here.result.site(site, basis), clip, feature
    )


@router.get("/clips/{clip}/features")
async def clip_features(
    here: Here,
    request: Request,
    clip: ClipId,
    site: SiteQuery,
    basis: BasisQuery,
    n: Count = 10,
    start: Seconds = None,
    end: Seconds = None,
    rank: schemas.Rank = "max",
    traces: bool = False,
) -> schemas.ActiveFeatures:
    """The features that are largest on a clip or a span of it, by magnitude, or by how unusual the value is for the
    feature, so that those that are always on do not win."""
    return await here.model_or_query(
        clip, request, activity.ranked, here.activity, here.result.site(site, basis), clip,
        n=n, start=start, end=end, rank=rank, traces=traces,
    )  # fmt: skip


@router.get("/clips/{clip}/transcript")
async def transcript(
    here: Here, request: Request, clip: ClipId, start: Seconds = None, end: Seconds = None
) -> schemas.Transcript:
    """What was said in the clip, if the corpus knows, and what the model hears in it, or in a span of it."""
    return await here.model_work.run(request, here.transcript, clip, start, end)


@router.get(
    "/clips/{clip}/export",
    response_class=Response,
    responses=files(TextGrid="text/plain", CSV="text/csv", JSON="application/json"),
)
async def export(
    here: Here,
    request: Request,
    clip: ClipId,
    format: Literal["textgrid", "audacity", "csv", "json"],
    site: Annotated[str | None, Query(max_length=200)] = None,
    basis: schemas.Basis | None = None,
    feature: Annotated[list[Annotated[int, Query(ge=0, lt=2**31)]], Query(max_length=16)] = [],  # noqa: B006
) -> Response:
    """The tiers of a clip and the events of features on it, as a file: TextGrid, Audacity labels, CSV or JSON."""
    which = here.result.site(site, basis) if site and basis else None
    return await here.model_or_query(
        clip, request, exports.clip_labels, here.library, here.activity, clip, which, feature, format
    )
