"""What the roles ask of the ledger. Every method is one transaction; all time is the ledger's own.

Any method raises `latigo.domain.errors.Unavailable` (downstream ``ledger``) while the database is away; the roles wait
and ask again. Nothing is promised about the order of concurrent calls beyond what each docstring says.
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

DOWNSTREAM = "ledger"  #: its name among the systems that Latigo needs


@dataclass(frozen=True, slots=True)
class Term:
    """A scheduler's right to plan; every planning call checks it, by the ledger's clock."""

    holder: str
    number: int


class LeaseLost(Exception):
    """The planner's lease has run out or changed hands."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one model lacks, as far as it can be planned now: at most one window a lane.

    Live reaches from the newest due slot back over the contiguous gap; backfill is the newest other hole.
    """

    model_id: int
    ref: ModelRef
    epoch: int
    windows: Mapping[Lane, Window]
    covered_end: datetime | None  #: None: never covered


@dataclass(frozen=True, slots=True)
class Planned:
    """One task to be: a window of a need, in a lane."""

    model_id: int
    epoch: int
    window: Window
    lane: Lane
    probe: bool = False
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Tasks that are planned, published or claimed now, and what planning has to know besides."""

    lanes: Mapping[Lane, int]  #: without those that wait for another attempt
    waiting: int
    unpublished: int
    settled: int  #: in the last two minutes
    stale_metadata: bool = False  #: an executor found that a model has changed, or its revision is gone
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
    """A downstream that is believed to be away."""

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
    starts: int  #: how often it was started before and never settled
    stored_in: frozenset[str]

    @property
    def isolated(self) -> bool:
        """Whether the task has to run in isolation: it may have been what ended its process."""
        return self.starts > 0


@dataclass(frozen=True, slots=True)
class ExecutorInfo:
    """An executor, as it introduces itself."""

    id: str
    version: str
    envelope_low: int
    envelope_high: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class KnownProject:
    """What was believed of a project when it was last listed."""

    name: str
    revision: str
    models: int
    error: str
    quarantined_since: datetime | None
    quarantined_models: int  #: in the quarantined list
    accept_loss: bool


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model as the ledger has it."""

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
    """A model as the ledger is to have it."""

    spec: ModelSpec
    slot: timedelta
    delay: timedelta
    fold: timedelta  #: longest window of one task
    horizon: timedelta  #: how far back it is covered, if it is new
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """What settings may change of a model without its slots becoming others."""

    model_id: int
    delay: timedelta
    fold: timedelta
    enabled: bool


class ExecutorLedger(Protocol):
    """The ledger as executors see it."""

    async def register(self, executor: ExecutorInfo) -> None:
        """Be known, with the envelope versions that can be read."""

    async def deregister(self, executor_id: str) -> None:
        """Leave."""

    async def heartbeat(self, executor_id: str, *, in_flight: int, limit: int) -> None:
        """Still here."""

    async def claim(self, task_id: int, epoch: int, executor_id: str, lease: timedelta) -> Claim | None:
        """Take a task, before any other I/O for it. None: it is done, stale, paused or someone else's."""

    async def start_isolated(self, claim: Claim, lease: timedelta) -> bool:
        """Count a start of a task that now runs alone; False: the claim has been lost meanwhile."""

    async def renew(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        """Prolong leases; answers with the task ids that are still ours."""

    async def release(self, claims: Sequence[Claim]) -> None:
        """Hand tasks back as if they had not been started."""

    async def settle(self, settlements: Sequence[tuple[Claim, Settlement]]) -> frozenset[int]:
        """Record how tasks ended, all or none of the batch; answers with the task ids that counted.

        A settle of an old epoch or a superseded claim adds nothing.
        """

    async def circuits(self) -> Sequence[Circuit]:
        """The open ones."""

    async def open_circuit(self, downstream: str, reason: str, *, alarm: bool, pause: timedelta) -> None:
        """Publish that a downstream is away."""

    async def probe_failed(self, downstream: str, reason: str, *, longest: timedelta) -> None:
        """It is still away: the pause doubles."""

    async def take_probe(self, downstream: str) -> bool:
        """Whether the caller may probe the downstream now, and nobody else before its pause is over again."""

    async def close_circuit(self, downstream: str) -> bool:
        """It works again, and what was deferred for it may go out; whether its circuit was open."""


class SchedulerLedger(Protocol):
    """The ledger as schedulers see it."""

    async def clock_skew(self, now: datetime) -> timedelta:
        """How far the ledger's clock is ahead of ``now``."""

    async def acquire_lease(self, holder: str, lease: timedelta) -> Term | None:
        """Become or stay the one that plans; None while someone else does."""

    async def release_lease(self, term: Term) -> None:
        """Let someone else plan at once."""

    async def needs(self, max_catch_up: timedelta) -> Sequence[Need]:
        """Everything there is to do: desired - actual, bounded to one window a lane and model."""

    async def outstanding(self) -> Outstanding:
        """How much is out."""

    async def circuits(self) -> Sequence[Circuit]:
        """The open ones."""

    async def probing(self) -> frozenset[str]:
        """Projects that have a probe out."""

    async def plan(self, term: Term, planned: Sequence[Planned], *, probes: Sequence[str] = ()) -> int:
        """Commit tasks; what has been overtaken by events falls out. ``probes`` names the circuits being probed.

        Raises:
            LeaseLost: as in every method that takes a term.
        """

    async def wake_waiting(self, term: Term, *, blocked: Sequence[str], most: int) -> int:
        """Plan again what has waited long enough, except for blocked projects."""

    async def wake_probe(self, term: Term, project: str, probes: Sequence[str]) -> bool:
        """Plan one task of a blocked project again that has waited long enough, to probe these circuits; if any."""

    async def unpublished(self, term: Term, most: int) -> Sequence[Task]:
        """Committed tasks that are not known to be in the queue, live ones first."""

    async def mark_published(self, term: Term, places: Mapping[int, str]) -> None:
        """They are in the queue: by task id where, as the sender told."""

    async def recover(self, term: Term, channel: str, *, isolated_starts: int, version: str) -> Mapping[str, int]:
        """Find lost and superseded tasks; park those that kill their process. Answers with a count of each kind."""

    async def expire(self, term: Term, max_catch_up: timedelta) -> Mapping[ModelRef, int]:
        """Give up holes that have become too old; how many slots of which model."""

    async def maintain(self, *, history: timedelta) -> None:
        """Make the next days' partitions of the history and drop old ones."""

    async def forgive_crashes(self, version: str) -> int:
        """Give what crashed under another version of Latigo one more chance."""


class ModelLedger(Protocol):
    """Which models there are, as the ledger remembers it."""

    async def projects(self) -> Sequence[KnownProject]:
        """What is believed of the projects."""

    async def known_models(self, project: str) -> Sequence[KnownModel]:
        """Every model of the project that was ever seen."""

    async def project_listed(self, project: str, revision: str, models: Sequence[str]) -> None:
        """Its model list is believed; what was parked because the server had lost it gets another chance."""

    async def project_failed(self, project: str, error: str) -> None:
        """Its models could not be listed; what was doubted before has to stand anew."""

    async def project_quarantined(self, project: str, models: int) -> None:
        """Its list, now of so many models, has lost too many at once; it is not believed yet."""

    async def project_dropped(self, project: str) -> int:
        """Nobody names it any more: none of its models is predicted until somebody does; how many were."""

    async def put_models(self, entries: Sequence[ModelEntry]) -> int:
        """Add or update models; the epoch rises where predictions would change. How many rose or are new."""

    async def put_unusable(
        self, ref: ModelRef, revision: str, reason: Reason, detail: str, version: str, horizon: timedelta
    ) -> None:
        """A model that cannot be predicted in this revision: parked as a whole, and nothing of it is forgotten.

        ``horizon`` is how far back it is to be covered, if it is new.
        """

    async def reschedule(self, models: Sequence[Rescheduled]) -> None:
        """Settings have changed for these models: delay, longest window, enabled."""

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        """Models that are gone or unregistered from now on; the names that changed."""
