"""Responses of the HTTP server, and the headers that every one has."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from latigo.reports.base import Report
from latigo.runtime.serialization import to_json
from latigo.web.problems import MEDIA_TYPE, Problem, refuse

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}


class Response(web.Response):
    """Response with the headers of every response, and without the name and version of the server."""

    async def _prepare_headers(self) -> None:
        # aiohttp calls no signal of the application for a request that it could not read.
        await super()._prepare_headers()
        set_headers(self)


def set_headers(response: web.StreamResponse) -> None:
    """Set the headers that every response has, where it has no other of its own."""
    response.headers.pop(hdrs.SERVER, None)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def json_response(content: Mapping[str, Any] | Report, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Return a response with the same JSON as ``--json`` of the command line."""
    return Response(body=to_json(content), status=status, content_type="application/json")


def problem_response(problem: Problem) -> web.Response:
    """Return the response for a problem."""
    response = Response(body=to_json(problem), status=problem.status, content_type=MEDIA_TYPE)
    if problem.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(max(round(problem.retry_after_s), 1))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="latigo"'
    return response


def http_problem(status: HTTPStatus, detail: str) -> web.Response:
    """Return the response for an error of HTTP itself."""
    return problem_response(refuse("http", status, detail).problem)
