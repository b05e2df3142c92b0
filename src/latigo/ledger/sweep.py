"""Sweeps for late readings: what slots were predicted from, and requests that compare it with what there is now."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from latigo.domain.coverage import Coverage
from latigo.domain.windows import Window
from latigo.ledger.shared import withdraw_not_requested
from latigo.postgres.arrays import columns
from latigo.postgres.ranges import to_multirange
from latigo.postgres.statements import load_statements
from latigo.runtime.log import get_logger
from latigo.runtime.units import format_duration

SQL = load_statements("latigo.ledger", "sql/sweep.sql")
_log = get_logger(__name__)

#: Tasks of a sweep that may be out at the same time: it is in no hurry.
AT_MOST: Final = 32
#: Models of one sweep. Those that have waited longest come first, the others in the next one.
MOST_MODELS: Final = 20_000


class Fingerprinted(NamedTuple):
    """A window of a model that was predicted, and what its covered slots were predicted from, by their start."""

    model_id: int
    window: Window
    slot: timedelta
    fingerprints: Mapping[datetime, bytes]


async def keep_fingerprints(connection: Any, windows: Sequence[Fingerprinted]) -> None:
    """Record what slots were predicted from."""
    if windows:
        spans = columns((each.model_id, each.window.start, each.window.end) for each in windows)
        rows = [
            (each.model_id, start, start + each.slot, cells)
            for each in windows
            for start, cells in each.fingerprints.items()
        ]
        await connection.execute(SQL["keep_fingerprints"], *spans, *(columns(rows) if rows else ((), (), (), ())))


async def keep_compared(connection: Any, compared: Sequence[tuple[int, Coverage]]) -> None:
    """Record what tasks, by id, have compared, and what of it has moved; before the tasks are finished."""
    if compared:
        rows = ((task_id, to_multirange(moved)) for task_id, moved in compared)
        await connection.execute(SQL["keep_compared"], *columns(rows))


async def begin_sweep(connection: Any, ages: Sequence[timedelta]) -> int | None:
    """Request a comparison of all slots that have reached one of the ages since they were read; return its number.

    None: a sweep is paused or began lately (half the first age ago), or nothing is due. What the sweep before has not
    compared is due still, and is part of the new one.
    """
    if not (await connection.fetchrow(SQL["may_begin"], list(ages), ages[0] / 2))["may_begin"]:
        return None
    await connection.execute(SQL["lock_swept"])
    await connection.execute(SQL["delete_fingerprints"], ages[-1])
    await connection.execute(SQL["delete_sweeps"])
    why = (
        f"late_data.sweep: slots that are {' or '.join(map(format_duration, ages))} old, against their readings of now"
    )
    begun = await connection.fetchrow(SQL["begin_sweep"], why, AT_MOST, list(ages), MOST_MODELS)
    if begun is None:
        return None
    number: int = begun["id"]
    await connection.execute(SQL["end_sweeps"], f"superseded by request {number}", number)
    await withdraw_not_requested(connection)
    _log.info("sweep.requested", request=number, count=begun["slots"], models=begun["models"])
    return number


async def end_sweeps(connection: Any) -> None:
    """End what is left of sweeps, which are not wanted any more, and forget what slots were predicted from."""
    if not (await connection.fetchrow(SQL["is_left"]))["is_left"]:
        return
    await connection.execute(SQL["lock_swept"])
    await connection.execute(SQL["end_sweeps"], "late_data.sweep is off", None)
    await connection.execute(SQL["forget_fingerprints"])
    await withdraw_not_requested(connection)
