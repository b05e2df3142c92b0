"""The record of actions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from latigo.domain.model import ModelRef
from latigo.domain.selector import select_models
from latigo.postgres.statements import load_statements
from latigo.reports.base import Report

SQL = load_statements("latigo.actions", "queries.sql", "controls.sql")
MOST_NAMES = 20  #: names of a selection that are kept


class Order(Report):
    """An order that is in force: a second one of the same leaves it as it is."""

    who: str
    at: datetime
    reason: str


async def lock_planner(connection: Any) -> None:
    """Wait for the round of planning that is under way, and keep others from beginning before the transaction ends."""
    await connection.execute(SQL["lock_planner"])


async def record(connection: Any, kind: str, who: str, selector: Mapping[str, Any], result: str) -> None:
    """Record an action, in the transaction that does it.

    Args:
        connection: of that transaction.
        kind: which action, such as ``retry``.
        who: ``user@host``.
        selector: projects and models that it is about.
        result: its result, in words.
    """
    await connection.execute(SQL["record_request"], kind, who, dict(selector), result)


async def ids_of(connection: Any, names: Sequence[str]) -> list[int]:
    """Return the numbers of the models that names select.

    Raises:
        UnknownName: a name selects nothing.
    """
    known = {ModelRef(row["project"], row["name"]): row["id"] for row in await connection.fetch(SQL["all_models"])}
    return [known[ref] for ref in select_models(names, known)]
