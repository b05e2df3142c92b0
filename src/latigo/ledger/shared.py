"""What several stores of the ledger write and read alike."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from latigo.domain.errors import Reason
from latigo.domain.limits import BACKFILL_PAUSED, Limits
from latigo.domain.outcome import Outcome
from latigo.domain.task import LedgerIdentity
from latigo.domain.windows import Window
from latigo.ledger.protocol import Circuit, LeaseLost, Term
from latigo.postgres.arrays import columns
from latigo.postgres.database import Database
from latigo.postgres.ranges import to_range
from latigo.postgres.statements import load_statements
from latigo.runtime.redaction import redact

SQL = load_statements("latigo.ledger", "sql/shared.sql")

#: Wait before a window is predicted again that a claim of unknown end may have written; longer than a write takes. An
#: executor that lives on requests the repair itself, whenever that is.
REPAIR_AFTER = timedelta(minutes=15)

#: Characters that are kept of a message or traceback.
MAX_DETAIL = 4000
#: Tags that are kept of a failure.
MAX_TAGS = 100


def kept(text: str, *, end: bool = False) -> str:
    """Return the kept part of a message, its beginning or end, without secrets and what PostgreSQL has no text for."""
    text = redact(text)
    part = text[-MAX_DETAIL:] if end else text[:MAX_DETAIL]
    return part.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def tags_in_json(tags: Sequence[str]) -> str:
    """Return the tags that are kept of a failure, as JSON: an array of arrays has to be rectangular."""
    return json.dumps([kept(tag) for tag in tags[:MAX_TAGS]])


class FinishedTask(NamedTuple):
    """A task that becomes history."""

    task_id: int
    outcome: Outcome
    detail: str = ""
    reason: str = ""
    rows: int = 0
    covered: timedelta = timedelta(0)
    receipt: bytes = b""  #: compact form of a `Receipt`; empty: there is none
    may_arrive: bool = False  #: what its last claim wrote


class ParkedWindow(NamedTuple):
    """A window of a model that gets no more attempts; None: every window."""

    model_id: int
    revision: str
    reason: Reason
    detail: str
    window: Window | None
    and_before: bool = False  #: and with it whatever is missing before it
    tags: Sequence[str] = ()  #: that the reason is about

    @property
    def key(self) -> tuple[int, str, str]:
        """Model, revision and reason, of which there is one row."""
        return self.model_id, self.revision, self.reason.value


@asynccontextmanager
async def planning(database: Database, term: Term) -> AsyncIterator[Any]:
    """Lend a connection in a transaction of the scheduler that holds the lease, which stays held until it ends.

    Raises:
        LeaseLost: it is not held.
    """
    async with database.transaction() as connection:
        if await connection.fetchrow(SQL["hold_lease"], term.holder, term.number) is None:
            raise LeaseLost(f"{term.holder} no longer holds term {term.number}")
        yield connection


async def read_clock(connection: Any) -> datetime:
    """Return the ledger's time."""
    now: datetime = (await connection.fetchrow(SQL["clock"]))["ledger"]
    return now


async def read_identity(connection: Any) -> LedgerIdentity:
    """Return the ledger's identity, as of now: it changes when the ledger is restored."""
    row = await connection.fetchrow(SQL["identity"])
    return LedgerIdentity(row["id"], row["incarnation"])


async def read_circuits(database: Database) -> list[Circuit]:
    """Return the open circuits, by name."""
    return [
        Circuit(
            row["downstream"],
            row["reason"],
            row["alarm"],
            row["opened_at"],
            row["pause"],
            probe_due=row["probe_due"],
            is_abandoned=row["is_abandoned"],
        )
        for row in await database.fetch(SQL["circuits"])
    ]


async def finish_tasks(connection: Any, tasks: Sequence[FinishedTask]) -> None:
    """Move tasks into the history."""
    if tasks:
        rows = (
            (t.task_id, t.outcome.value, t.reason, t.detail, t.rows, t.covered, t.receipt, t.may_arrive) for t in tasks
        )
        await connection.execute(SQL["finish_tasks"], *columns(rows), REPAIR_AFTER)


async def withdraw_tasks(connection: Any, task_ids: Sequence[int]) -> int:
    """Remove tasks, but for those that an executor has claimed; return how many. What they were for is planned anew."""
    return len(await connection.fetch(SQL["withdraw_tasks"], task_ids, REPAIR_AFTER)) if task_ids else 0


async def withdraw_not_requested(connection: Any) -> None:
    """Remove the tasks of requests that have ended, but for those that an executor has claimed."""
    await withdraw_tasks(connection, [row["id"] for row in await connection.fetch(SQL["tasks_not_requested"])])


async def stop_paused(connection: Any) -> int:
    """Remove the tasks of what is paused that no executor has claimed; return how many.

    Those with starts, attempts or sinks to remember wait until it is resumed: planned anew, they would have none.
    """
    tasks = await connection.fetch(SQL["tasks_of_paused"], ("planned", "published"))
    await let_wait(connection, [row["id"] for row in tasks if row["is_kept"]])
    return await withdraw_tasks(connection, [row["id"] for row in tasks if not row["is_kept"]])


async def let_paused_wait(connection: Any) -> None:
    """Let the tasks of what is paused wait that were planned again since, because their executor died or stopped.

    They would take the place of other tasks, or be the probe that other groups wait for.
    """
    tasks = await connection.fetch(SQL["tasks_of_paused"], ("planned",))
    await let_wait(connection, [row["id"] for row in tasks])


async def let_wait(connection: Any, task_ids: Sequence[int]) -> None:
    """Let tasks give way to others, but for those that an executor has claimed. They keep all that is known of them."""
    if task_ids:
        await connection.execute(SQL["let_wait"], task_ids)


async def release_holds(connection: Any, downstream: str) -> None:
    """Let models that were held for a downstream be planned again."""
    await connection.execute(SQL["release_holds"], downstream)


async def read_limits(connection: Any) -> Limits:
    """Return the limits that were changed at run time."""
    values = {row["name"]: row["value"] for row in await connection.fetch(SQL["limits"])}
    concurrency, outstanding = values.get("concurrency"), values.get("outstanding")
    return Limits(
        concurrency=None if concurrency is None else int(concurrency),
        backfill_share=values.get("backfill_share"),
        outstanding=None if outstanding is None else int(outstanding),
        backfill_paused=BACKFILL_PAUSED in values,
    )


async def park(connection: Any, windows: Sequence[ParkedWindow], version: str) -> None:
    """Park windows of models under this version of Latigo."""
    if windows:
        # One statement takes each (model, revision, reason) once: the last detail stands for all of them.
        last = {w.key: w for w in windows}
        rows = (
            (*key, of_all.detail, to_range(w.window), w.and_before, tags_in_json(of_all.tags))
            for w in windows
            for key, of_all in ((w.key, last[w.key]),)
        )
        await connection.execute(SQL["park"], *columns(rows), version)
