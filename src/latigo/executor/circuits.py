"""Circuit breakers: who is believed to be away, counted here, published in the ledger."""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from latigo.domain.errors import CircuitOpen, LatigoError, PartlyDown, TimedOut, Unavailable
from latigo.domain.model import ModelRef
from latigo.ledger.protocol import Circuit, ExecutorLedger

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When a circuit opens, and when it is probed."""

    failures: int = 5  #: in a row
    share: float = 0.5  #: of the last calls
    last: int = 20
    first_pause: timedelta = timedelta(seconds=15)
    longest_pause: timedelta = timedelta(minutes=2)


@dataclass
class Breaker:
    """Counts how calls to one downstream ended. Pure."""

    rules: CircuitRules
    in_a_row: int = 0
    recent: deque[bool] = field(init=False)
    timed_out: deque[ModelRef] = field(init=False)

    def __post_init__(self) -> None:
        self.recent = deque(maxlen=self.rules.last)
        self.timed_out = deque(maxlen=self.rules.last)

    def worked(self) -> None:
        """A call was answered."""
        self.in_a_row = 0
        self.recent.append(True)
        self.timed_out.clear()

    def failed(self) -> bool:
        """A call found nobody; whether that is one too many."""
        self.in_a_row += 1
        self.recent.append(False)
        many = len(self.recent) == self.rules.last and self.recent.count(False) >= self.rules.share * self.rules.last
        return self.in_a_row >= self.rules.failures or many

    def times_out(self, model: ModelRef) -> bool:
        """A call of this model took too long; whether those of other models do so as well."""
        self.timed_out.append(model)
        return any(other != model for other in self.timed_out)

    def reset(self) -> None:
        """Start counting anew."""
        self.in_a_row = 0
        self.recent.clear()
        self.timed_out.clear()


class CircuitBoard:
    """The circuits of one process. Opening, probing and closing is told to the ledger; calls only look in memory."""

    def __init__(self, ledger: ExecutorLedger, rules: CircuitRules) -> None:
        self._ledger = ledger
        self._rules = rules
        self._breakers: dict[str, Breaker] = {}
        self._open: Mapping[str, Circuit] = {}
        self._opened_here: set[str] = set()

    async def refresh(self) -> None:
        """Learn what other processes have found out."""
        self._open = {circuit.downstream: circuit for circuit in await self._ledger.circuits()}
        self._opened_here &= self._open.keys()

    def is_open(self, downstream: str) -> bool:
        """Whether it is believed to be away."""
        return downstream in self._open or downstream in self._opened_here

    async def may_probe(self, downstream: str) -> bool:
        """Whether it is our turn to see if the downstream is back; for those that nothing waits for.

        What tasks wait for is probed by the scheduler instead.
        """
        circuit = self._open.get(downstream)
        return circuit is not None and circuit.probe_due and await self._ledger.take_probe(downstream)

    @asynccontextmanager
    async def call(self, downstream: str, model: ModelRef, *, probe: bool) -> AsyncIterator[None]:
        """Around every call: refuses at once while the circuit is open, unless this is the probe; counts how it ends.

        Raises:
            CircuitOpen: nothing was called.
            LatigoError: what the call itself raised; a time-out that other models share, or that comes while the
                circuit is open, becomes `Unavailable`.
        """
        if self.is_open(downstream) and not probe:
            raise CircuitOpen(f"{downstream}: its circuit is open", downstream=downstream)
        try:
            yield
        except TimedOut as error:
            if self._breaker(downstream).times_out(model) or probe or self.is_open(downstream):
                await self._failed(error, probe=probe)
                raise Unavailable(str(error), downstream=error.downstream) from error
            raise
        except PartlyDown:  # it was there: one that waits for a part of it must not stop those who do not
            await self._worked(downstream, probe=probe)
            raise
        except Unavailable as error:
            await self._failed(error, probe=probe)
            raise
        except LatigoError:  # it was there, and said no
            await self._worked(downstream, probe=probe)
            raise
        else:
            await self._worked(downstream, probe=probe)

    def _breaker(self, downstream: str) -> Breaker:
        return self._breakers.setdefault(downstream, Breaker(self._rules))

    async def _worked(self, downstream: str, *, probe: bool) -> None:
        self._breaker(downstream).worked()
        if probe and self.is_open(downstream):
            await self._ledger.close_circuit(downstream)
            self._opened_here.discard(downstream)
            self._open = {name: circuit for name, circuit in self._open.items() if name != downstream}
            self._breaker(downstream).reset()
            _log.info("circuit.closed", downstream=downstream)

    async def _failed(self, error: Unavailable, *, probe: bool) -> None:
        downstream = error.downstream
        too_many = self._breaker(downstream).failed()
        if self.is_open(downstream):
            if probe:
                await self._ledger.probe_failed(downstream, str(error), longest=self._rules.longest_pause)
        elif too_many or error.alarm:
            self._opened_here.add(downstream)
            pause = max(self._rules.first_pause, error.retry_after or timedelta(0))
            await self._ledger.open_circuit(downstream, str(error), alarm=error.alarm, pause=pause)
            self._breaker(downstream).reset()
            log = _log.error if error.alarm else _log.warning
            log("circuit.opened", downstream=downstream, reason=str(error))
