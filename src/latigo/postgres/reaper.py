"""Process that stops an embedded server once the last of its users was killed, and so could not stop it.

It starts before the server and ends after it. In between it waits for a lock that each user shares on the file
``present``, and the kernel releases when that user ends, however it does. It imports little of Latigo before it has to,
and takes a few megabytes meanwhile.
"""

import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from latigo.postgres.presence import GUARD, POSTMASTER, PRESENT

_PAUSE = 1.0  #: seconds until another attempt
_LONGEST_START = 30  #: attempts, until a start that its user left, or was killed in, has a server, or comes to nothing


def main(home: Path, alone: int) -> None:
    """Wait for the end of all users, and stop the server if it runs then; in a process of its own."""
    present = (home / PRESENT).open("ab")
    for asked in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)  # sent to all processes at once, they end the users
    if os.fork():
        os._exit(0)  # its starter waits for this one alone
    stop_when_unused(home, present, alone)


def stop_when_unused(home: Path, present: IO[bytes], alone: int) -> None:
    """Wait for the lock of all users on the open file ``present``, and stop the server if it runs then.

    The lock on the open file ``alone`` is released while ``guard`` is held: the one that starts the server next sees
    either a reaper that will look again, or none.
    """
    attempts = 0  # since there was a server last
    while True:
        fcntl.flock(present, fcntl.LOCK_EX)
        fcntl.flock(present, fcntl.LOCK_UN)  # a user that comes now waits for this at most
        if _is_over(home, alone, may_be_starting=attempts < _LONGEST_START):
            return
        attempts += 1
        if (home / POSTMASTER).exists():
            attempts = 0
            from latigo.domain.errors import LatigoError  # noqa: PLC0415 - waiting takes less memory without them
            from latigo.postgres.embedded import EmbeddedServer  # noqa: PLC0415 - waiting takes less memory without it

            with suppress(LatigoError):
                if EmbeddedServer(home).stop_unused(lambda: fcntl.flock(alone, fcntl.LOCK_UN)):
                    return
        time.sleep(_PAUSE)  # it starts, cannot be stopped, or has users of an older program, which lock only ``users``


def _is_over(home: Path, alone: int, *, may_be_starting: bool) -> bool:
    """Return whether there is no server, and release ``alone`` then."""
    try:
        guard = (home / GUARD).open("rb")
    except OSError:
        return True  # the folder is being deleted
    with guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        unfinished = bool(guard.read(1))  # by the one that held it last, which was killed in it, or left a start alone
        if (home / POSTMASTER).exists() or (unfinished and may_be_starting):
            return False
        fcntl.flock(alone, fcntl.LOCK_UN)
        return True


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
