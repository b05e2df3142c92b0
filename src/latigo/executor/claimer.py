"""Claims many tasks in one transaction: tasks that are received within a few milliseconds share it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from latigo.domain.errors import Unavailable
from latigo.domain.task import Task
from latigo.ledger.protocol import Claim, ExecutorLedger
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

LARGEST_BATCH = 200
#: Seconds in which claims are gathered. Reading and predicting take a hundred times as long.
GATHERING = 0.005


class _Waiting(NamedTuple):
    task: Task
    answer: "asyncio.Future[Claim | None]"


class Claimer:
    """Claims the tasks of one executor. Every task has an answer of its own.

    A batch waits for no lock. What it leaves out is claimed by itself and waits, if it has to, without the others.
    """

    def __init__(self, ledger: ExecutorLedger, executor_id: str, lease: timedelta) -> None:
        self._ledger = ledger
        self._executor_id = executor_id
        self._lease = lease
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()

    async def claim(self, task: Task) -> Claim | None:
        """Claim a task. Return None if this executor may not work on it: see `ExecutorLedger.claim`.

        A claim of which the caller has stopped to wait is released.

        Raises:
            Unavailable: the ledger is unavailable.
        """
        answer: asyncio.Future[Claim | None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Waiting(task, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            if not answer.cancelled() and answer.exception() is None and (claim := answer.result()):
                await self._release(claim)  # it was answered in the moment in which the caller was cancelled
            raise

    async def run(self) -> None:
        """Claim until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                batch = [await self._waiting.get()]
                await asyncio.sleep(GATHERING)
                while len(batch) < LARGEST_BATCH and not self._waiting.empty():
                    batch.append(self._waiting.get_nowait())
                for entry in await self._claim(batch):
                    group.create_task(self._claim_by_itself(entry))

    async def _claim(self, batch: Sequence[_Waiting]) -> Sequence[_Waiting]:
        """Claim a batch. Return what has to be claimed by itself."""
        batch = [entry for entry in batch if not entry.answer.done()]
        if len(batch) < 2:
            return batch
        try:
            claims = await self._ledger.claim_many([entry.task for entry in batch], self._executor_id, self._lease)
        except Unavailable as error:
            for entry in batch:
                _fail(entry, error)
            return ()
        except Exception as error:  # noqa: BLE001 - one task must not keep the others from being claimed
            _log.warning("claims.separated", error=repr(error), count=len(batch))
            return batch
        for place, claim in claims.items():
            await self._answer(batch[place], claim)
        return [entry for place, entry in enumerate(batch) if place not in claims]

    async def _claim_by_itself(self, entry: _Waiting) -> None:
        try:
            claim = await self._ledger.claim(entry.task, self._executor_id, self._lease)
        except Exception as error:  # noqa: BLE001 - it is the caller's
            _fail(entry, error)
        else:
            await self._answer(entry, claim)

    async def _answer(self, entry: _Waiting, claim: Claim | None) -> None:
        if not entry.answer.done():
            entry.answer.set_result(claim)
        elif claim is not None:
            await self._release(claim)

    async def _release(self, claim: Claim) -> None:
        try:
            await self._ledger.release([claim])
        except Unavailable as error:  # its lease will expire
            _log.warning("task.not_handed_back", task=claim.task_id, error=str(error))


def _fail(entry: _Waiting, error: Exception) -> None:
    if not entry.answer.done():
        entry.answer.set_exception(error)
