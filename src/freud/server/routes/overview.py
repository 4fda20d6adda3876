"""What is being served: status, models, sites, corpora."""

from __future__ import annotations

from fastapi import APIRouter

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
async def sites(here: Here) -> list[schemas.Site]:
    """The indexed sites, one entry for each basis."""
    return here.result.sites


@router.get("/corpora")
async def corpora(here: Here) -> list[schemas.Corpus]:
    """The corpora that were indexed."""
    return here.library.corpora()
