"""The ledger's memory of models, projects and the roster."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason
from latigo.domain.model import ModelRef
from latigo.domain.windows import Window, floor_to_slot
from latigo.ledger.executor_store import kept, park
from latigo.ledger.protocol import KnownModel, KnownProject, ModelEntry, Rescheduled
from latigo.postgres.database import SQL, Database, to_coverage, to_multirange


class PostgresModelLedger:
    """`ModelLedger` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def projects(self) -> Sequence[KnownProject]:
        return [
            KnownProject(
                row["name"],
                row["revision"],
                row["models"],
                row["error"],
                row["doubted_since"],
                row["doubted_models"],
                row["accept_loss"],
            )
            for row in await self._database.fetch("projects")
        ]

    async def known_models(self, project: str) -> Sequence[KnownModel]:
        return [
            KnownModel(
                row["id"],
                row["name"],
                row["revision"],
                row["state"],
                row["stale_metadata"],
                timedelta(seconds=float(row["resolution"])) if row["resolution"] else None,
                row["slot"],
                row["delay"],
                row["fold"],
            )
            for row in await self._database.fetch("known_models", project)
        ]

    async def project_listed(self, project: str, revision: str, models: Sequence[str]) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(SQL["project_listed"], project, revision, len(models))
            await connection.execute(SQL["unpark_listed"], project, list(models))

    async def project_failed(self, project: str, error: str) -> None:
        await self._database.execute("project_failed", project, kept(error))

    async def project_doubted(self, project: str, models: int) -> None:
        await self._database.execute("project_doubted", project, models)

    async def project_dropped(self, project: str) -> int:
        async with self._database.transaction() as connection:
            known = await connection.fetch(SQL["known_models"], project)
            names = [row["name"] for row in known if row["state"] in {"active", "disabled", "unusable"}]
            changed = await _set_state(connection, project, names, "unregistered")
            await connection.execute(SQL["forget_project"], project)
            return len(changed)

    async def put_models(self, entries: Sequence[ModelEntry]) -> int:
        async with self._database.transaction() as connection:
            now = (await connection.fetchrow(SQL["clock"]))["ledger"]
            # One order for everybody: two schedulers that see the same list must not deadlock.
            return await _put(connection, [_Row.of(entry, now) for entry in sorted(entries, key=_ref)])

    async def put_unusable(
        self, ref: ModelRef, revision: str, reason: Reason, detail: str, version: str, horizon: timedelta
    ) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(SQL["lock_models"], [ref.project], [ref.name])
            row = await connection.fetchrow(SQL["upsert_unusable"], ref.project, ref.name, revision, horizon)
            if row is None:  # a newer revision is known
                return
            await connection.execute(SQL["ensure_coverage"], [row["id"]])
            await connection.execute(SQL["unpark_older"], [row["id"]])
            await park(connection, [(row["id"], revision, reason.value, kept(detail), None)], version)

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        async with self._database.transaction() as connection:
            return await _set_state(connection, project, names, state)

    async def reschedule(self, models: Sequence[Rescheduled]) -> None:
        await self._database.execute(
            "reschedule",
            [model.model_id for model in models],
            [model.delay for model in models],
            [model.fold for model in models],
            ["active" if model.enabled else "disabled" for model in models],
        )


class _Row(NamedTuple):
    """A model as the table has it."""

    ref: ModelRef
    revision: str
    state: str
    since: datetime
    slot: timedelta
    delay: timedelta
    fold: timedelta
    spec: dict[str, Any]
    anomaly: bool | None

    @classmethod
    def of(cls, entry: ModelEntry, now: datetime) -> "_Row":
        spec = entry.spec
        state = "active" if entry.enabled else "disabled"
        since = floor_to_slot(now - entry.horizon, entry.slot)
        return cls(
            spec.ref, spec.revision, state, since, entry.slot, entry.delay, entry.fold, spec.to_json(), spec.anomaly
        )


def _ref(entry: ModelEntry) -> ModelRef:
    return entry.spec.ref


async def _set_state(connection: Any, project: str, names: Sequence[str], state: str) -> list[str]:
    """The names that changed."""
    await connection.execute(SQL["lock_models"], [project] * len(names), list(names))
    return [row["name"] for row in await connection.fetch(SQL["set_state"], project, list(names), state)]


async def _put(connection: Any, rows: Sequence[_Row]) -> int:
    """Write models with a few statements, however many there are; how many are new or have a new epoch."""
    projects, names = [row.ref.project for row in rows], [row.ref.name for row in rows]
    slots = {row.ref: row.slot for row in rows}
    await connection.execute(SQL["lock_models"], projects, names)
    states = await connection.fetch(SQL["model_states"], projects, names, [row.slot for row in rows])
    known = {ModelRef(state["project"], state["name"]): state for state in states}
    written = await connection.fetch(
        SQL["upsert_models"],
        projects,
        names,
        *([row[column] for row in rows] for column in range(1, len(_Row._fields))),
    )
    await connection.execute(SQL["ensure_coverage"], [row["id"] for row in written])
    changed = []
    for row in written:
        ref = ModelRef(row["project"], row["name"])
        before = known.get(ref)
        if before is None or before["epoch"] != row["epoch"]:
            changed.append(row["id"])
        if before is not None and before["slot"] != slots[ref]:
            # Settled time that does not fill slots of the new length could never be planned as whole slots.
            covered = whole_slots(to_coverage(before["covered"]), slots[ref])
            await connection.execute(SQL["realign"], row["id"], to_multirange(covered))
    await connection.execute(SQL["unpark_older"], changed)
    return len(changed)


def whole_slots(covered: Coverage, slot: timedelta) -> Coverage:
    """The part of a coverage that fills whole slots."""
    whole = []
    for window in covered:
        start = -((-1 * (window.start - _MIDNIGHT)) // slot) * slot + _MIDNIGHT
        end = floor_to_slot(window.end, slot)
        if start < end:
            whole.append(Window(start, end))
    return Coverage(tuple(whole))


_MIDNIGHT = datetime(1970, 1, 1, tzinfo=UTC)


class PostgresRoster:
    """`ModelRoster` in the ledger."""

    def __init__(self, database: Database, who: str) -> None:
        self._database = database
        self._who = who

    async def add(self, name: ModelRef, data: Mapping[str, Any]) -> None:
        await self._database.execute("roster_put", name.project, name.name, True, dict(data), self._who)

    async def remove(self, name: ModelRef) -> None:
        await self._database.execute("roster_put", name.project, name.name, False, {}, self._who)

    async def entries(self) -> Mapping[ModelRef, bool]:
        rows = await self._database.fetch("roster")
        return {ModelRef(row["project"], row["name"]): row["registered"] for row in rows}
