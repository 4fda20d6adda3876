"""Notes and bookmarks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from freud.server import schemas
from freud.server.routes.common import Here

router = APIRouter(prefix="/api/notes", tags=["notes"])
NoteId = Annotated[int, Path(ge=1, lt=2**31)]


@router.get("")
async def notes(
    here: Here,
    request: Request,
    site: Annotated[str | None, Query(max_length=200)] = None,
    basis: schemas.Basis | None = None,
    feature: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    clip: Annotated[str | None, Query(max_length=100)] = None,
) -> list[schemas.Note]:
    """All notes and bookmarks, newest first; or those about a site, a feature or a clip."""
    return await here.queries.run(request, here.notes.find, site=site, basis=basis, feature=feature, clip=clip)


@router.post("", status_code=201)
async def add(here: Here, request: Request, body: schemas.NewNote) -> schemas.Note:
    """Keep a note or a bookmark."""
    return await here.queries.run(request, here.notes.add, body)


@router.put("/{note}")
async def change(here: Here, request: Request, note: NoteId, body: schemas.NewNote) -> schemas.Note:
    """Change a note."""
    return await here.queries.run(request, here.notes.change, note, body)


@router.delete("/{note}", status_code=204)
async def remove(here: Here, request: Request, note: NoteId) -> None:
    """Throw a note away."""
    await here.queries.run(request, here.notes.remove, note)
