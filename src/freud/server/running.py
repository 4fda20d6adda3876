"""Running the server: one process, one port, and the browser opened when it answers."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import sys
import threading
import webbrowser
from pathlib import Path

import uvicorn

from freud.errors import FreudError
from freud.server.app import create_app
from freud.server.security import is_loopback
from freud.server.serving import Options

PORT = 7860


def serve(
    path: Path | str,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    browser: bool = True,
    options: Options = Options(),  # noqa: B008 - frozen
) -> None:
    """Serve a result until interrupted.

    Args:
        path: a folder written by `freud discover` or `freud index`.
        host: address to listen at; beyond this machine a token is asked for.
        port: to listen at; 7860, or the next free one, if not given.
        token: what clients must show; made up where one is needed and none given.
        browser: open a browser.
        options: limits and files.

    Raises:
        FreudError: there is no finished result at `path`, or the port cannot be had.
    """
    if token is not None and not re.fullmatch(r"[A-Za-z0-9_-]{16,200}", token):
        raise FreudError("--token: expected at least 16 letters, digits, - or _")
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    app = create_app(path, options, host=host, token=token)
    listening = _listen(host, port)
    link = _link(host, listening.getsockname()[1], token)
    print(f"serving {path}\n  {link}\n  Ctrl-C stops it", flush=True)
    if not is_loopback(host):
        print("  anyone with this link can see the result; traffic is not encrypted", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, limit_concurrency=512, timeout_keep_alive=30,
                            timeout_graceful_shutdown=3, server_header=False)  # fmt: skip
    if browser and not _headless():
        threading.Timer(0.8, webbrowser.open, [link]).start()
    with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens at the port, or at the first free one of twenty."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reason = ""
    wanted = [port] if port is not None else list(range(PORT, PORT + 20))
    for number in wanted:
        # Only of sockets that say TCP does asyncio turn Nagle's delays off: 40 ms an answer.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host.strip("[]"), number))
            listening.listen()  # only then is the port refused to another server that starts at the same time
            return listening
        except OSError as error:
            listening.close()
            reason = error.strerror or str(error)
    raise FreudError(f"{host}:{wanted[0]}: cannot listen there: {reason.lower()}; give another --port or --host")


def _link(host: str, port: int, token: str | None) -> str:
    """What to open in a browser."""
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    if ":" in shown and not shown.startswith("["):
        shown = f"[{shown}]"
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def _headless() -> bool:
    """Whether there is no browser to open: a text browser would take the terminal over."""
    try:
        return isinstance(webbrowser.get(), webbrowser.GenericBrowser) and sys.platform.startswith("linux")
    except webbrowser.Error:
        return True
