"""The controls of an emulator for tests: everything of its `Behaviour`, and what is done to its connections."""

from collections.abc import Collection

from latigo.sandbox.eventhub.access import Keys
from latigo.sandbox.eventhub.addresses import EVERYWHERE, Scope
from latigo.sandbox.eventhub.behaviour import Behaviour, Strikes, Trouble
from latigo.sandbox.eventhub.connection import Connection
from latigo.sandbox.eventhub.frames import Error
from latigo.sandbox.eventhub.nodes import EventsIn, EventsOut
from latigo.sandbox.eventhub.values import Symbol


class Controls(Behaviour):
    """Behaviour and connections of an emulator, to be changed and observed by tests.

    Args:
        connections: that are open; the emulator keeps it up to date.
        keys: of the namespace.
    """

    def __init__(self, connections: Collection[Connection], keys: Keys) -> None:
        super().__init__()
        self._connections = connections
        self._keys = keys

    def receivers(self, scope: Scope = EVERYWHERE) -> list[EventsOut]:
        """Return the receivers that are attached."""
        return [link for link in self._links() if isinstance(link, EventsOut) and link.place in scope]

    def senders(self, scope: Scope = EVERYWHERE) -> list[EventsIn]:
        """Return the senders that are attached."""
        return [link for link in self._links() if isinstance(link, EventsIn) and link.place in scope]

    # -- striking once -----------------------------------------------------------------------------------------------

    def detach_receivers(self, condition: str, description: str = "as requested", scope: Scope = EVERYWHERE) -> int:
        """Detach receivers. Return how many."""
        return _detach(self.receivers(scope), condition, description)

    def detach_senders(self, condition: str, description: str = "as requested", scope: Scope = EVERYWHERE) -> int:
        """Detach senders. Return how many."""
        return _detach(self.senders(scope), condition, description)

    def close_connections(self, condition: str = "amqp:connection:forced", description: str = "as requested") -> int:
        """Close all connections with an error, as the service does for maintenance. Return how many."""
        connections = list(self._connections)
        for connection in connections:
            connection.close(Error(Symbol(condition), description))
        return len(connections)

    def abort_connections(self) -> int:
        """Reset all connections. Return how many."""
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return len(connections)

    def rotate_key(self) -> None:
        """Replace the key: new tokens of the old one are refused; those that were put stay valid until they expire."""
        self._keys.rotate()

    def expire_tokens(self) -> int:
        """Expire all tokens that were put. Return how many links were detached."""
        return sum(connection.expire_tokens() for connection in list(self._connections))

    def stop_answering(self, *, existing: bool = True, new: bool = True) -> Trouble:
        """Read, and send nothing: on existing connections, on new ones, or both."""
        if existing:
            for connection in self._connections:
                connection.silent = True
        return self.add_trouble(Trouble(Strikes.CONNECTIONS, times=None if new else 0))

    def _links(self) -> list[object]:
        return [
            link
            for connection in self._connections
            for session in connection.sessions.values()
            for link in session.links.values()
        ]


def _detach(links: list[EventsIn] | list[EventsOut], condition: str, description: str) -> int:
    for link in links:
        link.detach(Error(Symbol(condition), description))
    return len(links)
