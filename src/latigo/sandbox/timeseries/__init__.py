"""An emulator of the Omnia Timeseries API and the Metadata API, for the demo, tests and benchmarks.

In an event loop: ``async with open_sandbox_timeseries() as server``. In a process of its own:
``python -m latigo.sandbox.timeseries``.
"""

from latigo.sandbox.timeseries.controls import Controls, Fault, FaultKind, Recorded
from latigo.sandbox.timeseries.server import FACILITIES, SandboxTimeseries, open_sandbox_timeseries
from latigo.sandbox.timeseries.store import GOOD, Reading, TimeseriesStore

__all__ = [
    "FACILITIES",
    "GOOD",
    "Controls",
    "Fault",
    "FaultKind",
    "Reading",
    "Recorded",
    "SandboxTimeseries",
    "TimeseriesStore",
    "open_sandbox_timeseries",
]
