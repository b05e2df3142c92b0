"""Begins many writes in one statement: tasks that are about to write within a few milliseconds share it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from latigo.executor.batches import Batches
from latigo.executor.claimer import latest_claims
from latigo.ledger.protocol import Claim, ExecutorLedger


class Writes:
    """Writes of one executor to sinks that cannot compare writers. Every task has an answer of its own."""

    def __init__(self, ledger: ExecutorLedger, lease: timedelta) -> None:
        self._ledger = ledger
        self._lease = lease
        self._batches = Batches(self._begin_many, self._begin)

    async def begin(self, claim: Claim) -> bool:
        """Check a claim, and record that it may write from now on: see `ExecutorLedger.begin_write`.

        Raises:
            Unavailable: the ledger is unavailable.
        """
        return await self._batches.ask(claim)

    async def run(self) -> None:
        """Begin writes until cancelled."""
        await self._batches.run()

    async def _begin_many(self, claims: Sequence[Claim]) -> Mapping[int, bool]:
        latest = latest_claims(claims)
        begun = await self._ledger.begin_writes(list(latest.values()), self._lease)
        return {
            place: claim == latest[claim.task_id]
            for place, claim in enumerate(claims)
            if claim.task_id in begun or claim != latest[claim.task_id]
        }

    async def _begin(self, claim: Claim) -> bool:
        return await self._ledger.begin_write(claim, self._lease)
