"""The other end of ``sd_notify``: a socket at which a service manager hears of its services."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.waiting import eventually


class Notices:
    """What processes have sent so far."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.received: list[dict[str, str]] = []

    def values(self, name: str) -> list[str]:
        """All values of a variable, in their order."""
        return [notice[name] for notice in self.received if name in notice]

    async def of(self, name: str, value: str = "1", *, within: float = 120.0) -> None:
        """Wait for a notice with this beginning of the value."""
        await eventually(
            lambda: any(each.startswith(value) for each in self.values(name)), within=within, what=f"{name}={value}"
        )


@asynccontextmanager
async def listening() -> AsyncIterator[Notices]:
    """Listen at a socket, as systemd does."""
    loop = asyncio.get_running_loop()
    with (
        tempfile.TemporaryDirectory(prefix="latigo-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
    ):
        notices = Notices(str(Path(folder) / "notify"))
        receiver.bind(notices.address)
        receiver.setblocking(False)

        def receive() -> None:
            lines = receiver.recv(4096).decode().splitlines()
            notices.received.append(dict(line.split("=", 1) for line in lines))

        loop.add_reader(receiver, receive)
        try:
            yield notices
        finally:
            loop.remove_reader(receiver)
