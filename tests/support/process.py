"""Latigo as a process of its own: started on real parts, watched through its log, and ended in every way there is."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import orjson

from latigo.domain.windows import floor_to_slot
from latigo.providers.simulated import Plant
from latigo.sandbox.gordo import ProjectDefinition, Trouble, demo_project
from latigo.settings.reference import to_toml
from tests.support.preloaded import ForkedProcess, fork
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
PROJECT = "plant-a"
RESOLUTION = timedelta(seconds=5)
SLOT = timedelta(seconds=30)
DELAY = timedelta(seconds=1)
# Limits that a slow and busy machine does not reach: they end what hangs.
STARTS_WITHIN = 120.0  # 2 s on an idle machine
ENDS_WITHIN = 90.0
_LOG_SHOWN = 6_000  # bytes of its end, when a test fails
_numbers = count(1)

#: A plant that runs fast: slots of half a minute, leases and pauses that do not keep a test waiting. Claims run out
#: before the lease to plan does, so that the next planner recovers them in its first round.
FAST: Mapping[str, Mapping[str, Any]] = {
    "schedule": {"interval": "30s", "delay": "1s", "max_window": "2m"},
    "backfill": {"horizon": "4m"},
    "planner": {"lease": "3s", "renew": "500ms"},
    "models": {"projects": [PROJECT], "refresh": "2s", "predict_timeout": "30s"},
    "sensors": {"kind": "simulated", "step": "1s"},
    "executor": {
        "concurrency": 8,
        "lease": "2s",
        "renew": "500ms",
        "grace": "10s",
        "backoff_first": "1s",
        "backoff_longest": "2s",
    },
    "circuit": {"failures": 3, "probe_first": "500ms", "probe_longest": "1s"},
    "http": {"port": 0},
    "log": {"format": "json"},
}


def a_project(models: int, *, tags: int = 2) -> ProjectDefinition:
    """Models that all answer every row of X, so that it is known how many rows a slot has."""
    return demo_project(Plant(), PROJECT, models, RESOLUTION, tags, special=False)


def newest_due() -> datetime:
    """The end of the newest slot that is due by now."""
    return floor_to_slot(datetime.now(UTC) - DELAY, SLOT)


Tables = Sequence[Mapping[str, Any]]


def write_config(
    folder: Path, *, predictions: Tables = (), sources: Tables = (), **sections: Mapping[str, Any]
) -> Path:
    """Write a configuration file: `FAST`, with other values for some keys; another ``kind`` replaces its section.

    ``sources`` are several tables ``sensors``.
    """
    merged: dict[str, Any] = {
        name: {**({} if "kind" in sections.get(name, {}) else FAST.get(name, {})), **sections.get(name, {})}
        for name in {**FAST, **sections}
    }
    lists = {"predictions": predictions, "sensors": sources}
    merged |= {name: list(tables) for name, tables in lists.items() if tables}
    path = folder / f"latigo-{next(_numbers)}.toml"
    path.write_text(to_toml(merged), encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    """What processes of a test inherit: nothing that configures Latigo, and where plug-ins of the tests are."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LATIGO_")}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # or every start would compile all of it again, for seconds
    cache = str(ROOT / ".pytest_cache" / "pycache")
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))  # this tree, also where another one is installed
    return {**inherited, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": cache, "COLUMNS": "200"}


class Service:
    """One process of ``latigo serve``."""

    def __init__(self, process: asyncio.subprocess.Process | ForkedProcess, config: Path, log: Path) -> None:
        self.process = process
        self.config = config
        self._log = log

    def log(self) -> str:
        """Everything it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """What it has logged, line by line; one event, or all."""
        lines = [line for line in self.log().splitlines() if line.startswith("{") and line.endswith("}")]
        document = [orjson.loads(line) for line in lines]
        return [event for event in document if name in {None, event["event"]}]

    async def until(
        self, holds: Callable[[], object | Awaitable[object]], *, within: float = STARTS_WITHIN, what: str = ""
    ) -> None:
        """Wait for something that this process brings about; fails at once when it has ended."""
        ended = asyncio.create_task(self.process.wait())
        waited = asyncio.create_task(eventually(holds, within=within, what=what))
        try:
            await asyncio.wait((ended, waited), return_when=asyncio.FIRST_COMPLETED)
            if not waited.done():
                raise AssertionError(f"ended with {self.process.returncode} while waiting for {what or holds}")
            waited.result()
        finally:
            for task in (ended, waited):
                task.cancel()
            await asyncio.gather(ended, waited, return_exceptions=True)

    async def logged(self, name: str, *, within: float = STARTS_WITHIN) -> dict[str, Any]:
        """Wait until it has logged this event; the first one."""
        await self.until(lambda: self.events(name), within=within, what=f"event {name}")
        return self.events(name)[0]

    async def meets(self, trouble: Trouble) -> None:
        """Wait until it runs into a trouble of the sandbox's Gordo."""
        await self.until(lambda: trouble.met, what="it meets the trouble")

    async def url(self) -> str:
        """Where it serves HTTP, without a slash at the end."""
        return str((await self.logged("http.started"))["url"]).rstrip("/")

    async def ended(self, *, within: float = ENDS_WITHIN) -> int:
        """Wait for its end; its exit code, negative for the signal that killed it."""
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def kill(self) -> None:
        """End it as the kernel does when memory is out: no task is finished or handed back."""
        self.process.send_signal(signal.SIGKILL)
        assert await self.ended() == -signal.SIGKILL

    async def stop(self, *, within: float = ENDS_WITHIN) -> int:
        """Ask it to end, as a deployment does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended(within=within)


def term_of(service: Service) -> int:
    """The newest term in which it leads or led; 0 when it never did."""
    return max((int(event["term"]) for event in service.events("planner.elected")), default=0)


async def _started(
    *arguments: str, python: str, folder: Path, output: IO[bytes], errors: IO[bytes]
) -> asyncio.subprocess.Process | ForkedProcess:
    """A process of Latigo: forked from one that has imported it, or, with a ``python``, from its first statement on."""
    if not python:
        return await fork(*arguments, folder=folder, environment=environment(), output=output, errors=errors)
    return await asyncio.create_subprocess_exec(
        *(python, "-m", "latigo", *arguments),
        cwd=folder,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,  # Ctrl-C is for the tests, which then end it
    )


@asynccontextmanager
async def serving(config: Path, *options: str, role: str = "all", python: str = "") -> AsyncIterator[Service]:
    """Start ``latigo serve``; killed at the end if it still runs. A failing test shows the end of its log."""
    log = config.with_name(f"{config.stem}-{next(_numbers)}.log")
    arguments = ("serve", "--role", role, "--config", str(config), *options)
    with log.open("wb") as output:
        process = await _started(*arguments, python=python, folder=config.parent, output=output, errors=output)
    service = Service(process, config, log)
    try:
        yield service
    except BaseException as error:
        error.add_note(f"{log.name}, exit code {process.returncode}:\n{service.log()[-_LOG_SHOWN:]}")
        raise
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def latigo(
    *arguments: str, folder: Path, within: float = STARTS_WITHIN, python: str = ""
) -> tuple[int, str, str]:
    """Run one command to its end: exit code, standard output, standard error."""
    with TemporaryFile() as output, TemporaryFile() as errors:
        process = await _started(*arguments, python=python, folder=folder, output=output, errors=errors)
        try:
            async with asyncio.timeout(within):
                code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        texts = []
        for stream in (output, errors):
            stream.seek(0)
            texts.append(stream.read().decode())
    return code, texts[0], texts[1]
