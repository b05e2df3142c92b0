"""A network that keeps writes back: an HTTP proxy in front of one server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web


class HoldingProxy:
    """Forwards requests; those that write wait for ``release``, however long, even if their sender has gone."""

    def __init__(self) -> None:
        self.url = ""
        self.held = asyncio.Event()  #: a write has arrived in full
        self.release = asyncio.Event()
        self.passed = asyncio.Event()  #: a write that was held has been executed


@asynccontextmanager
async def open_holding_proxy(server: str) -> AsyncIterator[HoldingProxy]:
    """Run such a proxy in front of the server with this URL."""
    proxy = HoldingProxy()

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        writes = request.path == "/write"
        if writes:
            proxy.held.set()
            await proxy.release.wait()
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with client.request(request.method, server + request.path_qs, data=body, headers=headers) as response:
            answer = web.Response(status=response.status, body=await response.read())
        if writes:
            proxy.passed.set()
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield proxy
        finally:
            proxy.release.set()
            await runner.cleanup()
