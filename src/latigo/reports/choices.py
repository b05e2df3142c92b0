"""States and orders by which lists are filtered and sorted; apart from the reports, since ``--help`` shows them."""

from typing import Literal

from latigo.domain.errors import Reason
from latigo.domain.outcome import UNSTORED

#: Reasons that `latigo retry` takes: of what is parked, and of a wait.
RETRIED = (*Reason, "retry")
#: Reasons of all failures: also of slots that lack rows, and of messages of the queue.
CAUSES = (*RETRIED, *UNSTORED, "unreadable", "too_new")

FailureState = Literal["parked", "waiting", "excepted", "message"]
FailureOrder = Literal["name", "oldest", "newest", "reason"]

#: Of a model, and that something of it is parked or silent.
ModelState = Literal["active", "paused", "disabled", "unregistered", "gone", "unusable", "parked", "silent"]
ModelOrder = Literal["name", "behind", "silent", "state"]

WindowState = Literal["live", "backfill", "repair", "requested", "held"]
WindowOrder = Literal["newest", "oldest", "slots", "name"]

#: Of a request for time: what is missing there, or all of it again.
BackfillKind = Literal["fill", "replace"]
BackfillState = Literal["active", "paused", "cancelled", "done"]
