"""A running PostgreSQL server, as its file ``postmaster.pid`` describes it."""

import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from latigo.runtime.clock import SystemClock

SOCKET = ".s.PGSQL.5432"
_LOOKS = 50  #: at a file without an id, within a second: a server writes its id right after it has created the file
_BETWEEN_LOOKS = 0.02  #: seconds
_ID = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The process that ``postmaster.pid`` names; it may have ended without removing the file."""

    pid: int  #: 0: the file has none; negative: of a process in single-user mode, which is no server
    socket_dir: Path
    status: str  #: starting, ready, stopping, standby

    @classmethod
    def read(cls, data: Path) -> "Postmaster | None":
        """Read the file in a data directory; None: no server runs there.

        Blocks for up to a second where the file is new and has no id yet, as in the moment in which a server starts.
        """
        file = _pid_file(data)
        for look in range(_LOOKS):
            if look:
                time.sleep(_BETWEEN_LOOKS)
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
                written = file.stat().st_mtime
            except FileNotFoundError:
                return None
            pid = int(lines[0]) if lines and _ID.fullmatch(lines[0].strip()) else 0
            if pid or abs(SystemClock().now().timestamp() - written) > _LOOKS * _BETWEEN_LOOKS:
                break  # it has an id, or gets none any more, as on a full disk
        socket_dir = Path(lines[4]) if len(lines) > 4 and lines[4].strip() else data
        return cls(pid, socket_dir, lines[7].strip() if len(lines) > 7 and lines[7].strip() else "starting")

    def forget(self, data: Path) -> None:
        """Remove the files of a server that is dead.

        PostgreSQL would refuse to start while its id is taken: by another process, as in a new container, or by itself
        where no process reaps it.
        """
        for file in (_pid_file(data), *self.socket_dir.glob(".s.PGSQL.*.lock")):
            file.unlink(missing_ok=True)

    def answers(self) -> bool:
        """Return whether a process listens on the socket: one of another container, if none has the id."""
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            try:
                client.connect(str(self.socket_dir / SOCKET))
            except BlockingIOError:
                return True  # many others wait
            except OSError:
                return False
            return True

    def is_alive(self, data: Path) -> bool:
        """Return whether the process exists and is the PostgreSQL of this data directory.

        The id may belong to another process by now, such as the server of another directory.
        """
        pid = abs(self.pid)
        if not pid:
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _program_name(pid).startswith("postgres") and _works_in(pid, data)


def _pid_file(data: Path) -> Path:
    return data / "postmaster.pid"


def _works_in(pid: int, data: Path) -> bool:
    """Return whether a process may be the server of a data directory, which is where a server works."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
    except OSError:  # of another account, or a system without /proc
        return True


def _program_name(pid: int) -> str:
    """Return the program of a process; empty for a zombie, which stays where no parent reaps it, as in a container."""
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return ""
        name, state = text.partition("(")[2].rsplit(") ", 1)
        return "" if state.startswith("Z") else name
    listed = subprocess.run(  # noqa: S603 - a number of our own
        ["/bin/ps", "-o", "comm=", "-p", str(pid)], check=False, capture_output=True, text=True, timeout=10
    )
    return Path(listed.stdout.strip()).name
