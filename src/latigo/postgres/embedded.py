"""An embedded PostgreSQL, shared by the processes that use it, for a first run that needs nothing installed.

The kernel counts the users of a data directory: each holds a shared lock on the file ``users``, which ends with its
process. A user that can turn its lock into an exclusive one is the last, and stops the server. ``guard`` is held while
a process starts or stops the server, and has the id of that process in it. A server whose users were all killed is
stopped by the process of `latigo.postgres.reaper`.
"""

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import IO
from urllib.parse import quote

from latigo.domain.errors import ConfigurationError, LatigoError, Unavailable
from latigo.postgres.account import unprivileged_account
from latigo.postgres.cluster import SUPERUSER, Cluster, Interrupted
from latigo.postgres.places import is_initialised, require_reachable
from latigo.postgres.presence import GUARD, PRESENT, ensure_reaper
from latigo.postgres.programs import find_programs
from latigo.postgres.supervision import supervised
from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

DOWNSTREAM = "ledger/embedded"
_OPTIONS = "port=5432&sslmode=disable&sslnegotiation=postgres&gsslib=gssapi"
GUARD_LIMIT = 30.0  #: seconds that another process may start or stop the server, before one waits no longer
LEAVING_LIMIT = 10.0  #: the same for one that ends, and can leave the server running instead


@asynccontextmanager
async def open_embedded(
    data_dir: Path, *, settings: Mapping[str, str] | None = None, clock: Clock | None = None
) -> AsyncIterator[str]:
    """Run a server as `open_server` does; yield its URL, ``postgresql://...``."""
    async with open_server(data_dir, settings=settings, clock=clock) as server:
        yield server.url


@asynccontextmanager
async def open_server(
    data_dir: Path, *, settings: Mapping[str, str] | None = None, clock: Clock | None = None
) -> AsyncIterator["EmbeddedServer"]:
    """Run a server on ``data_dir`` while the context lasts, and start it again when it dies.

    A first use initialises the directory (about a second). A server that runs already, because others use it or
    because its user was killed a moment ago, is adopted. The last user stops it; when that was killed, another process
    does so at once. It listens on a Unix socket only, which only
    its owner and root can open. Run as root, the server itself runs as the owner of the directory, ``postgres`` or
    ``nobody``, since PostgreSQL refuses root. The directory is closed to others; those above it are left as they are.

    Args:
        data_dir: a folder of its own; created when it does not exist.
        settings: PostgreSQL settings on top of ours; they count when this user is the one that starts the server.
        clock: measures time limits.

    Raises:
        ConfigurationError: the extra ``embedded`` is not installed, or the directory cannot be used.
        Unavailable: the server does not start; the message holds the end of its log. Raised in the block when it has
            died and cannot be started again.
    """
    server = EmbeddedServer(data_dir, settings, clock=clock)
    try:
        await _in_thread(server, server.open)
        async with supervised(server, lambda: _in_thread(server, server.restart), clock or SystemClock()):
            yield server
    finally:
        await asyncio.shield(asyncio.to_thread(server.close))


async def _in_thread(server: "EmbeddedServer", work: Callable[[], None]) -> None:
    """Run what blocks; when cancelled, interrupt it and wait for its end, or it would go on after we have left."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.interrupt()
        await asyncio.wait((running,))
        if not running.cancelled():
            running.exception()  # seen: it is not awaited any more
        raise


def has_database(data_dir: Path) -> bool:
    """Return whether ``data_dir`` holds a database already; change nothing.

    Raises:
        ConfigurationError: the extra ``embedded`` is not installed, or the directory cannot be created or reached.
    """
    find_programs()
    home = data_dir.expanduser().absolute()
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigurationError(f"the embedded database cannot use {home}: nothing can be written to {nearest}")
    require_reachable(home, unprivileged_account(home / "data", home))
    return is_initialised(home)


class EmbeddedServer:
    """One user of the server of a data directory. Blocking; meant for one thread at a time."""

    def __init__(
        self, data_dir: Path, settings: Mapping[str, str] | None = None, *, clock: Clock | None = None
    ) -> None:
        self.home = data_dir.expanduser().absolute()
        self.trouble = ""  #: why the server is not there, while it is not
        self._clock = clock or SystemClock()
        self._interrupted = Event()
        self._cluster = Cluster(self.home, settings or {}, self._clock, DOWNSTREAM, self._interrupted)
        self._locks: tuple[IO[bytes], IO[bytes]] | None = None  #: the files ``users`` and ``present``
        self._socket_dir: Path | None = None

    @property
    def url(self) -> str:
        """The address of the server, once it is open; complete, so that no variable of the environment adds to it."""
        if self._socket_dir is None:
            raise RuntimeError("the embedded server is not open")
        place = quote(str(self._socket_dir), safe="/")
        return f"postgresql://{SUPERUSER}@/postgres?host={place}&{_OPTIONS}"

    def open(self) -> None:
        """Start the server or adopt the one that runs, and count as one of its users."""
        find_programs()
        with self._translated_errors():
            self._create_home()
            with self._guard(GUARD_LIMIT):
                self._locks = users, present = _lock_file(self.home / "users"), _lock_file(self.home / PRESENT)
                try:
                    fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    fcntl.flock(present, fcntl.LOCK_SH)
                    ensure_reaper(self.home)
                    self._socket_dir = self._cluster.ensure_running()
                except Interrupted:
                    self._leave(stop=True)
                    raise
                except BaseException:
                    self._leave(stop=False)
                    raise

    def is_alive(self) -> bool:
        """Return whether the server runs."""
        return self._cluster.is_alive()

    def why_dead(self) -> str:
        """Return what is known of the end of the server."""
        return self._cluster.trouble()

    def restart(self) -> None:
        """Start the server again unless another user has done so."""
        with self._translated_errors(), self._guard(GUARD_LIMIT):
            ensure_reaper(self.home)
            self._socket_dir = self._cluster.ensure_running(create=False)

    def stop_unused(self, stopped: Callable[[], None]) -> bool:
        """Stop the server if it runs and no process uses it; return whether it is stopped. Create no file.

        One that starts still is not: what it has recovered from a crash would be lost.

        Args:
            stopped: called before another process can start it again.

        Raises:
            LatigoError: it cannot be stopped, or another process starts or stops it for long.
        """
        with (
            self._translated_errors(),
            self._guard(GUARD_LIMIT, create=False),
            (self.home / "users").open("r+b") as users,
        ):
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if self._cluster.is_starting():
                return False
            self._cluster.stop()
            stopped()
            return True

    def interrupt(self) -> None:
        """End what another thread is waiting for."""
        self._interrupted.set()

    def close(self) -> None:
        """Stop counting as a user; the last one stops the server. A second call changes nothing."""
        if self._locks is None:
            return
        self._interrupted.clear()
        try:
            with self._translated_errors(), self._guard(LEAVING_LIMIT):
                self._leave(stop=True)
        except LatigoError as error:
            if self._locks is None:  # it could not be stopped
                raise
            _log.warning("embedded.left_running", data_dir=str(self.home), reason=str(error))
            self._leave(stop=False)

    def _create_home(self) -> None:
        for folder in reversed([each for each in self.home.parents if not each.exists()]):
            folder.mkdir(exist_ok=True)
            if os.geteuid() == 0:
                folder.chmod(0o711)  # a folder of our own making, which the server's account has to pass
        self.home.mkdir(mode=0o700, exist_ok=True)

    def _leave(self, *, stop: bool) -> None:
        """Stop counting as a user, and stop the server if there is no other; with the guard held for that."""
        locks, self._locks, self._socket_dir = self._locks, None, None
        if locks is None:
            return
        users, present = locks
        with users, present:
            if not stop:
                return
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _log.info("embedded.left_running", data_dir=str(self.home), reason="other processes use it")
            else:
                self._cluster.stop()

    @contextmanager
    def _guard(self, limit: float, *, create: bool = True) -> Iterator[None]:
        """Hold the guard; the id of this process stays in it if that is killed meanwhile, or a server may yet appear.

        The reaper looks for a server then, for a while.
        """
        deadline = self._clock.monotonic() + limit
        path = self.home / GUARD
        with path.open("ab" if create else "r+b", buffering=0) as guard:
            while True:
                try:
                    fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self._clock.monotonic() > deadline:
                        raise self._unavailable(f"{_holder(path)} for more than {limit:.0f} s") from None
                    if self._interrupted.wait(0.02):
                        raise Interrupted from None
            guard.truncate(0)
            with suppress(OSError):  # a full disk
                guard.write(str(os.getpid()).encode())
            try:
                yield
            finally:
                if not self._cluster.may_appear:
                    guard.truncate(0)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise ConfigurationError(f"the embedded database cannot use {self.home}: {error}") from error
        except OSError as error:
            full = "the disk is full: " if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
            raise self._unavailable(f"{full}{error}") from error

    def _unavailable(self, message: str) -> Unavailable:
        return Unavailable(f"embedded database in {self.home}: {message}", downstream=DOWNSTREAM, alarm=True)


def _holder(guard: Path) -> str:
    """Return a sentence on who holds the guard."""
    pid = guard.read_text(encoding="ascii", errors="replace")[:20].strip()
    process = f"process {pid}" if pid.isdigit() else "another process"
    advice = f"; end it if it is frozen (kill -9 {pid}). It" if pid.isdigit() else ". It"
    return f"another process is starting or stopping it: {process} holds {guard}{advice} has held it"


def _lock_file(path: Path) -> IO[bytes]:
    return path.open("ab")
