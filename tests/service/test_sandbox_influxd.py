"""The sandbox's InfluxDB: located, started, stopped, and ended with its user."""

import asyncio
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from latigo.domain.errors import Unavailable
from latigo.sandbox.influxd import Influxd, find_influxd, open_influxd
from tests.support.influxd import InfluxDatabase, administer, require_influxd, select, write_lines
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("influxd")


@pytest.fixture
def influxd() -> None:
    require_influxd()


async def write(url: str, name: str) -> None:
    await write_lines(InfluxDatabase(url, name), ["a,b=c d=1.0 1"])


async def test_it_is_there_while_it_is_open_and_serves_the_same_data_again(tmp_path: Path):
    async with open_influxd(tmp_path / "influx") as url:
        await administer(url, "CREATE DATABASE x")
        await write(url, "x")
    with pytest.raises(aiohttp.ClientConnectionError):
        await write(url, "x")

    async with open_influxd(tmp_path / "influx") as url:
        assert len(await select(InfluxDatabase(url, "x"), "SELECT * FROM a")) == 1


async def test_two_of_them_do_not_disturb_each_other(tmp_path: Path):
    async with open_influxd(tmp_path / "a") as first, open_influxd(tmp_path / "b") as second:
        await administer(first, "CREATE DATABASE x")

        assert first != second
        with pytest.raises(AssertionError, match="database not found"):
            await select(InfluxDatabase(second, "x"), "SELECT * FROM a")


async def test_it_comes_back_at_the_same_address_after_a_crash(tmp_path: Path):
    server = Influxd(tmp_path)
    server.open()
    try:
        before = server.url
        await administer(before, "CREATE DATABASE x")
        await write(before, "x")

        server.kill()
        server.open()

        assert server.url == before
        assert (urlsplit(before).port or 0) < 32_768  # no connection gets it while the server is down
        assert len(await select(InfluxDatabase(before, "x"), "SELECT * FROM a")) == 1
    finally:
        server.close()
    assert server.pid is None


async def test_a_server_that_does_not_start_says_why(tmp_path: Path):
    with pytest.raises(Unavailable, match="INFLUXDB_HTTP_MAX_BODY_SIZE"):
        async with open_influxd(tmp_path, env={"INFLUXDB_HTTP_MAX_BODY_SIZE": "many"}):
            pytest.fail("it was opened")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's doing")
async def test_it_ends_when_its_user_is_killed(tmp_path: Path):
    program = (
        "import asyncio, pathlib, sys\n"
        "from latigo.sandbox.influxd import open_influxd\n"
        "async def main():\n"
        "    async with open_influxd(pathlib.Path(sys.argv[1])):\n"
        "        print('there', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    user = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path), stdout=subprocess.PIPE)
    try:
        assert user.stdout is not None
        while b"there" not in (line := await user.stdout.readline()):
            assert line, "it ended"
        (server,) = psutil.Process(user.pid).children()
    finally:
        user.kill()
        await user.wait()

    await eventually(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


def test_a_program_of_another_version_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    theirs = tmp_path / "influxd"
    theirs.write_text("#!/bin/sh\necho 'InfluxDB v2.7.1 (git: 407fa622e9) build_date: 2023-04-28'\n")
    theirs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert find_influxd() != theirs
