"""What commands ask: endpoints of the API, answered by a service over HTTP or in this process. One mechanism for both.

A command is given a `Service` and cannot tell which one it is.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import ValidationError

from latigo.cli.options import settings_of
from latigo.cli.remote import Remote, chosen
from latigo.domain.errors import LatigoError, Misused, Unavailable
from latigo.reports.base import Listing, Report
from latigo.web.api.endpoint import PREFIX, Endpoint, Question
from latigo.web.api.paging import LARGEST_PAGE, Page
from latigo.web.problems import Problem, error_of

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from latigo.settings import Settings
    from latigo.web.api.context import Context

Q = TypeVar("Q", bound=Question)
A = TypeVar("A", bound=Report)
P = TypeVar("P", bound=Page[Any])
T = TypeVar("T")

DOWNSTREAM = "latigo"
_CONNECT = timedelta(seconds=10)
_BEYOND_LIMIT = timedelta(seconds=20)  #: for waits on the way
_MORE = 1 << 16
#: Times that an action is sent again after a connection broke; its idempotency key keeps it from being done twice.
_AGAIN = 2


class Service(Protocol):
    """Answers questions."""

    async def ask(self, endpoint: Endpoint[Q, A], **fields: Any) -> A:
        """Return the answer to a question of these fields.

        Raises:
            Misused: there can be no such question.
            LatigoError: there is no answer.
        """

    async def list(self, endpoint: Endpoint[Q, P], most: int, **fields: Any) -> P:
        """Return the first ``most`` rows (0: all) of a list as one page."""


def with_service(
    config: Path | None,
    work: Callable[[Service], Awaitable[T]],
    *,
    require: Callable[["Settings"], object] | None = None,
) -> T:
    """Run ``work`` on the service of ``--url``, or on the ledger of the settings.

    Args:
        config: the configuration file.
        work: what is asked and done.
        require: raises a `ConfigurationError` where nothing can be done with these settings, before the ledger is
            opened; a service checks its own.
    """
    from latigo.runtime.event_loop import run_async

    remote = chosen()
    settings = settings_of(config) if remote is None else None
    if settings is not None and require is not None:
        require(settings)
    if remote is not None:
        from latigo.runtime.log import configure_logging

        configure_logging("auto", "warning", secrets=[remote.token] if remote.token else [])

    async def opened() -> T:
        if settings is None or remote is not None:
            async with _open_remote(remote or Remote("", "")) as service:
                return await work(service)
        from latigo.runtime.clock import SystemClock
        from latigo.wiring.answering import context_of_ledger
        from latigo.wiring.ledger import open_ledger, user_at_host

        async with open_ledger(settings) as database:
            return await work(InProcess(context_of_ledger(database, settings, SystemClock(), user_at_host())))

    return run_async(opened)


def listing(page: Page[Any]) -> Listing[Any]:
    """Return the rows of a list that was asked for."""
    return Listing(page.items, page.total or len(page.items))


class InProcess:
    """Answers from the ledger that this process has opened."""

    def __init__(self, context: "Context") -> None:
        self._context = context

    async def ask(self, endpoint: Endpoint[Q, A], **fields: Any) -> A:
        return await endpoint.handle(self._context, question(endpoint, fields))

    async def list(self, endpoint: Endpoint[Q, P], most: int, **fields: Any) -> P:
        asked = question(endpoint, fields).model_copy(update={"limit": most})  # beyond the largest page of HTTP
        return await endpoint.handle(self._context, asked)


class OverHttp:
    """Asks a running service.

    Args:
        session: with the token.
        url: of the service, without the path of the API.
    """

    def __init__(self, session: "ClientSession", url: str) -> None:
        self._session = session
        self._url = url

    async def ask(self, endpoint: Endpoint[Q, A], **fields: Any) -> A:
        content = await self._request(endpoint, question(endpoint, fields))
        try:
            return endpoint.answer.model_validate_json(content, extra="ignore")
        except ValidationError as error:
            raise LatigoError(
                f"{self._url} answers {endpoint.path} in another way than this version of Latigo expects: its version"
                f" is another one ({error.errors(include_url=False, include_input=False)[0]['msg']})"
            ) from error

    async def list(self, endpoint: Endpoint[Q, P], most: int, **fields: Any) -> P:
        first: P | None = None
        rows: list[Any] = []
        cursor = ""
        while True:
            limit = min(most - len(rows), LARGEST_PAGE) if most else LARGEST_PAGE
            page: P = await self.ask(endpoint, **fields, limit=limit, cursor=cursor)
            first = first or page
            rows += page.items
            if page.next is None or not page.items or (most and len(rows) >= most):
                return first.model_copy(update={"items": rows, "next": page.next})
            cursor = page.next

    async def _request(self, endpoint: Endpoint[Any, Any], asked: Question) -> bytes:
        from uuid import uuid4

        from latigo.runtime.clock import SystemClock

        key = {"Idempotency-Key": uuid4().hex} if endpoint.acts else {}
        for attempt in range(_AGAIN + 1):
            try:
                return await self._send(endpoint, asked, key)
            except Unavailable as error:
                if attempt == _AGAIN or error.retry_after is not None or not isinstance(error, _Broken):
                    raise
                await SystemClock().sleep(timedelta(seconds=attempt + 0.5))
        raise AssertionError  # the last attempt has returned or raised

    async def _send(self, endpoint: Endpoint[Any, Any], asked: Question, headers: dict[str, str]) -> bytes:
        from latigo.runtime.http import Failures, read_body, time_limit, transport_errors

        path, parameters, body = _parts(endpoint, asked)
        doing, limit = f"{endpoint.method} {self._url}", endpoint.limit + _BEYOND_LIMIT
        failures = Failures(_broken, _unavailable, _unavailable)
        async with time_limit(limit, doing, failures):
            with transport_errors(doing, failures):
                async with self._session.request(
                    endpoint.method,
                    f"{self._url}{PREFIX}{path}",
                    params=parameters,
                    json=body,
                    headers=headers,
                    allow_redirects=False,
                ) as response:
                    content = await read_body(response, endpoint.largest + _MORE)
                    if response.status == HTTPStatus.OK and response.content_type == "application/json":
                        return bytes(content)
                    raise _refusal(self._url, response.status, response.content_type, bytes(content))


class _Broken(Unavailable):
    """A connection broke, or there was none."""


def _broken(message: str) -> Exception:
    return _Broken(message, downstream=DOWNSTREAM)


def _unavailable(message: str) -> Exception:
    return Unavailable(message, downstream=DOWNSTREAM)


def _refusal(url: str, status: int, media_type: str, content: bytes) -> LatigoError:
    if media_type == "application/problem+json":
        try:
            problem = Problem.model_validate_json(content, extra="ignore")
        except ValidationError:
            pass
        else:
            if problem.type == "no-token":
                return LatigoError(f"{problem.detail}: --token-file, LATIGO_TOKEN or LATIGO_TOKEN_FILE has it")
            return error_of(problem, DOWNSTREAM)
    text = f"{url}: {status} ({media_type}), which is no answer of Latigo's API"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        text += ": it leads to another address, which --url should have"
    return Unavailable(text, downstream=DOWNSTREAM)


def question(endpoint: Endpoint[Q, Any], fields: dict[str, Any]) -> Q:
    """Return a question of these fields.

    Raises:
        Misused: there can be none.
    """
    try:
        return endpoint.question.model_validate(fields, by_name=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        lines = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems[:5]]
        raise Misused("; ".join(lines)) from None


def _parts(endpoint: Endpoint[Any, Any], asked: Question) -> tuple[str, list[tuple[str, str]], Any]:
    """Return path, query and body of a request."""
    from urllib.parse import quote

    fields = asked.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    path = endpoint.path
    for name in list(fields):
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", quote(str(fields.pop(name)), safe=""))
    if endpoint.acts:
        return path, [], fields
    pairs = [
        (name, _text(item))
        for name, value in fields.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    return path, pairs, None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@asynccontextmanager
async def _open_remote(remote: Remote) -> AsyncIterator[OverHttp]:
    from aiohttp import ClientSession

    from latigo import __version__
    from latigo.runtime.http import session_options

    headers = {"User-Agent": f"latigo/{__version__}", "Accept": "application/json"}
    if remote.token:
        headers["Authorization"] = f"Bearer {remote.token}"
    async with ClientSession(**session_options(connect_timeout=_CONNECT, headers=lambda: headers)) as session:
        yield OverHttp(session, remote.url)
