"""The ledger as executors use it: claims, leases, settling, circuits."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from latigo.domain.coverage import Coverage
from latigo.domain.outcome import Outcome, Settlement, SlotState
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Circuit, Claim, ExecutorInfo
from latigo.ledger.settling import Claimed, Exceptions, Rules, Verdict, decide, revise
from latigo.postgres.database import Database
from latigo.postgres.ranges import to_coverage, to_multirange, to_range, to_window
from latigo.postgres.statements import load_statements

SQL = load_statements("latigo.ledger", "sql/shared.sql", "sql/executor.sql")

#: What is kept of a message or traceback.
LONGEST_DETAIL = 4000


def kept(text: str, *, end: bool = False) -> str:
    """As much of a message as is kept, its beginning or its end, without what PostgreSQL does not take as text."""
    part = text[-LONGEST_DETAIL:] if end else text[:LONGEST_DETAIL]
    return part.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class PostgresExecutorLedger:
    """`ExecutorLedger` on PostgreSQL."""

    def __init__(
        self, database: Database, rules: Rules, version: str, random: Callable[[], float] = random.random
    ) -> None:
        self._database = database
        self._rules = rules
        self._version = version
        self._random = random

    async def register(self, executor: ExecutorInfo) -> None:
        await self._database.execute(
            SQL["register_executor"],
            executor.id,
            executor.version,
            executor.envelope_low,
            executor.envelope_high,
            executor.concurrency,
        )

    async def unregister(self, executor_id: str) -> None:
        await self._database.execute(SQL["unregister_executor"], executor_id)

    async def beat(self, executor_id: str, *, in_flight: int, limit: int) -> None:
        await self._database.execute(SQL["beat"], executor_id, in_flight, limit)

    async def claim(self, task_id: int, epoch: int, executor_id: str, lease: timedelta) -> Claim | None:
        row = await self._database.row(SQL["claim"], task_id, epoch, executor_id, lease)
        if row is None:
            return None
        return Claim(
            task_id=task_id,
            number=row["claim"],
            attempts=row["attempts"],
            starts=row["unsettled_starts"],
            stored_in=frozenset(row["stored_in"]),
        )

    async def start_alone(self, claim: Claim, lease: timedelta) -> bool:
        return await self._database.row(SQL["start_alone"], claim.task_id, claim.number, lease) is not None

    async def renew(self, claims: Sequence[Claim], lease: timedelta) -> frozenset[int]:
        rows = await self._database.fetch(SQL["renew"], *_keys(claims), lease)
        return frozenset(row["id"] for row in rows)

    async def release(self, claims: Sequence[Claim]) -> None:
        await self._database.execute(SQL["release"], *_keys(claims), [claim.starts for claim in claims])

    async def settle(self, settlements: Sequence[tuple[Claim, Settlement]]) -> frozenset[int]:
        by_task = {claim.task_id: settlement for claim, settlement in settlements}
        async with self._database.transaction() as connection:
            locked = await connection.fetch(SQL["settle_lock"], *_keys([claim for claim, _ in settlements]))
            counted = await connection.fetch(SQL["settling"], [row["id"] for row in locked]) if locked else ()
            if not counted:
                return frozenset()
            batch = _Batch(self._rules, self._random)
            for row in counted:
                batch.add(row, by_task[row["id"]])
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
            await connection.execute(SQL["release_holds"], downstream)
        return True


def _keys(claims: Sequence[Claim]) -> tuple[list[int], list[int]]:
    return [claim.task_id for claim in claims], [claim.number for claim in claims]


async def read_circuits(database: Database) -> list[Circuit]:
    """The open circuits."""
    return [
        Circuit(
            row["downstream"], row["reason"], row["alarm"], row["opened_at"], row["pause"], probe_due=row["probe_due"]
        )
        for row in await database.fetch(SQL["circuits"])
    ]


@dataclass
class _ModelChange:
    """What a batch changes about one model; tasks of the same model build on each other."""

    covered: Coverage
    silent_since: datetime | None
    hold_until: datetime | None = None
    held_for: str = ""
    deferrals: int = 0
    settled: list[tuple[Window, Settlement]] = field(default_factory=list)
    silence: Window | None = None
    reopen: bool = False
    now: datetime | None = None

    @property
    def stretch(self) -> Window | None:
        """Where exceptions may become others; None: anywhere."""
        if self.reopen:
            return None
        windows = [window for window, _ in self.settled] + ([self.silence] if self.silence else [])
        return Window(min(window.start for window in windows), max(window.end for window in windows))


class _Batch:
    """Collects the verdicts of one batch and writes them with a few statements, however many tasks there are."""

    def __init__(self, rules: Rules, random: Callable[[], float]) -> None:
        self._rules = rules
        self._random = random
        self._ended: list[tuple[Claimed, Settlement, Verdict]] = []
        self._models: dict[int, _ModelChange] = {}

    def add(self, row: Any, settlement: Settlement) -> None:
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
        )
        settlement = replace(settlement, detail=kept(settlement.detail, end=True))
        verdict = decide(task, settlement, self._rules, self._random)
        self._ended.append((task, settlement, verdict))
        change = before or _ModelChange(Coverage(), task.silent_since, now=task.now)
        change.covered |= settlement.covered
        change.silent_since = verdict.silent_since
        if verdict.hold_until:
            change.hold_until, change.held_for = verdict.hold_until, verdict.held_for
        change.deferrals = verdict.deferrals
        change.silence = verdict.silence or change.silence
        change.reopen |= verdict.data_returned
        if settlement.outcome is Outcome.STORED and (settlement.exceptions or row["touches"]):
            change.settled.append((task.window, settlement))
        self._models[task.model_id] = change

    async def write(self, connection: Any, version: str) -> None:
        await self._write_tasks(connection)
        await self._write_coverage(connection)
        await self._write_exceptions(connection)
        await self._write_parked(connection, version)
        await self._write_learned(connection)

    async def _write_tasks(self, connection: Any) -> None:
        finished = [(t, s, v) for t, s, v in self._ended if v.waiting is None]
        if finished:
            await connection.execute(
                SQL["finish_tasks"],
                [t.id for t, _, _ in finished],
                [v.outcome.value for _, _, v in finished],
                [v.parking.reason.value if v.parking else "" for _, _, v in finished],
                [v.parking.detail if v.parking else s.detail for _, s, v in finished],
                [s.rows for _, s, _ in finished],
                [s.covered.total for _, s, _ in finished],
            )
        waiting = [(t, s, v.waiting) for t, s, v in self._ended if v.waiting is not None]
        if waiting:
            await connection.execute(
                SQL["keep_waiting"],
                [t.id for t, _, _ in waiting],
                [w.not_before for _, _, w in waiting],
                [w.attempts for _, _, w in waiting],
                [s.detail for _, s, _ in waiting],
                [",".join(s.stored_in) for _, s, _ in waiting],
            )

    async def _write_coverage(self, connection: Any) -> None:
        changes = list(self._models.items())
        await connection.execute(
            SQL["update_coverage"],
            [model_id for model_id, _ in changes],
            [to_multirange(change.covered) for _, change in changes],
            [change.silent_since for _, change in changes],
            [change.hold_until for _, change in changes],
            [change.held_for for _, change in changes],
            [change.deferrals for _, change in changes],
        )

    async def _write_exceptions(self, connection: Any) -> None:
        touched = {model_id: change for model_id, change in self._models.items() if change.settled or change.reopen}
        if not touched:
            return
        known: dict[int, list[Exceptions]] = defaultdict(list)
        stretches = [to_range(change.stretch) for change in touched.values()]
        for row in await connection.fetch(SQL["take_exceptions"], list(touched), stretches):
            next_look = row["next_look"].replace(tzinfo=UTC)  # the driver reads infinity as a time without a zone
            known[row["model_id"]].append(
                Exceptions(SlotState(row["state"]), row["reason"], row["looks"], next_look, to_coverage(row["slots"]))
            )
        rows: list[tuple[int, Exceptions]] = []
        for model_id, change in touched.items():
            assert change.now is not None  # noqa: S101 - set for every model that a row was locked for
            revised = known[model_id]
            if change.reopen:
                revised = revise(revised, None, (), change.now, reopen=True)
            for window, settlement in change.settled:
                revised = revise(revised, window, settlement.exceptions, change.now, silence=change.silence)
            rows += [(model_id, row) for row in revised]
        if rows:
            await connection.execute(
                SQL["add_exceptions"],
                [model_id for model_id, _ in rows],
                [row.state.value for _, row in rows],
                [row.reason for _, row in rows],
                [row.looks for _, row in rows],
                [row.next_look for _, row in rows],
                [to_multirange(row.slots) for _, row in rows],
            )

    async def _write_parked(self, connection: Any, version: str) -> None:
        parked = [(t, v.parking) for t, _, v in self._ended if v.parking]
        if parked:
            await park(
                connection,
                [(t.model_id, t.revision, p.reason.value, p.detail, p.window) for t, p in parked],
                version,
            )

    async def _write_learned(self, connection: Any) -> None:
        learned = [(t, s, v) for t, s, v in self._ended if s.plain or s.stale_metadata or v.fold]
        if learned:
            await connection.execute(
                SQL["learn"],
                [t.model_id for t, _, _ in learned],
                [s.plain for _, s, _ in learned],
                [s.stale_metadata for _, s, _ in learned],
                [v.fold for _, _, v in learned],
            )


async def park(connection: Any, rows: Sequence[tuple[int, str, str, str, Window | None]], version: str) -> None:
    """Park windows of models: (model id, revision, reason, detail, window or None for all of time)."""
    # One statement takes each (model, revision, reason) once: the last detail stands for all of them.
    details = {(model_id, revision, reason): detail for model_id, revision, reason, detail, _ in rows}
    await connection.execute(
        SQL["park"],
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [details[row[:3]] for row in rows],
        [to_range(row[4]) for row in rows],
        version,
    )
