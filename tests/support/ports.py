"""Ports that are chosen before they are in use."""

import os
import random
import socket
from contextlib import suppress

#: Where the ports of a worker of pytest begin. The kernel gives out those from 32768 on, to who connects or
#: binds to port 0: one of them may be taken by the time it is to be used, or while its server is down.
_FIRST = 20_000
_OF_A_WORKER = 1000
_WORKERS = 12


def free_port() -> int:
    """Return a port of the loopback address that is free, and is not assigned by chance."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    while True:
        port = _FIRST + _OF_A_WORKER * worker + random.randrange(_OF_A_WORKER)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
