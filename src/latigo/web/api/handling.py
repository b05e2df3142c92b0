"""From a request to an endpoint, and from its answer to a response."""

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from types import UnionType
from typing import Any, Protocol, Union, get_args, get_origin

import orjson
from aiohttp import hdrs, web
from pydantic import ValidationError

from latigo.domain.errors import LatigoError
from latigo.reports.base import Report, Row
from latigo.runtime.clock import Clock
from latigo.runtime.off_loop import LARGE_DOCUMENT, off_loop
from latigo.runtime.serialization import to_json
from latigo.web.api.context import Context
from latigo.web.api.endpoint import PREFIX, Endpoint, Octets, Question
from latigo.web.api.idempotency import KEY_HEADER, IdempotencyKeys, checked_key, request_digest
from latigo.web.api.paging import Page
from latigo.web.api.sharing import Rendered, SharedAnswers
from latigo.web.api.tokens import Caller, Tokens
from latigo.web.problems import MEDIA_TYPE, problem_of, refuse
from latigo.web.responses import Response

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
OCTETS = "application/octet-stream"

#: Questions that one process answers at the same time: the roles need the rest of the connections. What waits for a
#: system that hangs leaves the ledger's answers their turns, and questions leave actions theirs.
_AT_ONCE = {"reading": 3, "asking others": 2, "acting": 2}
_AGAIN_S = 2.0
_MOST_ERRORS = 20
#: Of when an answer was made: they are no part of its version.
_TIMES = frozenset({"at", "now"})
#: What a program that shows a table takes for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ContextSource(Protocol):
    """Has what answers are made from."""

    def context(self) -> Context:
        """Return it.

        Raises:
            Unavailable: not everything is open yet, or any more.
        """


class Api:
    """Answers requests for endpoints.

    Args:
        source: of what answers are made from.
        tokens: of those who ask.
        clock: the machine's.
        endpoints: all that there are.
    """

    def __init__(
        self,
        source: ContextSource,
        tokens: Tokens,
        clock: Clock,
        endpoints: Sequence[Endpoint[Any, Any]],
    ) -> None:
        self._source = source
        self._tokens = tokens
        self._endpoints = endpoints
        self._clock = clock
        self._shared = SharedAnswers(clock)
        self._turns = {kind: asyncio.Semaphore(most) for kind, most in _AT_ONCE.items()}

    def context(self) -> Context:
        """Return what answers are made from.

        Raises:
            Unavailable: not everything is open.
        """
        return self._source.context()

    def routes(self, base_path: str = "") -> list[web.RouteDef]:
        """Return the route of every endpoint."""
        return [
            web.route(endpoint.method, f"{base_path}{PREFIX}{endpoint.path}", self._handler(endpoint))
            if endpoint.acts
            else web.get(f"{base_path}{PREFIX}{endpoint.path}", self._handler(endpoint))
            for endpoint in self._endpoints
        ]

    def caller(self, request: web.Request, *, acts: bool = False) -> Caller:
        """Return who asks.

        Raises:
            RefusedRequest: as `Tokens.caller`.
        """
        return self._tokens.caller(request.headers.get(hdrs.AUTHORIZATION, ""), acts=acts)

    async def answer(self, endpoint: Endpoint[Any, Any], question: Question) -> Rendered:
        """Return the answer as JSON, which all who ask the same meanwhile share.

        Raises:
            LatigoError: there is none.
        """
        return await self._read(endpoint, question, JSON)

    def _handler(self, endpoint: Endpoint[Any, Any]) -> _Handler:
        async def read(request: web.Request) -> web.StreamResponse:
            self.caller(request)
            media = _media_type(endpoint, request.headers.get(hdrs.ACCEPT, ""))
            question = _question(endpoint, {**_query(endpoint.question, request), **request.match_info})
            return await self._respond(request, await self._read(endpoint, question, media))

        async def act(request: web.Request) -> web.StreamResponse:
            caller = self.caller(request, acts=True)
            question = _question(endpoint, {**await _body(request), **request.match_info})
            return await self._act(request, endpoint, question, caller)

        return act if endpoint.acts else read

    async def _read(self, endpoint: Endpoint[Any, Any], question: Question, media: str) -> Rendered:
        async def make() -> Rendered:
            return await _render(endpoint, await self._ask(endpoint, question, self._source.context()), media)

        key = f"{endpoint.path} {media} {question.model_dump_json()}"
        return await self._shared.get(key, endpoint.shared_for, make)

    async def _ask(self, endpoint: Endpoint[Any, Any], question: Question, context: Context) -> Any:
        try:
            async with asyncio.timeout(endpoint.limit.total_seconds()), self._turns[_kind(endpoint)]:
                return await endpoint.handle(context.limited(endpoint.limit), question)
        except TimeoutError:
            limit = endpoint.limit.total_seconds()
            raise refuse(
                "too-slow",
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"no answer within {limit:g} s; ask for less, or again",
                retry_after_s=_AGAIN_S,
            ) from None

    async def _act(
        self, request: web.Request, endpoint: Endpoint[Any, Any], question: Question, caller: Caller
    ) -> web.StreamResponse:
        context = replace(self._source.context(), who=caller.name)
        keys = IdempotencyKeys(context.database.limited(endpoint.limit))
        given = checked_key(request.headers.get(KEY_HEADER))
        key = None if getattr(question, "dry_run", False) else given
        digest = request_digest(endpoint.method, request.path, question)
        if key is not None and (before := await keys.begin(caller.name, key, digest)) is not None:
            headers = {"Idempotency-Replayed": "true"}
            return Response(body=before.content, status=before.status, content_type=before.media_type, headers=headers)
        content, status, media = b"", HTTPStatus.OK, JSON
        try:
            content = to_json(await self._ask(endpoint, question, context))
        except LatigoError as error:
            problem = problem_of(error)
            content, status, media = to_json(problem), HTTPStatus(problem.status), MEDIA_TYPE
        except BaseException:
            if key is not None:  # nothing is known to be done
                await asyncio.shield(keys.forget(caller.name, key))
            raise
        finally:
            self._shared.forget()
        if key is not None and status == HTTPStatus.SERVICE_UNAVAILABLE:
            await keys.forget(caller.name, key)
        elif key is not None:
            await keys.end(caller.name, key, status, media, content)
        return Response(body=content, status=status, content_type=media)

    async def _respond(self, request: web.Request, rendered: Rendered) -> web.StreamResponse:
        headers = {
            hdrs.ETAG: rendered.etag,
            hdrs.CACHE_CONTROL: "private, no-cache",
            hdrs.VARY: "Accept, Accept-Encoding, Authorization",
            hdrs.AGE: str(max(int(self._clock.monotonic() - rendered.made_at), 0)),
        }
        if _matches(request.headers.get(hdrs.IF_NONE_MATCH, ""), rendered.etag):
            return Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        content = rendered.content
        if _accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")) and (small := await rendered.compressed()):
            content, headers[hdrs.CONTENT_ENCODING] = small, "gzip"
        charset = "utf-8" if rendered.media_type == CSV else None
        return Response(body=content, content_type=rendered.media_type, charset=charset, headers=headers)


def _kind(endpoint: Endpoint[Any, Any]) -> str:
    return "asking others" if endpoint.asks_others else "acting" if endpoint.acts else "reading"


async def _render(endpoint: Endpoint[Any, Any], answer: Any, media: str) -> Rendered:
    if isinstance(answer, Octets):
        rendered = Rendered(answer.content, answer.media_type, answer.content)
    elif media == CSV:
        content = await asyncio.to_thread(to_csv, answer.items)
        rendered = Rendered(content, CSV, content)
    elif media == ARROW and endpoint.arrow is not None:
        content = await asyncio.to_thread(endpoint.arrow, answer)
        rendered = Rendered(content, ARROW, content)
    else:
        fields = answer.model_dump()
        content = to_json(fields)
        rest = {name: value for name, value in fields.items() if name not in _TIMES}
        version = (
            content if len(rest) == len(fields) else await off_loop(len(content), LARGE_DOCUMENT, lambda: to_json(rest))
        )
        rendered = Rendered(content, JSON, version)
    if len(rendered.content) > endpoint.largest:
        raise refuse(
            "too-large",
            HTTPStatus.BAD_REQUEST,
            f"the answer has {len(rendered.content)} octets, and at most {endpoint.largest} are sent: ask for less",
        )
    return rendered


def to_csv(rows: Sequence[Report | Row]) -> bytes:
    """Return rows as CSV, with the names of their fields above; a value that is no single one is JSON."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    for number, row in enumerate(rows):
        fields = orjson.loads(to_json(row))
        if not number:
            writer.writerow(fields)
        writer.writerow(map(_cell, fields.values()))
    return file.getvalue().encode()


def _cell(value: object) -> object:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}" if value.startswith(_FORMULA) else value
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return value


# --- Questions -------------------------------------------------------------------------------------------------------


def _question(endpoint: Endpoint[Any, Any], given: Mapping[str, Any]) -> Question:
    try:
        question: Question = endpoint.question.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        lines = [f"{'.'.join(map(str, each['loc'])) or 'request'}: {each['msg']}" for each in found[:_MOST_ERRORS]]
        detail = f"{len(found)} of what was given cannot be used"
        raise refuse("misused", HTTPStatus.BAD_REQUEST, detail, errors=lines) from None
    if _has_nul(question.model_dump()):  # not of what was given, which can be nested as deeply as one likes
        raise refuse("misused", HTTPStatus.BAD_REQUEST, "a text has a NUL character, which nothing here has")
    return question


def _query(question: type[Question], request: web.Request) -> dict[str, Any]:
    lists = {field.alias or name for name, field in question.model_fields.items() if _is_list(field.annotation)}
    given: dict[str, Any] = {}
    for name in dict.fromkeys(request.query):
        values = request.query.getall(name)
        if name in lists:
            given[name] = values
        elif len(values) > 1:
            raise refuse(
                "misused", HTTPStatus.BAD_REQUEST, "a key is given twice", errors=[f"{name[:100]}: is not a list"]
            )
        else:
            given[name] = values[0]
    return given


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in {Union, UnionType}:
        return any(_is_list(part) for part in get_args(annotation))
    return isinstance(origin, type) and issubclass(origin, Sequence)


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type != JSON:
        raise refuse("misused", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body should be {JSON}")
    if request.query:
        raise refuse("misused", HTTPStatus.BAD_REQUEST, "keys belong in the body, not in the query")
    content = await request.read()
    try:
        body = orjson.loads(content)
    except ValueError:
        raise refuse("misused", HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise refuse("misused", HTTPStatus.BAD_REQUEST, "the body should be an object")
    if both := request.match_info.keys() & body.keys():
        raise refuse("misused", HTTPStatus.BAD_REQUEST, f"{min(both)} is a part of the path, and belongs there")
    return body


def _has_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case Mapping():
            return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
        case list() | tuple():
            return any(_has_nul(item) for item in value)
        case _:
            return False


# --- Headers ---------------------------------------------------------------------------------------------------------


def media_types(endpoint: Endpoint[Any, Any]) -> Sequence[str]:
    """Return the types of which an answer may be; the first one is the usual."""
    if endpoint.answer is Octets:
        return [OCTETS]
    others = [CSV] if issubclass(endpoint.answer, Page) else []
    return [JSON, *others, *([ARROW] if endpoint.arrow is not None else [])]


def _media_type(endpoint: Endpoint[Any, Any], accept: str) -> str:
    offered = media_types(endpoint)
    wanted = _weights(accept)
    if not wanted:
        return offered[0]
    weights = {media: _weight(wanted, media) for media in offered}
    best = max(offered, key=lambda media: weights[media])
    if weights[best] <= 0:
        raise refuse("not-acceptable", HTTPStatus.NOT_ACCEPTABLE, f"the answer is {' or '.join(offered)}")
    return best


def _weights(header: str) -> dict[str, float]:
    weights = {}
    for part in header[:2000].split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if name:
            weights[name] = weight
    return weights


def _weight(wanted: Mapping[str, float], media: str) -> float:
    group = media.partition("/")[0] + "/*"
    return next((wanted[name] for name in (media, group, "*/*") if name in wanted), 0.0)


def _accepts_gzip(header: str) -> bool:
    weights = _weights(header)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _matches(header: str, etag: str) -> bool:
    strong = etag.removeprefix("W/")
    return any(tag.strip().removeprefix("W/") in {strong, "*"} for tag in header[:4000].split(",") if tag.strip())
