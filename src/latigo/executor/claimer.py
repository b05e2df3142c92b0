"""Claims many tasks in one transaction: tasks that are received within a few milliseconds share it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from latigo.domain.errors import Unavailable
from latigo.domain.task import Task
from latigo.executor.batches import Batches
from latigo.ledger.protocol import Claim, ExecutorLedger
from latigo.runtime.log import get_logger

_log = get_logger(__name__)


def latest_claims(claims: Iterable[Claim]) -> dict[int, Claim]:
    """Return the latest claim on each task. The ledger answers by task, and whatever came before it is lost."""
    latest: dict[int, Claim] = {}
    for claim in claims:
        known = latest.setdefault(claim.task_id, claim)
        if claim.fence > known.fence:
            latest[claim.task_id] = claim
    return latest


class Claimer:
    """Claims the tasks of one executor. Every task has an answer of its own."""

    def __init__(self, ledger: ExecutorLedger, executor_id: str, lease: timedelta) -> None:
        self._ledger = ledger
        self._executor_id = executor_id
        self._lease = lease
        self._batches = Batches(self._claim_many, self._claim, self._release)

    async def claim(self, task: Task) -> Claim | None:
        """Claim a task. Return None if this executor may not work on it: see `ExecutorLedger.claim`.

        A claim that its caller no longer waits for is released.

        Raises:
            Unavailable: the ledger is unavailable.
        """
        return await self._batches.ask(task)

    async def run(self) -> None:
        """Claim until cancelled."""
        await self._batches.run()

    async def _claim_many(self, tasks: Sequence[Task]) -> Mapping[int, Claim | None]:
        return await self._ledger.claim_many(tasks, self._executor_id, self._lease)

    async def _claim(self, task: Task) -> Claim | None:
        return await self._ledger.claim(task, self._executor_id, self._lease)

    async def _release(self, claim: Claim | None) -> None:
        if claim is None:
            return
        try:
            await self._ledger.release([claim])
        except Unavailable as error:  # its lease will expire
            _log.warning("task.not_handed_back", task=claim.task_id, error=str(error))
