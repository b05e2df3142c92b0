"""The ledger for schedulers: the lease to plan, needs, tasks, recovery, upkeep."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from latigo.domain.errors import Reason
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Outcome
from latigo.domain.sinks import RequiredSink
from latigo.domain.task import MANY_TASKS, Lane, LedgerIdentity, Task
from latigo.domain.windows import Window
from latigo.ledger.protocol import (
    MANY_NEEDS,
    Circuit,
    ModelTags,
    Need,
    Outstanding,
    Planned,
    RequestChange,
    Term,
)
from latigo.ledger.shared import (
    REPAIR_AFTER,
    FinishedTask,
    ParkedWindow,
    finish_tasks,
    let_paused_wait,
    park,
    planning,
    read_circuits,
    read_clock,
    read_limits,
    stop_paused,
    withdraw_not_requested,
)
from latigo.ledger.sinks import require_sinks
from latigo.ledger.sweep import begin_sweep, end_sweeps
from latigo.postgres.arrays import columns
from latigo.postgres.database import Database
from latigo.postgres.ranges import to_coverage, to_window
from latigo.postgres.statements import load_statements
from latigo.runtime.collector import collector_paused
from latigo.runtime.off_loop import off_loop, taken_out

SQL = load_statements("latigo.ledger", "sql/scheduler.sql")


class PostgresSchedulerLedger:
    """`SchedulerLedger` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def clock_skew(self, now: datetime) -> timedelta:
        async with self._database.connection() as connection:
            return await read_clock(connection) - now

    async def acquire_lease(self, holder: str, lease: timedelta) -> Term | None:
        row = await self._database.row(SQL["acquire_lease"], holder, lease)
        return Term(holder, row["term"]) if row else None

    async def release_lease(self, term: Term) -> None:
        await self._database.execute(SQL["release_lease"], term.holder, term.number)

    async def needs(self, max_catch_up: timedelta) -> Sequence[Need]:
        async with self._database.snapshot() as connection:
            with collector_paused():
                rows = await connection.fetch(SQL["needs"], max_catch_up)
                return await off_loop(len(rows), MANY_NEEDS, lambda: needs_of(rows))

    async def continued(
        self, planned: Sequence[Planned], max_catch_up: timedelta, most: int
    ) -> Mapping[tuple[int, Lane], Sequence[Window]]:
        if not planned or most < 1:
            return {}
        ids, times, requests = columns((task.model_id, task.window.start, task.request) for task in planned)
        windows: dict[tuple[int, Lane], list[Window]] = {}
        for row in await self._database.fetch(SQL["continued"], ids, times, max_catch_up, most, requests):
            lane = Lane.MANUAL if row["requested"] else Lane.BACKFILL
            windows.setdefault((row["model_id"], lane), []).append(to_window(row["span"]))
        return windows

    async def outstanding(self) -> Outstanding:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(SQL["outstanding"])
            room = {limited["id"]: limited["room"] for limited in await connection.fetch(SQL["request_room"])}
            limits = await read_limits(connection)
        return Outstanding(
            {lane: row[lane] for lane in Lane},
            row["waiting"],
            row["unpublished"],
            row["settled"],
            row["stale_metadata"],
            row["readable"],
            room,
            limits,
        )

    async def circuits(self) -> Sequence[Circuit]:
        return await read_circuits(self._database)

    async def changed_tags(self, known: Mapping[int, int]) -> list[ModelTags]:
        rows = await self._database.fetch(SQL["changed_tags"], list(known), list(known.values()))
        return await off_loop(
            len(rows),
            MANY_NEEDS,
            lambda: [ModelTags(row["id"], row["epoch"], row["project"], row["tags"]) for row in taken_out(rows)],
        )

    async def probing(self) -> Mapping[int, str]:
        return {row["id"]: row["project"] for row in await self._database.fetch(SQL["probing"])}

    async def plan(self, term: Term, planned: Sequence[Planned], *, probes: Sequence[str] = ()) -> int:
        async with planning(self._database, term) as connection:
            counted = await _plan_tasks(connection, planned)
            if probes and counted:
                await connection.execute(SQL["probe_sent"], list(probes))
            return counted

    async def wake_waiting(
        self, term: Term, *, blocked: Sequence[str], blocked_models: Sequence[int] = (), most: int
    ) -> int:
        async with planning(self._database, term) as connection:
            return len(await connection.fetch(SQL["wake_waiting"], list(blocked), most, list(blocked_models)))

    async def wake_probe(
        self, term: Term, project: str, probes: Sequence[str], *, models: Sequence[int] | None = None
    ) -> bool:
        async with planning(self._database, term) as connection:
            woken = await connection.fetch(SQL["wake_probe"], project, None if models is None else list(models))
            if woken:
                await connection.execute(SQL["probe_sent"], list(probes))
            return bool(woken)

    async def unpublished(self, term: Term, most: int) -> Sequence[Task]:
        async with planning(self._database, term) as connection:
            await let_paused_wait(connection)
            rows = await connection.fetch(SQL["unpublished"], most)
        return await off_loop(len(rows), MANY_TASKS, lambda: tasks_of(rows))

    async def mark_published(self, term: Term, places: Mapping[int, str]) -> None:
        async with planning(self._database, term) as connection:
            await connection.execute(SQL["mark_published"], list(places), list(places.values()))

    async def recover(
        self, term: Term, channel: str, *, held: Collection[int] | None = None, isolated_starts: int, version: str
    ) -> Mapping[str, int]:
        async with planning(self._database, term) as connection:
            superseded = await connection.fetch(SQL["delete_superseded"], REPAIR_AFTER)
            lost = await connection.fetch(SQL["lost_tasks"], channel, None if held is None else list(held))
            poison = await connection.fetch(SQL["poison_tasks"], isolated_starts)
            died = "every process that started it died before it was done, {} times while nothing else was running"
            parked = [(row, Reason.KILLS_PROCESS, died.format(row["starts"] - 1)) for row in poison]
            unsendable = await connection.fetch(SQL["unsendable"])
            parked += [(row, Reason.TASK_TOO_LARGE, row["detail"]) for row in unsendable]
            await _park_tasks(connection, parked, version)
            return {"superseded": len(superseded), "lost": len(lost), "parked": len(parked)}

    async def tend_requests(self, term: Term) -> Sequence[RequestChange]:
        async with planning(self._database, term) as connection:
            stopped = await connection.fetch(SQL["stop_requests"])
            ended = await connection.fetch(SQL["end_requests"])
            await withdraw_not_requested(connection)
            if stopped:
                await stop_paused(connection)
        return [RequestChange(row["id"], row["kind"], row["state"], row["note"]) for row in (*stopped, *ended)]

    async def begin_sweep(self, term: Term, ages: Sequence[timedelta]) -> int | None:
        async with planning(self._database, term) as connection:
            return await begin_sweep(connection, ages)

    async def end_sweeps(self, term: Term) -> None:
        async with planning(self._database, term) as connection:
            await end_sweeps(connection)

    async def require_sinks(self, term: Term, sinks: Sequence[RequiredSink]) -> Sequence[str]:
        async with planning(self._database, term) as connection:
            return (await require_sinks(connection, sinks)).joined

    async def expire(self, term: Term, max_catch_up: timedelta) -> Mapping[ModelRef, int]:
        async with planning(self._database, term) as connection:
            rows = await connection.fetch(SQL["expire"], max_catch_up)
        return {
            ModelRef(row["project"], row["name"]): to_coverage(row["slots"]).total // row["slot"]
            for row in rows
            if row["slots"]
        }

    async def maintain(self, *, history: timedelta) -> None:
        async with self._database.transaction() as connection:
            await make_partitions(connection)
            for row in await connection.fetch(SQL["old_history"], history):
                await connection.execute(f'DROP TABLE "{row["name"]}"')
            await connection.execute(SQL["delete_executors"], history)
            await connection.execute(SQL["delete_dismissals"])
            await connection.execute(SQL["delete_request_models"], history)
            await connection.execute(SQL["delete_replaced_tags"], history)

    async def forgive_crashes(self, version: str) -> int:
        return len(await self._database.fetch(SQL["unpark_crashes"], version))


def needs_of(rows: list[Any]) -> list[Need]:
    """Return rows of the statement ``needs``, whose columns are those of `Need`; the list of rows is empty then."""
    return [
        Need(model_id, project, name, epoch, covered_end, request, tuple(bounds))
        for model_id, project, name, epoch, covered_end, request, *bounds in taken_out(rows)
    ]


async def make_partitions(connection: Any) -> None:
    """Create the next days of ``task_history``; safe when several processes do it at once."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('latigo.task_history'))")
    for row in await connection.fetch(SQL["ensure_history"]):
        start = datetime.combine(row["day"], datetime.min.time(), UTC)
        end = start + timedelta(days=1)
        await connection.execute(
            f'CREATE TABLE "task_history_{start:%Y%m%d}" PARTITION OF task_history '
            f"FOR VALUES FROM ('{start:%Y-%m-%d}T00:00:00Z') TO ('{end:%Y-%m-%d}T00:00:00Z')"
        )


async def _park_tasks(connection: Any, parked: Sequence[tuple[Any, Reason, str]], version: str) -> None:
    """Park tasks that no executor could settle: (row, reason, detail)."""
    windows = [
        ParkedWindow(row["model_id"], row["revision"], reason, detail, to_window(row["span"]))
        for row, reason, detail in parked
    ]
    await park(connection, windows, version)
    ended = [FinishedTask(row["id"], Outcome.REJECTED, detail, reason) for row, reason, detail in parked]
    await finish_tasks(connection, ended)


async def _plan_tasks(connection: Any, planned: Sequence[Planned]) -> int:
    """Insert tasks; return how many are not outdated. Of a model, all but the live one are of one lane."""
    if not planned:
        return 0
    lanes: dict[int, Lane] = {}
    rows = (
        (p.model_id, p.epoch, p.window.start, p.window.end, p.lane.value, p.probe, p.trace, p.request)
        for p in planned
        if p.lane.is_live or lanes.setdefault(p.model_id, p.lane) is p.lane
    )
    arrays = await off_loop(len(planned), MANY_TASKS, lambda: columns(rows))
    return len(await connection.fetch(SQL["plan_tasks"], *arrays))


def tasks_of(rows: Sequence[Any]) -> list[Task]:
    """Return the tasks in rows of the statement ``unpublished``, in their order."""
    with collector_paused():
        return [_task(row) for row in rows]


def _task(row: Any) -> Task:
    return Task(
        id=row["id"],
        epoch=row["epoch"],
        model=ModelSpec.from_json(ModelRef(row["project"], row["name"]), row["revision"], row["anomaly"], row["spec"]),
        window=to_window(row["span"]),
        slot_seconds=row["slot"] // timedelta(seconds=1),
        lane=Lane(row["lane"]),
        trace=row["trace"],
        probe=row["probe"],
        ledger=LedgerIdentity(row["ledger"], row["incarnation"]),
        copy_to=row["copy_to"] or "",
    )
