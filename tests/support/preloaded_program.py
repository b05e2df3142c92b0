"""Has imported Latigo, and forks a process of it whenever it is asked: imports, of a second each, are made once.

    python preloaded_program.py SOCKET

Each connection to the socket asks for one process. It sends a line of JSON (``arguments``, ``environment``, ``folder``)
along with standard input, output and error, gets a line with the id of the process, and one with its exit code when it
has ended, negative for a signal. The program ends with its standard input.
"""

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
import warnings
from contextlib import suppress
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import latigo

_MOST = 1 << 20  # bytes of a request
#: What most commands and every service import.
_MODULES = (
    "alembic.command",
    "azure.eventhub.aio",
    "azure.identity.aio",
    "latigo.cli.main",
    "latigo.service",
    "latigo.wiring.checking",
    "pyarrow.parquet",
    "uvloop",
    *(f"latigo.cli.commands.{path.stem}" for path in Path(latigo.__path__[0], "cli", "commands").glob("[a-z]*.py")),
)


def _serve(path: str) -> list[str]:
    """Fork until standard input ends; returns in each fork, with its arguments."""
    running: dict[int, socket.socket] = {}
    ended, woken = socket.socketpair()
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector, ended, woken:
        listener.bind(path)
        listener.listen(64)
        for source in (listener, ended, sys.stdin):
            selector.register(source, selectors.EVENT_READ)
        woken.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno())
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            asked = [key.fileobj for key, _ in selector.select()]
            if sys.stdin in asked:
                sys.exit()
            if ended in asked:
                ended.recv(4096)
                _report(running)
            if listener in asked and (forked := _fork(listener.accept()[0], running)):
                break
    return _become(*forked)


def _fork(connection: socket.socket, running: dict[int, socket.socket]) -> tuple[Any, list[int], socket.socket] | None:
    """In the new process what was asked for, in the old one nothing."""
    request, streams = _receive(connection)
    if pid := os.fork():
        running[pid] = connection
        for stream in streams:
            os.close(stream)
        return None
    signal.set_wakeup_fd(-1)
    for other in running.values():
        other.close()
    return request, streams, connection


def _receive(connection: socket.socket) -> tuple[Any, list[int]]:
    request, streams, _, _ = socket.recv_fds(connection, _MOST, 3)
    while not request.endswith(b"\n"):
        request += connection.recv(_MOST)
    return json.loads(request), streams


def _report(running: dict[int, socket.socket]) -> None:
    """Send the exit codes of those that have ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            break
        with running.pop(pid) as connection, suppress(OSError):  # the test may have ended
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(request: Any, streams: list[int], connection: socket.socket) -> list[str]:
    """Be what `exec` would have made: session, folder, environment and streams of its own, and signals as they were."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115 - as long as the process
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace", buffering=1)  # noqa: SIM115 - the same
    with connection:
        connection.sendall(b"%d\n" % os.getpid())
    sys.path[0] = request["folder"]  # as for `python -m`
    invalidate_caches()
    arguments: list[str] = request["arguments"]
    return arguments


if __name__ == "__main__":
    for name in _MODULES:
        with suppress(ImportError):  # an extra that is not installed
            import_module(name)
    gc.freeze()
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")  # libraries have threads already
    sys.argv[1:] = _serve(sys.argv[1])
    warnings.resetwarnings()
    runpy.run_module("latigo", run_name="__main__", alter_sys=True)
