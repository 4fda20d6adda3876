"""Features: list, statistics, search, events, neighbours, pictures, export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from freud.server import exports, montage, pages, schemas
from freud.server.images import image_response
from freud.server.routes.common import IMAGE, WAV, Count, FeatureNumber, Here, Limit, Offset, Search, SiteName, files

router = APIRouter(prefix="/api/sites/{site}/{basis}", tags=["features"])


@dataclass(frozen=True)
class Events:
    """Which events of a feature: parameters of the routes that list, average and play them."""

    band: schemas.Band = "top"
    seed: Annotated[int, Query(ge=0, lt=2**31, description="of the random band")] = 0


EventsQuery = Annotated[Events, Depends()]


@router.get("/features")
async def features(
    here: Here,
    request: Request,
    site: SiteName,
    basis: schemas.Basis,
    sort: schemas.Sort = "density",
    ascending: bool = False,
    dead: schemas.Dead = "exclude",
    query: Search = None,
    min_density: Limit = None,
    max_density: Limit = None,
    min_max: Limit = None,
    max_max: Limit = None,
    named: bool | None = None,
    offset: Offset = 0,
    n: Count = 50,
) -> schemas.FeaturePage:
    """A page of the table of features; `query` looks in their names (any case), or is a feature's number."""
    ranges = {"density": (min_density, max_density), "max": (min_max, max_max)}
    return await here.queries.run(
        request, pages.features, here.result.site(site, basis),
        sort=sort, ascending=ascending, dead=dead, query=query, ranges=ranges, named=named, offset=offset, n=n,
    )  # fmt: skip


@router.get("/overview")
async def overview(here: Here, request: Request, site: SiteName, basis: schemas.Basis) -> schemas.Overview:
    """Density and maximum of every feature that is not dead."""
    return await here.queries.run(request, pages.overview, here.result.site(site, basis))


@router.get("/features/{feature}")
async def feature(
    here: Here, request: Request, site: SiteName, basis: schemas.Basis, feature: FeatureNumber
) -> schemas.Feature:
    """Statistics, histograms, and the name with its evidence."""
    return await here.queries.run(request, pages.feature, here.result.site(site, basis), feature)


@router.put("/features/{feature}/name")
async def rename(
    here: Here,
    request: Request,
    site: SiteName,
    basis: schemas.Basis,
    feature: FeatureNumber,
    body: schemas.NameRequest,
) -> schemas.Feature:
    """Give a feature a name of your own, which goes before the automatic one; null takes it back."""
    return await here.queries.run(request, pages.rename, here.result.site(site, basis), feature, body.name, body.side)


@router.get("/features/{feature}/clips")
async def clips(
    here: Here,
    request: Request,
    site: SiteName,
    basis: schemas.Basis,
    feature: FeatureNumber,
    n: Count = 10,
    offset: Offset = 0,
    min: Limit = None,
    max: Limit = None,
    absolute: bool = False,
    traces: bool = False,
) -> schemas.HitPage:
    """The clips that drive a feature most, by its maximum; by magnitude with `absolute`, the limits then applying to
    the signed value. A clip on which a latent is silent is not listed. `traces` adds the values on every frame."""
    return await here.queries.run(
        request, pages.hits, here.result.site(site, basis), here.library, feature,
        n=n, offset=offset, min=min, max=max, absolute=absolute, traces=traces,
    )  # fmt: skip


@router.get("/features/{feature}/events")
async def events(
    here: Here,
    request: Request,
    site: SiteName,
    basis: schemas.Basis,
    feature: FeatureNumber,
    of: EventsQuery,
    n: Count = 10,
) -> schemas.EventPage:
    """Events of a feature by the size of their peak: the largest, the smallest (for neurons the most negative), a
    random choice, or an even choice of one tenth of them."""
    return await here.queries.run(
        request, pages.events, here.result.site(site, basis), here.library, feature, n=n, **vars(of)
    )


@router.get("/features/{feature}/neighbours")
async def neighbours(
    here: Here, request: Request, site: SiteName, basis: schemas.Basis, feature: FeatureNumber, n: Count = 10
) -> schemas.Neighbours:
    """Features with a similar decoder vector, and features that are active on the same frames."""
    return await here.beside.run(request, pages.neighbours, here.result.site(site, basis), feature, n)


@router.get("/features/{feature}/average", response_class=Response, responses=IMAGE)
async def average(
    here: Here,
    request: Request,
    site: SiteName,
    basis: schemas.Basis,
    feature: FeatureNumber,
    of: EventsQuery,
    n: Count = 100,
) -> Response:
    """The mean log-mel of the 0.4 s before and after the peaks of a band of events; time 0 is the peak."""
    return image_response(
        await here.beside.run(
            request, montage.average, here.result.site(site, basis), here.library, feature, n=n, **vars(of)
        )
    )


@router.get("/features/{feature}/montage", response_class=Response, responses=WAV)
async def play_events(
    here: Here,
    request: Request,
    site: SiteName,
    basis: schemas.Basis,
    feature: FeatureNumber,
    of: EventsQuery,
    n: Annotated[int, Query(ge=1, le=50)] = 10,
    margin: Annotated[float, Query(ge=0, le=2, description="seconds of sound around each event")] = 0.2,
) -> Response:
    """The events of a band back to back, as one sound."""
    return await here.sound.run(
        request, montage.montage, here.result.site(site, basis), here.library, feature,
        n=n, margin=margin, **vars(of),
    )  # fmt: skip


@router.get(
    "/features/{feature}/export",
    response_class=Response,
    responses=files(CSV="text/csv", JSON="application/json"),
)
async def export(
    here: Here,
    request: Request,
    site: SiteName,
    basis: schemas.Basis,
    feature: FeatureNumber,
    format: Literal["json", "csv"] = "csv",
    what: Literal["clips", "events"] = "clips",
    n: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    min: Limit = None,
    max: Limit = None,
    absolute: bool = False,
) -> Response:
    """The clips of a search, or the strongest events, as a file."""
    return await here.queries.run(
        request, exports.feature_table, here.result.site(site, basis), here.library, feature,
        format=format, what=what, n=n, min=min, max=max, absolute=absolute,
    )  # fmt: skip
