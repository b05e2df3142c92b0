"""When a model is predicted."""

from datetime import timedelta
from typing import NamedTuple


class Schedule(NamedTuple):
    """When one model is predicted."""

    interval: timedelta
    delay: timedelta
    horizon: timedelta
    enabled: bool
