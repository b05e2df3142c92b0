"""Peers that return what they were sent: an HTTP server in front of another one, and sources of readings."""

import base64
import html
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import quote

import aiohttp
from aiohttp import web

from latigo.domain.series import Readings
from latigo.domain.windows import Window
from latigo.providers.simulated import Plant, PlantSensors
from latigo.runtime.clock import SystemClock

_HOP = {"content-length", "transfer-encoding", "connection", "date", "server"}

Echo = Callable[[web.BaseRequest], web.Response | None]


def received(request: web.BaseRequest) -> str:
    """All that a request says besides its body: plainly, in JSON, percent-encoded, and in base64."""
    plain = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
    words = [word for value in request.headers.values() for word in value.split()]
    return " ".join(
        (
            request.raw_path,
            plain,
            json.dumps(dict(request.headers)),
            json.dumps(json.dumps(dict(request.query))),
            *(quote(word, safe="") for word in words),
            *(html.escape(word) for word in words),
            *(base64.b64encode(word.encode()).decode() for word in words),
        )
    )


@asynccontextmanager
async def echoing_server(echo: Echo, behind: str = "") -> AsyncIterator[str]:
    """Serve on loopback: what ``echo`` returns, else the response of the server ``behind``. Yield the URL."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def handle(request: web.BaseRequest) -> web.Response:
            body = await request.read()
            if (response := echo(request)) is not None:
                return response
            headers = {name: value for name, value in request.headers.items() if name.lower() not in {"host", *_HOP}}
            async with session.request(
                request.method, f"{behind}{request.raw_path}", data=body, headers=headers
            ) as passed:
                kept = {name: value for name, value in passed.headers.items() if name.lower() not in _HOP}
                return web.Response(status=passed.status, body=await passed.read(), headers=kept)

        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        try:
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class EchoingSensors(PlantSensors):
    """Sensors that return their login in an error: when they are listed, checked, or read for one model."""

    def __init__(self, word: str, password: str, url: str) -> None:
        super().__init__(Plant(period=timedelta(seconds=1)), SystemClock().now, any_tag=True)
        self._word = word
        self._login = f"login as {password}, {quote(password, safe='')} at {url}"

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        if any(self._word in tag for tag in tags):
            raise RuntimeError(self._login)
        return await super().get_data_for_range(tags, window, max_bytes=max_bytes)

    async def get_sensor_list(self) -> Sequence[str]:
        raise ValueError(self._login)

    async def ping(self) -> str:
        raise KeyError(self._login)


@asynccontextmanager
async def open_echoing(*, word: str, url: str, password: str) -> AsyncIterator[EchoingSensors]:
    """The factory that the settings name."""
    yield EchoingSensors(word, password, url)


def raise_arguments(**arguments: str) -> object:
    """Refuse to be a factory, and quote all arguments."""
    raise RuntimeError(f"cannot connect with {arguments} and {list(arguments.values())}")


@asynccontextmanager
async def raise_in_opening(**arguments: str) -> AsyncIterator[None]:
    """Raise while it is opened, and quote all arguments."""
    if arguments:
        raise ValueError(f"cannot connect with {arguments}") from KeyError(str(arguments))
    yield
