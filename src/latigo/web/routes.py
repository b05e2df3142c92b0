"""The web application: what is asked, and what is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry

from latigo.domain.errors import LatigoError
from latigo.reports.base import Report
from latigo.runtime.metrics import exposition
from latigo.runtime.serialization import to_json
from latigo.web.openapi import document
from latigo.web.protocols import HealthSource, StatusSource

MOST_BODY = 64 * 1024
STATUS_LIMIT = timedelta(seconds=10)

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Latigo</title></head>
<body>
<h1>Latigo</h1>
<ul>
<li><a href="/api/v1/status">/api/v1/status</a>: how the service is doing</li>
<li><a href="/api/v1/openapi.json">/api/v1/openapi.json</a>: the API</li>
<li><a href="/metrics">/metrics</a>: metrics for Prometheus</li>
<li><a href="/livez">/livez</a>: whether this process is alive</li>
<li><a href="/readyz">/readyz</a>: whether it can do its work</li>
</ul>
</body>
</html>
"""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = structlog.get_logger()


def create_app(
    health: HealthSource,
    status: StatusSource,
    registry: CollectorRegistry,
    *,
    status_limit: timedelta = STATUS_LIMIT,
) -> web.Application:
    """Everything that is served.

    Args:
        health: answers the probes.
        status: answers ``/api/v1/status``.
        registry: told on ``/metrics``.
        status_limit: time after which a status that has not come is given up.
    """
    app = web.Application(client_max_size=MOST_BODY, middlewares=[_problems_as_json])
    app.on_response_prepare.append(_finish)
    app.add_routes(
        [
            web.get("/", _index),
            web.get("/livez", _livez(health)),
            web.get("/readyz", _readyz(health)),
            web.get("/metrics", _metrics(registry)),
            web.get("/api/v1/status", _status(status, status_limit)),
            web.get("/api/v1/openapi.json", _openapi),
        ]
    )
    return app


def json_answer(content: Mapping[str, Any] | Report, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """The same JSON as of the command line."""
    return web.Response(body=to_json(content), status=status, content_type="application/json")


def problem(status: HTTPStatus, error: str) -> web.Response:
    """What every refusal and failure looks like."""
    return json_answer({"error": error}, status)


async def _index(_request: web.Request) -> web.Response:
    return web.Response(text=_PAGE, content_type="text/html")


def _livez(health: HealthSource) -> _Handler:
    async def livez(_request: web.Request) -> web.Response:
        return _probe("live", health.not_live())

    return livez


def _readyz(health: HealthSource) -> _Handler:
    async def readyz(_request: web.Request) -> web.Response:
        return _probe("ready", await health.not_ready())

    return readyz


def _probe(what: str, reasons: object) -> web.Response:
    if reasons:
        return json_answer({what: False, "reasons": reasons}, HTTPStatus.SERVICE_UNAVAILABLE)
    return json_answer({what: True})


def _metrics(registry: CollectorRegistry) -> _Handler:
    async def metrics(request: web.Request) -> web.Response:
        body, content_type = exposition(registry, request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    return metrics


def _status(source: StatusSource, limit: timedelta) -> _Handler:
    async def status(_request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return json_answer(await source.status())
        except TimeoutError:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"no status within {limit.total_seconds():g} s")
        except LatigoError as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    return status


async def _openapi(_request: web.Request) -> web.Response:
    return json_answer(document())


@web.middleware
async def _problems_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    if (request.content_length or 0) > MOST_BODY:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MOST_BODY} bytes")
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        answer = problem(HTTPStatus.METHOD_NOT_ALLOWED, f"not for {error.method}")
        answer.headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
        return answer
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return problem(HTTPStatus(error.status), error.reason)
    except Exception:  # noqa: BLE001 - a bug in one answer ends that answer; it is logged with its traceback
        _log.exception("request.crashed", method=request.method, path=request.path)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug of ours; the log has it")


async def _finish(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
