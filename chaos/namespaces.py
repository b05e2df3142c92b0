"""A network of the campaign's own, in network namespaces; needs root on Linux.

Every party has a namespace without a name, with a TUN device, and this process carries the packets between them. So a
direction of a link is cut by not carrying its packets, whatever the kernel has been built with; nothing outside of
these namespaces is changed, and they end with the last process that is in them.
"""

import asyncio
import ctypes
import fcntl
import os
import random
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from chaos.network import SOUND, Condition, Link, Way

_DEVICE = "chaos0"
_SUBNET = "10.77.0"
_PORT = 7700
_CLONE_NEWNET = 0x4000_0000
_TUNSETIFF = 0x4004_54CA
_TUN_WITHOUT_HEADER = 0x0001 | 0x1000
_PACKET = 65_536
_IPV4 = 4


class _Place(NamedTuple):
    """The namespace of one party."""

    namespace: int  #: file descriptors
    device: int


class Namespaces:
    """The network; open it with `open_namespaces`."""

    def __init__(self, places: dict[str, _Place], chance: random.Random) -> None:
        self._places = places
        self._addresses = {party: number for number, party in enumerate(places, 1)}
        self._devices = {self._addresses[party]: place.device for party, place in places.items()}
        self._chance = chance
        self._ways: dict[tuple[int, int], Way] = {}

    def command(self, party: str, command: Sequence[str]) -> Sequence[str]:
        return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{self._places[party].namespace}", *command)

    def listens_at(self, server: str) -> tuple[str, int]:
        return f"{_SUBNET}.{self._addresses[server]}", _PORT

    def reaches_at(self, link: Link) -> tuple[str, int]:
        return self.listens_at(link.server)

    def put(self, link: Link, condition: Condition = SOUND) -> None:
        client, server = self._addresses[link.client], self._addresses[link.server]
        self._ways[client, server], self._ways[server, client] = condition

    def carry(self, device: int) -> None:
        """Carry the packets that a device has."""
        with suppress(BlockingIOError):
            while packet := os.read(device, _PACKET):
                self._carry(packet)

    def _carry(self, packet: bytes) -> None:
        if packet[0] >> 4 != _IPV4 or packet[19] not in self._devices:
            return
        way = self._ways.get((packet[15], packet[19]), SOUND.there)
        if way.cut or self._chance.random() < way.loss:
            return
        if way.delay:
            asyncio.get_running_loop().call_later(way.delay, self._deliver, packet)
        else:
            self._deliver(packet)

    def _deliver(self, packet: bytes) -> None:
        with suppress(BlockingIOError, OSError):  # a full queue loses packets, and so does a network that is closed
            os.write(self._devices[packet[19]], packet)


@asynccontextmanager
async def open_namespaces(parties: Sequence[str], chance: random.Random) -> AsyncIterator[Namespaces]:
    """Open a network with a namespace for each party.

    Raises:
        OSError: not permitted.
    """
    loop = asyncio.get_running_loop()
    with ExitStack() as opened:
        places: dict[str, _Place] = {}
        for number, party in enumerate(parties, 1):
            # In a thread that ends with it: a namespace belongs to a thread.
            with ThreadPoolExecutor(1) as thread:
                places[party] = await loop.run_in_executor(thread, _create, f"{_SUBNET}.{number}/24")
            for descriptor in places[party]:
                opened.callback(os.close, descriptor)
        network = Namespaces(places, chance)
        for place in places.values():
            loop.add_reader(place.device, network.carry, place.device)
            opened.callback(loop.remove_reader, place.device)
        yield network


def are_permitted() -> bool:
    """Return whether this system has what a network needs, and lets us use it."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK) or not all(map(shutil.which, ("ip", "nsenter"))):
        return False
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_enter_new_namespace).exception() is None


def _create(address: str) -> _Place:
    """Move this thread to a new namespace, and give it a device."""
    _enter_new_namespace()
    namespace = os.open(Path("/proc/thread-self/ns/net"), os.O_RDONLY)
    device = os.open(Path("/dev/net/tun"), os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", _DEVICE.encode(), _TUN_WITHOUT_HEADER))
    for command in (
        ("ip", "link", "set", "lo", "up"),
        ("ip", "address", "add", address, "dev", _DEVICE),
        ("ip", "link", "set", _DEVICE, "up"),
    ):
        subprocess.run(command, check=True)
    return _Place(namespace, device)


def _enter_new_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"no network namespace: {os.strerror(number)}")
