"""The web application, put together from its parts: probes, metrics, the API, and what else has routes."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from aiohttp import hdrs, web

from latigo.domain.errors import LatigoError
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.runtime.redaction import excerpt
from latigo.web.api.endpoint import PREFIX, Endpoint
from latigo.web.api.events import EventStreams
from latigo.web.api.handling import Api, ContextSource
from latigo.web.api.openapi import document
from latigo.web.api.registry import ENDPOINTS
from latigo.web.api.tokens import Tokens
from latigo.web.hosts import named_hosts
from latigo.web.pages import PageSettings, page_routes
from latigo.web.problems import RefusedRequest, problem_of
from latigo.web.protocols import MetricsSource, ProbeSource
from latigo.web.responses import http_problem, json_response, problem_response, set_headers

MOST_BODY = 1 << 20
_LONGEST_HOST = 100

#: Probes and scrapes come by address, and show nothing of a plant but figures.
_ANY_HOST = frozenset({"/livez", "/readyz", "/metrics"})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = get_logger(__name__)


class Access(NamedTuple):
    """How the application may be addressed, and by whom."""

    hosts: frozenset[str] | None = None  #: see `latigo.web.hosts`; None: any
    base_path: str = ""  #: below which a reverse proxy serves it
    tokens: Tokens = Tokens({})


OPEN = Access()
PLAIN = PageSettings()


def create_app(
    probes: ProbeSource,
    source: ContextSource,
    metrics: MetricsSource,
    clock: Clock,
    access: Access = OPEN,
    endpoints: Sequence[Endpoint[Any, Any]] = ENDPOINTS,
    pages: PageSettings = PLAIN,
) -> web.Application:
    """Create the web application.

    Args:
        probes: state behind ``/livez`` and ``/readyz``.
        source: of what the API answers from.
        metrics: shown by ``/metrics``.
        clock: the machine's.
        access: how it may be addressed, and by whom.
        endpoints: all of the API.
        pages: what the web pages are served with.
    """
    guards = [] if access.hosts is None else [_require_host(access.hosts)]
    app = web.Application(client_max_size=MOST_BODY, middlewares=[_errors_as_problems, *guards])
    app.on_response_prepare.append(_add_headers)
    api = Api(source, access.tokens, clock, endpoints)
    streams = EventStreams(api, clock)
    app.on_shutdown.append(streams.close)
    described = document(endpoints)

    async def openapi(request: web.Request) -> web.Response:
        api.caller(request)
        servers = [{"url": access.base_path}] if access.base_path else []
        return json_response({**described, **({"servers": servers} if servers else {})})

    app.add_routes([web.get("/livez", _livez(probes)), web.get("/readyz", _readyz(probes))])
    app.add_routes([web.get("/metrics", _metrics(metrics))])
    for base_path in dict.fromkeys(("", access.base_path)):  # a proxy may pass it on or not
        app.add_routes(
            [
                *page_routes(pages, base_path),
                web.get(f"{base_path}{PREFIX}/openapi.json", openapi),
                web.get(f"{base_path}{PREFIX}/events", streams.respond, allow_head=False),
                *api.routes(base_path),
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


def _probe(what: str, reasons: Sequence[str]) -> web.Response:
    if reasons:
        return json_response({what: False, "reasons": reasons}, HTTPStatus.SERVICE_UNAVAILABLE)
    return json_response({what: True})


def _metrics(source: MetricsSource) -> _Handler:
    async def metrics(request: web.Request) -> web.Response:
        body, content_type = await source(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    return metrics


@web.middleware
async def _errors_as_problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    if (request.content_length or 0) > MOST_BODY:
        return http_problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MOST_BODY} bytes")
    try:
        return await handler(request)
    except RefusedRequest as refused:
        return problem_response(refused.problem)
    except LatigoError as error:
        return problem_response(problem_of(error))
    except web.HTTPMethodNotAllowed as error:
        response = http_problem(HTTPStatus.METHOD_NOT_ALLOWED, f"not for {error.method}")
        response.headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
        return response
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return http_problem(HTTPStatus(error.status), error.reason)
    except Exception:  # noqa: BLE001 - a bug ends one response; it is logged with its traceback
        _log.exception("request.crashed", method=request.method, path=request.path)
        return http_problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; its traceback is in the log")


def _require_host(hosts: frozenset[str]) -> Any:
    @web.middleware
    async def require_host(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path in _ANY_HOST:
            return await handler(request)
        if others := named_hosts(request.headers.getall(hdrs.HOST, []), request.raw_path) - hosts:
            name = excerpt(max(others), _LONGEST_HOST) or "a request without a host"
            return http_problem(
                HTTPStatus.MISDIRECTED_REQUEST, f"{name} is not answered here: http.allowed_hosts lists what is"
            )
        return await handler(request)

    return require_host


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    set_headers(response)
