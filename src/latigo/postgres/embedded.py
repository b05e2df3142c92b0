"""An embedded PostgreSQL, shared by the processes that use it, for a first run that needs nothing installed.

The kernel counts the users of a data directory: each holds a shared lock on the file ``users``, which ends with its
process. A user that can turn its lock into an exclusive one is the last, and stops the server. ``guard`` is held while
a process starts or stops the server.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import structlog

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.postgres.cluster import SUPERUSER, TIME_LIMIT, Cluster, find_programs, is_initialised, wait
from latigo.runtime.clock import Clock, SystemClock

_log = structlog.get_logger()

DOWNSTREAM = "ledger/embedded"


@asynccontextmanager
async def open_embedded(
    data_dir: Path, *, settings: Mapping[str, str] | None = None, clock: Clock | None = None
) -> AsyncIterator[str]:
    """Run a server on ``data_dir`` while the context lasts; yield its URL, ``postgresql://...``.

    A first use initialises the directory (about a second). A server that runs already, because others use it or
    because its user was killed, is adopted. The last user stops it. It listens on a Unix socket only, which only
    its owner and root can open. Run as root, the server itself runs as ``postgres`` or ``nobody``, since
    PostgreSQL refuses root; the folders above it are made passable (not readable) where they are not.

    Args:
        data_dir: a folder of its own; created when it does not exist.
        settings: PostgreSQL settings on top of ours; they count when this user is the one that starts the server.
        clock: measures time limits.

    Raises:
        ConfigurationError: the extra ``embedded`` is not installed, or the directory cannot be used.
        Unavailable: the server does not start; the message holds the end of its log.
    """
    server = EmbeddedServer(data_dir, settings, clock=clock)
    opening = asyncio.ensure_future(asyncio.to_thread(server.open))
    try:
        await asyncio.shield(opening)
        yield server.url
    finally:
        # A thread cannot be cancelled: let it finish, or the server would be started after we have left.
        await asyncio.wait((opening,))
        await asyncio.shield(asyncio.to_thread(server.close))


def has_database(data_dir: Path) -> bool:
    """Return whether ``data_dir`` holds a database already; change nothing.

    Raises:
        ConfigurationError: the extra ``embedded`` is not installed, or the directory cannot be created.
    """
    find_programs()
    home = data_dir.expanduser().absolute()
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigurationError(f"the embedded database cannot use {home}: nothing can be written to {nearest}")
    return is_initialised(home)


class EmbeddedServer:
    """One user of the server of a data directory. Blocking; meant for one thread at a time."""

    def __init__(
        self, data_dir: Path, settings: Mapping[str, str] | None = None, *, clock: Clock | None = None
    ) -> None:
        self._home = data_dir.expanduser().absolute()
        self._clock = clock or SystemClock()
        self._cluster = Cluster(self._home, settings or {}, self._clock, DOWNSTREAM)
        self._users: IO[bytes] | None = None
        self._socket_dir: Path | None = None

    @property
    def url(self) -> str:
        """The address of the server, once it is open."""
        if self._socket_dir is None:
            raise RuntimeError("the embedded server is not open")
        return f"postgresql://{SUPERUSER}@/postgres?host={quote(str(self._socket_dir), safe='/')}"

    def open(self) -> None:
        """Start the server or adopt the one that runs, and count as one of its users."""
        find_programs()
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            with self._guard():
                self._users = _lock_file(self._home / "users")
                fcntl.flock(self._users, fcntl.LOCK_SH)
                try:
                    self._socket_dir = self._cluster.ensure_running()
                except BaseException:
                    self._leave()
                    raise
        except PermissionError as error:
            raise ConfigurationError(f"the embedded database cannot use {self._home}: {error}") from error
        except OSError as error:
            raise Unavailable(f"embedded database in {self._home}: {error}", downstream=DOWNSTREAM) from error

    def close(self) -> None:
        """Stop counting as a user; the last one stops the server. A second call changes nothing."""
        if self._users is None:
            return
        with self._guard():
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _log.info("embedded.left_running", data_dir=str(self._home))
            else:
                self._cluster.stop()
            finally:
                self._leave()

    def _leave(self) -> None:
        if self._users is not None:
            self._users.close()
        self._users = None
        self._socket_dir = None

    @contextmanager
    def _guard(self) -> Iterator[None]:
        deadline = self._clock.monotonic() + TIME_LIMIT
        with _lock_file(self._home / "guard") as guard:
            while True:
                try:
                    fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self._clock.monotonic() > deadline:
                        raise Unavailable(
                            f"embedded database in {self._home}: another process is starting or stopping it",
                            downstream=DOWNSTREAM,
                        ) from None
                    wait(0.02)
            yield


def _lock_file(path: Path) -> IO[bytes]:
    return path.open("ab")
