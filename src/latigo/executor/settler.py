"""Settles many tasks in one transaction: tasks that end within a few milliseconds, or during a commit, share it."""

import asyncio
from datetime import timedelta
from typing import NamedTuple

from latigo.domain.errors import Unavailable
from latigo.domain.outcome import Crashed, Settlement
from latigo.domain.receipt import Receipt
from latigo.executor.batches import gather_batch
from latigo.executor.claimer import latest_claims
from latigo.ledger.protocol import Claim, ExecutorLedger
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

#: Pause between attempts while the ledger is unavailable. Tasks keep their claims and permits, so nothing piles up.
PAUSE = timedelta(seconds=1)


class _Waiting(NamedTuple):
    claim: Claim
    settlement: Settlement
    receipt: Receipt
    recorded: "asyncio.Future[bool]"


class Settler:
    """The single writer of settlements of an executor."""

    def __init__(self, ledger: ExecutorLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()

    async def settle(self, claim: Claim, settlement: Settlement, receipt: Receipt) -> bool:
        """Record how a task ended; wait until that is committed. Return whether it counted."""
        recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Waiting(claim, settlement, receipt, recorded))
        return await recorded

    async def run(self) -> None:
        """Write settlements until cancelled."""
        while True:
            await self._write(await gather_batch(self._waiting))

    async def _write(self, batch: list[_Waiting]) -> None:
        latest = latest_claims(entry.claim for entry in batch)
        holding = [entry for entry in batch if entry.claim == latest[entry.claim.task_id]]
        while True:
            try:
                counted = await self._ledger.settle(
                    [(entry.claim, entry.settlement) for entry in holding],
                    {entry.claim: entry.receipt for entry in holding},
                )
            except Unavailable as error:
                _log.warning("settlement.delayed", error=str(error), count=len(batch))
                await self._clock.sleep(PAUSE)
            except Exception as error:  # noqa: BLE001 - one settlement must not keep the others from being recorded
                if len(batch) == 1:
                    await self._write_crash(batch[0], error)
                    return
                for entry in batch:
                    await self._write([entry])
                return
            else:
                for claim, _, _, recorded in batch:
                    if not recorded.done():
                        recorded.set_result(claim.task_id in counted and claim == latest[claim.task_id])
                return

    async def _write_crash(self, entry: _Waiting, error: Exception) -> None:
        if isinstance(entry.settlement, Crashed):
            raise error
        _log.exception("settlement.crashed", task=entry.claim.task_id)
        crash = Crashed(f"settling failed: {error!r}")
        await self._write([entry._replace(settlement=crash, receipt=Receipt())])  # which may be what failed
