"""Errors as ``application/problem+json`` (RFC 9457), and back; pure."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from latigo.domain.errors import LatigoError, Misused, SelectionChanged, Unavailable, UnknownName
from latigo.reports.base import Report

MEDIA_TYPE = "application/problem+json"
#: Seconds after which something that is unavailable is worth another request.
_AGAIN_S = 5.0


class Problem(Report):
    """Why there is no answer."""

    type: str  #: which kind of problem: a name that stays
    title: str
    status: int
    detail: str
    errors: Sequence[str] = ()  #: one a key that is wrong, beginning with its name
    retry_after_s: float | None = None  #: after which it may work


class _Kind(NamedTuple):
    slug: str
    status: HTTPStatus
    title: str
    error: type[LatigoError]


#: The first one that an error is of.
_KINDS = (
    _Kind("unknown-name", HTTPStatus.NOT_FOUND, "There is nothing of this name", UnknownName),
    _Kind("selection-changed", HTTPStatus.CONFLICT, "The selection has changed", SelectionChanged),
    _Kind("misused", HTTPStatus.BAD_REQUEST, "The request cannot be meant as it is", Misused),
    _Kind("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "Something is unavailable", Unavailable),
    _Kind("refused", HTTPStatus.CONFLICT, "It cannot be done as things are", LatigoError),
)


class RefusedRequest(Exception):
    """A request that gets a problem for an answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refuse(
    kind: str,
    status: HTTPStatus,
    detail: str,
    *,
    title: str = "",
    errors: Sequence[str] = (),
    retry_after_s: float | None = None,
) -> RefusedRequest:
    """Return the error for a request that is answered with a problem."""
    problem = Problem(
        type=kind,
        title=title or status.phrase,
        status=status,
        detail=detail,
        errors=errors,
        retry_after_s=retry_after_s,
    )
    return RefusedRequest(problem)


def problem_of(error: LatigoError) -> Problem:
    """Return the problem for an error."""
    kind = next(kind for kind in _KINDS if isinstance(error, kind.error))
    again = None
    if isinstance(error, Unavailable):
        again = error.retry_after.total_seconds() if error.retry_after else _AGAIN_S
    return Problem(type=kind.slug, title=kind.title, status=kind.status, detail=str(error), retry_after_s=again)


def error_of(problem: Problem, downstream: str) -> LatigoError:
    """Return the error that a problem was made of; ``downstream`` names the server that it came from."""
    text = "; ".join([problem.detail, *problem.errors])
    if problem.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}:
        return Unavailable(text, downstream=downstream)
    for kind in _KINDS:
        if kind.slug == problem.type:
            return kind.error(text)
    return Misused(text) if problem.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} else LatigoError(text)
