"""Interface of the ledger to the roles. Every method is one transaction; all time is that of the ledger's clock.

Any method raises `latigo.domain.errors.Unavailable` (downstream ``ledger``) while the database cannot be used; the
roles wait and try again. The order of concurrent calls is undefined but for what a docstring says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from latigo.domain.errors import Reason
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Settlement
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window

DOWNSTREAM = "ledger"  #: the name of the ledger in errors


@dataclass(frozen=True, slots=True)
class Term:
    """A scheduler's lease to plan; every planning call checks it by the ledger's clock."""

    holder: str
    number: int


class LeaseLost(Exception):
    """The planner's lease has run out or changed hands."""


@dataclass(frozen=True, slots=True)
class Need:
    """Windows that one model lacks and that can be planned now: at most one for each lane.

    Live reaches from the newest due slot back over the contiguous gap; backfill is the newest other hole.
    """

    model_id: int
    ref: ModelRef
    epoch: int
    windows: Mapping[Lane, Window]
    covered_end: datetime | None  #: None: never covered


@dataclass(frozen=True, slots=True)
class Planned:
    """A task to plan: a window of a need, in a lane."""

    model_id: int
    epoch: int
    window: Window
    lane: Lane
    probe: bool = False
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Counts of tasks that are planned, published or claimed now, and the state that planning depends on."""

    lanes: Mapping[Lane, int]  #: without those that wait for another attempt
    waiting: int
    unpublished: int
    settled: int  #: in the last two minutes
    stale_metadata: bool = False  #: metadata of a model is outdated: it has changed, or its revision is gone
    readable: int | None = None  #: the newest envelope version that every executor reads; None: there is no executor

    @property
    def total(self) -> int:
        """Tasks in all lanes."""
        return sum(self.lanes.values())

    @property
    def background(self) -> int:
        """Tasks in all lanes but live, which count as backfill in every limit."""
        return self.total - self.lanes.get(Lane.LIVE, 0)


@dataclass(frozen=True, slots=True)
class Circuit:
    """The open circuit of a downstream."""

    downstream: str
    reason: str
    alarm: bool
    opened_at: datetime
    pause: timedelta
    probe_due: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a task until the lease runs out."""

    task_id: int
    number: int
    attempts: int
    starts: int  #: earlier starts that never ended in a settlement
    stored_in: frozenset[str]

    @property
    def isolated(self) -> bool:
        """Whether the task has to run in isolation: it may have been what ended its process."""
        return self.starts > 0


@dataclass(frozen=True, slots=True)
class ExecutorInfo:
    """An executor, as it registers."""

    id: str
    version: str
    envelope_low: int
    envelope_high: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class KnownProject:
    """A project, as of its last accepted model list."""

    name: str
    revision: str
    models: int
    error: str
    quarantined_since: datetime | None
    quarantined_models: int  #: in the quarantined list
    accept_loss: bool


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model in the ledger."""

    id: int
    name: str
    revision: str
    state: str
    stale_metadata: bool
    resolution: timedelta | None  #: None while its metadata could not be understood
    slot: timedelta
    delay: timedelta
    fold: timedelta


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model to put into the ledger."""

    spec: ModelSpec
    slot: timedelta
    delay: timedelta
    fold: timedelta  #: longest window of one task
    horizon: timedelta  #: how far back a new model is to be predicted
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """Settings of a model that may change without changing its slots."""

    model_id: int
    delay: timedelta
    fold: timedelta
    enabled: bool


class ExecutorLedger(Protocol):
    """Interface for executors."""

    async def register(self, executor: ExecutorInfo) -> None:
        """Register an executor, with the envelope versions that it reads."""

    async def deregister(self, executor_id: str) -> None:
        """Remove an executor."""

    async def heartbeat(self, executor_id: str, *, in_flight: int, limit: int) -> None:
        """Record that an executor is alive."""

    async def claim(self, task_id: int, epoch: int, executor_id: str, lease: timedelta) -> Claim | None:
        """Claim a task, before any other I/O for it. None: it is finished, stale, paused or claimed elsewhere."""

    async def start_isolated(self, claim: Claim, lease: timedelta) -> bool:
        """Count an isolated start of a task; return False if the claim was lost meanwhile."""

    async def renew(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        """Renew leases; return the ids of the tasks whose claims still hold."""

    async def release(self, claims: Sequence[Claim]) -> None:
        """Release tasks as if they had not been started."""

    async def settle(self, settlements: Sequence[tuple[Claim, Settlement]]) -> frozenset[int]:
        """Record how tasks ended, the whole batch or nothing; return the ids of the tasks that counted.

        A settlement under an old epoch or a superseded claim does not count.
        """

    async def circuits(self) -> Sequence[Circuit]:
        """Return the open circuits, by name."""

    async def open_circuit(self, downstream: str, reason: str, *, alarm: bool, pause: timedelta) -> None:
        """Open the circuit of a downstream; an open one keeps its pause and takes the reason."""

    async def probe_failed(self, downstream: str, reason: str, *, longest: timedelta) -> None:
        """Record a failed probe: the pause doubles, up to ``longest``."""

    async def take_probe(self, downstream: str) -> bool:
        """Return whether the caller may probe the downstream; no other caller may before the next pause is over."""

    async def close_circuit(self, downstream: str) -> bool:
        """Close a circuit and release what was deferred for it; return whether it was open."""


class SchedulerLedger(Protocol):
    """Interface for schedulers."""

    async def clock_skew(self, now: datetime) -> timedelta:
        """Return how far the ledger's clock is ahead of ``now``."""

    async def acquire_lease(self, holder: str, lease: timedelta) -> Term | None:
        """Acquire or renew the lease to plan; None while another scheduler holds it."""

    async def release_lease(self, term: Term) -> None:
        """Release the lease to plan."""

    async def needs(self, max_catch_up: timedelta) -> Sequence[Need]:
        """Return everything that is to be planned: desired - actual, at most one window for each lane and model."""

    async def outstanding(self) -> Outstanding:
        """Return the counts of outstanding tasks."""

    async def circuits(self) -> Sequence[Circuit]:
        """Return the open circuits, by name."""

    async def probing(self) -> frozenset[str]:
        """Return the projects that have a probe outstanding."""

    async def plan(self, term: Term, planned: Sequence[Planned], *, probes: Sequence[str] = ()) -> int:
        """Commit tasks, and return their number; tasks that are outdated by now are left out.

        Args:
            term: the lease to plan.
            planned: the tasks.
            probes: the circuits that the tasks probe.

        Raises:
            LeaseLost: as in every method that takes a term.
        """

    async def wake_waiting(self, term: Term, *, blocked: Sequence[str], most: int) -> int:
        """Plan up to ``most`` tasks again whose back-off is over, except for blocked projects; return how many."""

    async def wake_probe(self, term: Term, project: str, probes: Sequence[str]) -> bool:
        """Plan one task of a blocked project again whose back-off is over, as a probe; False: there is none."""

    async def unpublished(self, term: Term, most: int) -> Sequence[Task]:
        """Return at most ``most`` planned tasks that are not marked as published, live ones first."""

    async def mark_published(self, term: Term, places: Mapping[int, str]) -> None:
        """Mark tasks as published, each with the place in the queue that the sender returned."""

    async def recover(self, term: Term, channel: str, *, isolated_starts: int, version: str) -> Mapping[str, int]:
        """Recover lost tasks, delete superseded ones, park poison tasks; return a count of each kind."""

    async def expire(self, term: Term, max_catch_up: timedelta) -> Mapping[ModelRef, int]:
        """Expire holes older than ``max_catch_up``; return the number of slots by model."""

    async def maintain(self, *, history: timedelta) -> None:
        """Create the next days of the history and drop old ones."""

    async def forgive_crashes(self, version: str) -> int:
        """Unpark what crashed under another version of Latigo; return the number of entries."""


class ModelLedger(Protocol):
    """Interface for the model list: projects and models."""

    async def projects(self) -> Sequence[KnownProject]:
        """Return the known projects."""

    async def known_models(self, project: str) -> Sequence[KnownModel]:
        """Return every model of a project that was ever listed."""

    async def project_listed(self, project: str, revision: str, models: Sequence[str]) -> None:
        """Record an accepted model list; unpark its models that were parked as missing."""

    async def project_failed(self, project: str, error: str) -> None:
        """Record that the models could not be listed; a quarantine begins anew."""

    async def project_quarantined(self, project: str, models: int) -> None:
        """Quarantine a list, now of ``models`` models, that has lost too many at once."""

    async def project_dropped(self, project: str) -> int:
        """Delete a project that settings and roster no longer name, and unregister its models; return their number."""

    async def put_models(self, entries: Sequence[ModelEntry]) -> int:
        """Add or update models; return how many are new or have a new epoch, since their predictions would change."""

    async def put_unusable(
        self, ref: ModelRef, revision: str, reason: Reason, detail: str, version: str, horizon: timedelta
    ) -> None:
        """Park a model that cannot be predicted in this revision; its coverage and schedule stay.

        ``horizon`` is how far back a new model is to be predicted.
        """

    async def reschedule(self, models: Sequence[Rescheduled]) -> None:
        """Apply changed settings to models: delay, longest window, enabled."""

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        """Set the state of models, such as gone or unregistered; return the names that changed."""
