"""What is being served: status, models, sites, corpora."""

from __future__ import annotations

from fastapi import APIRouter, Request

from freud.server import schemas
from freud.server.routes.common import Here

router = APIRouter(prefix="/api", tags=["overview"])


@router.get("/status")
async def status(here: Here) -> schemas.Status:
    """The folder, its model, and what the server takes at most. Answers at once, also while the model loads."""
    return here.status()


@router.get("/models")
async def models(here: Here) -> list[schemas.Model]:
    """The models whose activations the result has."""
    return [here.model.describe()]


@router.get("/sites")
async def sites(here: Here, request: Request) -> list[schemas.Site]:
    """The indexed sites, one entry for each basis."""
    return await here.queries.run(request, here.result.describe)


@router.get("/corpora")
async def corpora(here: Here, request: Request) -> list[schemas.Corpus]:
    """The corpora that were indexed."""
    return await here.queries.run(request, here.library.corpora)
