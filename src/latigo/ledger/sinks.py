"""Which sinks are required, since when, and what they lack of what was stored before."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from latigo.domain.coverage import Coverage
from latigo.domain.sinks import RequiredSink
from latigo.postgres.arrays import columns
from latigo.postgres.ranges import to_multirange
from latigo.postgres.statements import load_statements

SQL = load_statements("latigo.ledger", "sql/sinks.sql")


class SinkChanges(NamedTuple):
    """How the required sinks differ from those before."""

    joined: tuple[str, ...]  #: required from now on, and before not or never
    left: tuple[str, ...]  #: not required any more


def sink_changes(known: dict[str, bool], required: Sequence[str]) -> SinkChanges:
    """Compare the sinks of the settings with the known ones, by whether they were required. Pure.

    Without any known one, those of the settings lack nothing: so far, what is covered was written to all of them.
    """
    joined = tuple(name for name in required if not known.get(name, False)) if known else ()
    return SinkChanges(joined, tuple(name for name, was in known.items() if was and name not in required))


async def require_sinks(connection: Any, sinks: Sequence[RequiredSink]) -> SinkChanges:
    """Record the sinks that are required from now on, and what those lack that join; return the changes."""
    known = {row["name"]: (row["required"], row["kept_for"]) for row in await connection.fetch(SQL["sinks"])}
    if {name: kept_for for name, (required, kept_for) in known.items() if required} == dict(sinks):
        return SinkChanges((), ())
    await connection.execute(SQL["lock_models"])
    changes = sink_changes({name: required for name, (required, _) in known.items()}, [sink.name for sink in sinks])
    await connection.execute(SQL["keep_held"], list(changes.left))
    await connection.execute(SQL["keep_lacking"], list(changes.joined))
    await connection.execute(SQL["drop_sinks"], list(changes.left))
    await connection.execute(SQL["put_sinks"], *columns(sinks))
    await connection.execute(SQL["delete_empty"])
    return changes


async def reduce_copies(connection: Any, copied: Sequence[tuple[int, Coverage]]) -> None:
    """Record what tasks, by id, have brought into the sink of their request; before the tasks are finished."""
    if copied:
        await connection.execute(
            SQL["reduce_copies"], *columns((task_id, to_multirange(held)) for task_id, held in copied)
        )
