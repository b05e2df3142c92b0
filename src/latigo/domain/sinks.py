"""Sinks as the ledger knows them."""

from datetime import timedelta
from typing import NamedTuple


class RequiredSink(NamedTuple):
    """A sink that has to hold predictions before they count as covered."""

    name: str  #: that of its circuit
    kept_for: timedelta | None  #: how long it keeps predictions; None: for ever, as far as is known
