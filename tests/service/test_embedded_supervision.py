"""The embedded server dies in every way while Latigo uses it."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.postgres import supervision
from latigo.postgres.embedded import open_embedded, open_server
from latigo.postgres.errors import ERRORS
from latigo.postgres.servers import Servers
from latigo.sandbox.gordo.controls import PREDICTING, Hang
from tests.support.lacking import lacking
from tests.support.outside import looking_at
from tests.support.postgres import FAST
from tests.support.process import Service, latigo, serving
from tests.support.sandbox import Sandbox, open_sandbox
from tests.support.waiting import eventually


def postmaster(home: Path) -> psutil.Process:
    """The server's process."""
    return psutil.Process(int((home / "data" / "postmaster.pid").read_text().splitlines()[0]))


def kill(home: Path) -> int:
    """Kill the server as the kernel does when memory is out; return its id."""
    process = postmaster(home)
    process.kill()
    return process.pid


async def answers(url: str) -> bool:
    try:
        connection = await Servers(url).connect(timeout=10)
    except ERRORS:
        return False
    await connection.close()
    return True


@contextmanager
def without_programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No server can be started."""
    with monkeypatch.context() as patched:
        patched.setattr("latigo.postgres.cluster.Cluster._run", _refuse)
        yield


def _refuse(*_: object, **__: object) -> None:
    raise Unavailable("no memory for a server", downstream="ledger/embedded", alarm=True)


async def test_a_server_that_was_killed_is_started_again_by_one_of_its_users(server_folder: Path):
    with capture_logs() as logs:
        async with (
            open_embedded(server_folder, settings=FAST) as url,
            open_embedded(server_folder, settings=FAST),
            open_embedded(server_folder, settings=FAST),
        ):
            killed = kill(server_folder)
            await eventually(lambda: answers(url), what="it answers again")
            assert postmaster(server_folder).pid != killed

    assert [log["event"] for log in logs].count("embedded.started") == 2
    assert not (server_folder / "data" / "postmaster.pid").exists()


async def test_a_server_that_cannot_be_started_again_ends_what_uses_it(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(supervision, "ATTEMPTS", 2)

    async def use() -> None:
        async with open_server(server_folder, settings=FAST) as server:
            with without_programs(monkeypatch):
                kill(server_folder)
                await eventually(lambda: server.trouble == "no memory for a server", what="its trouble is known")
                await asyncio.Event().wait()

    with capture_logs() as logs, pytest.raises(Unavailable, match="could not be started again in 2 attempts: no mem"):
        await use()

    assert [log["attempt"] for log in logs if log["event"] == "embedded.not_restarted"] == [1, 2]


async def test_data_that_were_deleted_while_in_use_are_not_created_anew(server_folder: Path):
    async def use() -> None:
        async with open_embedded(server_folder, settings=FAST):
            kill(server_folder)
            shutil.rmtree(server_folder / "data")
            await asyncio.Event().wait()

    with pytest.raises(ConfigurationError, match="was deleted while it was in use"):
        await use()


async def test_an_error_of_the_block_is_raised_as_it_is(server_folder: Path):
    with pytest.raises(LookupError, match="mine"):
        async with open_embedded(server_folder, settings=FAST):
            raise LookupError("mine")


HOLD_GUARD = """
import sys
from pathlib import Path
from latigo.postgres.embedded import EmbeddedServer

server = EmbeddedServer(Path(sys.argv[1]))
with server._guard(5):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def frozen_holder(home: Path) -> Iterator[int]:
    """A process that has stopped in the middle of a start; its id."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_GUARD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            process.send_signal(signal.SIGSTOP)
            yield process.pid
        finally:
            process.kill()


async def test_a_frozen_process_that_holds_the_guard_is_named_and_not_waited_for(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("latigo.postgres.embedded.GUARD_LIMIT", 0.2)
    with frozen_holder(server_folder) as pid, pytest.raises(Unavailable) as raised:
        async with open_embedded(server_folder, settings=FAST):
            pass

    assert f"process {pid} holds {server_folder}/guard" in str(raised.value)
    assert f"kill -9 {pid}" in str(raised.value)


async def test_a_process_that_waits_for_a_frozen_one_stops_when_asked(sandbox: Sandbox, server_folder: Path):
    config = sandbox.config(ledger={"kind": "embedded", "data_dir": str(server_folder)})
    with frozen_holder(server_folder) as pid:
        async with serving(config) as service:
            await service.logged("http.started")
            assert await service.stop(within=20) == 0
    assert pid


async def test_a_process_whose_guard_is_frozen_leaves_the_server_running(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("latigo.postgres.embedded.LEAVING_LIMIT", 0.2)
    with capture_logs() as logs:
        async with open_embedded(server_folder, settings=FAST):
            holder = frozen_holder(server_folder)
            holder.__enter__()
        left = [log["reason"] for log in logs if log["event"] == "embedded.left_running"]
        holder.__exit__(None, None, None)
        async with open_embedded(server_folder, settings=FAST):  # the last one, which stops it
            pass

    assert len(left) == 1
    assert not (server_folder / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize(
    "variable",
    [
        "PGPORT=1",
        "PGDATA=/nowhere",
        "PGHOST=/nowhere",
        "PGUSER=nobody-known",
        "PGDATABASE=none",
        "PGSSLMODE=verify-full",
        "PGSSLNEGOTIATION=direct",
        "PGTARGETSESSIONATTRS=standby",
        "PGOPTIONS=-c search_path=nowhere",
    ],
)
async def test_variables_for_other_servers_change_nothing(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str
):
    monkeypatch.setenv(*variable.split("=", maxsplit=1))

    async with open_embedded(server_folder, settings=FAST) as url:
        assert await answers(url)


async def test_a_kill_of_the_server_in_the_middle_of_work_loses_nothing(
    database_url: str, tmp_path: Path, server_folder: Path
):
    async with open_sandbox(database_url, tmp_path, models=3) as outer:
        held = outer.gordo.controls.trouble(Hang(), PREDICTING, skip=2)
        config = outer.config(ledger={"kind": "embedded", "data_dir": str(server_folder)})
        async with serving(config) as service, open_embedded(server_folder) as url, looking_at(url) as ledger:
            inner = Sandbox(outer.gordo, ledger, tmp_path, models=3)
            await service.meets(held)
            killed = kill(server_folder)
            await service.until(lambda: restarted(server_folder, killed), what="another server has been started")
            await service.until(lambda: answers(url), what="it answers")
            held.lift()
            until = await inner.whole(service)
            assert await service.stop() == 0
            await ledger.assert_adds_up(3, until)

    assert not (server_folder / "data" / "postmaster.pid").exists()


def restarted(home: Path, killed: int) -> bool:
    try:
        return postmaster(home).pid != killed
    except (OSError, IndexError, psutil.NoSuchProcess):
        return False


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", str(place)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        lacking(f"a small file system needs the right to mount: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    """Use up all that is free; return the file that does."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    assert shutil.disk_usage(place).free == 0
    return ballast


async def test_a_full_disk_is_named_in_log_and_status_and_all_goes_on_when_there_is_room(
    database_url: str, tmp_path: Path, server_folder: Path
):
    with small_disk(server_folder, 128) as place:
        async with open_sandbox(database_url, tmp_path, models=3) as outer:
            held = outer.gordo.controls.trouble(Hang(), PREDICTING, skip=2)
            config = outer.config(ledger={"kind": "embedded", "data_dir": str(place / "ledger")})
            async with serving(config) as service:
                await service.meets(held)
                ballast = fill(place)
                held.lift()
                await service.until(lambda: says_full(service), what="the log names the full disk")
                code, said, errors = await latigo("status", "--config", str(config), folder=tmp_path)
                ballast.unlink()
                async with open_embedded(place / "ledger") as url, looking_at(url) as ledger:
                    inner = Sandbox(outer.gordo, ledger, tmp_path, models=3)
                    until = await inner.whole(service)
                    assert await service.stop() == 0
                    await ledger.assert_adds_up(3, until)

    assert code in {1, 3}
    assert "disk" in said + errors
    assert "full" in said + errors


def says_full(service: Service) -> bool:
    return any(
        event["level"] == "error" and "disk" in event["error"] and "full" in event["error"]
        for event in service.events()
        if "error" in event
    )
