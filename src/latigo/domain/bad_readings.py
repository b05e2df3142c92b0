"""Bad readings: what a source has and cannot use.

A reading is *missing* where the source has nothing, or a marker that stands for nothing. It is *bad* where something is
there: text, a quality that is not good, a row that cannot be read.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Fault(StrEnum):
    """What is wrong with a reading."""

    TEXT = "text"  #: text where a number belongs, such as ``Bad``
    QUALITY = "quality"  #: its quality is not among the good ones
    TIME = "time"  #: its time cannot be read
    TWO_TIMES = "two_times"  #: its local time has two meanings, and nothing shows which one holds
    ROW = "row"  #: its row cannot be read: another number of cells, NUL characters, a header in the middle


@dataclass(frozen=True, slots=True)
class BadReadingCount:
    """Bad readings of one kind, since this process started."""

    place: str  #: file, or measurement
    tag: str  #: empty for whole rows
    fault: Fault
    readings: int  #: or rows
    example: str  #: the first one that was found, and where
    first_at: datetime  #: when it was found
    last_at: datetime  #: when the newest ones were found
