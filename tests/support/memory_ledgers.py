"""Ledgers in memory, one for each role, for tests that turn the clock by hand.

Each implements a part of the real ledger, which its docstring declares; the contract suites ``test_*_ledger.py`` hold
it to that part, next to the real one. Everything else is set by the test.
"""

# ruff: noqa: ARG002 - a double takes arguments that it does not use

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason, Unavailable
from latigo.domain.limits import CONFIGURED, Controls, Limits
from latigo.domain.model import DiscoveredProject, ModelRef
from latigo.domain.outcome import Outcome, Settlement
from latigo.domain.receipt import Receipt
from latigo.domain.series import Column
from latigo.domain.sinks import RequiredSink
from latigo.domain.task import Lane, LedgerIdentity, Task
from latigo.domain.windows import EPOCH, Window
from latigo.ledger.freshness import Block
from latigo.ledger.mismatch import Known, KnownTask, mismatch_of
from latigo.ledger.model_protocol import (
    KnownDiscovery,
    KnownModel,
    KnownProject,
    ModelEntry,
    Rescheduled,
    UnpostedMetadata,
)
from latigo.ledger.protocol import (
    NO_RECEIPTS,
    Circuit,
    Claim,
    ExecutorInfo,
    LeaseLost,
    Mismatch,
    MismatchKind,
    ModelTags,
    Need,
    Outstanding,
    Planned,
    RequestChange,
    Term,
)
from latigo.runtime.clock import Clock
from tests.support.build import a_spec, bounds_of

IDENTITY = LedgerIdentity(UUID(int=1), 1)


@dataclass
class Circuits:
    """The open circuits, shared by both roles."""

    clock: Clock
    open: dict[str, Circuit] = field(default_factory=dict)
    probe_at: dict[str, datetime] = field(default_factory=dict)

    def set(self, circuit: Circuit) -> None:
        self.open[circuit.downstream] = circuit
        self.probe_at[circuit.downstream] = self.clock.now() + circuit.pause

    def listed(self) -> list[Circuit]:
        now = self.clock.now()
        late = {name: now - self.probe_at[name] for name in sorted(self.open)}
        return [
            replace(self.open[name], probe_due=by >= timedelta(0), is_abandoned=by >= timedelta(hours=1))
            for name, by in late.items()
        ]

    def sent(self, downstream: str) -> None:
        if downstream in self.open:
            self.probe_at[downstream] = self.clock.now() + self.open[downstream].pause


def a_circuit(downstream: str, pause: timedelta = timedelta(seconds=15)) -> Circuit:
    return Circuit(downstream, "503", alarm=False, opened_at=EPOCH, pause=pause, probe_due=False)


@dataclass
class Row:
    """A task in the ledger."""

    task: Task
    state: str = "planned"
    channel: str = ""
    not_before: datetime | None = None  #: of a waiting task


@dataclass
class MemoryPlanning:
    """`SchedulerLedger`, but for models, claims and time that passes by.

    ``desired`` is needed until it is out; what is out stays out until the test settles it. Lost are only tasks in
    another channel; nothing expires by itself, has a history or crashes.
    """

    clock: Clock
    desired: list[Need] = field(default_factory=list)
    further: dict[int, Sequence[Window]] = field(default_factory=dict)  #: older windows, by model; the newest first
    covered: dict[int, Coverage] = field(default_factory=dict)  #: by model; it changes no need by itself
    expired: dict[ModelRef, int] = field(default_factory=dict)
    tags: dict[int, tuple[str, ...]] = field(default_factory=dict)  #: that a model reads, where they matter
    rows: dict[int, Row] = field(default_factory=dict)
    skew: timedelta = timedelta(0)
    unavailable: bool = False
    settled: int = 0
    readable: int | None = None
    stale: bool = False
    last_id: int = 0
    holder: str = ""
    term: int = 0
    lease_until: datetime | None = None
    room: dict[int, int] = field(default_factory=dict)  #: of requests that are limited
    limits: Limits = CONFIGURED  #: that were changed at run time
    changes: list[RequestChange] = field(default_factory=list)  #: of requests, returned once
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.board = Circuits(self.clock)

    def _ask(self, what: str, term: Term | None = None) -> None:
        self.log.append(what)
        if self.unavailable:
            raise Unavailable("the ledger is unavailable", downstream="ledger")
        if term and (term != Term(self.holder, self.term) or not self._is_held()):
            raise LeaseLost(f"{term.holder} no longer holds term {term.number}")

    def _is_held(self) -> bool:
        return self.lease_until is not None and self.lease_until > self.clock.now()

    def in_state(self, state: str) -> list[int]:
        return [id_ for id_, row in self.rows.items() if row.state == state]

    async def clock_skew(self, now: datetime) -> timedelta:
        self._ask("clock_skew")
        return self.clock.now() + self.skew - now

    async def acquire_lease(self, holder: str, lease: timedelta) -> Term | None:
        self._ask("acquire_lease")
        if self._is_held() and self.holder != holder:
            return None
        self.term += not (self._is_held() and self.holder == holder)
        self.holder, self.lease_until = holder, self.clock.now() + lease
        return Term(holder, self.term)

    async def release_lease(self, term: Term) -> None:
        self._ask("release_lease")
        if term == Term(self.holder, self.term):
            self.lease_until = None

    def _out(self, need: Need) -> set[bool]:
        return self._lanes(need.ref, {"planned", "published", "waiting"})

    def _lanes(self, ref: ModelRef, states: set[str]) -> set[bool]:
        return {row.task.lane.is_live for row in self.rows.values() if row.task.ref == ref and row.state in states}

    async def needs(self, max_catch_up: timedelta) -> Sequence[Need]:
        self._ask("needs")
        needs = [
            need._replace(
                bounds=bounds_of({lane: w for lane, w in need.windows.items() if lane.is_live not in self._out(need)})
            )
            for need in self.desired
        ]
        return [need for need in needs if need.windows]

    async def continued(
        self, planned: Sequence[Planned], max_catch_up: timedelta, most: int
    ) -> Mapping[tuple[int, Lane], Sequence[Window]]:
        self._ask("continued")
        older = [(t, [w for w in self.further.get(t.model_id, ()) if w.end <= t.window.start][:most]) for t in planned]
        return {(task.model_id, task.lane): windows for task, windows in older if windows}

    async def outstanding(self) -> Outstanding:
        self._ask("outstanding")
        out = [row for row in self.rows.values() if row.state != "waiting"]
        return Outstanding(
            lanes=Counter(row.task.lane for row in out),
            waiting=len(self.in_state("waiting")),
            unpublished=len(self.in_state("planned")),
            settled=self.settled,
            stale_metadata=self.stale,
            readable=self.readable,
            room=self.room,
            limits=self.limits,
        )

    async def circuits(self) -> Sequence[Circuit]:
        self._ask("circuits")
        return self.board.listed()

    async def changed_tags(self, known: Mapping[int, int]) -> list[ModelTags]:
        self._ask("changed_tags")
        tags = a_spec("any").dataset.tags
        return [
            ModelTags(need.model_id, need.epoch, need.ref.project, self.tags.get(need.model_id, tags))
            for need in self.desired
            if known.get(need.model_id) != need.epoch
        ]

    async def probing(self) -> Mapping[int, str]:
        self._ask("probing")
        probes = {row.task.ref for row in self.rows.values() if row.task.probe and row.state != "waiting"}
        return {need.model_id: need.ref.project for need in self.desired if need.ref in probes}

    async def plan(self, term: Term, planned: Sequence[Planned], *, probes: Sequence[str] = ()) -> int:
        self._ask("plan", term)
        count, out = 0, {need.model_id: self._out(need) for need in self.desired}
        lanes: dict[int, Lane] = {}
        for each in planned:
            (need,) = (need for need in self.desired if need.model_id == each.model_id)
            if not each.lane.is_live and lanes.setdefault(each.model_id, each.lane) is not each.lane:
                continue
            if each.lane.is_live in out[each.model_id] or each.epoch != need.epoch or self._overlaps(need, each):
                continue
            self.last_id += 1
            spec = a_spec(need.ref.name, project=need.ref.project)
            task = Task(
                self.last_id, each.epoch, spec, each.window, 1800, each.lane, trace=each.trace, probe=each.probe
            )
            self.rows[task.id] = Row(task)
            count += 1
        if count:
            for downstream in probes:
                self.board.sent(downstream)
        return count

    def _overlaps(self, need: Need, planned: Planned) -> bool:
        """Whether a task is out for a part of the window, or a lane that repeats nothing has it covered."""
        out = Coverage.of(row.task.window for row in self.rows.values() if row.task.ref == need.ref)
        if planned.lane in {Lane.LIVE, Lane.BACKFILL}:
            out |= self.covered.get(need.model_id, Coverage())
        return bool(out & Coverage((planned.window,)))

    async def tend_requests(self, term: Term) -> Sequence[RequestChange]:
        self._ask("tend_requests", term)
        changes, self.changes = self.changes, []
        return changes

    async def wake_waiting(
        self, term: Term, *, blocked: Sequence[str], blocked_models: Sequence[int] = (), most: int
    ) -> int:
        self._ask("wake_waiting", term)
        refs = {need.ref for need in self.desired if need.model_id in blocked_models}
        due = [(id_, self.rows[id_].task.ref) for id_ in self._wakeable()]
        free = [id_ for id_, ref in due if ref.project not in blocked and ref not in refs][:most]
        for id_ in free:
            self._wake(id_)
        return len(free)

    def _wakeable(self) -> list[int]:
        """The waiting tasks whose back-off is over and whose lane is free."""
        now = self.clock.now()
        return [
            id_
            for id_ in self.in_state("waiting")
            for row in [self.rows[id_]]
            if (row.not_before is None or row.not_before <= now)
            and row.task.lane.is_live not in self._lanes(row.task.ref, {"planned", "published"})
        ]

    def _wake(self, id_: int) -> None:
        self.rows[id_].state, self.rows[id_].channel = "planned", ""

    async def wake_probe(
        self, term: Term, project: str, probes: Sequence[str], *, models: Sequence[int] | None = None
    ) -> bool:
        self._ask("wake_probe", term)
        refs = None if models is None else {need.ref for need in self.desired if need.model_id in models}
        for id_ in self._wakeable():
            row = self.rows[id_]
            if row.task.ref.project == project and (refs is None or row.task.ref in refs):
                self._wake(id_)
                row.task = replace(row.task, probe=True)
                for downstream in probes:
                    self.board.sent(downstream)
                return True
        return False

    async def unpublished(self, term: Term, most: int) -> Sequence[Task]:
        self._ask("unpublished", term)
        planned = [row.task for row in self.rows.values() if row.state == "planned" and self._is_current(row)]
        return sorted(planned, key=lambda task: (not task.lane.is_live, task.id))[:most]

    def _is_current(self, row: Row) -> bool:
        """Whether a task has the epoch of its model; the test may add tasks of models that need nothing."""
        return all(row.task.epoch == need.epoch for need in self.desired if need.ref == row.task.ref)

    def make_wait(self, task_id: int, pause: timedelta | None = None) -> None:
        """Let a task fail once; it is tried again after ``pause``, and is no probe any more."""
        row = self.rows[task_id]
        row.state, row.not_before = "waiting", None if pause is None else self.clock.now() + pause
        row.task = replace(row.task, probe=False)

    def raise_epoch(self, name: str) -> None:
        """Let a model change, so that predictions of before do not count."""
        self.desired = [need._replace(epoch=need.epoch + 1) if need.ref.name == name else need for need in self.desired]

    async def mark_published(self, term: Term, places: Mapping[int, str]) -> None:
        self._ask("mark_published", term)
        for id_, place in places.items():
            if id_ in self.rows and self.rows[id_].state == "planned":
                self.rows[id_].state, self.rows[id_].channel = "published", place

    async def recover(
        self, term: Term, channel: str, *, held: Collection[int] | None = None, isolated_starts: int, version: str
    ) -> Mapping[str, int]:
        self._ask("recover", term)
        superseded = [id_ for id_, row in self.rows.items() if not self._is_current(row)]
        for id_ in superseded:
            del self.rows[id_]
        rows = self.rows.items()
        published = [id_ for id_, row in rows if row.state == "published"]
        lost = [
            id_
            for id_ in published
            if self.rows[id_].channel.split("#")[0] != channel or (held is not None and id_ not in held)
        ]
        for id_ in lost:
            self._wake(id_)
        return {"superseded": len(superseded), "lost": len(lost), "parked": 0}

    async def begin_sweep(self, term: Term, ages: Sequence[timedelta]) -> int | None:
        self._ask("begin_sweep", term)
        return None

    async def end_sweeps(self, term: Term) -> None:
        self._ask("end_sweeps", term)

    async def require_sinks(self, term: Term, sinks: Sequence[RequiredSink]) -> Sequence[str]:
        self._ask("require_sinks", term)
        return ()

    async def expire(self, term: Term, max_catch_up: timedelta) -> Mapping[ModelRef, int]:
        self._ask("expire", term)
        return self.expired

    async def maintain(self, *, history: timedelta) -> None:
        self._ask("maintain")

    async def forgive_crashes(self, version: str) -> int:
        self._ask("forgive_crashes")
        return 0


class MemoryFreshness:
    """A `FreshnessLedger` that remembers what it was called with."""

    def __init__(self) -> None:
        self.counts: list[tuple[Sequence[Block], bool, bool]] = []  #: blocks, plans, full
        self.sums: list[timedelta] = []  #: for how long they count
        self.added: Mapping[tuple[str, str], timedelta] = {}  #: by every count

    async def count(
        self,
        term: Term,
        blocks: Sequence[Block],
        *,
        plans: bool,
        full: bool,
        within: timedelta | None,
    ) -> Mapping[tuple[str, str], timedelta]:
        self.counts.append((blocks, plans, full))
        return self.added

    async def sum_slots(self, term: Term, valid_for: timedelta) -> None:
        self.sums.append(valid_for)


@dataclass
class MemoryWork:
    """`ExecutorLedger`, but for models and what follows from a settlement.

    A task that the test has added can be claimed until it is settled or superseded, by one executor at a time; of those
    in ``planned``, model and window are compared as well;
    ``ended`` has every settlement that counted. What a task brings from earlier runs (``stored_in``, ``isolated``) and
    what goes wrong is set by the test.
    """

    clock: Clock
    identity: LedgerIdentity = IDENTITY
    epochs: dict[int, int] = field(default_factory=dict)  #: of the tasks
    planned: dict[int, Task] = field(default_factory=dict)  #: those of which more is known than number and epoch
    mismatches: list[MismatchKind] = field(default_factory=list)
    superseded: set[int] = field(default_factory=set)  #: tasks whose model has another epoch now
    log: list[tuple[str, int]] = field(default_factory=list)
    ended: dict[int, Settlement] = field(default_factory=dict)
    receipts: dict[int, Receipt] = field(default_factory=dict)  #: of the settlements in ``ended``
    held: dict[int, Claim] = field(default_factory=dict)
    lease_until: dict[int, datetime] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)  #: that did not end in a settlement
    refused: set[int] = field(default_factory=set)  #: tasks that another executor has
    lost: set[int] = field(default_factory=set)  #: claims that are not renewed any more
    isolated: set[int] = field(default_factory=set)
    stored_in: dict[int, frozenset[str]] = field(default_factory=dict)
    poisonous: set[int] = field(default_factory=set)  #: cannot be settled, unless as crashed
    unavailable: bool = False
    batches: list[int] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    ordered: Controls = field(default_factory=Controls)
    beats: list[tuple[int, int]] = field(default_factory=list)  #: tasks in flight, and how many there may be
    claims: int = 0
    claim_batches: list[int] = field(default_factory=list)
    locked: set[int] = field(default_factory=set)  #: tasks that a batch leaves out
    write_batches: list[int] = field(default_factory=list)  #: how many writes began together

    def __post_init__(self) -> None:
        self.board = Circuits(self.clock)

    def _ask(self) -> None:
        if self.unavailable:
            raise Unavailable("the ledger is unavailable", downstream="ledger")

    def add(self, *task_ids: int, epoch: int = 1) -> None:
        """Plan tasks."""
        self.epochs |= dict.fromkeys(task_ids, epoch)

    async def register(self, executor: ExecutorInfo) -> None:
        self._ask()
        self.known.add(executor.id)

    async def deregister(self, executor_id: str) -> None:
        self._ask()
        self.known.discard(executor_id)

    async def heartbeat(self, executor_id: str, *, in_flight: int, limit: int, concurrency: int) -> bool:
        self._ask()
        self.beats.append((in_flight, concurrency))
        return executor_id in self.known

    async def controls(self, executor_id: str) -> Controls:
        self._ask()
        return self.ordered

    async def claim(self, task: Task, executor_id: str, lease: timedelta) -> Claim | None:
        self._ask()
        task_id, planned = task.id, self.planned.get(task.id, task)
        if task.ledger not in {None, self.identity} or (planned.ref, planned.window) != (task.ref, task.window):
            return None
        if self.epochs.get(task_id) != task.epoch or task_id in self.refused | self.superseded | self.ended.keys():
            return None
        if task_id in self.held and self.lease_until[task_id] > self.clock.now():
            return None
        self.claims += 1
        self.log.append(("claim", task_id))
        stored_in = self.stored_in.get(task_id, frozenset())
        starts = self.starts.get(task_id, int(task_id in self.isolated))
        self.starts[task_id] = max(starts, 1)
        self.lease_until[task_id] = self.clock.now() + lease
        incarnation = self.identity.incarnation
        self.held[task_id] = Claim(
            task_id, self.claims, 0, starts, stored_in, task.ref, task.window, task.epoch, incarnation
        )
        return self.held[task_id]

    async def claim_many(self, tasks: Sequence[Task], executor_id: str, lease: timedelta) -> Mapping[int, Claim]:
        self._ask()
        self.claim_batches.append(len(tasks))
        free = {place: task for place, task in enumerate(tasks) if task.id not in self.locked}
        claims = {place: await self.claim(task, executor_id, lease) for place, task in free.items()}
        return {place: claim for place, claim in claims.items() if claim is not None}

    async def examine(self, task: Task) -> Mismatch | None:
        self._ask()
        planned = None if task.id in self.superseded | self.ended.keys() else self.planned.get(task.id)
        known = KnownTask(planned.ref, planned.window, self.epochs[task.id]) if planned else None
        mismatch = mismatch_of(task, Known(self.identity, max(self.epochs, default=0), known, None))
        if mismatch is None:
            return None
        first = mismatch.kind not in self.mismatches
        self.mismatches.append(mismatch.kind)
        self.log.append(("mismatch", task.id))
        return replace(mismatch, is_first=first)

    def _holds(self, claim: Claim) -> bool:
        return self.held.get(claim.task_id) == claim and claim.task_id not in self.lost

    async def start_isolated(self, claim: Claim, lease: timedelta) -> bool:
        self._ask()
        self.log.append(("start_isolated", claim.task_id))
        if not self._holds(claim):
            return False
        self.starts[claim.task_id] += 1
        self.lease_until[claim.task_id] = self.clock.now() + lease
        return True

    async def renew(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        self._ask()
        kept = frozenset(claim.task_id for claim in claims if self._holds(claim))
        self.lease_until |= dict.fromkeys(kept, self.clock.now() + lease)
        return kept

    async def begin_write(self, claim: Claim, lease: timedelta) -> bool:
        self._ask()
        if not self._holds(claim):
            return False
        self.log.append(("begin_write", claim.task_id))
        self.lease_until[claim.task_id] = self.clock.now() + lease
        return True

    async def begin_writes(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        self._ask()
        self.write_batches.append(len(claims))
        unlocked = [claim for claim in claims if claim.task_id not in self.locked]
        return frozenset([claim.task_id for claim in unlocked if await self.begin_write(claim, lease)])

    async def request_repair(self, claim: Claim, *, may_arrive: bool = False) -> None:
        self._ask()
        self.log.append(("request_late_repair" if may_arrive else "request_repair", claim.task_id))

    async def record_newer_predictions(self, claim: Claim, detail: str) -> None:
        self._ask()
        self.mismatches.append(MismatchKind.NEWER_PREDICTIONS)

    async def release(self, claims: Sequence[Claim]) -> frozenset[int]:
        self._ask()
        released = [claim for claim in claims if self._holds(claim)]
        for claim in released:
            del self.held[claim.task_id]
            self.starts[claim.task_id] = claim.starts
            self.log.append(("release", claim.task_id))
        return frozenset(claim.task_id for claim in released)

    async def settle(
        self, settlements: Sequence[tuple[Claim, Settlement]], receipts: Mapping[Claim, Receipt] = NO_RECEIPTS
    ) -> frozenset[int]:
        self._ask()
        for claim, settlement in settlements:
            if claim.task_id in self.poisonous and settlement.outcome is not Outcome.CRASHED:
                raise ValueError(f"task {claim.task_id} cannot be written down")
        self.batches.append(len(settlements))
        counted = {
            claim.task_id: settlement
            for claim, settlement in settlements
            if self._holds(claim) and claim.task_id not in self.superseded
        }
        for task_id, settlement in counted.items():
            claim = self.held.pop(task_id)
            self.ended[task_id] = settlement
            if claim in receipts:
                self.receipts[task_id] = receipts[claim]
            self.log.append(("settle", task_id))
        return frozenset(counted)

    async def circuits(self) -> Sequence[Circuit]:
        self._ask()
        return self.board.listed()

    async def open_circuit(self, downstream: str, reason: str, *, alarm: bool, pause: timedelta) -> None:
        self._ask()
        known = self.board.open.get(downstream)
        if known is not None:
            self.board.open[downstream] = replace(known, reason=reason, alarm=alarm)
        else:
            self.board.set(Circuit(downstream, reason, alarm, self.clock.now(), pause, probe_due=False))

    async def probe_failed(self, downstream: str, reason: str, *, longest: timedelta) -> None:
        self._ask()
        before = self.board.open.get(downstream)
        if before is not None:
            self.board.set(replace(before, reason=reason, pause=min(before.pause * 2, longest)))

    async def take_probe(self, downstream: str) -> bool:
        self._ask()
        due = any(circuit.downstream == downstream and circuit.probe_due for circuit in self.board.listed())
        if due:
            self.board.sent(downstream)
        return due

    async def close_circuit(self, downstream: str) -> bool:
        self._ask()
        return self.board.open.pop(downstream, None) is not None


@dataclass
class MemoryModels:
    """`ModelLedger`, but for epochs, parking and coverage: models and projects in dicts."""

    clock: Clock
    known: dict[ModelRef, KnownModel] = field(default_factory=dict)
    entries: dict[ModelRef, ModelEntry] = field(default_factory=dict)
    unusable: dict[ModelRef, tuple[Reason, str]] = field(default_factory=dict)
    listed: dict[str, KnownProject] = field(default_factory=dict)
    puts: list[int] = field(default_factory=list)  #: how many models were put together
    refused: set[str] = field(default_factory=set)  #: names of models and projects that wake a bug of ours
    unavailable: bool = False
    unbuilt: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outdated: list[tuple[str, str]] = field(default_factory=list)  #: projects, and the older revisions of their lists

    async def project_outdated(self, project: str, revision: str) -> None:
        self.outdated.append((project, revision))

    async def projects(self) -> Sequence[KnownProject]:
        return list(self.listed.values())

    async def known_models(self, project: str) -> Sequence[KnownModel]:
        self._take([project])
        return [model for ref, model in self.known.items() if ref.project == project]

    async def project_listed(
        self, project: str, revision: str, models: Sequence[str], unbuilt: Sequence[str] | None = ()
    ) -> None:
        if unbuilt is not None:
            self.unbuilt[project] = tuple(unbuilt)
        self.listed[project] = KnownProject(project, revision, len(models), "", None, 0, accept_loss=False)

    def _project(self, project: str) -> KnownProject:
        return self.listed.get(project) or KnownProject(project, "", 0, "", None, 0, accept_loss=False)

    def _take(self, names: Iterable[str]) -> None:
        if self.unavailable:
            raise Unavailable("the ledger is unavailable", downstream="ledger")
        if not self.refused.isdisjoint(names):
            raise ValueError("a bug of ours")

    async def project_failed(self, project: str, error: str) -> None:
        self.listed[project] = replace(
            self._project(project), error=error, quarantined_since=None, quarantined_models=0
        )

    async def project_quarantined(self, project: str, models: int) -> None:
        before = self.listed.get(project)
        if before is None:
            return
        since = before.quarantined_since if before.quarantined_models == models else None
        self.listed[project] = replace(
            before, quarantined_since=since or self.clock.now(), quarantined_models=models, error=""
        )

    async def project_dropped(self, project: str) -> int:
        self.listed.pop(project, None)
        used = {"active", "disabled", "unusable"}
        names = [ref.name for ref, model in self.known.items() if ref.project == project and model.state in used]
        return len(await self.set_state(project, names, "unregistered"))

    def accept_loss(self, project: str) -> None:
        self.listed[project] = replace(self.listed[project], accept_loss=True)

    async def put_models(self, entries: Sequence[ModelEntry]) -> int:
        self._take(entry.spec.ref.name for entry in entries)
        self.puts.append(len(entries))
        changed = 0
        for entry in entries:
            ref, before = entry.spec.ref, self.entries.get(entry.spec.ref)
            if self._is_older(ref, entry.spec.revision):
                continue
            self.entries[ref] = entry
            changed += before is None or (before.spec, before.slot) != (entry.spec, entry.slot)
            self.known[ref] = KnownModel(
                id=self._id_of(ref),
                name=ref.name,
                revision=entry.spec.revision,
                state="active" if entry.enabled else "disabled",
                stale_metadata=False,
                resolution=entry.spec.dataset.resolution,
                slot=entry.slot,
                delay=entry.delay,
                fold=entry.fold,
            )
        return changed

    def _is_older(self, ref: ModelRef, revision: str) -> bool:
        return ref in self.known and int(revision) < int(self.known[ref].revision)

    def _id_of(self, ref: ModelRef) -> int:
        return self.known[ref].id if ref in self.known else len(self.known) + 1

    async def put_unusable(
        self, ref: ModelRef, revision: str, reason: Reason, detail: str, version: str, horizon: timedelta
    ) -> None:
        self._take([ref.name])
        if self._is_older(ref, revision):
            return
        self.unusable[ref] = (reason, detail)
        self.entries.pop(ref, None)
        day = timedelta(days=1)
        new = KnownModel(self._id_of(ref), ref.name, "", "", False, None, day, timedelta(0), day)
        self.known[ref] = replace(
            self.known.get(ref, new), revision=revision, state="unusable", stale_metadata=False, resolution=None
        )

    async def reschedule(self, models: Sequence[Rescheduled]) -> None:
        for change in models:
            for ref, model in self.known.items():
                if model.id == change.model_id:
                    state = "active" if change.enabled else "disabled"
                    self.known[ref] = replace(model, delay=change.delay, fold=change.fold, state=state)

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        refs = [ModelRef(project, name) for name in names]
        changed = [ref.name for ref in refs if ref in self.known and self.known[ref].state != state]
        for name in changed:
            ref = ModelRef(project, name)
            self.known[ref] = replace(self.known[ref], state=state, stale_metadata=False)
        return changed

    def make_stale(self, ref: ModelRef) -> None:
        self.known[ref] = replace(self.known[ref], stale_metadata=True)


@dataclass
class MemoryDiscovery:
    """`DiscoveryLedger`, with what the status reads of it."""

    clock: Clock
    source: str = ""
    known: KnownDiscovery = field(default_factory=KnownDiscovery)
    error: str = ""
    alarm: bool = False

    def _of(self, source: str) -> KnownDiscovery:
        return self.known if source == self.source else KnownDiscovery()

    async def last(self, source: str) -> KnownDiscovery:
        return self._of(source)

    async def named(self, source: str, projects: Sequence[DiscoveredProject]) -> None:
        self.source, self.known, self.error, self.alarm = source, KnownDiscovery(tuple(projects)), "", False

    async def failed(self, source: str, error: str, *, alarm: bool) -> None:
        self.known = KnownDiscovery(self._of(source).named)
        self.source, self.error, self.alarm = source, error, alarm

    async def quarantined(self, source: str, projects: Sequence[DiscoveredProject]) -> None:
        before, listed = self._of(source), tuple(projects)
        since = before.quarantined_since if before.quarantined == listed else None
        self.known = KnownDiscovery(before.named, listed, since or self.clock.now())
        self.source, self.error, self.alarm = source, "", False

    async def forget(self) -> None:
        self.source, self.known, self.error, self.alarm = "", KnownDiscovery(), "", False


@dataclass
class MemoryMetadata:
    """`MetadataLedger` of models that are all known, in the order of their times."""

    clock: Clock
    rows: dict[tuple[str, ModelRef, str], UnpostedMetadata] = field(default_factory=dict)
    due: dict[tuple[str, ModelRef, str], datetime] = field(default_factory=dict)
    done: set[tuple[str, ModelRef, str]] = field(default_factory=set)
    errors: dict[ModelRef, str] = field(default_factory=dict)  #: the last ones
    unavailable: bool = False

    def _ask(self) -> None:
        if self.unavailable:
            raise Unavailable("the ledger is unavailable", downstream="ledger")

    async def record(self, sink: str, model: ModelRef, revision: str, columns: Sequence[Column]) -> None:
        self._ask()
        newest = max((int(key[2]) for key in self.rows if key[:2] == (sink, model)), default=0)
        if int(revision) > newest:
            key = (sink, model, revision)
            self.rows[key] = UnpostedMetadata(len(self.rows) + 1, sink, model, revision, tuple(columns), 0)
            self.due[key] = self.clock.now()

    async def take(self, sinks: Sequence[str], most: int, lease: timedelta) -> Sequence[UnpostedMetadata]:
        self._ask()
        keys = [key for key, time in self.due.items() if key[0] in sinks and time <= self.clock.now()]
        taken = []
        for key in sorted(keys, key=lambda key: self.due[key])[:most]:
            self.due[key] = self.clock.now() + lease
            self.rows[key] = replace(self.rows[key], attempts=self.rows[key].attempts + 1)
            taken.append(self.rows[key])
        return taken

    async def posted(self, one: UnpostedMetadata) -> None:
        self._ask()
        self.done.add(_key(one))
        self.due.pop(_key(one), None)

    async def failed(self, one: UnpostedMetadata, error: str, wait: timedelta) -> None:
        self._ask()
        if _key(one) in self.done:
            return
        self.errors[one.ref] = error
        self.due[_key(one)] = self.clock.now() + wait

    async def released(self, one: UnpostedMetadata) -> None:
        self._ask()
        self.rows[_key(one)] = replace(one, attempts=one.attempts - 1)
        self.due[_key(one)] = self.clock.now()

    async def dropped(self, one: UnpostedMetadata) -> None:
        self._ask()
        self.rows.pop(_key(one))
        self.due.pop(_key(one))


def _key(one: UnpostedMetadata) -> tuple[str, ModelRef, str]:
    return one.sink, one.ref, one.revision
