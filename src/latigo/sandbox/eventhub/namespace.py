"""The namespace that all connections share: hubs, keys, limits, behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from latigo.runtime.clock import Clock
from latigo.sandbox.eventhub.access import Keys
from latigo.sandbox.eventhub.behaviour import Behaviour
from latigo.sandbox.eventhub.hub import KEEP, Hub, Refused
from latigo.sandbox.eventhub.journal import Journal, open_hub
from latigo.sandbox.eventhub.values import Timestamp


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a connection; the service's own numbers."""

    max_frame_size: int = 65_536  #: bytes, either way
    idle_time_out: float = 240.0  #: seconds without a frame after which a connection is closed


class Namespace:
    """Hubs under one name and one key.

    Args:
        hubs: names, and how many partitions each has.
        keys: that open it.
        clock: enqueued times, expiry of tokens, idle connections.
        limits: of connections.
        behaviour: troubles and counts.
        folder: where events are kept; None to have them in memory only.
        keep: so many events of each partition; older ones are dropped.
    """

    def __init__(
        self,
        hubs: Mapping[str, int],
        keys: Keys,
        clock: Clock,
        limits: Limits,
        behaviour: Behaviour,
        folder: Path | None = None,
        *,
        keep: int = KEEP,
    ) -> None:
        self.keys = keys
        self.clock = clock
        self.limits = limits
        self.behaviour = behaviour
        self._folder = folder
        self._keep = keep
        self._hubs: dict[str, Hub] = {}
        self._journals: dict[str, Journal] = {}
        for name, partitions in hubs.items():
            self.create_hub(name, partitions)

    def now(self) -> Timestamp:
        """Return the time for an event."""
        return Timestamp(int(self.clock.now().timestamp() * 1000))

    def hub(self, name: str) -> Hub:
        """Return a hub by its name, in either case.

        Raises:
            Refused: there is none.
        """
        if name.lower() not in self._hubs:
            raise _not_found(name)
        return self._hubs[name.lower()]

    def create_hub(self, name: str, partitions: int) -> Hub:
        """Create a hub, with the events of its file."""
        key = name.lower()
        if key in self._hubs:
            raise ValueError(f"there is a hub {name} already")
        if self._folder is None:
            self._hubs[key] = Hub(name, partitions, self.now(), keep=self._keep)
        else:
            opened = open_hub(name, partitions, self.now(), self._folder, keep=self._keep)
            self._hubs[key], self._journals[key] = opened
        return self._hubs[key]

    def delete_hub(self, name: str) -> None:
        """Delete a hub with all its events; links to it are detached."""
        hub = self.hub(name)
        del self._hubs[name.lower()]
        if journal := self._journals.pop(name.lower(), None):
            journal.remove()
        for notify in list(hub.users):
            notify(_not_found(hub.name))

    def recreate_hub(self, name: str, partitions: int | None = None) -> Hub:
        """Delete a hub and create one of the same name: its sequence numbers begin again."""
        hub = self.hub(name)
        self.delete_hub(name)
        return self.create_hub(hub.name, partitions or len(hub.partitions))

    def close(self) -> None:
        """Close the files."""
        for journal in self._journals.values():
            journal.close()


def _not_found(hub: str) -> Refused:
    return Refused("amqp:not-found", f"The messaging entity '{hub}' could not be found.")
