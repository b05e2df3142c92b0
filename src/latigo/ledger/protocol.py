"""The ledger as the roles use it. Every method is one transaction; all time is that of the ledger's clock.

Any method raises `latigo.domain.errors.Unavailable` (downstream ``ledger``) while the database is unavailable; roles
wait and retry. The order of concurrent calls is undefined, except as documented.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from latigo.domain.fence import Fence
from latigo.domain.limits import CONFIGURED, Controls, Limits
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Settlement
from latigo.domain.receipt import Receipt
from latigo.domain.sinks import RequiredSink
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window

DOWNSTREAM = "ledger"  #: the name of the ledger in errors


@dataclass(frozen=True, slots=True)
class Term:
    """A scheduler's lease to plan; every planning call checks it by the ledger's clock."""

    holder: str
    number: int


class LeaseLost(Exception):
    """The planner's lease has expired, or another scheduler holds it."""


class ClaimLost(Exception):
    """The claim on a task has ended, and another executor may have the task."""


#: Needs that are worth a thread: to read and to sort as many takes several milliseconds.
MANY_NEEDS: Final = 5_000


_LANES = tuple(Lane)


class Need(NamedTuple):
    """Missing windows of one model that can be planned now: at most one per lane.

    Live reaches from the newest due slot back over the contiguous gap; backfill is the newest other hole; repair is
    the newest window that an overtaken claim may have written over; manual is the newest that a request wants. One
    window, or one run of windows in lane backfill or for one request, can be outstanding in all lanes but live
    together: see `SchedulerLedger.plan`.

    There may be as many as models, and all of them are kept until they have been planned. So a need has no objects that
    Python's collector has to walk, and its windows are made when they are asked for.
    """

    model_id: int
    project: str
    name: str
    epoch: int
    covered_end: datetime | None  #: None: never covered
    request: int | None  #: that wants the manual window
    bounds: tuple[datetime | None, ...]  #: start and end of the window of each lane, in the order of `Lane`, or None

    @property
    def ref(self) -> ModelRef:
        """The model that lacks something."""
        return ModelRef(self.project, self.name)

    @property
    def lanes(self) -> Sequence[Lane]:
        """The lanes in which something is missing."""
        return [lane for lane, start in zip(_LANES, self.bounds[::2], strict=True) if start is not None]

    @property
    def windows(self) -> Mapping[Lane, Window]:
        """What is missing, by lane."""
        return {lane: self.window(lane) for lane in self.lanes}

    def window(self, lane: Lane) -> Window:
        """Return what is missing in a lane.

        Raises:
            KeyError: nothing is.
        """
        place = 2 * _LANES.index(lane)
        start, end = self.bounds[place : place + 2]
        if start is None or end is None:
            raise KeyError(lane)
        return Window(start, end)


@dataclass(frozen=True, slots=True)
class Planned:
    """A task to be planned: a window of a need, in a lane."""

    model_id: int
    epoch: int
    window: Window
    lane: Lane
    probe: bool = False
    trace: str = ""
    request: int | None = None  #: that it is planned for


class RequestChange(NamedTuple):
    """A request for time whose state has changed by itself."""

    id: int
    kind: str
    state: str
    note: str  #: why


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Number of tasks planned, published or claimed, and other inputs of a round of planning."""

    lanes: Mapping[Lane, int]  #: tasks by lane, without those that wait for another attempt
    waiting: int
    unpublished: int
    settled: int  #: in the last two minutes
    stale_metadata: bool = False  #: a model has changed, or its revision is gone, and its metadata has to be read
    readable: int | None = None  #: newest envelope version that every executor reads; None: no executors
    room: Mapping[int, int] = field(default_factory=dict)  #: tasks more that requests may have out, where limited
    limits: Limits = CONFIGURED  #: that were changed at run time

    @property
    def total(self) -> int:
        """Tasks in all lanes."""
        return sum(self.lanes.values())

    @property
    def background(self) -> int:
        """Tasks in all lanes but live, which count as backfill in every limit."""
        return self.total - self.lanes.get(Lane.LIVE, 0)


class ModelTags(NamedTuple):
    """The tags that a model reads."""

    model_id: int
    epoch: int
    project: str
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Circuit:
    """An open circuit."""

    downstream: str
    reason: str
    alarm: bool
    opened_at: datetime
    pause: timedelta
    probe_due: bool
    is_abandoned: bool = False  #: no process has probed it for an hour, although that is due


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a task until the lease runs out.

    It holds for this window of this model only: in a restored ledger, the same number may be another task's.
    """

    task_id: int
    number: int  #: rises with every claim on the task
    attempts: int
    starts: int  #: how often it was started before without being settled
    stored_in: frozenset[str]
    ref: ModelRef
    window: Window
    epoch: int
    incarnation: int  #: of the ledger
    #: Of a sweep: what slots of the window were predicted from, by their start, as far as it is known. None: no sweep.
    recorded: Mapping[datetime, bytes] | None = field(default=None, compare=False)

    @property
    def fence(self) -> Fence:
        """The writer, for sinks that compare."""
        return Fence(self.incarnation, self.epoch, self.task_id, self.number)

    @property
    def isolated(self) -> bool:
        """True if the task has to run in isolation: it may have ended its process."""
        return self.starts > 0


class MismatchKind(StrEnum):
    """Why a ledger, as it is, cannot have sent a message."""

    BEYOND_SEQUENCE = "beyond_sequence"  #: no task has had this number yet
    OTHER_TASK = "other_task"  #: the task of this number is another one
    LATER_EPOCH = "later_epoch"  #: the model has not had this epoch yet
    LATER_INCARNATION = "later_incarnation"  #: the ledger was restored oftener than it knows
    OTHER_LEDGER = "other_ledger"  #: another ledger has sent it
    NEWER_PREDICTIONS = "newer_predictions"  #: no message: a sink holds predictions of a later claim than any

    @property
    def shows_restore(self) -> bool:
        """True if the ledger was restored from a backup, and ``latigo ledger restored`` has not been run since."""
        return self is not MismatchKind.OTHER_LEDGER


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A message that contradicts the ledger."""

    kind: MismatchKind
    detail: str  #: in words
    is_first: bool = True  #: of its kind, in this incarnation of the ledger


NO_RECEIPTS: Mapping[Claim, Receipt] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ExecutorInfo:
    """An executor as it registers itself."""

    id: str
    version: str
    envelope_low: int
    envelope_high: int
    concurrency: int


class ExecutorLedger(Protocol):
    """The ledger as executors use it."""

    async def register(self, executor: ExecutorInfo) -> None:
        """Register an executor, with the envelope versions that it reads."""

    async def deregister(self, executor_id: str) -> None:
        """Remove an executor."""

    async def heartbeat(self, executor_id: str, *, in_flight: int, limit: int, concurrency: int) -> bool:
        """Record that an executor is alive, and what limits it. Return False if it has to register again."""

    async def controls(self, executor_id: str) -> Controls:
        """Return what people have ordered this executor to do."""

    async def claim(self, task: Task, executor_id: str, lease: timedelta) -> Claim | None:
        """Claim a task, before any other I/O for it. Return None if it is done, stale, paused or claimed by another.

        So it is where model, window or epoch are not those of the task with this number, and where the message is of
        another ledger or another incarnation of this one. Waits while another transaction has the task locked.
        """

    async def claim_many(self, tasks: Sequence[Task], executor_id: str, lease: timedelta) -> Mapping[int, Claim]:
        """Claim several tasks in one transaction, each as `claim` does. Return the claims by the place of their task.

        Waits for no lock: a task without a claim may have been locked. Of a task that is there twice, one is claimed.
        """

    async def examine(self, task: Task) -> Mismatch | None:
        """Record a task that could not be claimed and that this ledger cannot have planned. Return None if it can.

        One that is done, superseded or of an earlier incarnation is no mismatch.
        """

    async def start_isolated(self, claim: Claim, lease: timedelta) -> bool:
        """Count a start of a task that now runs in isolation. Return False if the claim has been lost."""

    async def renew(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        """Extend leases of claims on different tasks. Return the ids of the tasks that are still claimed."""

    async def begin_write(self, claim: Claim, lease: timedelta) -> bool:
        """Renew a claim and record that it may write from now on to a sink that cannot compare writers.

        Return False if the claim has been lost. If it is not settled after all, its window is predicted again in lane
        repair, some time after another claim was settled.
        """

    async def begin_writes(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        """Begin writes of claims on different tasks, each as `begin_write` does. Return the ids of the tasks.

        Waits for no lock: a task that is left out may have been locked.
        """

    async def request_repair(self, claim: Claim, *, may_arrive: bool = False) -> None:
        """Have the window of a lost claim predicted again in lane repair: it may have written there until now.

        Some time later, if its write had no answer and ``may_arrive`` yet.
        """

    async def record_newer_predictions(self, claim: Claim, detail: str) -> None:
        """Record that a sink holds newer predictions than a claim that holds, as if the ledger had been restored."""

    async def release(self, claims: Sequence[Claim]) -> frozenset[int]:
        """Release tasks as if they had not been started. Return the ids of those that were still claimed."""

    async def settle(
        self, settlements: Sequence[tuple[Claim, Settlement]], receipts: Mapping[Claim, Receipt] = NO_RECEIPTS
    ) -> frozenset[int]:
        """Record how tasks ended, in one transaction. Return the ids of the tasks that counted.

        A settlement under an old epoch or a superseded claim does not count. A task that ends for good keeps its
        receipt in the history; one that waits for another attempt does not.
        """

    async def circuits(self) -> Sequence[Circuit]:
        """Return the open circuits."""

    async def open_circuit(self, downstream: str, reason: str, *, alarm: bool, pause: timedelta) -> None:
        """Open the circuit of a downstream."""

    async def probe_failed(self, downstream: str, reason: str, *, longest: timedelta) -> None:
        """Record a failed probe: the pause doubles, up to ``longest``."""

    async def take_probe(self, downstream: str) -> bool:
        """Return whether the caller may probe a downstream now; others have to wait for the next pause to end."""

    async def close_circuit(self, downstream: str) -> bool:
        """Close a circuit and release what was deferred for it. Return whether the circuit was open."""


class SchedulerLedger(Protocol):
    """The ledger as schedulers use it."""

    async def clock_skew(self, now: datetime) -> timedelta:
        """Return how far the ledger's clock is ahead of ``now``."""

    async def acquire_lease(self, holder: str, lease: timedelta) -> Term | None:
        """Acquire or renew the planner's lease. Return None while another scheduler holds it."""

    async def release_lease(self, term: Term) -> None:
        """Release the planner's lease, so that another scheduler can acquire it at once."""

    async def needs(self, max_catch_up: timedelta) -> Sequence[Need]:
        """Return desired - actual coverage of all models, at most one window per lane and model."""

    async def continued(
        self, planned: Sequence[Planned], max_catch_up: timedelta, most: int
    ) -> Mapping[tuple[int, Lane], Sequence[Window]]:
        """Return what continues windows that are planned: by model and lane, the newest first.

        That is what else is missing of the model before the window, nothing of a silent one, or what else the same
        request wants. At most ``most`` windows of each, no longer than its fold.
        """

    async def outstanding(self) -> Outstanding:
        """Return how many tasks are outstanding."""

    async def circuits(self) -> Sequence[Circuit]:
        """Return the open circuits."""

    async def changed_tags(self, known: Mapping[int, int]) -> list[ModelTags]:
        """Return the tags of every active model whose epoch, by the model's id, is not the known one."""

    async def probing(self) -> Mapping[int, str]:
        """Return the models with an outstanding probe: their projects, by id."""

    async def plan(self, term: Term, planned: Sequence[Planned], *, probes: Sequence[str] = ()) -> int:
        """Insert tasks, except those that have become obsolete. Return how many were inserted.

        Obsolete are tasks of an older epoch, tasks that overlap with an outstanding one, live and backfill tasks
        whose window is covered, tasks in other lanes than live while backfill is paused, and tasks that their request
        does not want any more; tasks in lanes but live and backfill may repeat what is covered. A model has at most one
        live task and one of all other lanes outstanding, or one run of backfill or of a request, which is planned in
        one call; those that wait for another attempt are not counted.

        Args:
            term: of the planner's lease.
            planned: the tasks.
            probes: circuits that these tasks probe.

        Raises:
            LeaseLost: the term has ended; so in every method that takes a term.
        """

    async def wake_waiting(
        self, term: Term, *, blocked: Sequence[str], blocked_models: Sequence[int] = (), most: int
    ) -> int:
        """Plan waiting tasks again whose back-off is over, except those of blocked projects and models, by id.

        Return how many.
        """

    async def wake_probe(
        self, term: Term, project: str, probes: Sequence[str], *, models: Sequence[int] | None = None
    ) -> bool:
        """Plan one waiting task of a blocked project again, to probe these circuits. Return whether there was one.

        ``models``, by id, are those of the project that may probe; None: all of them.
        """

    async def unpublished(self, term: Term, most: int) -> Sequence[Task]:
        """Return planned tasks that are not marked as published, live ones first; paused ones wait instead."""

    async def mark_published(self, term: Term, places: Mapping[int, str]) -> None:
        """Mark tasks as published; ``places`` has the place of each in the queue, as the sender returned it."""

    async def recover(
        self, term: Term, channel: str, *, held: Collection[int] | None = None, isolated_starts: int, version: str
    ) -> Mapping[str, int]:
        """Plan lost tasks again, drop superseded ones, park poison tasks. Return how many there were of each kind.

        ``held`` are the tasks that are still in a queue which outlives nothing but this process: see `TaskSender.held`.
        """

    async def tend_requests(self, term: Term) -> Sequence[RequestChange]:
        """End requests that are done, pause those that fail too often, withdraw tasks of those that are not active."""

    async def begin_sweep(self, term: Term, ages: Sequence[timedelta]) -> int | None:
        """Request that slots which have reached one of these ages are compared with their readings; return its number.

        None: a sweep is paused or has begun less than half the first age ago, or nothing is due.
        """

    async def end_sweeps(self, term: Term) -> None:
        """End what is left of sweeps, and forget what slots were predicted from."""

    async def require_sinks(self, term: Term, sinks: Sequence[RequiredSink]) -> Sequence[str]:
        """Record which sinks are required from now on. Return those that join: they lack what was stored before."""

    async def expire(self, term: Term, max_catch_up: timedelta) -> Mapping[ModelRef, int]:
        """Expire holes that have become too old. Return the number of slots by model."""

    async def maintain(self, *, history: timedelta) -> None:
        """Create the next daily partitions of the history, and drop what is older than ``history``."""

    async def forgive_crashes(self, version: str) -> int:
        """Unpark what crashed under another version of Latigo. Return how many rows."""
