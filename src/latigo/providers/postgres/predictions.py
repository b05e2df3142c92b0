"""The PostgreSQL sink; for its tables, see ``postgres/migrations/0002_predictions.sql``."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple

import asyncpg
import numpy as np

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import Failed, Reason, Rejected
from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Times, Values, Written
from latigo.domain.windows import DAY, Window, iso, span_ns, to_ns
from latigo.postgres.database import changed_session, lend
from latigo.postgres.errors import translated_errors
from latigo.postgres.statements import load_statements
from latigo.providers.postgres.errors import TRANSLATIONS
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import off_loop
from latigo.settings import PostgresSink

_log = get_logger(__name__)
SQL = load_statements("latigo.providers.postgres", "queries.sql")
_DAY_NS = span_ns(DAY)
_MAX_KNOWN = 50_000  #: models and revisions whose column ids are cached, about 300 bytes each
#: Values of a statement; the driver encodes them, and checks each, without a pause.
_VALUES_AT_ONCE = 20_000
_MANY_VALUES = 500_000  #: of which looking for finite ones takes several milliseconds
_MANY_ROWS = 500  #: of which making arrays takes several milliseconds
_LOCK_WAIT = "5s"  #: how long dropping an old day waits for its readers


class _Known(NamedTuple):
    """Cached columns of a model."""

    columns_id: int
    used_until: int  #: as in the database, ns


class PostgresPredictions:
    """Predictions in the ledger's database; safe for many coroutines and processes at once.

    A row is identified by (model, time). Writing it again replaces the whole row, whatever the revision: a point that
    is not finite the second time is deleted. A row without a finite value is not written and replaces nothing, and nor
    does a row of an older writer.

    Args:
        pool: connections to the database that holds the tables.
        postgres: the section of the settings.
    """

    fenced = True

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", postgres: PostgresSink) -> None:
        self.downstream = circuit_name(System.SINK, postgres.sink_name)
        self._pool = pool
        self._time_limit = postgres.write_timeout.total_seconds()
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._days: set[int] = set()  #: days since the epoch that are known to have a partition

    async def ping(self, projects: Sequence[str]) -> str:  # noqa: ARG002 - they share one table
        async with self._connection("reading") as connection:
            await connection.fetch(SQL["read_any_row"])
        return "can be read"

    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:
        times, values = await off_loop(predictions.values.size, _MANY_VALUES, lambda: _rows_to_write(predictions))
        if not len(times):
            return Written.nothing()
        together = max(_VALUES_AT_ONCE // values.shape[1], 1)
        async with self._connection(f"writing {predictions.model}") as connection:
            parts = [
                await self._write_part(
                    connection, predictions, times[top : top + together], values[top : top + together], fence
                )
                for top in range(0, len(times), together)
            ]
        return Written(np.concatenate([part.times for part in parts]), newer=sum(part.newer for part in parts))

    async def _write_part(
        self, connection: Any, predictions: Predictions, times: Times, values: Values, fence: Fence
    ) -> Written:
        """Write some rows in one statement."""
        for _ in range(3):
            written = await self._write(connection, predictions, times, values, fence)
            if written is not None:
                return written
        raise Failed(f"writing {predictions.model}: its columns or days are dropped as fast as they are created")

    async def get_predictions(self, model: ModelRef, window: Window) -> Sequence[Predictions]:
        start, end = to_ns(window.start) // 1000, to_ns(window.end) // 1000
        async with (
            self._connection(f"reading {model}") as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await connection.fetch(SQL.read_rows, model.project, model.name, start, end)
            names = await connection.fetch(SQL.read_columns, list({row["columns_id"] for row in rows}))
        return await off_loop(len(rows), _MANY_ROWS, lambda: _by_revision(model, rows, names))

    async def drop_older_than(self, time: datetime) -> int:
        """Drop the days that end at or before ``time``; return their number. Only one process drops at a time.

        Readers and writers of other days are never blocked; a day that is read for longer than a few seconds is left
        for the next call.

        Raises:
            TimedOut: a day is in use. Days that were dropped before it stay dropped.
        """
        oldest_kept = to_ns(time) // _DAY_NS
        dropped = 0
        async with self._connection("dropping old predictions") as connection, changed_session(connection):
            await connection.execute(f"SET lock_timeout = '{_LOCK_WAIT}'")
            try:
                await connection.execute(SQL.lock_days)
                for day in await connection.fetch(SQL.old_days, oldest_kept):
                    await _drop_day(connection, day)
                    dropped += 1
                await connection.execute(SQL.drop_unused_columns, oldest_kept * _DAY_NS // 1000)
            finally:
                self._forget_before(oldest_kept)
        if dropped:
            _log.info("predictions.dropped", days=dropped, older_than=iso(time))
        return dropped

    @asynccontextmanager
    async def _connection(self, action: str) -> AsyncIterator[Any]:
        context = f"PostgreSQL, {action}"
        with translated_errors(context, downstream=self.downstream, translations=TRANSLATIONS):
            async with asyncio.timeout(self._time_limit), lend(self._pool) as connection:
                yield connection

    async def _write(
        self, connection: Any, predictions: Predictions, times: Times, values: Values, fence: Fence
    ) -> Written | None:
        """Write the rows; return those that are stored, or None if the cache turned out to be outdated."""
        days = set((times // _DAY_NS).tolist())
        if missing := days - self._days:
            await connection.execute(SQL.ensure_days, sorted(missing))
            self._days |= missing
        digest = _digest(predictions)
        known = await self._intern(connection, predictions, digest, used_until=(max(days) + 1) * _DAY_NS)
        microseconds = (times // 1000).tolist()
        try:
            done = await connection.execute(
                SQL.write_rows,
                known.columns_id,
                digest,
                microseconds,
                _flat_with_nulls(values),
                values.shape[1],
                *fence,
            )
        except asyncpg.CheckViolationError:  # no partition for one of the rows: a day was dropped meanwhile
            self._days -= days
            return None
        if done == f"INSERT 0 {len(times)}":
            return Written(times)
        if not await connection.fetchval(SQL.has_columns, known.columns_id, digest):
            self._known.clear()
            return None
        newer = await connection.fetch(SQL.newer_rows, known.columns_id, microseconds, *fence)
        refused = np.isin(times // 1000, [row["time"] for row in newer])
        return Written(times[~refused], newer=int(refused.sum()))

    async def _intern(self, connection: Any, predictions: Predictions, digest: bytes, used_until: int) -> _Known:
        known = self._known.get(digest)
        if known is not None and known.used_until >= used_until:
            self._known.move_to_end(digest)
            return known
        columns_id = await connection.fetchval(
            SQL.intern_columns,
            *predictions.model,
            predictions.revision,
            [column.group for column in predictions.columns],
            [column.tag for column in predictions.columns],
            digest,
            used_until // 1000,
        )
        known = self._known[digest] = _Known(columns_id, used_until)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return known

    def _forget_before(self, day: int) -> None:
        self._days = {known for known in self._days if known >= day}


async def _drop_day(connection: Any, day: Any) -> None:
    """Detach, then drop: dropping an attached partition would lock all days."""
    name = day["name"]  # of our own making: old_days matches it against digits
    if day["leaving"]:
        await connection.execute(f"ALTER TABLE prediction DETACH PARTITION {name} FINALIZE")
    elif day["attached"]:
        await connection.execute(f"ALTER TABLE prediction DETACH PARTITION {name} CONCURRENTLY")
    await connection.execute(f"DROP TABLE {name}")


def _rows_to_write(predictions: Predictions) -> tuple[Times, Values]:
    """Return the rows that hold a finite value, the last one of each time."""
    times, values = predictions.times, predictions.values
    if (times % 1000).any():
        raise Rejected(
            f"{predictions.model} has a prediction at a fraction of a microsecond, which PostgreSQL cannot name",
            reason=Reason.WRITE_REFUSED,
        )
    keep = np.isfinite(values).any(axis=1)
    if len(times) > 1 and (np.diff(times) <= 0).any():
        _, last = np.unique(times[keep][::-1], return_index=True)
        chosen = np.flatnonzero(keep)[::-1][last]
        return times[chosen], values[chosen]
    return (times, values) if keep.all() else (times[keep], values[keep])


def _flat_with_nulls(values: Values) -> Sequence[float | None]:
    finite = np.isfinite(values)
    if finite.all():
        return values.ravel().tolist()
    holed = values.astype(object)
    holed[~finite] = None
    return holed.ravel().tolist()


def _digest(predictions: Predictions) -> bytes:
    """Return a key for the columns of a model in a revision. PostgreSQL's text cannot hold the separator."""
    names = (*predictions.model, predictions.revision, *chain.from_iterable(predictions.columns))
    return blake2b("\0".join(names).encode(), digest_size=16).digest()


def _by_revision(model: ModelRef, rows: Sequence[Any], names: Sequence[Any]) -> list[Predictions]:
    columns_of = {row["id"]: tuple(map(Column, row["column_groups"], row["tags"])) for row in names}
    ids_of: dict[str, list[int]] = {}
    for row in names:
        ids_of.setdefault(row["revision"], []).append(row["id"])
    return [
        _gather(model, revision, [row for row in rows if row["columns_id"] in ids], columns_of)
        for revision, ids in sorted(ids_of.items())
    ]


def _gather(
    model: ModelRef, revision: str, rows: Sequence[Any], columns_of: dict[int, tuple[Column, ...]]
) -> Predictions:
    """Return the rows of one revision as one frame; its column lists may differ, so the columns are united."""
    used = dict.fromkeys(row["columns_id"] for row in rows)
    columns = tuple(dict.fromkeys(chain.from_iterable(columns_of[id_] for id_ in used)))
    place = {column: number for number, column in enumerate(columns)}
    places = {id_: [place[column] for column in columns_of[id_]] for id_ in used}
    values = np.full((len(rows), len(columns)), np.nan)
    for number, row in enumerate(rows):
        values[number, places[row["columns_id"]]] = row["values"]  # None becomes NaN
    return Predictions(model, revision, np.array([row["time"] for row in rows], np.int64) * 1000, columns, values)
