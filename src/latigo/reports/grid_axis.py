"""Which columns a grid has for a range of time. Pure."""

from datetime import datetime, timedelta
from typing import Final

from latigo.domain.errors import Misused
from latigo.domain.windows import DAY, floor_to_slot
from latigo.reports.grid_cells import MOST_CELLS, Axis

MOST_COLUMNS: Final = 1500
LONGEST: Final = 400 * DAY
_LEAST_STEP: Final = timedelta(seconds=10)
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
#: Up to these lengths of a range, columns are as long as slots, two hours, and a day.
_BY_SLOT: Final = 8 * DAY
_BY_TWO_HOURS: Final = 45 * DAY
_STEPS: Final = (
    *(_MINUTE * minutes for minutes in (1, 10, 30)),
    *(_HOUR * hours for hours in (1, 2, 4, 6, 12)),
    *(DAY * days for days in (1, 7, 28)),
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
        Misused: the range is empty or too long.
    """
    if not start < end:
        raise Misused("from: should be before to")
    if end - start > LONGEST:
        raise Misused(f"from: a grid is of at most {LONGEST.days} days")
    if step is None:
        length = end - start
        step = max(slot, _LEAST_STEP) if length <= _BY_SLOT else 2 * _HOUR if length <= _BY_TWO_HOURS else DAY
    most = max(min(MOST_COLUMNS, MOST_CELLS // max(models, 1)), 1)
    for wider in (step, *(each for each in _STEPS if each > step)):
        axis = _axis(start, end, wider)
        if axis.columns <= most:
            return axis
    raise Misused("from: so many models have no grid of so long a time")


def _axis(start: datetime, end: datetime, step: timedelta) -> Axis:
    first = floor_to_slot(start, step)
    return Axis(first, step, -((first - end) // step))
