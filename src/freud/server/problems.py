"""Errors as `application/problem+json` (RFC 9457), each with a sentence that a person can use."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from freud.errors import DamagedFileError, FreudError, UnknownNameError

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("freud.server")


class Problem(Exception):  # noqa: N818 - named after the document it becomes
    """An answer other than the one asked for: a status and a sentence for people."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The document for a status and a sentence."""
    title = http.HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, dict(headers or {}), MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Turn every exception that reaches `app` into a problem document."""
    from freud.server.work import Stopped

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return problem_response(error.status, error.detail, error.headers)

    @app.exception_handler(FreudError)
    async def freud_error(_: Request, error: FreudError) -> Response:
        status = 404 if isinstance(error, UnknownNameError) else 500 if isinstance(error, DamagedFileError) else 422
        return problem_response(status, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return problem_response(422, "; ".join(map(_sentence, error.errors()[:5])))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return problem_response(404, f"there is nothing at {request.url.path}")
        if error.status_code == 405:
            return problem_response(405, f"{request.method} is not possible at {request.url.path}", error.headers)
        return problem_response(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(Stopped)
    async def stopped(_: Request, error: Stopped) -> Response:
        return problem_response(408, "the request was given up")  # nobody is there to read it

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        log.error("%s %s", request.method, request.url.path, exc_info=error)
        return problem_response(500, "the server failed on this request; the reason is in its terminal")


def _sentence(error: Mapping[str, object]) -> str:
    """One line of what is wrong with a request: where, and what was expected."""
    location = error.get("loc", ())
    where = ".".join(str(part) for part in location if part != "body") if isinstance(location, tuple) else ""
    return f"{where or 'request'}: {error.get('msg', 'invalid')}"
