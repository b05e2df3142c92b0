"""States and orders by which lists are filtered and sorted; apart from the reports, since ``--help`` shows them."""

from typing import Literal

FailureState = Literal["parked", "waiting", "excepted", "message"]
FailureOrder = Literal["name", "oldest", "newest", "reason"]

#: Of a model, and that something of it is parked or silent.
ModelState = Literal["active", "paused", "disabled", "unregistered", "gone", "unusable", "parked", "silent"]
ModelOrder = Literal["name", "behind", "silent", "state"]

WindowState = Literal["live", "backfill", "held"]
WindowOrder = Literal["newest", "oldest", "slots", "name"]
