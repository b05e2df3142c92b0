"""The sandbox's Gordo as a process of its own."""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from tests.support.process import ENDS_WITHIN, STARTS_WITHIN, environment


async def start(program: str, arguments: Sequence[str]) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", program, *arguments),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    line = await asyncio.wait_for(process.stdout.readline(), STARTS_WITHIN)
    return process, json.loads(line)


@pytest.mark.parametrize(
    ("program", "extra"), [("latigo.sandbox.gordo", ()), ("benchmarks.gordo_stub", ("--uniform",))]
)
async def test_it_prints_its_address_and_exits_with_0_on_a_signal(program: str, extra: tuple[str, ...]) -> None:
    process, where = await start(program, ["--models", "7", "--tags", "4", "--project", "a", "--project", "b", *extra])
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{where['url']}/gordo/v0/b/models") as response:
            listed = await response.json()
    finally:
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), ENDS_WITHIN)

    assert len(listed["models"]) == 7
    assert where["url"] == f"http://127.0.0.1:{where['port']}"
    assert where["pid"] == process.pid
    assert code == 0
