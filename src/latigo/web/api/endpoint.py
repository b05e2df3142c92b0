"""One question that the API answers, declared once: routes, documentation and the command line are made from it.

This module and those that declare endpoints know nothing of a server: a command asks an endpoint in its own process as
well (`latigo.cli.asking`).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from latigo.domain.model import ModelRef
from latigo.reports.base import Report
from latigo.web.api.context import Context

PREFIX = "/api/v1"
READ_LIMIT = timedelta(seconds=1)
#: Octets of an answer before it is compressed.
LARGEST = 2_000_000
#: For how long an answer is shared by all who ask the same.
SHARED_FOR = timedelta(seconds=1)

_LONGEST_NAME = 400
_LONGEST_WHY = 1000


def _line(text: object) -> object:
    """Put a reason on one line: others read it in lists."""
    return " ".join(text.split()) if isinstance(text, str) else text


Name = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]


def _several(given: object) -> object:
    """Take a name for a list of one, and none for an empty one: commands ask for one or for all."""
    return () if given is None else (given,) if isinstance(given, str) else given


#: Of a filter: names, or patterns with ``*``, of which one matches; none matches all.
Patterns = Annotated[
    tuple[Name, ...],
    BeforeValidator(_several),
    Field(max_length=100, description="Names, or patterns with *; any of them. May be repeated."),
]
Why = Annotated[str, Field(max_length=_LONGEST_WHY, description="Why, for the record."), BeforeValidator(_line)]
Digest = Annotated[
    str, Field(max_length=64, description="Refuse with 409 if the selection differs from that of a dry run.")
]


class Question(BaseModel):
    """What is asked: parts of the path, and keys of the query (GET) or of the body (POST, PUT)."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class NoChoice(Question):
    """Nothing to choose."""


class OfModel(Question):
    """A question about one model."""

    project: Name
    model: Name

    @property
    def ref(self) -> ModelRef:
        """The model."""
        return ModelRef(self.project, self.model)


class Octets(NamedTuple):
    """An answer that is no JSON."""

    content: bytes
    media_type: str = "application/octet-stream"


Q = TypeVar("Q", bound=Question)
A = TypeVar("A", bound=Report | Octets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[Q, A]):
    """A path and what answers it. A GET reads; everything else acts, and needs a token that may.

    Attributes:
        path: below `PREFIX`; its parts in braces are fields of the question.
        summary: in the documentation.
        question: the class of the question.
        answer: the class of the answer; a `latigo.web.api.paging.Page` is given as CSV as well.
        handle: returns the answer; raises `LatigoError`.
        limit: of the time for an answer, waits included, and of each statement of the ledger.
        largest: octets of an answer.
        shared_for: for how long an answer is shared by all who ask the same; zero: only by those who ask meanwhile.
        asks_others: the answer comes from another system than the ledger, which may hang.
        arrow: makes an Arrow stream of the answer for those who accept one; None: there is none.
        examples: of the question, in the documentation.
    """

    method: Literal["GET", "POST", "PUT"] = "GET"
    path: str
    summary: str
    question: type[Q]
    answer: type[A]
    handle: Callable[[Context, Q], Awaitable[A]]
    limit: timedelta = READ_LIMIT
    largest: int = LARGEST
    shared_for: timedelta = SHARED_FOR
    asks_others: bool = False
    arrow: Callable[[A], bytes] | None = None
    examples: Sequence[Mapping[str, Any]] = field(default=())

    @property
    def acts(self) -> bool:
        """True if it changes something."""
        return self.method != "GET"
