"""Requests that Latigo makes itself: what was predicted lately is predicted again in a new revision."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from latigo.postgres.statements import load_statements
from latigo.runtime.log import get_logger
from latigo.runtime.units import format_duration

SQL = load_statements("latigo.ledger", "sql/recompute.sql")
_log = get_logger(__name__)


class Recomputed(NamedTuple):
    """Models of a project in a new revision, of which the same stretch of time is predicted again."""

    project: str
    revision: str
    last: timedelta  #: how far back


async def request_recompute(connection: Any, what: Recomputed, model_ids: Sequence[int]) -> None:
    """Have models predicted again, in the transaction that records their new revision; their coverage is locked.

    Models of a project and revision are one request, though they are recorded in several transactions. What earlier
    requests of this kind still want of these models is superseded.
    """
    selector = {"names": [what.project], "revision": what.revision, "recompute": format_duration(what.last)}
    known = await connection.fetchrow(SQL["find_recompute"], selector)
    why = f"new revision {what.revision}: on_revision is recompute, {format_duration(what.last)}"
    number = (known or await connection.fetchrow(SQL["begin_recompute"], selector, why, what.last))["id"]
    added = await connection.fetchrow(SQL["add_recomputed"], number, list(model_ids), what.last)
    if not added["models"]:
        if known is None:
            await connection.execute(SQL["discard_recompute"], number)
        return
    superseded = await connection.fetch(SQL["supersede_recomputed"], number, list(model_ids))
    await connection.execute(SQL["end_superseded"], number, sorted({row["request_id"] for row in superseded}))
    await connection.execute(SQL["count_recomputed"], number, added["models"], added["slots"])
    _log.info("recompute.requested", request=number, project=what.project, revision=what.revision, **added)
