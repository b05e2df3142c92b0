"""An emulator of Azure Event Hubs, for the demo, tests and benchmarks. A development part, not for production.

In one's own event loop: ``async with open_event_hubs({"latigo": 8}) as emulator``, and then
``emulator.connection_string("latigo")`` for the client. In a process of its own: ``python -m
latigo.sandbox.eventhub``.
"""

from latigo.sandbox.eventhub.addresses import EVERYWHERE, Scope
from latigo.sandbox.eventhub.behaviour import Traced, Trouble
from latigo.sandbox.eventhub.controls import Controls
from latigo.sandbox.eventhub.hub import Event, Hub, Partition, Refused
from latigo.sandbox.eventhub.links import RejectStyle
from latigo.sandbox.eventhub.namespace import Limits
from latigo.sandbox.eventhub.server import EventHubsEmulator, open_event_hubs

__all__ = [
    "EVERYWHERE",
    "Controls",
    "Event",
    "EventHubsEmulator",
    "Hub",
    "Limits",
    "Partition",
    "Refused",
    "RejectStyle",
    "Scope",
    "Traced",
    "Trouble",
    "open_event_hubs",
]
