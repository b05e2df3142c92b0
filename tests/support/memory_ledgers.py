"""Ledgers in memory: as little of the real one as the roles can notice, for tests that turn the clock by hand."""

# ruff: noqa: ARG002 - a double is handed more than it looks at

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from latigo.domain.errors import Reason, Unavailable
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Outcome, Settlement
from latigo.domain.task import Task
from latigo.domain.windows import EPOCH
from latigo.ledger.protocol import (
    Circuit,
    Claim,
    ExecutorInfo,
    KnownModel,
    KnownProject,
    LeaseLost,
    ModelEntry,
    Need,
    Outstanding,
    Planned,
    Rescheduled,
    Term,
)
from latigo.runtime.clock import Clock
from tests.support.build import a_spec


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
        return [replace(each, probe_due=self.probe_at[name] <= self.clock.now()) for name, each in self.open.items()]

    def sent(self, downstream: str) -> None:
        self.probe_at[downstream] = self.clock.now() + self.open[downstream].pause


def a_circuit(downstream: str, pause: timedelta = timedelta(seconds=15)) -> Circuit:
    return Circuit(downstream, "503", alarm=False, opened_at=EPOCH, pause=pause, probe_due=False)


@dataclass
class Row:
    """A task in the ledger."""

    task: Task
    state: str = "planned"
    channel: str = ""


@dataclass
class MemoryPlanning:
    """`SchedulerLedger`: ``desired`` is needed until it is out; what is out stays out until the test settles it."""

    clock: Clock
    desired: list[Need] = field(default_factory=list)
    expired: dict[ModelRef, int] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)
    skew: timedelta = timedelta(0)
    away: bool = False
    settled: int = 0
    readable: int | None = None
    stale: bool = False
    last_id: int = 0
    holder: str = ""
    term: int = 0
    lease_until: datetime | None = None
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.board = Circuits(self.clock)

    def _ask(self, what: str, term: Term | None = None) -> None:
        self.log.append(what)
        if self.away:
            raise Unavailable("the ledger is away", downstream="ledger")
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
        return {row.task.lane.is_live for row in self.rows.values() if row.task.ref == need.ref}

    async def needs(self, max_catch_up: timedelta) -> Sequence[Need]:
        self._ask("needs")
        needs = [
            replace(need, windows={lane: w for lane, w in need.windows.items() if lane.is_live not in self._out(need)})
            for need in self.desired
        ]
        return [need for need in needs if need.windows]

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
        )

    async def circuits(self) -> Sequence[Circuit]:
        self._ask("circuits")
        return self.board.listed()

    async def probing(self) -> frozenset[str]:
        self._ask("probing")
        rows = self.rows.values()
        return frozenset(row.task.ref.project for row in rows if row.task.probe and row.state != "waiting")

    async def plan(self, term: Term, planned: Sequence[Planned], *, probes: Sequence[str] = ()) -> int:
        self._ask("plan", term)
        count = 0
        for each in planned:
            (need,) = (need for need in self.desired if need.model_id == each.model_id)
            if each.lane.is_live in self._out(need):
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

    async def wake_waiting(self, term: Term, *, blocked: Sequence[str], most: int) -> int:
        self._ask("wake_waiting", term)
        free = [id_ for id_ in self.in_state("waiting") if self.rows[id_].task.ref.project not in blocked][:most]
        for id_ in free:
            self.rows[id_].state = "planned"
        return len(free)

    async def wake_probe(self, term: Term, project: str, probes: Sequence[str]) -> bool:
        self._ask("wake_probe", term)
        for id_ in self.in_state("waiting"):
            row = self.rows[id_]
            if row.task.ref.project == project:
                row.state, row.task = "planned", replace(row.task, probe=True)
                for downstream in probes:
                    self.board.sent(downstream)
                return True
        return False

    async def unpublished(self, term: Term, most: int) -> Sequence[Task]:
        self._ask("unpublished", term)
        return [self.rows[id_].task for id_ in self.in_state("planned")][:most]

    async def mark_published(self, term: Term, places: Mapping[int, str]) -> None:
        self._ask("mark_published", term)
        for id_, place in places.items():
            self.rows[id_].state, self.rows[id_].channel = "published", place

    async def recover(self, term: Term, channel: str, *, isolated_starts: int, version: str) -> Mapping[str, int]:
        self._ask("recover", term)
        lost = [row for row in self.rows.values() if row.state == "published" and row.channel != channel]
        for row in lost:
            row.state = "planned"
        return {"lost": len(lost)}

    async def expire(self, term: Term, max_catch_up: timedelta) -> Mapping[ModelRef, int]:
        self._ask("expire", term)
        return self.expired

    async def maintain(self, *, history: timedelta) -> None:
        self._ask("maintain")

    async def forgive_crashes(self, version: str) -> int:
        self._ask("forgive_crashes")
        return 0


@dataclass
class MemoryWork:
    """`ExecutorLedger`: tasks are claimable until settled as stored; ``ended`` has every settlement that counted."""

    clock: Clock
    log: list[tuple[str, int]] = field(default_factory=list)
    ended: dict[int, Settlement] = field(default_factory=dict)
    held: dict[int, Claim] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)  #: tasks that somebody else has
    lost: set[int] = field(default_factory=set)  #: claims that are not renewed any more
    alone: set[int] = field(default_factory=set)
    stored_in: dict[int, frozenset[str]] = field(default_factory=dict)
    poisonous: set[int] = field(default_factory=set)  #: cannot be settled, unless as crashed
    away: bool = False
    batches: list[int] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    claims: int = 0

    def __post_init__(self) -> None:
        self.board = Circuits(self.clock)

    def _ask(self) -> None:
        if self.away:
            raise Unavailable("the ledger is away", downstream="ledger")

    async def register(self, executor: ExecutorInfo) -> None:
        self._ask()
        self.known.add(executor.id)

    async def deregister(self, executor_id: str) -> None:
        self._ask()
        self.known.discard(executor_id)

    async def heartbeat(self, executor_id: str, *, in_flight: int, limit: int) -> None:
        self._ask()

    async def claim(self, task_id: int, epoch: int, executor_id: str, lease: timedelta) -> Claim | None:
        self._ask()
        if task_id in self.refused or task_id in self.held or task_id in self.ended:
            return None
        self.claims += 1
        self.log.append(("claim", task_id))
        stored_in = self.stored_in.get(task_id, frozenset())
        self.held[task_id] = Claim(task_id, self.claims, 0, int(task_id in self.alone), stored_in)
        return self.held[task_id]

    async def start_isolated(self, claim: Claim, lease: timedelta) -> bool:
        self._ask()
        self.log.append(("start_isolated", claim.task_id))
        return claim.task_id not in self.lost

    async def renew(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        self._ask()
        return frozenset(claim.task_id for claim in claims if self.held.get(claim.task_id) == claim) - self.lost

    async def release(self, claims: Sequence[Claim]) -> None:
        self._ask()
        for claim in claims:
            if claim.task_id not in self.lost and self.held.get(claim.task_id) == claim:
                del self.held[claim.task_id]
                self.log.append(("release", claim.task_id))

    async def settle(self, settlements: Sequence[tuple[Claim, Settlement]]) -> frozenset[int]:
        self._ask()
        for claim, settlement in settlements:
            if claim.task_id in self.poisonous and settlement.outcome is not Outcome.CRASHED:
                raise ValueError(f"task {claim.task_id} cannot be written down")
        self.batches.append(len(settlements))
        counted = {c.task_id: s for c, s in settlements if self.held.get(c.task_id) == c and c.task_id not in self.lost}
        for task_id, settlement in counted.items():
            del self.held[task_id]
            self.ended[task_id] = settlement
            self.log.append(("settle", task_id))
        return frozenset(counted)

    async def circuits(self) -> Sequence[Circuit]:
        self._ask()
        return self.board.listed()

    async def open_circuit(self, downstream: str, reason: str, *, alarm: bool, pause: timedelta) -> None:
        self._ask()
        self.board.set(replace(a_circuit(downstream, pause), reason=reason, alarm=alarm))

    async def probe_failed(self, downstream: str, reason: str, *, longest: timedelta) -> None:
        self._ask()
        before = self.board.open[downstream]
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
    """`ModelLedger`: models and projects in dicts."""

    clock: Clock
    known: dict[ModelRef, KnownModel] = field(default_factory=dict)
    entries: dict[ModelRef, ModelEntry] = field(default_factory=dict)
    unusable: dict[ModelRef, tuple[Reason, str]] = field(default_factory=dict)
    listed: dict[str, KnownProject] = field(default_factory=dict)
    puts: list[int] = field(default_factory=list)  #: how many models were put together
    refused: set[str] = field(default_factory=set)  #: names of models and projects that wake a bug of ours
    away: bool = False

    async def projects(self) -> Sequence[KnownProject]:
        return list(self.listed.values())

    async def known_models(self, project: str) -> Sequence[KnownModel]:
        self._take([project])
        return [model for ref, model in self.known.items() if ref.project == project]

    async def project_listed(self, project: str, revision: str, models: Sequence[str]) -> None:
        self.listed[project] = KnownProject(project, revision, len(models), "", None, 0, accept_loss=False)

    def _project(self, project: str) -> KnownProject:
        return self.listed.get(project) or KnownProject(project, "", 0, "", None, 0, accept_loss=False)

    def _take(self, names: Iterable[str]) -> None:
        if self.away:
            raise Unavailable("the ledger is away", downstream="ledger")
        if not self.refused.isdisjoint(names):
            raise ValueError("a bug of ours")

    async def project_failed(self, project: str, error: str) -> None:
        self.listed[project] = replace(
            self._project(project), error=error, quarantined_since=None, quarantined_models=0
        )

    async def project_quarantined(self, project: str, models: int) -> None:
        before = self._project(project)
        since = before.quarantined_since if before.quarantined_models == models else None
        self.listed[project] = replace(
            before, quarantined_since=since or self.clock.now(), quarantined_models=models, error=""
        )

    async def project_dropped(self, project: str) -> int:
        del self.listed[project]
        used = {"active", "disabled", "unusable"}
        names = [ref.name for ref, model in self.known.items() if ref.project == project and model.state in used]
        return len(await self.set_state(project, names, "unregistered"))

    def accept_loss(self, project: str) -> None:
        self.listed[project] = replace(self.listed[project], accept_loss=True)

    async def put_models(self, entries: Sequence[ModelEntry]) -> int:
        self._take(entry.spec.ref.name for entry in entries)
        self.puts.append(len(entries))
        for entry in entries:
            self.entries[entry.spec.ref] = entry
            self._know(entry.spec.ref, entry.spec.revision, "active" if entry.enabled else "disabled", entry)
        return len(entries)

    def _know(self, ref: ModelRef, revision: str, state: str, entry: ModelEntry | None) -> None:
        self.known[ref] = KnownModel(
            id=self.known[ref].id if ref in self.known else len(self.known) + 1,
            name=ref.name,
            revision=revision,
            state=state,
            stale_metadata=False,
            resolution=entry.spec.dataset.resolution if entry else None,
            slot=entry.slot if entry else timedelta(days=1),
            delay=entry.delay if entry else timedelta(0),
            fold=entry.fold if entry else timedelta(days=1),
        )

    async def put_unusable(
        self, ref: ModelRef, revision: str, reason: Reason, detail: str, version: str, horizon: timedelta
    ) -> None:
        self._take([ref.name])
        self.unusable[ref] = (reason, detail)
        self._know(ref, revision, "unusable", None)

    async def reschedule(self, models: Sequence[Rescheduled]) -> None:
        for change in models:
            for ref, model in self.known.items():
                if model.id == change.model_id:
                    state = "active" if change.enabled else "disabled"
                    self.known[ref] = replace(model, delay=change.delay, fold=change.fold, state=state)

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        changed = [name for name in names if self.known[ModelRef(project, name)].state != state]
        for name in changed:
            ref = ModelRef(project, name)
            self.known[ref] = replace(self.known[ref], state=state, stale_metadata=False)
        return changed

    def make_stale(self, ref: ModelRef) -> None:
        self.known[ref] = replace(self.known[ref], stale_metadata=True)
