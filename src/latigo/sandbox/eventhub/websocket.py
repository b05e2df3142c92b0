"""AMQP over WebSockets: the same bytes, in binary messages."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSMsgType, web

from latigo.sandbox.eventhub.connection import Connection

PATH = "/$servicebus/websocket"
_PROTOCOL = "AMQPWSB10"
_MOST_BYTES = 2 * 1024 * 1024


class _Transport(asyncio.Transport):
    """Transport of a `Connection`. It queues; a task sends."""

    def __init__(self) -> None:
        super().__init__()
        self.queued: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.aborted = False
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self.queued.put_nowait(bytes(data))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.queued.put_nowait(None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


class WebSocketListener:
    """Accepts clients over HTTP."""

    def __init__(self, accept: Callable[[], Connection], host: str, ssl_context: ssl.SSLContext | None) -> None:
        self._accept = accept
        self._host = host
        self._ssl_context = ssl_context
        app = web.Application()
        for path in (PATH, PATH + "/"):
            app.router.add_get(path, self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def open(self) -> int:
        """Listen. Return the port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0, ssl_context=self._ssl_context).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(_PROTOCOL,), max_msg_size=_MOST_BYTES)
        await socket.prepare(request)
        transport, connection = _Transport(), self._accept()
        connection.connection_made(transport)
        sending = asyncio.create_task(_send(socket, transport, request))
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    connection.data_received(message.data)
        finally:
            transport.close()
            await sending
            connection.connection_lost(None)
        return socket


async def _send(socket: web.WebSocketResponse, transport: _Transport, request: web.Request) -> None:
    """Send what is queued until the end of the queue; then hang up."""
    with suppress(ConnectionError):  # the client has gone, which the receiving side notices too
        while (data := await transport.queued.get()) is not None:
            await socket.send_bytes(data)
    if transport.aborted and request.transport is not None:
        request.transport.abort()
    else:
        await socket.close()
