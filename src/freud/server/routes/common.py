"""Parameters and answers that many routes share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from pydantic import Field

from freud.server.schemas import Basis
from freud.server.serving import Serving


def _serving(request: Request) -> Serving:
    return request.app.state.serving


Here = Annotated[Serving, Depends(_serving)]
SiteName = Annotated[str, Path(max_length=200, description="canonical name, such as encoder.blocks.2")]
FeatureNumber = Annotated[int, Path(ge=0, lt=2**31)]
ClipId = Annotated[str, Path(max_length=100)]
SiteQuery = Annotated[str, Query(max_length=200)]
BasisQuery = Annotated[Basis, Query()]
Count = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, lt=2**31)]
Limit = Annotated[float | None, Query(allow_inf_nan=False)]
Seconds = Annotated[float | None, Query(ge=0, le=1e6, allow_inf_nan=False)]
Features = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Query(min_length=1, max_length=64)]
Search = Annotated[str | None, Query(max_length=200)]


def binary(media_type: str, what: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of an answer that is not JSON."""
    return {200: {"description": what, "content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}}


def files(**kinds: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of an exported file in one of several formats, as media type and what it is."""
    content = {kind: {} if kind == "application/json" else {"schema": {"type": "string"}} for kind in kinds.values()}
    return {200: {"description": f"a file: {', '.join(kinds)}", "content": content}}


WAV = binary("audio/wav", "16-bit WAV, mono")
IMAGE = binary("application/octet-stream", "a picture in the format of docs/app.md")
