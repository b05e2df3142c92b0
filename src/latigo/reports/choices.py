"""States and orders by which lists are filtered and sorted; apart from the reports, since ``--help`` shows them."""

from typing import Literal

from latigo.domain.errors import Reason
from latigo.domain.outcome import UNSTORED

#: Of models without readings of some of their sensors.
NO_READINGS = "no_readings"
#: Reasons that `latigo retry` takes: of what is parked, of a wait, and of slots that lack readings.
RETRIED = (*Reason, "retry", NO_READINGS)
#: Reasons of all failures: also of slots that lack rows, and of messages of the queue.
CAUSES = (*RETRIED, *UNSTORED, "unreadable", "too_new")

FailureState = Literal["parked", "waiting", "excepted", "silent", "message"]
#: Reasons that can be dismissed: of all failures that a model has.
DISMISSED = (*RETRIED, *UNSTORED)
FailureGrouping = Literal["cause", "sensor", "project"]
FailureOrder = Literal["name", "oldest", "newest", "reason"]

#: Of a model, and that something of it is parked or silent.
#: One that vanishes from the server is missing for a day, then retired; an expected one is not built yet.
ModelState = Literal[
    "active", "paused", "disabled", "unregistered", "missing", "retired", "unusable", "expected", "parked", "silent"
]
ModelOrder = Literal["name", "behind", "silent", "state"]

#: Share of fresh models; age in seconds of the oldest live task; slots to do; slots covered in a second.
HistorySeries = Literal["fresh", "live_oldest", "backlog", "rate"]

TaskState = Literal["planned", "published", "claimed", "waiting"]

WindowState = Literal["live", "backfill", "repair", "requested", "held"]
WindowOrder = Literal["newest", "oldest", "slots", "name"]

#: Of a request for time: what is missing there, all of it again, what a sink lacks, or what late readings have changed.
BackfillKind = Literal["fill", "replace", "copy", "sweep"]
BackfillState = Literal["active", "paused", "cancelled", "done"]
