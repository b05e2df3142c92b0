"""Which columns a grid has for a range of time. Pure."""

from datetime import datetime, timedelta
from typing import Final

from latigo.domain.errors import Misused
from latigo.domain.windows import DAY, floor_to_slot
from latigo.reports.grid_cells import MOST_CELLS, Axis

MOST_COLUMNS: Final = 1500
LONGEST: Final = 400 * DAY
_LEAST_STEP: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
#: Up to these lengths of a range, columns are as long as slots, two hours, and a day.
_BY_SLOT: Final = 8 * DAY
_BY_TWO_HOURS: Final = 45 * DAY
_STEPS: Final = (
    5 * _LEAST_STEP,
    15 * _LEAST_STEP,
    30 * _LEAST_STEP,
    _HOUR,
    2 * _HOUR,
    4 * _HOUR,
    6 * _HOUR,
    12 * _HOUR,
    DAY,
    7 * DAY,
    28 * DAY,
)


def choose_axis(start: datetime, end: datetime, step: timedelta | None, slot: timedelta, models: int) -> Axis:
    """Return whole columns that have all of a range; longer ones than were asked for where they are too many.

    Args:
        start: of the range.
        end: of the range.
        step: length of a column; None: by that of the range.
        slot: the usual length of a slot.
        models: how many rows there will be.

    Raises:
        Misused: the range is empty or too long, or the step is too short.
    """
    if not start < end:
        raise Misused("from: should be before to")
    if end - start > LONGEST:
        raise Misused(f"from: a grid is of at most {LONGEST.days} days")
    if step is None:
        length = end - start
        step = slot if length <= _BY_SLOT else 2 * _HOUR if length <= _BY_TWO_HOURS else DAY
    elif step < _LEAST_STEP:
        raise Misused(f"step_s: should be at least {_LEAST_STEP.total_seconds():g}")
    most = max(min(MOST_COLUMNS, MOST_CELLS // max(models, 1)), 1)
    for wider in (step, *(each for each in _STEPS if each > step)):
        axis = _axis(start, end, wider)
        if axis.columns <= most:
            return axis
    raise Misused("from: so many models have no grid of so long a time")


def _axis(start: datetime, end: datetime, step: timedelta) -> Axis:
    first = floor_to_slot(start, step)
    return Axis(first, step, -((first - end) // step))
