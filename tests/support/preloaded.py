"""Processes of Latigo that need not import it: each is forked from a program that has, one for each pytest process."""

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

_PROGRAM = Path(__file__).with_name("preloaded_program.py")


class ForkedProcess:
    """A process that is a child of the preloaded program; like ``asyncio.subprocess.Process``."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._writer = writer
        self._ended = asyncio.create_task(self._follow(reader))

    async def _follow(self, reader: asyncio.StreamReader) -> int:
        self.returncode = int(await reader.readline())
        self._writer.close()
        return self.returncode

    async def wait(self) -> int:
        """Wait for its end; its exit code, negative for the signal that killed it."""
        return await asyncio.shield(self._ended)

    def send_signal(self, asked: int) -> None:
        """Send it a signal, if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, asked)

    def kill(self) -> None:
        """Kill it, if it still runs."""
        self.send_signal(signal.SIGKILL)


async def fork(
    *arguments: str, folder: Path, environment: Mapping[str, str], output: IO[bytes], errors: IO[bytes]
) -> ForkedProcess:
    """Start ``latigo`` with these arguments, in a session of its own, with nothing to read."""
    request = {"arguments": arguments, "environment": dict(environment), "folder": str(folder)}
    connection = socket.socket(socket.AF_UNIX)
    with open(os.devnull, "rb") as nothing:  # noqa: ASYNC230, PTH123 - it is no file
        connection.connect(_preloaded(tuple(_of_python(environment).items())))
        message, streams = json.dumps(request).encode() + b"\n", [nothing.fileno(), output.fileno(), errors.fileno()]
        sent = socket.send_fds(connection, [message], streams)
        connection.sendall(message[sent:])
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    return ForkedProcess(int(await reader.readline()), reader, writer)


def _of_python(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The variables that an interpreter reads when it starts, and never again."""
    return {key: environment[key] for key in sorted(environment) if key.startswith(("PYTHON", "LANG", "LC_"))}


@cache
def _preloaded(of_python: Sequence[tuple[str, str]]) -> str:
    """The socket of a program that has been started with these variables."""
    folder = tempfile.TemporaryDirectory(prefix="latigo-forks-")
    path = str(Path(folder.name) / "socket")
    environment = {key: value for key, value in os.environ.items() if key not in _of_python(os.environ)}
    program = subprocess.Popen(
        (sys.executable, str(_PROGRAM), path),
        env={**environment, **dict(of_python)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(_end, program, folder)
    assert program.stdout is not None
    assert program.stdout.readline() == b"ready\n"
    return path


def _end(program: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    program.communicate()
    folder.cleanup()
