"""Circuit breakers: failed calls are counted here, open circuits are published in the ledger."""

from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from latigo.domain.circuits import System
from latigo.domain.errors import CircuitOpen, LatigoError, PartlyDown, TimedOut, Unavailable
from latigo.domain.model import ModelRef
from latigo.ledger.protocol import Circuit, ExecutorLedger
from latigo.runtime.log import get_logger

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When a circuit opens, and when it is probed."""

    failures: int  #: in a row
    share: float  #: of the last calls
    last: int
    first_pause: timedelta
    longest_pause: timedelta


@dataclass
class Breaker:
    """The results of the last calls to one downstream. Pure."""

    rules: CircuitRules
    in_a_row: int = 0
    recent: deque[bool] = field(init=False)
    timed_out: deque[ModelRef] = field(init=False)

    def __post_init__(self) -> None:
        self.recent = deque(maxlen=self.rules.last)
        self.timed_out = deque(maxlen=self.rules.last)

    def succeeded(self) -> None:
        """Record an answered call."""
        self.in_a_row = 0
        self.recent.append(True)
        self.timed_out.clear()

    def failed(self) -> bool:
        """Record a failed call. Return True if the circuit should open."""
        self.in_a_row += 1
        self.recent.append(False)
        many = len(self.recent) == self.rules.last and self.recent.count(False) >= self.rules.share * self.rules.last
        return self.in_a_row >= self.rules.failures or many

    def timed_out_too(self, model: ModelRef) -> bool:
        """Record a time-out of this model. Return whether calls of other models timed out as well."""
        self.timed_out.append(model)
        return any(other != model for other in self.timed_out)

    def reset(self) -> None:
        """Forget all results."""
        self.in_a_row = 0
        self.recent.clear()
        self.timed_out.clear()


class CircuitBoard:
    """The circuits of one process. They are opened, probed and closed in the ledger; calls check them in memory."""

    def __init__(self, ledger: ExecutorLedger, rules: CircuitRules) -> None:
        self._ledger = ledger
        self._rules = rules
        self._breakers: dict[str, Breaker] = {}
        self._open: Mapping[str, Circuit] = {}
        self._opened_here: set[str] = set()
        self._known: dict[System, set[str]] = {}

    async def refresh(self) -> None:
        """Read the circuits that other processes have opened or closed."""
        self._open = {circuit.downstream: circuit for circuit in await self._ledger.circuits()}
        self._opened_here &= self._open.keys()

    def is_open(self, downstream: str) -> bool:
        """Return whether the circuit of a downstream is open."""
        return downstream in self._open or downstream in self._opened_here

    def require_closed(self, downstream: str, *, probe: bool) -> None:
        """Refuse a call while the circuit of its downstream is open, unless it is the probe.

        Raises:
            CircuitOpen: it is.
        """
        if self.is_open(downstream) and not probe:
            raise CircuitOpen(f"{downstream}: its circuit is open", downstream=downstream)

    async def forget(self, system: System, names: Collection[str]) -> None:
        """Close the open circuits of the downstreams of a system that are gone: it has none but these.

        Other executors may have other ones, so that only those are closed which this process had before, and those
        which no process probes.
        """
        known = self._known.setdefault(system, set())
        for downstream in known.difference(names):
            if self.is_open(downstream):
                await self._close(downstream)
            self._breakers.pop(downstream, None)
            known.discard(downstream)
        known.update(names)
        for circuit in [each for each in self._open.values() if each.is_abandoned]:
            if circuit.downstream.startswith(f"{system}/") and circuit.downstream not in known:
                await self._close(circuit.downstream)

    async def may_probe(self, downstream: str) -> bool:
        """Return whether this process may probe a downstream that no task waits for.

        The scheduler probes those that tasks wait for. While the ledger is unavailable, nothing is probed: its failure
        would be counted for what is called meanwhile.
        """
        circuit = self._open.get(downstream)
        if circuit is None or not circuit.probe_due:
            return False
        try:
            return await self._ledger.take_probe(downstream)
        except Unavailable as error:
            _log.warning("circuits.not_read", error=str(error))
            return False

    @asynccontextmanager
    async def call(
        self,
        downstream: str,
        model: ModelRef,
        *,
        probe: bool,
        proves: bool = True,
        parts: Collection[str] = (),
        whole: str = "",
    ) -> AsyncIterator[None]:
        """Run a call under the circuit of its downstream, and record the result.

        Args:
            downstream: what is called.
            model: for which.
            probe: the call may be made although the circuit is open, and closes it if it succeeds.
            proves: an answer shows that the downstream works; otherwise only a failure is recorded.
            parts: what it consists of, where any part may answer, each under its own circuit: an error that names one
                of them was counted there and says nothing about the rest.
            whole: what it is a part of: until a part of that answers, time-outs of other models at any part count as
                time-outs of other models here.

        Raises:
            CircuitOpen: the circuit is open and this is not the probe; nothing was called.
            LatigoError: whatever the call raised; a time-out that other models share, or that occurs while the circuit
                is open, becomes `Unavailable`.
        """
        self.require_closed(downstream, probe=probe)
        try:
            yield
        except TimedOut as error:
            if error.downstream in parts:
                raise
            shared = [self._breaker(name).timed_out_too(model) for name in (downstream, whole) if name]
            if any(shared) or probe or self.is_open(downstream):
                await self._failed(error, probe=probe)
                raise Unavailable(str(error), downstream=error.downstream) from error
            raise
        except PartlyDown:  # it answered: a task that needs the missing part must not stop those that do not
            await self._succeeded(downstream, probe=probe)
            raise
        except Unavailable as error:
            if error.downstream not in parts:
                await self._failed(error, probe=probe)
            raise
        except LatigoError:  # it answered with a refusal
            await self._succeeded(downstream, probe=probe)
            raise
        else:
            if proves:
                await self._succeeded(downstream, probe=probe)

    def _breaker(self, downstream: str) -> Breaker:
        if downstream not in self._breakers:
            self._breakers[downstream] = Breaker(self._rules)
        return self._breakers[downstream]

    async def _succeeded(self, downstream: str, *, probe: bool) -> None:
        self._breaker(downstream).succeeded()
        if probe and self.is_open(downstream):
            with _logged():
                await self._close(downstream)

    async def _close(self, downstream: str) -> None:
        await self._ledger.close_circuit(downstream)
        self._opened_here.discard(downstream)
        self._open = {name: circuit for name, circuit in self._open.items() if name != downstream}
        self._breaker(downstream).reset()
        _log.info("circuit.closed", downstream=downstream)

    async def _failed(self, error: Unavailable, *, probe: bool) -> None:
        downstream = error.downstream
        too_many = self._breaker(downstream).failed()
        with _logged():
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


@contextmanager
def _logged() -> Iterator[None]:
    """Log that the ledger is unavailable: its error must not replace the result of a call to another system.

    The next result of that system is recorded instead.
    """
    try:
        yield
    except Unavailable as error:
        _log.warning("circuits.not_written", error=str(error))
