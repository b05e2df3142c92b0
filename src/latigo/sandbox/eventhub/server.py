"""An emulator of Azure Event Hubs over TCP, TLS and WebSocket. A development part, not for production.

The protocol is that of the reference page on Event Hubs; the official client works with it unchanged.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.log import get_logger
from latigo.sandbox.eventhub.access import Keys
from latigo.sandbox.eventhub.connection import Connection
from latigo.sandbox.eventhub.controls import Controls
from latigo.sandbox.eventhub.hub import KEEP, Hub, Partition
from latigo.sandbox.eventhub.messages import Section, section
from latigo.sandbox.eventhub.namespace import Limits, Namespace
from latigo.sandbox.eventhub.websocket import WebSocketListener

KEY_NAME = "RootManageSharedAccessKey"
#: Not a secret: it opens nothing but emulators.
DEVELOPMENT_KEY = base64.b64encode(b"latigo's emulator, for development only").decode()

log = get_logger(__name__)


class EventHubsEmulator:
    """The server: open it with `open_event_hubs`."""

    def __init__(
        self,
        namespace: Namespace,
        controls: Controls,
        accept: Callable[[], Connection],
        host: str,
        port: int,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self.namespace = namespace
        self.controls = controls  #: how it behaves, and what was done with it
        self.port = port  #: 0 until it listens
        self.websocket_port = 0  #: 0 where there is no WebSocket
        self._accept = accept
        self._host = host
        self._ssl_context = ssl_context
        self._server: asyncio.Server | None = None

    def hub(self, name: str) -> Hub:
        """Return a hub with its partitions and events.

        Raises:
            Refused: there is none.
        """
        return self.namespace.hub(name)

    def put(self, hub: str, *bodies: bytes, partition: str | None = None, key: str | None = None) -> Partition:
        """Publish events without a client. Return the partition.

        Raises:
            Refused: there is no such hub or partition.
        """
        messages = [section(Section.DATA, body) for body in bodies]
        return self.hub(hub).publish(messages, self.namespace.now(), partition=partition, key=key)

    def connection_string(self, hub: str | None = None, *, port: int | None = None) -> str:
        """Return the connection string for a client; ``port`` is that of a proxy in front, if there is one."""
        parts = {
            "Endpoint": f"sb://{self._host}:{port or self.port}",
            "SharedAccessKeyName": self.namespace.keys.name,
            "SharedAccessKey": self.namespace.keys.key,
            "UseDevelopmentEmulator": "true",
            "EntityPath": hub,
        }
        return ";".join(f"{key}={value}" for key, value in parts.items() if value is not None)

    async def listen(self) -> None:
        """Listen, from the second time on at the same port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self._host, self.port, ssl=self._ssl_context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop_listening(self) -> None:
        """Refuse new connections and reset existing ones; hubs stay as they are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.controls.abort_connections()
        await asyncio.sleep(0)  # transports report their end in the next iteration of the loop

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Refuse connections as long as the body runs."""
        await self.stop_listening()
        try:
            yield
        finally:
            await self.listen()


@asynccontextmanager
async def open_event_hubs(
    hubs: Mapping[str, int],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    data_dir: Path | None = None,
    keep: int = KEEP,
    websocket: bool = False,
    ssl_context: ssl.SSLContext | None = None,
    key: str = DEVELOPMENT_KEY,
    bearer_tokens: Collection[str] = (),
    limits: Limits = Limits(),  # noqa: B008  # frozen
    clock: Clock | None = None,
) -> AsyncIterator[EventHubsEmulator]:
    """Run an emulator in this event loop.

    Args:
        hubs: names, and how many partitions each has.
        host: to listen on.
        port: to listen on; 0 for one that the system chooses.
        data_dir: a folder where events are kept, also for the next emulator; None for memory only.
        keep: so many events of each partition; older ones are dropped.
        websocket: whether to listen for WebSockets too, at a port of their own.
        ssl_context: to speak TLS; None for plain TCP.
        key: the secret of the shared access key.
        bearer_tokens: what clients may log in with instead.
        limits: of connections.
        clock: enqueued times, expiry of tokens, idle connections.

    Yields:
        The emulator, listening.
    """
    keys = Keys(KEY_NAME, key, bearer_tokens)
    connections: set[Connection] = set()
    controls = Controls(connections, keys)
    namespace = Namespace(hubs, keys, clock or SystemClock(), limits, controls, data_dir, keep=keep)
    accept = partial(Connection, namespace, connections)
    emulator = EventHubsEmulator(namespace, controls, accept, host, port, ssl_context)
    listener = WebSocketListener(accept, host, ssl_context) if websocket else None
    try:
        await emulator.listen()
        if listener is not None:
            emulator.websocket_port = await listener.open()
        log.info(
            "sandbox.started",
            downstream="sandbox/eventhub",
            port=emulator.port,
            hubs=dict(hubs),
            purpose="development only",
        )
        yield emulator
    finally:
        controls.lift_all()
        await emulator.stop_listening()
        if listener is not None:
            await listener.close()
        namespace.close()
