"""Why many models lacked something at the same time: what the history knows of that time, and not what holds now."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from latigo.domain.windows import Window
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.grid_cells import Axis, State
from latigo.reports.grid_view import GridMark

SQL = load_statements("latigo.reports", "stripes.sql")
#: Stripes that are looked up, the newest ones, and how much of the beginning of each.
MOST_STRIPES: Final = 8
LONGEST: Final = timedelta(hours=6)
#: What a slot failed of is known a while after its end.
AFTERWARDS: Final = timedelta(hours=1)
NO_SCHEDULER: Final = "no scheduler ran then"


async def with_past_causes(database: Database, axis: Axis, marks: Sequence[GridMark]) -> Sequence[GridMark]:
    """Return marks of missing slots with the cause of their time.

    That is what most models failed of then; else that no scheduler ran; else what is known now.
    """
    stripes = list(_stripes(marks))[-MOST_STRIPES:]
    if not stripes:
        return marks
    times = [_time(axis, stripe) for stripe in stripes]
    rows = await database.fetch(
        SQL["past_causes"], [time.start for time in times], [time.end for time in times], AFTERWARDS
    )
    causes = {
        mark.column: _text(row["detail"]) or NO_SCHEDULER
        for row in rows
        for mark in stripes[row["number"] - 1]
        if row["detail"] or row["unplanned"]
    }
    return [mark.model_copy(update={"cause": causes.get(mark.column, mark.cause)}) for mark in marks]


def _stripes(marks: Sequence[GridMark]) -> Iterator[list[GridMark]]:
    """Yield the runs of columns next to each other in which slots are missing."""
    run: list[GridMark] = []
    for mark in marks:
        if mark.state != State.MISSING.word:
            continue
        if run and mark.column != run[-1].column + 1:
            yield run
            run = []
        run.append(mark)
    if run:
        yield run


def _time(axis: Axis, stripe: Sequence[GridMark]) -> Window:
    start = axis.start + stripe[0].column * axis.step
    return Window(start, min(axis.start + (stripe[-1].column + 1) * axis.step, start + LONGEST))


def _text(detail: str | None) -> str:
    """Return what failed, without the stage in which it did."""
    stage, _, rest = (detail or "").partition(": ")
    return rest if rest and " " not in stage else detail or ""
