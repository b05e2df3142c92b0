"""Addresses of hubs, consumer groups and partitions. Pure."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from latigo.sandbox.eventhub.hub import Refused


class Place(NamedTuple):
    """Hub, consumer group and partition of an address; names in lower case, None for what it leaves out."""

    hub: str
    group: str | None = None
    partition: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """A selection of places; None selects all."""

    hub: str | None = None
    group: str | None = None
    partition: str | None = None

    def __contains__(self, place: Place) -> bool:
        return (
            (self.hub is None or place.hub == self.hub.lower())
            and (self.group is None or place.group == self.group.lower())
            and (self.partition is None or place.partition == self.partition)
        )


EVERYWHERE = Scope()


def path_of(address: str) -> tuple[str, ...]:
    """Return the segments behind the host, in lower case."""
    return tuple(urlsplit(address).path.lower().strip("/").split("/"))


def place_of(address: str) -> Place:
    """Parse the address of a hub, or of a partition.

    Raises:
        Refused: it is neither.
    """
    match path_of(address):
        case (hub,):
            return Place(hub)
        case (hub, "partitions", partition):
            return Place(hub, None, partition)
        case (hub, "consumergroups", group, "partitions", partition):
            return Place(hub, group, partition)
        case _:
            raise Refused("amqp:not-found", f"There is nothing at {address!r}")
