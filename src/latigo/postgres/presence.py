"""Presence of users of an embedded server, as the process that stops it without them sees it; see `reaper`."""

import fcntl
import subprocess
import sys
from pathlib import Path

GUARD = "guard"  #: locked by the one that starts or stops the server; holds the id of its process meanwhile
POSTMASTER = "data/postmaster.pid"  #: exists while the server does
PRESENT = "present"  #: locked by each user, shared
ALONE = "reaper"  #: locked by the one reaper of a data directory


def ensure_reaper(home: Path) -> None:
    """Start a reaper unless the data directory has one; it waits for the users when this returns.

    Called before the server starts, with the guard held: its user may be killed before the server is there.

    Raises:
        OSError: no process can be started.
    """
    with (home / ALONE).open("ab") as alone:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        # It inherits the lock, so that there is never a second one.
        subprocess.run(  # noqa: S603 - a module of our own
            [sys.executable, "-P", "-m", "latigo.postgres.reaper", str(home), str(alone.fileno())],
            check=False,
            pass_fds=(alone.fileno(),),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the users
        )
