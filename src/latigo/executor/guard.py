"""The claim of a running task as its writes need it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from latigo.domain.errors import LatigoError, TimedOut, Unavailable
from latigo.domain.fence import Fence
from latigo.ledger.protocol import Claim, ClaimLost, ExecutorLedger
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

#: Pause between attempts while the ledger is unavailable.
PAUSE = timedelta(seconds=1)

T = TypeVar("T")


class WriteGuard:
    """Keeps a task from writing once its claim is lost; has repaired what it may have written all the same.

    Only sinks that cannot compare writers need it: see ``docs/decisions/0018``.

    Args:
        ledger: knows the claim.
        begin_write: `ExecutorLedger.begin_write`, or what asks it for many tasks at once.
        clock: waits while the ledger is unavailable.
        claim: of the task.
        lease: how long a claim holds after it was checked.
    """

    def __init__(
        self,
        ledger: ExecutorLedger,
        begin_write: Callable[[Claim], Awaitable[bool]],
        clock: Clock,
        claim: Claim,
        lease: timedelta,
    ) -> None:
        self._ledger = ledger
        self._begin_write = begin_write
        self._clock = clock
        self._claim = claim
        self._lease = lease
        self._may_have_written = False
        self._gave_up = False

    @property
    def gave_up(self) -> bool:
        """Whether a write ended without an answer, so that the sink may still execute it."""
        return self._gave_up

    @property
    def fence(self) -> Fence:
        """The writer, for sinks that compare."""
        return self._claim.fence

    async def begin_write(self) -> None:
        """Check the claim immediately before a write, and record the write before it begins.

        Waits while the ledger is unavailable.

        Raises:
            ClaimLost: another executor may have the task.
        """
        if not await self._ask(lambda: self._begin_write(self._claim)):
            raise ClaimLost
        self._may_have_written = True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Notice whether the write inside ends without an answer."""
        try:
            yield
        except BaseException as error:  # also what cuts it off
            self._gave_up |= isinstance(error, TimedOut) or not isinstance(error, LatigoError)
            raise

    async def check(self) -> None:
        """Check the claim. Raises and waits as `begin_write`."""
        held = await self._ask(lambda: self._ledger.renew([self._claim], self._lease))
        if self._claim.task_id not in held:
            raise ClaimLost

    async def record_newer(self, detail: str) -> None:
        """Record that a sink holds newer predictions although the claim holds. Waits as `begin_write`."""
        await self._ask(lambda: self._ledger.record_newer_predictions(self._claim, detail))

    async def claim_lost(self) -> None:
        """Have the window repaired if this task may have written; wait while the ledger is unavailable.

        To be called when the task writes nothing more.
        """
        if self._may_have_written:
            await self._ask(self._request_repair)

    async def hand_back(self) -> None:
        """Release the claim, or have the window repaired if it is lost.

        Raises:
            Unavailable: the ledger is unavailable. It knows what the task may have written.
        """
        released = await self._ledger.release([self._claim])
        if self._claim.task_id not in released and self._may_have_written:
            await self._request_repair()

    async def _request_repair(self) -> None:
        await self._ledger.request_repair(self._claim, may_arrive=self._gave_up)
        _log.warning("repair.requested")

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except Unavailable as error:
                _log.warning("claim.not_checked", error=str(error))
                await self._clock.sleep(PAUSE)
