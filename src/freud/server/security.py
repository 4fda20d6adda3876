"""Who may ask, and how much: hosts, origins, the token, sizes and times of bodies, and the headers of every answer.

One ASGI layer around the whole app. A page of another site can make a browser send requests here, so a request must
name a host that is ours (or DNS rebinding would make any site's ours), and must not come from another origin.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from freud.server.problems import problem_response

COOKIE = "freud_token"
JSON_BYTES = 1_000_000  # of a body other than an upload
CHUNK = 1 << 20  # bytes that may come at once
CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def own_names(host: str) -> frozenset[str]:
    """The names by which browsers may call a server bound to `host`, beside bare addresses where it is not local."""
    names = {"localhost", host.lower().strip("[]")}
    if not is_loopback(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


class Guard:
    """The layer around the app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        token: str | None,
        upload_bytes: int,
        body_seconds: float,
        names: Iterable[str] = (),
    ) -> None:
        """Wrap an app.

        Args:
            app: what to protect.
            host: what the server is bound to.
            token: what a client must show; None lets all of this machine in.
            upload_bytes: size of the largest upload.
            body_seconds: in which a body must have come.
            names: further names by which browsers may call the server.
        """
        self.app, self.token = app, token
        self.local = is_loopback(host)
        self.names = own_names(host) | {name.lower() for name in names}
        self.upload_bytes, self.body_seconds = upload_bytes, body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None:
            shown = self._shown_token(scope)
            if shown is not None and self.token is not None and _same(shown, self.token):
                refusal = self._let_in(scope)
            elif not self._has_token(headers):
                refusal = problem_response(
                    401, "this server asks for its token: open the link that it printed when it started"
                )
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        await self.app(scope, self._limited(scope, receive), send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers):
        """The answer to a request that must not be served, or None."""
        host = headers.get("host", "")
        if not self._ours(_name_of(host)):
            return problem_response(421, f"this server does not go by the name {_name_of(host)!r}")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return problem_response(403, "requests from pages of other sites are refused")
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate":
            return problem_response(403, "requests from pages of other sites are refused")
        limit = self._limit(scope)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > limit:
            return problem_response(413, f"the body is larger than {limit / 1e6:g} MB", {"Connection": "close"})
        return None

    def _limit(self, scope: Scope) -> int:
        return self.upload_bytes if scope["path"] == "/api/uploads" else JSON_BYTES

    def _ours(self, name: str) -> bool:
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self.local  # a bare address is no name that could be bound anew

    def _has_token(self, headers: Headers) -> bool:
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), self.token):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and _same(cookie.value, self.token)

    @staticmethod
    def _shown_token(scope: Scope) -> str | None:
        """The token in the address of a page, where the printed link has it."""
        if scope["path"].startswith("/api/"):
            return None
        return dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")

    def _let_in(self, scope: Scope):
        """Keep the token in a cookie, and go to the same page without it."""
        rest = [(key, value) for key, value in parse_qsl(scope["query_string"].decode("latin-1")) if key != "token"]
        path = "/" + scope["path"].lstrip("/\\")  # two slashes would name another host
        response = RedirectResponse(path + (f"?{urlencode(rest)}" if rest else ""), 303)
        response.set_cookie(COOKIE, self.token or "", max_age=30 * 86400, path="/", httponly=True, samesite="lax")
        return response

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` that gives up on a body that is too slow, or longer than it said, as if the client had gone."""
        limit, total, ended = self._limit(scope), 0, False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.body_seconds

        async def limited() -> Message:
            nonlocal total, ended
            if ended:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(deadline - loop.time(), 0.01))
            except TimeoutError:
                ended = True
                return {"type": "http.disconnect"}
            total += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if total > limit + CHUNK:  # an upload is counted where it is received, which can say so
                ended, message = True, {"type": "http.disconnect"}
            return message

        return limited


def _name_of(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())
