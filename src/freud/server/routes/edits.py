"""Edits: what the model hears when features are changed."""

from __future__ import annotations

from fastapi import APIRouter, Request

from freud.server import edits, schemas
from freud.server.routes.common import Here

router = APIRouter(prefix="/api", tags=["edits"])


@router.post("/edits")
async def edit(here: Here, request: Request, body: schemas.EditRequest) -> schemas.EditResult:
    """Run a clip with features changed; beside it the model as it is, and the unedited reconstruction."""
    return await here.model_work.run(request, edits.run, here, body)


@router.post("/curves")
async def curve(here: Here, request: Request, body: schemas.CurveRequest) -> schemas.Curve:
    """The effect of one edit over a range of values."""
    return await here.model_work.run(request, edits.curve, here, body)


@router.get("/examples")
async def examples(here: Here, request: Request) -> list[schemas.Example]:
    """Edits to start from, where the result is of a model that has some."""
    return await here.queries.run(request, edits.examples, here)
