"""The names under which a service answers."""

import asyncio
from http import HTTPStatus

import aiohttp

from tests.support.process import Service, serving
from tests.support.sandbox import Sandbox


async def status_of(service: Service, host: str) -> int:
    url = (await service.url()).replace("0.0.0.0", "127.0.0.1")  # the test connects to loopback
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Host": host}) as response:
        return response.status


async def test_on_loopback_other_names_are_refused_and_elsewhere_there_is_a_warning(sandbox: Sandbox):
    everywhere, listed = {"host": "0.0.0.0"}, {"host": "0.0.0.0", "allowed_hosts": ["latigo.example.com"]}
    async with (
        serving(sandbox.config()) as loopback,
        serving(sandbox.config(http=everywhere)) as warned,
        serving(sandbox.config(http=listed)) as strict,
    ):
        services = (loopback, warned, strict)
        named = await asyncio.gather(*(status_of(service, "latigo.example.com") for service in services))
        local = await asyncio.gather(*(status_of(service, "localhost:80") for service in services))
        warnings = [service.events("http.every_host_accepted") for service in services]
        assert [await service.stop() for service in services] == [0, 0, 0]

    assert named == [HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.OK, HTTPStatus.OK]
    assert local == [HTTPStatus.OK, HTTPStatus.OK, HTTPStatus.MISDIRECTED_REQUEST]
    assert [len(events) for events in warnings] == [0, 1, 0]
    assert "http.allowed_hosts" in warnings[1][0]["hint"]
