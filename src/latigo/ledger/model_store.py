"""The ledger for the model list: projects, models, the roster."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from latigo.domain.errors import Reason
from latigo.domain.model import ModelRef
from latigo.domain.windows import floor_to_slot
from latigo.ledger.model_protocol import MANY_MODELS, KnownModel, KnownProject, ModelEntry, Rescheduled
from latigo.ledger.recompute import Recomputed, request_recompute
from latigo.ledger.shared import ParkedWindow, kept, park, read_clock
from latigo.postgres.arrays import columns
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.runtime.off_loop import off_loop

SQL = load_statements("latigo.ledger", "sql/models.sql")


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
            for row in await self._database.fetch(SQL["projects"])
        ]

    async def active_models(self) -> Sequence[ModelRef]:
        """Return the models that are predicted, in no order."""
        rows = await self._database.fetch(SQL["active_models"])
        return await off_loop(len(rows), MANY_MODELS, lambda: [ModelRef(*row) for row in rows])

    async def known_models(self, project: str) -> Sequence[KnownModel]:
        rows = await self._database.fetch(SQL["known_models"], project)
        return await off_loop(len(rows), MANY_MODELS, lambda: list(map(_known, rows)))

    async def project_listed(
        self, project: str, revision: str, models: Sequence[str], unbuilt: Sequence[str] | None = ()
    ) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(SQL["project_listed"], project, revision, len(models))
            await connection.execute(SQL["unpark_listed"], project, list(models))
            if unbuilt is not None:
                await connection.execute(SQL["delete_expected"], project, list(unbuilt))
                await connection.execute(SQL["add_expected"], project, list(unbuilt))

    async def project_outdated(self, project: str, revision: str) -> None:
        await self._database.execute(SQL["project_outdated"], project, revision)

    async def project_failed(self, project: str, error: str) -> None:
        await self._database.execute(SQL["project_failed"], project, kept(error))

    async def project_quarantined(self, project: str, models: int) -> None:
        await self._database.execute(SQL["project_quarantined"], project, models)

    async def project_dropped(self, project: str) -> int:
        async with self._database.transaction() as connection:
            known = await connection.fetch(SQL["known_models"], project)
            names = [row["name"] for row in known if row["state"] in {"active", "disabled", "unusable"}]
            changed = await _set_state(connection, project, names, "unregistered")
            await connection.execute(SQL["delete_project"], project)
            await connection.execute(SQL["delete_expected"], project, [])
            return len(changed)

    async def put_models(self, entries: Sequence[ModelEntry]) -> int:
        async with self._database.transaction() as connection:
            now = await read_clock(connection)
            # In one order: two schedulers that put the same list must not deadlock.
            recompute = {entry.spec.ref: entry.recompute for entry in entries if entry.recompute is not None}
            return await _put(connection, [_Row.of(entry, now) for entry in sorted(entries, key=_ref)], recompute)

    async def put_unusable(
        self, ref: ModelRef, revision: str, reason: Reason, detail: str, version: str, horizon: timedelta
    ) -> None:
        async with self._database.transaction() as connection:
            await _lock_models(connection, [ref])
            row = await connection.fetchrow(SQL["upsert_unusable"], ref.project, ref.name, revision, horizon)
            if row is None:  # a newer revision is known
                return
            await connection.execute(SQL["ensure_coverage"], [row["id"]])
            await connection.execute(SQL["unpark_older"], [row["id"]])
            await park(connection, [ParkedWindow(row["id"], revision, reason, kept(detail), None)], version)

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        async with self._database.transaction() as connection:
            return await _set_state(connection, project, names, state)

    async def reschedule(self, models: Sequence[Rescheduled]) -> None:
        if models:
            rows = ((m.model_id, m.delay, m.fold, "active" if m.enabled else "disabled") for m in models)
            await self._database.execute(SQL["reschedule"], *columns(rows))


def _known(row: Any) -> KnownModel:
    return KnownModel(
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


class _Row(NamedTuple):
    """A row of the table of models."""

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


async def _lock_models(connection: Any, models: Sequence[ModelRef]) -> None:
    if models:
        await connection.execute(SQL["lock_models"], *columns(models))


async def _set_state(connection: Any, project: str, names: Sequence[str], state: str) -> list[str]:
    """Set the state of models; return the names that changed."""
    await _lock_models(connection, [ModelRef(project, name) for name in names])
    return [row["name"] for row in await connection.fetch(SQL["set_state"], project, list(names), state)]


async def _put(connection: Any, rows: Sequence[_Row], recompute: Mapping[ModelRef, timedelta]) -> int:
    """Write any number of models with a few statements; return how many are new or have a new epoch.

    ``recompute`` are those of which the last part is predicted again if their revision is new.
    """
    if not rows:
        return 0
    slots = {row.ref: row.slot for row in rows}
    await _lock_models(connection, list(slots))
    states = await connection.fetch(SQL["model_states"], *columns(slots))
    known = {ModelRef(state["project"], state["name"]): state for state in states}
    written = await connection.fetch(SQL["upsert_models"], *columns((*row.ref, *row[1:]) for row in rows))
    await connection.execute(SQL["ensure_coverage"], [row["id"] for row in written])
    changed, realigned = [], []
    recomputed: dict[Recomputed, list[int]] = {}
    for row in written:
        ref = ModelRef(row["project"], row["name"])
        before = known.get(ref)
        if before is None or before["epoch"] != row["epoch"]:
            changed.append(row["id"])
        if before is not None and before["slot"] != slots[ref]:
            realigned.append(row["id"])
        if ref in recompute and before is not None and before["usable_revision"] not in {None, row["revision"]}:
            what = Recomputed(ref.project, row["revision"], recompute[ref])
            recomputed.setdefault(what, []).append(row["id"])
    await _realign(connection, realigned)
    for what, ids in recomputed.items():
        await request_recompute(connection, what, ids)
    await connection.execute(SQL["unpark_older"], changed)
    return len(changed)


async def _realign(connection: Any, model_ids: Sequence[int]) -> None:
    """Keep what is settled in whole slots of the new length; the rest could never be planned as whole slots."""
    if model_ids:
        await connection.execute(SQL["realign"], model_ids)
        await connection.execute(SQL["realign_exceptions"], model_ids)
        await connection.execute(SQL["delete_empty_exceptions"], model_ids)
        await connection.execute(SQL["realign_parked"], model_ids)
        await connection.execute(SQL["delete_empty_parked"], model_ids)


class PostgresRoster:
    """`ModelRoster` in the ledger."""

    def __init__(self, database: Database, who: str) -> None:
        self._database = database
        self._who = who

    async def add(self, name: ModelRef, data: Mapping[str, Any]) -> None:
        await self._database.execute(SQL["put_roster"], name.project, name.name, True, dict(data), self._who)

    async def remove(self, name: ModelRef) -> None:
        await self._database.execute(SQL["put_roster"], name.project, name.name, False, {}, self._who)

    async def entries(self) -> Mapping[ModelRef, bool]:
        rows = await self._database.fetch(SQL["roster"])
        return {ModelRef(row["project"], row["name"]): row["registered"] for row in rows}
