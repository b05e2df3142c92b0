"""When a model is predicted."""

from datetime import timedelta
from typing import NamedTuple


class Schedule(NamedTuple):
    """When one model is predicted, and what of it again."""

    interval: timedelta
    delay: timedelta
    horizon: timedelta
    enabled: bool
    recompute: timedelta | None = None  #: what is predicted again in a new revision; None: nothing
