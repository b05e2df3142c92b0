"""The processes of a campaign: started, killed, stopped, frozen, and started again."""

import asyncio
import json
import os
import shutil
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import psutil

ROOT = Path(__file__).parents[1]
#: Time to end after SIGTERM: more than the grace of Latigo and all limits on connections together.
ENDS_WITHIN_S = 60.0
_RESTART_S = 0.5
_GRACE_EXCEEDED = '"event":"stop.grace_exceeded"'
_END_OF_LOG = 2000  #: characters


def environment() -> dict[str, str]:
    """Return what processes inherit: nothing that configures Latigo, and this tree as the one to import from."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LATIGO_", "PG"))}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**inherited, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}


@dataclass
class Party:
    """One process that is replaced whenever it has ended; ``command`` is asked anew for each start."""

    name: str
    command: Callable[[], Sequence[str]]
    log: Path
    ends: Mapping[int, str] = field(default_factory=dict)  #: exit codes that it may have without being asked to end
    complaints: list[str] = field(default_factory=list)  #: unexpected ends
    _process: Process | None = None
    _output: BinaryIO | None = None
    _wanted: bool = False
    _logged: int = 0  #: size of its log at its start
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Start it, unless it runs."""
        async with self._changing:
            self._wanted = True
            await self._start()

    async def _start(self) -> None:
        if self._process is not None and self._process.returncode is None:
            return
        if self._output is None:
            self._output = self.log.open("ab")
        command = list(self.command())
        if os.name == "posix" and shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "KILL", *command]  # so that it does not outlive the campaign
        self._logged = self.log.stat().st_size
        self._process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.log.parent,
            env=environment(),
            stdin=PIPE,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,  # Ctrl-C is for the campaign, which then ends it
        )

    async def watch(self) -> None:
        """Start it again whenever it ends without having been asked to; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_RESTART_S)
            async with self._changing:
                if self._wanted and self._process is not None and self._process.returncode is not None:
                    if self._process.returncode not in self.ends:
                        code = self._process.returncode
                        self.complaints.append(
                            f"{self.name} ended by itself with {code}, after: {self._own_log()[-_END_OF_LOG:]}"
                        )
                    await self._start()

    def send(self, order: Mapping[str, Any]) -> None:
        """Write a line of JSON to its standard input; lost if it does not run."""
        if self._process is not None and self._process.returncode is None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def kill(self, signal_: signal.Signals = signal.SIGKILL) -> None:
        """End it by a signal that leaves it no choice; how it ends is no complaint."""
        async with self._changing:
            self._wanted = False
            if self._process is not None and await self._end(self._process, signal_) is None:
                self.complaints.append(f"{self.name} did not end within {ENDS_WITHIN_S:.0f} s of {signal_.name}")

    async def stop(self) -> None:
        """Ask it to end; any exit code but 0 is a complaint, with two exceptions.

        A program that has not begun yet knows no better, and one whose ledger is cut off ends unfinished when its grace
        is over.
        """
        async with self._changing:
            self._wanted = False
            if self._process is None or self._process.returncode is not None:
                return
            begun = self.log.stat().st_size > self._logged
            code = await self._end(self._process, signal.SIGTERM)
            if code is None:
                self.complaints.append(f"{self.name} did not end within {ENDS_WITHIN_S:.0f} s of SIGTERM")
            elif code and (begun or code != -signal.SIGTERM) and _GRACE_EXCEEDED not in self._own_log():
                self.complaints.append(f"{self.name} ended with {code} after SIGTERM")

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def freeze(self) -> None:
        """Stop it and all its children, as a machine does that is suspended."""
        self._each(lambda process: process.suspend())

    def thaw(self) -> None:
        """Let it go on."""
        self._each(lambda process: process.resume())

    async def close(self) -> None:
        """End it for good."""
        await self.kill()
        if self._output is not None:
            self._output.close()

    def _own_log(self) -> str:
        """Return what its present process has logged."""
        return self.log.read_bytes()[self._logged :].decode(errors="replace")

    def _each(self, act: Callable[[psutil.Process], None]) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._process.pid)
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    act(each)

    async def _end(self, process: Process, signal_: signal.Signals) -> int | None:
        """Send a signal and return the exit code; None if it had to be killed."""
        with suppress(ProcessLookupError):
            process.send_signal(signal_)
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                return await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            return None
