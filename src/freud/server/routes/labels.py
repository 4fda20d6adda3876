"""Labels: what features were scored against, and which respond to one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from freud.server import labels as pages
from freud.server import listening, schemas
from freud.server.routes.common import Count, FeatureNumber, Here, SiteName

router = APIRouter(prefix="/api", tags=["labels"])


@router.get("/labels")
async def labels(here: Here, request: Request) -> list[schemas.Label]:
    """The labels that features were scored against; none before `freud name`."""
    return await here.queries.run(request, pages.labels, here.result)


@router.get("/label")
async def label(
    here: Here,
    request: Request,
    label: Annotated[str, Query(max_length=200, description="id or text: phone:M, /m/ or m")],
    n: Count = 20,
) -> schemas.LabelPage:
    """A label's page: its best features, the curve over depth, the controls."""
    return await here.queries.run(request, pages.page, here.result, label, n)


@router.get("/sites/{site}/{basis}/matrix")
async def matrix(here: Here, request: Request, site: SiteName, basis: schemas.Basis) -> schemas.Matrix:
    """How often the best feature of each phone is active on each phone."""
    return await here.queries.run(request, pages.matrix, here.result.site(site, basis))


@router.get("/sites/{site}/{basis}/features/{feature}/scores")
async def scores(
    here: Here, request: Request, site: SiteName, basis: schemas.Basis, feature: FeatureNumber
) -> list[schemas.LabelScore]:
    """The labels that agree best with a feature."""
    return await here.queries.run(request, pages.scores, here.result.site(site, basis), feature)


@router.get("/sites/{site}/{basis}/features/{feature}/questions")
async def questions(
    here: Here,
    request: Request,
    site: SiteName,
    basis: schemas.Basis,
    feature: FeatureNumber,
    side: schemas.Side = "+",
    n: Annotated[int, Query(ge=2, le=100)] = 20,
    seed: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> list[schemas.Question]:
    """A blind listening test: places on held-out clips, some of them events of the feature, the others look-alikes."""
    return await here.queries.run(
        request, listening.questions, here.result.site(site, basis), feature, side=side, n=n, seed=seed
    )


@router.post("/sites/{site}/{basis}/features/{feature}/answers")
async def answers(
    here: Here, request: Request, site: SiteName, basis: schemas.Basis, feature: FeatureNumber, body: schemas.Answers
) -> schemas.Detection:
    """How well the questions of a listening test were answered, and the truth."""
    return await here.queries.run(request, listening.score, here.result.site(site, basis), feature, body)
