"""`freud serve`: see, hear, search and edit the features of a result in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from freud.cli.options import Computation, Maybe, Switch


def main(
    result: tyro.conf.Positional[Path],
    computation: Computation,
    port: Maybe[int] = None,
    host: str = "127.0.0.1",
    no_browser: Switch = False,
    token: Maybe[str] = None,
    model: Maybe[str] = None,
    notes: Maybe[Path] = None,
    upload_mb: Annotated[float, tyro.conf.arg(name="upload-mb")] = 25.0,
    upload_minutes: float = 5.0,
) -> None:
    """Serve a result to the browser, until Ctrl-C.

    Args:
        result: A folder written by `freud discover` or `freud index`.
        computation: Where the model computes, and in what numbers.
        port: Port to listen at (default: 7860, or the next free one).
        host: Address to listen at. Beyond this machine a token is asked for, which is printed as part of a link.
        no_browser: Do not open a browser.
        token: Ask for this token (16 or more letters, digits, - or _) instead of a new one, and on this machine, too.
        model: Name or folder of the model, if it is not where it was.
        notes: File for notes and bookmarks (default: notes.sqlite in the result).
        upload_mb: Largest recording that is taken, in megabytes.
        upload_minutes: Longest recording that is taken.
    """
    from freud.errors import FreudError
    from freud.models.devices import open_device
    from freud.server import Options, serve

    if port is not None and not 0 <= port < 65536:
        raise FreudError(f"--port {port}: expected a number from 0 to 65535")
    if not (upload_mb > 0 and upload_minutes > 0):
        raise FreudError("--upload-mb and --upload-minutes: expected numbers above 0")
    settings = computation.settings()
    open_device(settings["device"])  # here, since the model is loaded in the background
    options = Options(
        upload_bytes=round(upload_mb * 1e6),
        upload_seconds=60 * upload_minutes,
        notes=notes,
        model=model,
        device=settings["device"],
        dtype=settings["dtype"],
    )
    serve(result, host=host, port=port, token=token, browser=not no_browser, options=options)
