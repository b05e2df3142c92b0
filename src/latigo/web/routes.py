"""The routes of the web application."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web

from latigo.domain.errors import LatigoError
from latigo.runtime.redaction import excerpt
from latigo.settings import HttpSettings
from latigo.web.hosts import named_hosts
from latigo.web.openapi import document
from latigo.web.pages import page_routes
from latigo.web.protocols import MetricsSource, ProbeSource, StatusSource
from latigo.web.responses import json_response, problem, set_headers

MOST_BODY = 64 * 1024
STATUS_LIMIT = timedelta(seconds=10)
_LONGEST_HOST = 100
_DEFAULT_HTTP = HttpSettings()

#: Probes and scrapes come by address, and show nothing of a plant but figures.
_ANY_HOST = frozenset({"/livez", "/readyz", "/metrics"})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = structlog.get_logger()


def create_app(
    probes: ProbeSource,
    status: StatusSource,
    metrics: MetricsSource,
    *,
    hosts: frozenset[str] | None = None,
    http: HttpSettings = _DEFAULT_HTTP,
    status_limit: timedelta = STATUS_LIMIT,
) -> web.Application:
    """Create the web application.

    Args:
        probes: state behind ``/livez`` and ``/readyz``.
        status: state behind ``/api/v1/status``.
        metrics: shown by ``/metrics``.
        hosts: names that requests may address, see `latigo.web.hosts`; None: any.
        http: what the pages are served with.
        status_limit: time limit of reading the status.
    """
    guards = [] if hosts is None else [_require_host(hosts)]
    app = web.Application(client_max_size=MOST_BODY, middlewares=[_errors_as_json, *guards])
    app.on_response_prepare.append(_add_headers)
    app.add_routes(
        [
            *page_routes(http),
            web.get("/livez", _livez(probes)),
            web.get("/readyz", _readyz(probes)),
            web.get("/metrics", _metrics(metrics)),
            web.get("/api/v1/status", _status(status, status_limit)),
            web.get("/api/v1/openapi.json", _openapi),
        ]
    )
    return app


def _livez(probes: ProbeSource) -> _Handler:
    async def livez(_request: web.Request) -> web.Response:
        return _probe("live", probes.not_live())

    return livez


def _readyz(probes: ProbeSource) -> _Handler:
    async def readyz(_request: web.Request) -> web.Response:
        return _probe("ready", await probes.not_ready())

    return readyz


def _probe(what: str, reasons: object) -> web.Response:
    if reasons:
        return json_response({what: False, "reasons": reasons}, HTTPStatus.SERVICE_UNAVAILABLE)
    return json_response({what: True})


def _metrics(source: MetricsSource) -> _Handler:
    async def metrics(request: web.Request) -> web.Response:
        body, content_type = await source(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    return metrics


def _status(source: StatusSource, limit: timedelta) -> _Handler:
    async def status(_request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return json_response(await source.status())
        except TimeoutError:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"no status within {limit.total_seconds():g} s")
        except LatigoError as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    return status


async def _openapi(_request: web.Request) -> web.Response:
    return json_response(document())


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    if (request.content_length or 0) > MOST_BODY:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MOST_BODY} bytes")
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        response = problem(HTTPStatus.METHOD_NOT_ALLOWED, f"not for {error.method}")
        response.headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
        return response
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return problem(HTTPStatus(error.status), error.reason)
    except Exception:  # noqa: BLE001 - a bug ends one response; it is logged with its traceback
        _log.exception("request.crashed", method=request.method, path=request.path)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; its traceback is in the log")


def _require_host(hosts: frozenset[str]) -> Any:
    @web.middleware
    async def require_host(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path in _ANY_HOST:
            return await handler(request)
        if others := named_hosts(request.headers.getall(hdrs.HOST, []), request.raw_path) - hosts:
            name = excerpt(max(others), _LONGEST_HOST) or "a request without a host"
            return problem(
                HTTPStatus.MISDIRECTED_REQUEST, f"{name} is not answered here: http.allowed_hosts lists what is"
            )
        return await handler(request)

    return require_host


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    set_headers(response)
