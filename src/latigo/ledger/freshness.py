"""What the scheduler that plans keeps in the ledger for a status: counters of freshness, and sums over all slots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from latigo.domain.circuits import System
from latigo.ledger.protocol import Term


@dataclass(frozen=True, slots=True)
class Block:
    """Models that are not planned because a circuit is open."""

    project: str
    system: System
    models: Sequence[int] | None = None  #: by id; None: all of the project


class FreshnessLedger(Protocol):
    """The counters and sums, for the scheduler that holds the lease."""

    async def count(
        self, term: Term, blocks: Sequence[Block], *, plans: bool, full: bool, within: timedelta | None
    ) -> Mapping[tuple[str, str], timedelta]:
        """Count the time of all models since it was counted last, each moment once, whichever scheduler did.

        Where that was not done for longer than a period, what is stale is put down to Latigo itself.

        Args:
            term: the lease to plan.
            blocks: what open circuits keep from being planned.
            plans: False while the scheduler holds the lease and does not plan.
            full: no more tasks may be outstanding.
            within: the objective; None: that of each model's schedule.

        Returns:
            What was added, by project, and fresh or a cause.

        Raises:
            LeaseLost: nothing was counted.
        """

    async def sum_slots(self, term: Term, valid_for: timedelta) -> None:
        """Keep the sums over all slots as of now; a status uses them for as long.

        Raises:
            LeaseLost: nothing has changed.
        """
