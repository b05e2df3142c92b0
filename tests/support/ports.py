"""Ports that are chosen before they are in use."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

#: Where the ports of a worker of pytest begin. The kernel gives out those from 32768 on, to who connects or
#: binds to port 0: one of them may be taken by the time it is to be used, or while its server is down.
_FIRST = 20_000
_OF_A_WORKER = 1000
_WORKERS = 12


def free_port() -> int:
    """Return a port of the loopback address that is free, is not assigned by chance, and was not returned for long."""
    while True:
        port = next(_ports())
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@cache
def _ports() -> Iterator[int]:
    """Generate the ports of this worker in random order, all before one comes again."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    first = _FIRST + _OF_A_WORKER * worker
    while True:
        yield from random.sample(range(first, first + _OF_A_WORKER), _OF_A_WORKER)
