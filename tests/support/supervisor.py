"""supervisord with the configuration file that Latigo comes with, in folders of a test's own."""

import asyncio
import os
import re
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.support.process import ROOT, STARTS_WITHIN, environment
from tests.support.waiting import eventually

CONF = ROOT / "deploy" / "supervisord.conf"
PROGRAMS = ("scheduler", "executor:executor_1", "executor:executor_2")
_STATUS = re.compile(r"^(\S+) +([A-Z]+)(?: +pid (\d+),)?", re.MULTILINE)
_ENDED = re.compile(r"stopped: (\S+) \((.*)\)$", re.MULTILINE)
_LOG_SHOWN = 3_000  # bytes of the end of each log, when a test fails
_LEAVES_WITHIN = 60.0
#: Below the ports that the system assigns to connections, or to port 0: it could take one at any moment. And
#: below those of `tests.support.ports`.
_PREFIXES = range(1000, 2000)


class State(NamedTuple):
    """State of a program in supervisor."""

    name: str  #: such as ``RUNNING``
    pid: int  #: 0 while it does not run


@dataclass(frozen=True)
class Supervisor:
    """A running supervisord, and ``supervisorctl`` for it."""

    process: asyncio.subprocess.Process
    env: dict[str, str]
    logs: Path

    async def control(self, *arguments: str, within: float = STARTS_WITHIN) -> str:
        """What ``supervisorctl`` prints."""
        process = await asyncio.create_subprocess_exec(
            *(_program("supervisorctl"), "-c", str(CONF), *arguments),
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(within):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return output.decode()

    async def states(self) -> dict[str, State]:
        """By program."""
        said = await self.control("status")
        return {name: State(state, int(pid or 0)) for name, state, pid in _STATUS.findall(said)}

    async def running(self, *programs: str, but: int = 0) -> dict[str, State]:
        """Wait until these programs have started, by its reckoning, and none of them is process ``but``."""
        result: dict[str, State] = {}

        async def all_run() -> bool:
            result.update(await self.states())
            return all(name in result and result[name].name == "RUNNING" for name in programs) and but not in {
                state.pid for state in result.values()
            }

        await eventually(all_run, every=0.5, what=f"{', '.join(programs)} are running")
        return result

    def port(self, digit: int) -> int:
        """Where a process serves HTTP: 0 the scheduler, from 1 the executors."""
        return int(f"{self.env['HTTP_PORT_PREFIX']}{digit}")

    def endings(self) -> dict[str, str]:
        """Return how stopped programs ended, by process."""
        return dict(_ENDED.findall((self.logs / "supervisord.log").read_text(encoding="utf-8")))

    def log(self, process: str) -> str:
        """Everything that a process, and those before it under its name, have written so far."""
        return (self.logs / f"{process}.log").read_text(encoding="utf-8")


@asynccontextmanager
async def open_supervisor(config: Path) -> AsyncIterator[Supervisor]:
    """supervisord for a configuration of Latigo; ends with everything it has started."""
    logs = config.parent / "logs"
    logs.mkdir()
    # Short: a socket's path has some 100 bytes.
    with tempfile.TemporaryDirectory(prefix="latigo-run-") as run, _ports() as ports:
        env = environment() | {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "LATIGO_CONFIG": str(config),
            "RUNTIME_DIRECTORY": run,
            "LOGS_DIRECTORY": str(logs),
            "HTTP_PORT_PREFIX": ports,
        }
        with (config.parent / "supervisord-output.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(_program("supervisord"), "-n", "-c", str(CONF)),
                cwd=config.parent,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the tests, which then end it
            )
        try:
            await eventually((Path(run) / "supervisor.sock").exists, what="its socket is there")
            yield Supervisor(process, env, logs)
        except BaseException as error:
            for each in sorted((*logs.iterdir(), Path(output.name))):
                error.add_note(f"{each.name}:\n{each.read_text(encoding='utf-8', errors='replace')[-_LOG_SHOWN:]}")
            raise
        finally:
            await _end(process)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


@contextmanager
def _ports() -> Iterator[str]:
    """All digits but the last of ports of which 0, 1 and 2 are free, and stay so: no other test gets the same ones."""
    prefixes = (_PREFIXES[(os.getpid() + number) % len(_PREFIXES)] for number in range(len(_PREFIXES)))
    with closing(next(filter(None, map(_reserve, prefixes)))) as reserved:
        yield str(reserved.getsockname()[1] // 10)


def _reserve(prefix: int) -> socket.socket | None:
    """The port that ends in 9, which stands for all ten; None: another test has them, or one of them is in use."""
    try:
        reserved = socket.create_server(("127.0.0.1", prefix * 10 + 9))
    except OSError:
        return None
    try:
        for digit in range(3):
            socket.create_server(("127.0.0.1", prefix * 10 + digit)).close()
    except OSError:
        reserved.close()
        return None
    return reserved


async def _end(process: asyncio.subprocess.Process) -> None:
    """By SIGTERM, on which it stops its programs; nothing of it is left behind in any case."""
    if process.returncode is not None:
        return
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        async with asyncio.timeout(_LEAVES_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
