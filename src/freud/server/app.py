"""The application: routes, errors, the web app's files, and the guard around them; and running it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from freud.server.problems import MEDIA_TYPE, add_handlers, problem_response
from freud.server.routes import clips, edits, features, labels, notes, overview
from freud.server.schemas import Problem as ProblemSchema
from freud.server.security import Guard
from freud.server.serving import Options, Serving
from freud.version import __version__

DESCRIPTION = """See, hear, search and edit the features of an audio model.

A clip is only ever named by its id. Errors are `application/problem+json` with a sentence for people in `detail`; 429
comes with `Retry-After`. Binary formats are described in docs/app.md."""


def api() -> FastAPI:
    """The routes and errors, without a result behind them."""
    app = FastAPI(
        title="FREUD",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        separate_input_output_schemas=False,
        generate_unique_id_function=_operation_id,
    )
    for module in (overview, features, clips, labels, edits, notes):
        app.include_router(module.router)
    add_handlers(app)
    document = app.openapi
    app.openapi = lambda: _with_problems(document())  # type: ignore[method-assign]
    return app


def openapi() -> dict[str, Any]:
    """The OpenAPI document, from which the web app's types are generated."""
    return api().openapi()


def _operation_id(route: APIRoute) -> str:
    """Unique and readable: `features_list`, from the tag and the function's name."""
    return "_".join([*map(str, route.tags), route.name])


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Say of every operation that its errors are problem documents, in place of FastAPI's own 422."""
    schemas = document["components"]["schemas"]
    if "Problem" in schemas:
        return document
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = ProblemSchema.model_json_schema()
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {"description": "a problem", "content": content}
    return document


def create_app(
    path: Path | str,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
) -> ASGIApp:
    """The whole application for a result.

    Args:
        path: a folder written by `freud discover` or `freud index`.
        options: limits and files.
        host: what the server will be bound to, which decides by what names it may be called.
        token: what clients must show.

    Raises:
        FreudError: there is no finished result at `path`.
    """
    app = api()
    serving = app.state.serving = Serving(path, options)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        serving.start()
        yield
        serving.close()

    app.router.lifespan_context = lifespan
    _serve_web_app(app)
    zipped = GZipMiddleware(app, minimum_size=1000, compresslevel=5)
    return Guard(zipped, host=host, token=token, upload_bytes=options.upload_bytes, body_seconds=options.body_seconds)


def web_app() -> Path:
    """The folder of the built web app."""
    return Path(str(resources.files("freud.server") / "static"))


def _serve_web_app(app: FastAPI) -> None:
    """Files of the web app under /assets, and its page at every other address that is not the API's."""
    folder = web_app()
    if (folder / "assets").is_dir():
        app.mount("/assets", StaticFiles(directory=folder / "assets"), name="assets")
    files = {path.name: path for path in folder.iterdir() if path.is_file()} if folder.is_dir() else {}

    @app.get("/{path:path}", include_in_schema=False)
    async def page(request: Request, path: str) -> Response:
        if path.startswith("api/") or path == "api" or path.startswith("assets/"):
            return problem_response(404, f"there is nothing at {request.url.path}")
        file = files.get(path)  # a name from our own list, never a path
        if file is None and "." in path.rsplit("/", 1)[-1]:
            return problem_response(404, f"there is nothing at {request.url.path}")
        file = file or files.get("index.html")
        if file is None:
            return problem_response(
                404, "the web app is not part of this installation; the API is at /api/openapi.json"
            )
        kept = file.suffix in {".woff2", ".svg"}  # browsers ask for the icon at every step of the history
        return FileResponse(file, headers={"Cache-Control": "max-age=86400" if kept else "no-cache"})
