"""Responses of the HTTP server: JSON, errors, and the headers that every response has."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from latigo.reports.base import Report
from latigo.runtime.serialization import to_json

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
    """Set the headers that every response has."""
    response.headers.pop(hdrs.SERVER, None)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def json_response(content: Mapping[str, Any] | Report, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Return a response with the same JSON as ``--json`` of the command line."""
    return Response(body=to_json(content), status=status, content_type="application/json")


def problem(status: HTTPStatus, error: str) -> web.Response:
    """Return the response for an error."""
    return json_response({"error": error}, status)
