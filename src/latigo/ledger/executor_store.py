"""The ledger for executors: claims, leases, settlements, circuits."""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, assert_never

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason
from latigo.domain.limits import Controls
from latigo.domain.model import ModelRef
from latigo.domain.outcome import (
    Compared,
    Copied,
    Crashed,
    Deferred,
    Rejected,
    Retry,
    Settlement,
    SlotException,
    SlotState,
    Split,
    Stored,
)
from latigo.domain.receipt import Receipt
from latigo.domain.task import Lane, LedgerIdentity, Task
from latigo.domain.windows import Window
from latigo.ledger.mismatch import Known, KnownTask, mismatch_of
from latigo.ledger.protocol import NO_RECEIPTS, Circuit, Claim, ExecutorInfo, Mismatch, MismatchKind
from latigo.ledger.settling import (
    Claimed,
    Exceptions,
    RetryRules,
    Verdict,
    decide,
    reopen_unstored,
    revise,
    within,
)
from latigo.ledger.shared import (
    REPAIR_AFTER,
    FinishedTask,
    ParkedWindow,
    finish_tasks,
    kept,
    park,
    read_circuits,
    read_limits,
    release_holds,
    tags_in_json,
)
from latigo.ledger.sinks import reduce_copies
from latigo.ledger.sweep import Fingerprinted, keep_compared, keep_fingerprints
from latigo.postgres.arrays import columns
from latigo.postgres.database import Database
from latigo.postgres.ranges import to_coverage, to_multirange, to_range, to_window
from latigo.postgres.statements import load_statements
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

SQL = load_statements("latigo.ledger", "sql/executor.sql")


class PostgresExecutorLedger:
    """`ExecutorLedger` on PostgreSQL."""

    def __init__(
        self,
        database: Database,
        rules: RetryRules,
        version: str,
        random: Callable[[], float] = random.random,
        *,
        sinks: Sequence[str] | None = None,
    ) -> None:
        self._database = database
        self._rules = rules
        self._version = version
        self._random = random
        self._sinks = sinks  #: that the executor requires; None: those that the ledger knows as required

    async def register(self, executor: ExecutorInfo) -> None:
        await self._database.execute(
            SQL["register_executor"],
            executor.id,
            executor.version,
            executor.envelope_low,
            executor.envelope_high,
            executor.concurrency,
        )

    async def deregister(self, executor_id: str) -> None:
        await self._database.execute(SQL["deregister_executor"], executor_id)

    async def heartbeat(self, executor_id: str, *, in_flight: int, limit: int, concurrency: int) -> bool:
        return await self._database.row(SQL["heartbeat"], executor_id, in_flight, limit, concurrency) is not None

    async def controls(self, executor_id: str) -> Controls:
        async with self._database.connection() as connection:
            limits = await read_limits(connection)
            row = await connection.fetchrow(SQL["drained"], executor_id)
        return Controls(limits) if row is None else Controls(limits, row["drained"], row["stops"], row["executors"])

    async def claim(self, task: Task, executor_id: str, lease: timedelta) -> Claim | None:
        async with self._database.transaction() as connection:
            await connection.execute(SQL["claim_lock"], task.id)
            return (await _claim(connection, [task], executor_id, lease)).get(0)

    async def claim_many(self, tasks: Sequence[Task], executor_id: str, lease: timedelta) -> Mapping[int, Claim]:
        if not tasks:
            return {}
        async with self._database.connection() as connection:
            return await _claim(connection, tasks, executor_id, lease)

    async def examine(self, task: Task) -> Mismatch | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(SQL["examine"], task.id, task.ref.project, task.ref.name)
            known = Known(
                ledger=LedgerIdentity(row["ledger"], row["incarnation"]),
                newest_id=row["newest_id"],
                model_epoch=row["model_epoch"],
                task=None
                if row["span"] is None
                else KnownTask(ModelRef(row["project"], row["name"]), to_window(row["span"]), row["epoch"]),
            )
            mismatch = mismatch_of(task, known)
            if mismatch is None:
                return None
            recorded = await _record(connection, known.ledger.incarnation, task.id, mismatch)
        return replace(mismatch, is_first=recorded is not None and recorded["is_first"])

    async def record_newer_predictions(self, claim: Claim, detail: str) -> None:
        async with self._database.connection() as connection:
            mismatch = Mismatch(MismatchKind.NEWER_PREDICTIONS, detail)
            await _record(connection, claim.incarnation, claim.task_id, mismatch)

    async def start_isolated(self, claim: Claim, lease: timedelta) -> bool:
        return await self._database.row(SQL["start_isolated"], *_key(claim), lease) is not None

    async def renew(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        if not claims:
            return frozenset()
        rows = await self._database.fetch(SQL["renew"], *_keys(claims), lease)
        return frozenset(row["id"] for row in rows)

    async def begin_write(self, claim: Claim, lease: timedelta) -> bool:
        return await self._database.row(SQL["begin_write"], *_key(claim), lease) is not None

    async def begin_writes(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        if not claims:
            return frozenset()
        rows = await self._database.fetch(SQL["begin_writes"], *_keys(claims), lease)
        return frozenset(row["id"] for row in rows)

    async def request_repair(self, claim: Claim, *, may_arrive: bool = False) -> None:
        window, ref = claim.window, claim.ref
        key = (claim.task_id, claim.number, window.start, window.end, ref.project, ref.name)
        await self._database.execute(SQL["request_repair"], *key, REPAIR_AFTER if may_arrive else timedelta(0))

    async def release(self, claims: Sequence[Claim]) -> frozenset[int]:
        if not claims:
            return frozenset()
        starts = [claim.starts for claim in claims]
        return frozenset(row["id"] for row in await self._database.fetch(SQL["release"], *_keys(claims), starts))

    async def settle(
        self, settlements: Sequence[tuple[Claim, Settlement]], receipts: Mapping[Claim, Receipt] = NO_RECEIPTS
    ) -> frozenset[int]:
        if not settlements:
            return frozenset()
        async with self._database.transaction() as connection:
            locked = await connection.fetch(SQL["settle_lock"], *_keys([claim for claim, _ in settlements]))
            by_task = {row["id"]: settlements[row["place"] - 1] for row in locked}
            counted = await connection.fetch(SQL["settling"], [row["id"] for row in locked]) if locked else ()
            if not counted:
                return frozenset()
            batch = _Batch(self._rules, self._random, self._sinks)
            for row in counted:
                claim, settlement = by_task[row["id"]]
                batch.add(row, settlement, receipts.get(claim))
            await batch.write(connection, self._version)
        return frozenset(row["id"] for row in counted)

    async def circuits(self) -> Sequence[Circuit]:
        return await read_circuits(self._database)

    async def open_circuit(self, downstream: str, reason: str, *, alarm: bool, pause: timedelta) -> None:
        await self._database.execute(SQL["open_circuit"], downstream, kept(reason), alarm, pause)

    async def probe_failed(self, downstream: str, reason: str, *, longest: timedelta) -> None:
        await self._database.execute(SQL["probe_failed"], downstream, kept(reason), longest)

    async def take_probe(self, downstream: str) -> bool:
        return await self._database.row(SQL["take_probe"], downstream) is not None

    async def close_circuit(self, downstream: str) -> bool:
        async with self._database.transaction() as connection:
            if await connection.fetchrow(SQL["close_circuit"], downstream) is None:
                return False
            await release_holds(connection, downstream)
        return True


async def _claim(connection: Any, tasks: Sequence[Task], executor_id: str, lease: timedelta) -> dict[int, Claim]:
    """Claim tasks that no other transaction has locked; return the claims by the place of their task."""
    keys = columns(
        (
            task.id,
            task.epoch,
            task.window.start,
            task.window.end,
            task.ref.project,
            task.ref.name,
            *((task.ledger.id, task.ledger.incarnation) if task.ledger else (None, None)),
        )
        for task in tasks
    )
    rows = await connection.fetch(SQL["claim"], executor_id, lease, *keys)
    return {row["place"] - 1: _claim_of(tasks[row["place"] - 1], row) for row in rows}


def _claim_of(task: Task, row: Any) -> Claim:
    return Claim(
        task_id=task.id,
        number=row["claim"],
        attempts=row["attempts"],
        starts=row["unsettled_starts"],
        stored_in=frozenset(row["stored_in"]),
        ref=task.ref,
        window=task.window,
        epoch=task.epoch,
        incarnation=row["incarnation"],
        recorded=None if row["swept"] is None else dict(zip(row["swept"], row["cells"], strict=True)),
    )


def _key(claim: Claim) -> tuple[int, int, datetime, datetime, str, str, int]:
    window, ref = claim.window, claim.ref
    return claim.task_id, claim.number, window.start, window.end, ref.project, ref.name, claim.epoch


def _keys(claims: Sequence[Claim]) -> Sequence[Sequence[Any]]:
    return columns(map(_key, claims))


async def _record(connection: Any, incarnation: int, task_id: int, mismatch: Mismatch) -> Any:
    """Record a sign that the ledger is not what it was; return whether it is the first of its kind, if it is new."""
    return await connection.fetchrow(
        SQL["record_mismatch"], incarnation, mismatch.kind.value, task_id, kept(mismatch.detail)
    )


@dataclass
class _ModelChange:
    """Changes of a batch to one model; tasks of the same model build on each other."""

    covered: Coverage
    silent_since: datetime | None
    since: datetime  #: where the model's time begins
    hold_until: datetime | None = None
    held_for: str = ""
    deferrals: int = 0
    settled: list[tuple[Window, Sequence[SlotException]]] = field(default_factory=list)
    silence: Window | None = None
    reopen: bool = False
    rows_returned: datetime | None = None  #: begin of the window whose rows are the first ones after a lack of them
    not_finite: float | None = None  #: share of the newest answer's values
    now: datetime | None = None

    @property
    def stretch(self) -> Window | None:
        """Time in which exceptions may change; None: any time."""
        if self.reopen or self.rows_returned:
            return None
        windows = [window for window, _ in self.settled] + ([self.silence] if self.silence else [])
        return Window(min(window.start for window in windows), max(window.end for window in windows))


class WaitingTask(NamedTuple):
    """A task that is retried as it is."""

    task_id: int
    not_before: datetime
    attempts: int
    detail: str
    stored_in: Sequence[str]
    may_arrive: bool  #: what its last attempt wrote


class Lesson(NamedTuple):
    """Facts about a model that the end of a task revealed."""

    model_id: int
    prediction_only: bool
    stale_metadata: bool
    fold: timedelta | None


class _Batch:
    """Collects the verdicts of one batch and writes them with a few statements, however many tasks there are."""

    def __init__(self, rules: RetryRules, random: Callable[[], float], sinks: Sequence[str] | None) -> None:
        self._rules = rules
        self._random = random
        self._sinks = sinks
        self._copied: list[tuple[int, Coverage]] = []
        self._compared: list[tuple[int, Coverage]] = []
        self._fingerprinted: list[Fingerprinted] = []
        self._models: dict[int, _ModelChange] = {}
        self._finished: list[FinishedTask] = []
        self._waiting: list[WaitingTask] = []
        self._parked: list[ParkedWindow] = []
        self._lessons: list[Lesson] = []
        self._repairing: list[int] = []  #: tasks that may have repaired something
        self._known: set[int] = set()  #: models that waited for sensors which the source has now
        self._requested: list[int] = []  #: tasks with something that a request wants

    def add(self, row: Any, settlement: Settlement, receipt: Receipt | None) -> None:
        before = self._models.get(row["model_id"])
        task = Claimed(
            id=row["id"],
            model_id=row["model_id"],
            window=to_window(row["span"]),
            lane=Lane(row["lane"]),
            attempts=row["attempts"],
            revision=row["revision"],
            slot=row["slot"],
            silent_since=before.silent_since if before else row["silent_since"],
            deferrals=before.deferrals if before else row["deferrals"],
            now=row["now"],
            planned_at=row["planned_at"],
            hold_until=before.hold_until if before else row["hold_until"],
            unstored=row["unstored"],
            copies=row["copies"],
        )
        settlement = within(settlement, task.window, to_coverage(row["had"]))
        if not isinstance(settlement, Stored | Copied | Compared):
            settlement = replace(settlement, detail=kept(settlement.detail, end=True))
        verdict = decide(task, settlement, self._rules, self._random)
        self._end(task, settlement, verdict, receipt.to_bytes() if receipt and verdict.waiting is None else b"")
        change = before or _ModelChange(Coverage(), task.silent_since, row["since"], now=task.now)
        change.silent_since = verdict.silent_since
        if verdict.hold_until:
            change.hold_until, change.held_for = verdict.hold_until, verdict.held_for
        change.deferrals = verdict.deferrals
        change.silence = verdict.silence or change.silence
        change.reopen |= verdict.data_returned
        if verdict.rows_returned:
            change.rows_returned = task.window.start
        if isinstance(settlement, Stored):
            self._stored(row, task, settlement, change)
        if isinstance(settlement, Copied):
            self._copied.append((task.id, settlement.held))
        if isinstance(settlement, Compared):
            self._compared.append((task.id, settlement.moved))
        self._models[task.model_id] = change

    def _stored(self, row: Any, task: Claimed, settlement: Stored, change: _ModelChange) -> None:
        change.covered |= settlement.covered
        if row["repairs"]:
            self._repairing.append(task.id)
        if row["lacks_sensors"]:
            self._known.add(task.model_id)
        if row["requested"]:
            self._requested.append(task.id)
        if settlement.values:
            change.not_finite = settlement.not_finite / settlement.values
        if settlement.fingerprints is not None:
            self._fingerprinted.append(Fingerprinted(task.model_id, task.window, task.slot, settlement.fingerprints))
        if settlement.exceptions or row["touches"]:
            change.settled.append((task.window, settlement.exceptions))

    def _end(self, task: Claimed, settlement: Settlement, verdict: Verdict, receipt: bytes) -> None:
        stored_in: Sequence[str]
        match settlement:
            case Stored(covered=covered, rows=rows):
                finished = FinishedTask(task.id, verdict.outcome, rows=rows, covered=covered.total, receipt=receipt)
                stored_in = ()
            case Copied(rows=rows):
                finished = FinishedTask(task.id, verdict.outcome, rows=rows)
                stored_in = ()
            case Compared(moved=moved):
                detail = f"{moved.total // task.slot} of {task.window.length // task.slot} slots have moved"
                finished = FinishedTask(task.id, verdict.outcome, detail, receipt=receipt)
                stored_in = ()
            case Deferred(detail, stored_in=stored_in, may_arrive=arrives) | Retry(
                detail, stored_in=stored_in, may_arrive=arrives
            ):
                finished = FinishedTask(task.id, verdict.outcome, detail, receipt=receipt, may_arrive=arrives)
            case Crashed(detail, may_arrive=arrives):
                finished = FinishedTask(task.id, verdict.outcome, detail, receipt=receipt, may_arrive=arrives)
                stored_in = ()
            case Rejected(detail=detail) | Split(detail):
                finished = FinishedTask(task.id, verdict.outcome, detail, receipt=receipt)
                stored_in = ()
            case _:
                assert_never(settlement)
        if verdict.waiting is not None:
            not_before, attempts = verdict.waiting.not_before, verdict.waiting.attempts
            kept_as = WaitingTask(task.id, not_before, attempts, finished.detail, stored_in, finished.may_arrive)
            self._waiting.append(kept_as)
        elif verdict.parking is not None:
            parking = verdict.parking
            self._finished.append(finished._replace(reason=parking.reason, detail=parking.detail))
            self._parked.append(
                ParkedWindow(
                    task.model_id,
                    task.revision,
                    parking.reason,
                    parking.detail,
                    parking.window,
                    and_before=parking.and_before,
                    tags=parking.tags,
                )
            )
        else:
            self._finished.append(finished)
        if verdict.prediction_only or verdict.stale_metadata or verdict.fold:
            lesson = Lesson(task.model_id, verdict.prediction_only, verdict.stale_metadata, verdict.fold)
            self._lessons.append(lesson)

    async def write(self, connection: Any, version: str) -> None:
        await end_repairs(connection, self._repairing)
        await reduce_requests(connection, self._requested)
        await reduce_copies(connection, self._copied)
        await keep_compared(connection, self._compared)
        await keep_fingerprints(connection, self._fingerprinted)
        await finish_tasks(connection, self._finished)
        await keep_waiting(connection, self._waiting)
        await update_coverage(connection, self._models, self._sinks)
        await self._write_exceptions(connection)
        await release_known(connection, self._known)
        await park(connection, self._parked, version)
        await learn(connection, self._lessons)

    async def _write_exceptions(self, connection: Any) -> None:
        touched = {
            model_id: change
            for model_id, change in self._models.items()
            if change.settled or change.reopen or change.rows_returned
        }
        if not touched:
            return
        known: dict[int, list[Exceptions]] = defaultdict(list)
        stretches = [to_range(change.stretch) for change in touched.values()]
        for row in await connection.fetch(SQL["take_exceptions"], list(touched), stretches):
            recheck_at = row["next_look"].replace(tzinfo=UTC)  # the driver reads infinity as a time without a zone
            state, slots, tags = SlotState(row["state"]), to_coverage(row["slots"]), tuple(row["tags"])
            known[row["model_id"]].append(Exceptions(state, row["reason"], row["looks"], recheck_at, slots, tags))
        rows: list[tuple[int, Exceptions]] = []
        for model_id, change in touched.items():
            assert change.now is not None  # noqa: S101 - set for every model that a row was locked for
            revised = known[model_id]
            if change.reopen:
                revised = revise(revised, None, (), change.now, reopen=True, since=change.since)
            if change.rows_returned:
                revised = reopen_unstored(revised, change.rows_returned, change.now)
            for window, exceptions in change.settled:
                revised = revise(revised, window, exceptions, change.now, silence=change.silence, since=change.since)
            rows += [(model_id, row) for row in revised]
        await add_exceptions(connection, rows)


async def end_repairs(connection: Any, task_ids: Sequence[int]) -> None:
    """Record that windows were predicted again; before the tasks are finished."""
    if task_ids:
        await connection.execute(SQL["reduce_repairs"], task_ids)
        await connection.execute(SQL["delete_repairs"], task_ids)


async def reduce_requests(connection: Any, task_ids: Sequence[int]) -> None:
    """Record that requests have got windows; before the tasks are finished."""
    if task_ids:
        await connection.execute(SQL["reduce_requests"], task_ids)


async def keep_waiting(connection: Any, tasks: Sequence[WaitingTask]) -> None:
    """Keep tasks until they are retried."""
    if tasks:
        rows = ((t.task_id, t.not_before, t.attempts, t.detail, ",".join(t.stored_in), t.may_arrive) for t in tasks)
        await connection.execute(SQL["keep_waiting"], *columns(rows))


async def update_coverage(
    connection: Any, changes: Mapping[int, _ModelChange], sinks: Sequence[str] | None = None
) -> None:
    """Add to the coverage of models, by id, and set what is known of their silence and holds.

    ``sinks`` have what is covered; None: all that are required. What another required one lacks is recorded.
    """
    if changes:
        rows = (
            (id_, to_multirange(c.covered), c.silent_since, c.hold_until, c.held_for, c.deferrals, c.not_finite)
            for id_, c in changes.items()
        )
        await connection.execute(SQL["update_coverage"], *columns(rows), None if sinks is None else list(sinks))


async def add_exceptions(connection: Any, exceptions: Sequence[tuple[int, Exceptions]]) -> None:
    """Add exceptions of models, by the model's id."""
    if exceptions:
        rows = (
            (model_id, e.state.value, e.reason, e.checks, e.recheck_at, to_multirange(e.slots), tags_in_json(e.tags))
            for model_id, e in exceptions
        )
        await connection.execute(SQL["add_exceptions"], *columns(rows))


async def release_known(connection: Any, model_ids: Collection[int]) -> None:
    """Unpark models of which all sensors were read, and others that wait for no more sensors than these did."""
    if model_ids and (released := await connection.fetch(SQL["release_known"], sorted(model_ids))):
        _log.info("models.unparked", reason=Reason.UNKNOWN_SENSOR.value, count=len(released))


async def learn(connection: Any, lessons: Sequence[Lesson]) -> None:
    """Record what tasks revealed about their models."""
    if lessons:
        await connection.execute(SQL["learn"], *columns(lessons))
