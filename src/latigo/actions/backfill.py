"""Requests for stretches of time: fill what is missing there, or replace all of it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from latigo.actions.record import lock_planner, record
from latigo.domain.errors import LatigoError, Misused, SelectionChanged
from latigo.domain.model import ModelRef
from latigo.domain.selector import select_models
from latigo.domain.windows import Window, iso
from latigo.ledger.shared import stop_paused, withdraw_not_requested
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.backfills import BackfillPreview, LeftOut, no_backfill
from latigo.reports.choices import BackfillKind, BackfillState

SQL = load_statements("latigo.actions", "backfill.sql")

_REASONS = ("covered", "excepted", "parked", "not_readable", "not_kept", "not_predicted")
_MAX_NAMES = 20  #: names of a selection that are kept


@dataclass(frozen=True, slots=True)
class Asked:
    """A stretch of time of some models."""

    kind: BackfillKind
    window: Window | None  #: None: all that the sink of a copy lacks
    names: Sequence[str]  #: ``PROJECT`` or ``PROJECT/MODEL``, or patterns of these
    sensor: str | None = None  #: only models that read this tag
    kept_for: timedelta | None = None  #: how long every sink keeps predictions; None: for ever
    readable_for: Callable[[Sequence[str]], timedelta | None] = lambda _: None  #: how long readings of tags are kept
    at_most: int | None = None  #: tasks that may be out at the same time
    stop_after: int | None = None  #: failed windows, after which it is paused
    sink: str = ""  #: of a copy: the circuit of the sink that it is for
    everything: bool = False  #: copy all that is stored, not only what the sink is known to lack
    readable: Sequence[str] = ()  #: of a copy: the circuits of sinks that can be read

    def selector(self) -> dict[str, Any]:
        """Return what the ledger keeps of the selection."""
        more = len(self.names) - _MAX_NAMES
        names = [*self.names[:_MAX_NAMES], *([f"and {more} more"] if more > 0 else [])]
        return {"names": names} | ({"sensor": self.sensor} if self.sensor else {})


class Requested(NamedTuple):
    """A request that was made."""

    number: int | None  #: None: nothing is wanted, so that there is none
    preview: BackfillPreview


async def preview_backfill(database: Database, asked: Asked) -> BackfillPreview:
    """Return what a request would do; changes nothing.

    Raises:
        Misused: nothing is selected.
    """
    async with database.connection() as connection:
        asked = await _in_time(connection, asked)
        return await _select(connection, asked, await _chosen(connection, asked), None)


async def request_backfill(database: Database, who: str, asked: Asked, *, why: str = "", expect: str = "") -> Requested:
    """Make a request, which is planned until it is done, paused or cancelled.

    Raises:
        Misused: nothing is selected.
        SelectionChanged: it is not the selection of the digest ``expect``; nothing was changed.
    """
    async with database.transaction() as connection:
        chosen = await _chosen(connection, asked)
        await connection.execute(SQL["lock_selected"], list(chosen))
        asked = await _in_time(connection, asked)
        limits = (*_ends(asked), asked.at_most, asked.stop_after, asked.sink or None)
        row = await connection.fetchrow(SQL["begin_request"], asked.kind, who, why, asked.selector(), *limits)
        preview = await _select(connection, asked, chosen, row["id"])
        if expect and expect != preview.digest:
            raise SelectionChanged(
                f"the selection has changed: its digest is {preview.digest}, not {expect}; nothing was changed. See"
                " --dry-run, and write the ends of the time as it shows them: relative ones move on"
            )
        if not preview.slots:
            await connection.execute(SQL["discard_request"], row["id"])
            return Requested(None, preview)
        result = f"{preview.slots} slots of {preview.models} models"
        totals = (preview.models, preview.slots, preview.digest, result)
        await connection.execute(SQL["complete_request"], row["id"], *totals)
    return Requested(row["id"], preview)


async def pause_backfill(database: Database, who: str, number: int, why: str = "") -> None:
    """Pause a request; tasks that an executor has claimed end by themselves.

    Raises:
        UnknownName: there is none of this number.
        LatigoError: it is not active.
    """
    await _change(database, who, number, "pause", ("active",), "paused", why)


async def resume_backfill(database: Database, who: str, number: int, why: str = "") -> None:
    """Go on with a paused request; its failures are counted anew.

    Raises:
        UnknownName: there is none of this number.
        LatigoError: it is not paused.
    """
    await _change(database, who, number, "resume", ("paused",), "active", why)


async def cancel_backfill(database: Database, who: str, number: int, why: str = "") -> None:
    """End a request for good; what it has predicted stays.

    Raises:
        UnknownName: there is none of this number.
        LatigoError: it has ended.
    """
    await _change(database, who, number, "cancel", ("active", "paused"), "cancelled", why)


async def retry_failed(database: Database, who: str, number: int, why: str = "") -> int:
    """Unpark what a request wants, and go on with it. Return how many windows were parked.

    Raises:
        UnknownName: there is none of this number.
        LatigoError: it was cancelled.
    """
    return await _change(database, who, number, "retry-failed", ("active", "paused", "done"), "active", why)


async def _change(
    database: Database,
    who: str,
    number: int,
    verb: str,
    allowed: Sequence[BackfillState],
    state: BackfillState,
    why: str,
) -> int:
    async with database.transaction() as connection:
        if state == "paused":  # or a round of planning could plan or publish tasks of it after this
            await lock_planner(connection)
        await connection.execute(SQL["lock_models_of_request"], number)
        row = await connection.fetchrow(SQL["find_request"], number)
        if row is None:
            raise no_backfill(number)
        if row["state"] not in allowed:
            raise LatigoError(
                f"request {number} is {row['state']}, and {verb} needs one that is {' or '.join(allowed)}"
            )
        await connection.execute(SQL["set_request_state"], number, state, f"by {who}" + (f": {why}" if why else ""))
        windows = 0
        if verb == "retry-failed":
            windows = (await connection.fetchrow(SQL["unpark_requested"], number))["windows"]
        if state == "cancelled":
            await connection.execute(SQL["close_request_models"], number)
            await withdraw_not_requested(connection)
        elif state == "paused":
            await stop_paused(connection)
        await record(connection, f"backfill_{verb}", who, {"request": number, "why": why}, f"now {state}")
        return int(windows)


async def _chosen(connection: Any, asked: Asked) -> dict[int, timedelta | None]:
    """Return the ids of the selected models, and how long their readings are kept."""
    rows = await connection.fetch(SQL["selectable_models"], asked.sensor)
    known = {ModelRef(row["project"], row["name"]): row for row in rows}
    if asked.sensor is not None and not known:
        raise Misused(
            f"no model reads the sensor {asked.sensor}; latigo sensors exists TAG finds sensors of the source"
        )
    chosen = [known[ref] for ref in select_models(asked.names, known)]
    return {row["id"]: asked.readable_for(row["tags"]) for row in chosen}


async def _in_time(connection: Any, asked: Asked) -> Asked:
    """Return a request with its stretch of time: that of a copy is what its sink lacks, unless it is given."""
    if asked.kind != "copy":
        return asked
    row = await connection.fetchrow(SQL["lacking"], asked.sink)
    if row is None:
        raise Misused(
            f"{asked.sink} is not known as a required sink yet: it is from the start of the next scheduler on, whose"
            " settings have it in predictions"
        )
    if asked.window is not None:
        return asked
    since = row["since"] or row["now"] - timedelta(seconds=1)
    return replace(asked, window=Window(since, row["until"] or row["now"]))


def _ends(asked: Asked) -> tuple[datetime, datetime]:
    if asked.window is None:
        raise ValueError("only a copy may be of all time")
    return asked.window.start, asked.window.end


async def _select(
    connection: Any, asked: Asked, chosen: Mapping[int, timedelta | None], number: int | None
) -> BackfillPreview:
    start, end = _ends(asked)
    copies = asked.kind == "copy"
    if copies:
        limits = (start, end, asked.everything, list(asked.readable), list(chosen.values()))
        rows = await connection.fetch(SQL["select_copied"], number, asked.sink, list(chosen), *limits)
    else:
        ends = (start, end, asked.kept_for, list(chosen.values()))
        rows = await connection.fetch(SQL["select_slots"], number, asked.kind, list(chosen), *ends)
    left_out = [
        LeftOut(reason=reason, models=sum(row[reason] > 0 for row in rows), slots=sum(row[reason] for row in rows))
        for reason in _REASONS
    ]
    calls = sum(row["calls"] for row in rows)
    speed = await connection.fetchrow(SQL["recent_speed"])
    known_speed = speed["seconds"] is not None and speed["at_once"]
    return BackfillPreview(
        kind=asked.kind,
        start=start,
        end=end,
        models=sum(row["slots"] > 0 for row in rows),
        slots=sum(row["slots"] for row in rows),
        windows=sum(row["windows"] for row in rows),
        calls=calls,
        seconds=calls * speed["seconds"] / min(speed["at_once"], asked.at_most or speed["at_once"])
        if known_speed and not copies
        else None,
        left_out=[each for each in left_out if each.slots],
        digest=_digest(f"{asked.kind} {asked.sink}" if copies else asked.kind, rows),
        sink=asked.sink or None,
        copied=sum(row["copied"] for row in rows) if copies else None,
        predicted=sum(row["predicted"] for row in rows) if copies else None,
        backfill_paused=await connection.fetchval(SQL["backfill_paused"]),
    )


def _digest(kind: str, rows: Sequence[Any]) -> str:
    """Return a digest of the models and the time of each, in whole slots; not of what is missing there by now."""
    digest = hashlib.sha256(kind.encode())
    for row in rows:
        if row["low"] is not None and row["state"] == "active":
            digest.update(f"\n{row['project']}/{row['model']} {iso(row['low'])} {iso(row['high'])}".encode())
    return digest.hexdigest()[:12]
