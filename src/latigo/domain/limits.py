"""Limits that people change at run time, in place of what the settings say; pure."""

from dataclasses import dataclass, field

#: The name under which the ledger keeps that backfill is paused.
BACKFILL_PAUSED = "backfill_paused"
SMALLEST_OUTSTANDING = 64
LARGEST_OUTSTANDING = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """What was changed; None: as the settings say."""

    concurrency: int | None = None  #: tasks that each executor works on at once
    backfill_share: float | None = None  #: of task starts
    outstanding: int | None = None  #: tasks; 0: measured
    backfill_paused: bool = False  #: nothing but live windows is planned


#: Nothing was changed.
CONFIGURED = Limits()


@dataclass(frozen=True, slots=True)
class Controls:
    """What people have ordered an executor to do, and how many share the work."""

    limits: Limits = CONFIGURED
    drained: bool = False  #: it starts no task
    stops: bool = False  #: and its process ends when it has finished its tasks
    executors: int = field(default=1, compare=False)  #: that work now, this one included: no order


def most_outstanding(configured: int, settled_in_two_minutes: int) -> int:
    """Return how many tasks may be outstanding: as configured, or two minutes of measured throughput, bounded."""
    if configured:
        return configured
    return max(SMALLEST_OUTSTANDING, min(settled_in_two_minutes, LARGEST_OUTSTANDING))
