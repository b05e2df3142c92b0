"""The controls of the server for tests: troubles, and a record of its calls.

Tests need not sleep: a call that is held reports it by an event, and continues when it is released.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple, Self

from latigo.sandbox.gordo.body import Body, page

_EXECUTIONS_KEPT = 200_000
_TROUBLES_KEPT = 1_000


class CallKind(StrEnum):
    """The paths of Gordo, ``PROJECT`` and ``MODEL`` left out."""

    HEALTHCHECK = "healthcheck"
    VERSION = "server-version"
    REVISIONS = "revisions"
    MODELS = "models"
    EXPECTED = "expected-models"
    METADATA = "metadata"
    MODEL_HEALTHCHECK = "model-healthcheck"
    DOWNLOAD = "download-model"
    PREDICTION = "prediction"
    ANOMALY = "anomaly/prediction"
    DELETE = "delete"
    UNKNOWN = "unknown"

    @property
    def predicts(self) -> bool:
        """True if it runs a model."""
        return self in PREDICTIONS


PREDICTIONS = frozenset({CallKind.PREDICTION, CallKind.ANOMALY})


class Call(NamedTuple):
    """The path of a call; project and model are empty where the path has none."""

    kind: CallKind
    project: str = ""
    model: str = ""


class Executed(NamedTuple):
    """One run of a model, with the times of the first and last row; None if the labels were not times."""

    kind: CallKind
    project: str
    model: str
    revision: str
    first: datetime | None
    last: datetime | None
    rows: int


@dataclass(frozen=True, slots=True)
class Scope:
    """A selection of calls; None selects all."""

    project: str | None = None
    model: str | None = None
    kinds: Collection[CallKind] | None = None

    def __contains__(self, call: Call) -> bool:
        return (
            (self.project is None or call.project == self.project)
            and (self.model is None or call.model == self.model)
            and (self.kinds is None or call.kind in self.kinds)
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """Respond with this instead."""

    body: Body


@dataclass(frozen=True, slots=True)
class Hang:
    """Do not respond until the trouble is lifted; then respond as usual."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Respond as usual, after a delay."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection: before the response, or after some bytes of the usual body."""

    after_bytes: int | None = None


Misbehaviour = Answer | Hang | Delay | Close

EVERYTHING = Scope()
PREDICTING = Scope(kinds=PREDICTIONS)

#: 200 with a page that is not Gordo's, as a login proxy or a maintenance page gives it.
GARBAGE = Answer(Body(200, b"<html>Under maintenance</html>", "text/html"))
#: 500 with Gordo's own page.
SERVER_ERROR = Answer(page(500))
#: A list without models, as Gordo returns while its directory is missing; predictions still work.
EMPTY_MODELS = Answer(Body(200, {"models": []}))


def unavailable(retry_after: timedelta | None = None) -> Answer:
    """Return 503, the response of a proxy whose server is unavailable."""
    headers = {} if retry_after is None else {"Retry-After": str(int(retry_after.total_seconds()))}
    return Answer(Body(503, b"no healthy upstream", "text/plain", headers))


@dataclass(eq=False)
class Trouble:
    """A misbehaviour that lasts until it is lifted, or has struck ``times`` times after the first ``skip`` calls."""

    number: int
    how: Misbehaviour
    scope: Scope
    skip: int = 0
    times: int | None = None
    met: int = 0
    lifted: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    def meets(self, call: Call) -> bool:
        """Return whether it strikes this call, and count it."""
        if call not in self.scope or self.lifted.is_set():
            return False
        self._seen += 1
        if self._seen <= self.skip or (self.times is not None and self.met >= self.times):
            return False
        self.met += 1
        self._reached.set()
        return True

    async def reached(self) -> None:
        """Return once it has struck."""
        await self._reached.wait()

    def lift(self) -> None:
        """End it; calls that hang get their responses."""
        self.lifted.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.lift()


class Controls:
    """Troubles of a server, and a record of its calls. Belongs to one event loop."""

    def __init__(self) -> None:
        self.calls: Counter[Call] = Counter()
        self.executed: deque[Executed] = deque(maxlen=_EXECUTIONS_KEPT)
        self.in_flight = 0  #: predictions
        self.most_in_flight = 0
        self._troubles: dict[int, Trouble] = {}
        self._last_number = 0
        self._changed = asyncio.Event()

    def trouble(
        self, how: Misbehaviour, scope: Scope = EVERYTHING, *, skip: int = 0, times: int | None = None
    ) -> Trouble:
        """Add a trouble, which strikes from now on; if several match a call, the newest strikes."""
        if len(self._troubles) >= _TROUBLES_KEPT:
            self._troubles = {number: kept for number, kept in self._troubles.items() if not kept.lifted.is_set()}
        self._last_number += 1
        trouble = Trouble(self._last_number, how, scope, skip, times)
        self._troubles[trouble.number] = trouble
        return trouble

    def numbered(self, number: int) -> Trouble:
        """Return a trouble by its number.

        Raises:
            KeyError: there is none.
        """
        return self._troubles[number]

    def hold(self, scope: Scope = PREDICTING, *, nth: int = 1) -> Trouble:
        """Hold the n-th call from now: ``await held.reached()``, and ``held.lift()`` to let it go on."""
        return self.trouble(Hang(), scope, skip=nth - 1, times=1)

    def hang(self, scope: Scope = PREDICTING) -> Trouble:
        """Do not respond until lifted."""
        return self.trouble(Hang(), scope)

    def unavailable(
        self, scope: Scope = EVERYTHING, *, retry_after: timedelta | None = None, times: int | None = None
    ) -> Trouble:
        """Respond with 503."""
        return self.trouble(unavailable(retry_after), scope, times=times)

    def garbage(self, scope: Scope = EVERYTHING, *, times: int | None = None) -> Trouble:
        """Respond with something that is not Gordo's."""
        return self.trouble(GARBAGE, scope, times=times)

    def server_error(self, scope: Scope = PREDICTING, *, times: int | None = None) -> Trouble:
        """Respond with 500."""
        return self.trouble(SERVER_ERROR, scope, times=times)

    def empty_model_list(self, project: str | None = None) -> Trouble:
        """List no models."""
        return self.trouble(EMPTY_MODELS, Scope(project=project, kinds={CallKind.MODELS}))

    def close(self, scope: Scope = EVERYTHING, *, after_bytes: int | None = None, times: int | None = None) -> Trouble:
        """Close the connection before a response, or within it."""
        return self.trouble(Close(after_bytes), scope, times=times)

    def delay(self, seconds: float, scope: Scope = PREDICTING) -> Trouble:
        """Delay responses."""
        return self.trouble(Delay(seconds), scope)

    def lift_all(self) -> None:
        """End every trouble."""
        for trouble in self._troubles.values():
            trouble.lift()
        self._troubles.clear()

    def count(self, scope: Scope = EVERYTHING) -> int:
        """Return the number of calls, including those that a trouble struck."""
        return sum(count for call, count in self.calls.items() if call in scope)

    async def called(self, times: int, scope: Scope = PREDICTING) -> None:
        """Return once there were so many calls."""
        while self.count(scope) < times:
            await self._changed.wait()

    def meet(self, call: Call) -> Trouble | None:
        """Count a call. Return the trouble that strikes it, if any."""
        self.calls[call] += 1
        self._changed.set()
        self._changed = asyncio.Event()
        return next((trouble for trouble in reversed(self._troubles.values()) if trouble.meets(call)), None)

    @contextmanager
    def in_flight_during(self, call: Call) -> Iterator[None]:
        """Count a prediction as in flight."""
        if not call.kind.predicts:
            yield
            return
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1
