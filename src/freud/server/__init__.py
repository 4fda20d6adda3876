"""HTTP API over a result, and the web app.

`create_app` makes the application, `serve` runs it, `openapi` gives the document that the web app's types come from,
and `export_site` writes static pages.
FastAPI is imported only by then, so that the package works without the extra `freud[app]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from freud.errors import FreudError

if TYPE_CHECKING:
    from freud.server.app import create_app, openapi
    from freud.server.running import serve
    from freud.server.serving import Options
    from freud.server.site import export_site

__all__ = ["Options", "create_app", "export_site", "openapi", "serve"]

_PLACES = {"Options": "serving", "create_app": "app", "openapi": "app", "serve": "running", "export_site": "site"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'freud.server' has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(f"freud.server.{_PLACES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name not in {"fastapi", "uvicorn", "starlette"}:
            raise
        raise FreudError("the server needs more packages: pip install 'freud-audio[app]'") from None
