"""A data directory of PostgreSQL: created, started and stopped."""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.postgres.account import Account, unprivileged_account
from latigo.postgres.places import is_initialised, prepare_home
from latigo.postgres.postmaster import SOCKET, Postmaster
from latigo.postgres.programs import VERSION, reachable_programs
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

SUPERUSER = "postgres"
TIME_LIMIT = 120.0  #: seconds for a start with crash recovery, or for a server to finish starting or stopping
_UNSEEN_LIMIT = 2.0  #: seconds that a server may listen after its end
_SHOWS_LIMIT = 10.0  #: seconds for a server that is being started to write its file
_STOP_LIMITS = (
    (signal.SIGINT, 60.0),  # a checkpoint on a slow disk
    (signal.SIGQUIT, 10.0),  # without one: the next start recovers
    (signal.SIGKILL, 10.0),  # also ends one that is frozen
)
_LEAST_FREE = 16 * 2**20  #: bytes; a segment of its journal
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


class Interrupted(Exception):
    """A start was cancelled, because this process is to end."""


class Cluster:
    """The data directory of a server. Blocking; meant for one caller at a time.

    Args:
        home: folder that holds the data directory.
        settings: PostgreSQL settings on top of ours.
        clock: measures time limits.
        downstream: the name of the server in errors.
        interrupted: set by another thread, it ends what is under way, but for a stop.
    """

    def __init__(
        self, home: Path, settings: Mapping[str, str], clock: Clock, downstream: str, interrupted: Event
    ) -> None:
        self._home = home
        self._data = home / "data"
        self._settings = {**_SETTINGS, **settings}
        self._clock = clock
        self._downstream = downstream
        self._interrupted = interrupted
        self.may_appear = False  #: whether a start was interrupted whose server had not shown itself in time

    def ensure_running(self, *, create: bool = True) -> Path:
        """Start the server unless it runs, and return the folder of its socket.

        Args:
            create: a first start initialises the data.

        Raises:
            ConfigurationError: the programs are not installed, or the data directory cannot be used.
            Unavailable: the server does not start; the message holds the end of its log.
            Interrupted: the process is to end.
        """
        self.may_appear = False
        account = unprivileged_account(self._data, self._home)
        prepare_home(self._home, account)
        if not is_initialised(self._home):
            if not create:
                raise ConfigurationError(f"{self._data} was deleted while it was in use: restore it from a backup")
            self._initialise(account)
        if (version := (self._data / "PG_VERSION").read_text().strip()) != VERSION:
            raise ConfigurationError(
                f"{self._data} was made by PostgreSQL {version}, this is {VERSION}: use another folder"
            )
        running = self._await_settled()
        if running is not None:
            _log.info("embedded.adopted", data_dir=str(self._home), pid=running.pid)
            return running.socket_dir
        failure: Unavailable | None = None
        try:
            self._start(account)
        except Unavailable as error:  # also when a user was killed a moment ago, while its server came up unseen
            failure = error
        started = self._await_settled()
        if started is None:
            raise failure or self._unavailable("ended right after its start")
        _log.info("embedded.started", data_dir=str(self._home), pid=started.pid)
        return started.socket_dir

    def is_alive(self) -> bool:
        """Return whether the server runs, or is about to."""
        postmaster = Postmaster.read(self._data)
        return postmaster is not None and postmaster.is_alive(self._data)

    def is_starting(self) -> bool:
        """Return whether the server runs, but takes no connections yet, as while it recovers from a crash."""
        postmaster = Postmaster.read(self._data)
        return postmaster is not None and postmaster.status == "starting" and postmaster.is_alive(self._data)

    def stop(self) -> None:
        """Stop the server, if it runs, whatever it is doing, but not one that an operator runs by hand.

        Raises:
            Unavailable: the server does not stop.
        """
        running = Postmaster.read(self._data)
        if running is None or running.pid < 0 or not running.is_alive(self._data):
            return
        for signal_, limit in _STOP_LIMITS:
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal_)
            deadline = self._clock.monotonic() + limit
            while running.is_alive(self._data) and self._clock.monotonic() < deadline:
                time.sleep(0.02)
            if not running.is_alive(self._data):
                break
            _log.warning("embedded.stop_delayed", data_dir=str(self._home), pid=running.pid, signal=signal_.name)
        else:
            raise self._unavailable(f"process {running.pid} does not end")
        if running.socket_dir != self._data:
            with suppress(OSError):
                running.socket_dir.rmdir()
        _log.info("embedded.stopped", data_dir=str(self._home))

    def trouble(self) -> str:
        """Return what is known of a server that has ended: a full disk, and the last lines of its log."""
        return self._full_disk() + " ".join(self._end_of_log().splitlines()[-2:])

    def _initialise(self, account: Account | None) -> None:
        """Create the cluster in a folder next to its place and move it: an interrupted one never looks complete."""
        if self._data.exists() and any(self._data.iterdir()):
            raise ConfigurationError(f"{self._data} holds something that is not a PostgreSQL cluster")
        for leftover in self._home.glob("unfinished-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self._home))
        if account is not None:
            os.chown(unfinished, account.uid, account.gid)
        options = ("--auth=trust", "--encoding=UTF8", "--no-locale", f"--username={SUPERUSER}", "--no-instructions")
        self._run("initdb", *options, data=unfinished, account=account)
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("\ninclude 'latigo.conf'\n")
        unfinished.replace(self._data)
        _log.info("embedded.initialised", data_dir=str(self._home))

    def _await_settled(self) -> Postmaster | None:
        """Return the server once it is ready, or None when there is none; wait while it starts or stops."""
        deadline = self._clock.monotonic() + TIME_LIMIT
        unseen_deadline = self._clock.monotonic() + _UNSEEN_LIMIT
        while self._clock.monotonic() < deadline:
            postmaster = Postmaster.read(self._data)
            if postmaster is None:
                return None
            if not postmaster.is_alive(self._data):
                if not postmaster.answers():
                    postmaster.forget(self._data)
                    return None
                if self._clock.monotonic() > unseen_deadline:
                    # Without its file, it would end, and a second one would write to the same data meanwhile.
                    raise self._unavailable(
                        f"a server that this process cannot see runs there, process {postmaster.pid} of another "
                        "container: a folder is for one container at a time"
                    )
            elif postmaster.status in {"ready", "standby"}:
                return postmaster
            self._wait(0.02)
        raise self._unavailable("neither starts nor stops")

    def _start(self, account: Account | None) -> None:
        settings = {**self._settings, "unix_socket_directories": _quoted_list(self._choose_socket_dir(account))}
        self._configure("".join(f"{key} = '{_escaped(value)}'\n" for key, value in settings.items()))
        deadline = self._clock.monotonic() + TIME_LIMIT
        # Without -D and -l, since pg_ctl passes them to a shell.
        options = ("start", "--wait", f"--timeout={TIME_LIMIT:.0f}")
        while True:
            try:
                self._run("pg_ctl", *options, data=self._data, account=account)
            except Unavailable as error:
                # The children of a server that was killed outlive it, as a rule for some milliseconds.
                if "shared memory block" not in str(error) or self._clock.monotonic() > deadline:
                    raise
                _log.warning("embedded.start_delayed", data_dir=str(self._home), reason="children of another server")
                self._wait(0.1)
            else:
                return

    def _configure(self, text: str) -> None:
        """Write our part of the configuration, in one step: a full disk must not leave half of it."""
        conf = self._data / "latigo.conf"
        if conf.exists() and conf.read_text(encoding="utf-8") == text:
            return
        new = conf.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.chmod(0o644)
        new.replace(conf)

    def _choose_socket_dir(self, account: Account | None) -> Path:
        """Return the data directory, or a private temporary folder where the path of the data cannot be a host.

        The path of a socket is short, and a comma separates two hosts.
        """
        if len(os.fsencode(self._data / SOCKET)) <= _LONGEST_SOCKET_PATH and "," not in str(self._data):
            return self._data
        owner = os.geteuid() if account is None else account.uid
        name = hashlib.sha256(os.fsencode(self._data)).hexdigest()[:16]
        # For another account the folder for all: ours may be closed to it.
        temporary = tempfile.gettempdir() if account is None else "/tmp"  # noqa: S108 - a private folder in it
        folder = Path(temporary) / f"latigo-{owner}-{name}"
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

    def _run(self, program: str, *arguments: str, data: Path, account: Account | None) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        environment |= {"PGDATA": str(data), "LC_ALL": "C", "TZ": "UTC"}
        path = reachable_programs(self._home, account) / program
        # A file and not a pipe: the server inherits it, and a pipe would not end before the server does.
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(  # noqa: S603 - a program of the wheel, arguments of our own
                [path, *arguments],
                cwd=data,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else (),
                umask=0o077,
                start_new_session=True,  # Ctrl-C is for us
            )
            try:
                self._await_end(process)
            except Interrupted:
                if program == "pg_ctl":
                    self._await_server(process)
                raise
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
        if process.returncode:
            raise self._unavailable(f"{self._full_disk()}{program}: {text[-1000:]} {self._end_of_log()}".strip())

    def _await_end(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = self._clock.monotonic() + 2 * TIME_LIMIT
        while process.poll() is None:
            if self._clock.monotonic() > deadline:
                raise self._unavailable(f"{process.args!r} does not end")
            self._wait(0.02)

    def _await_server(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until the server that is being started can be stopped.

        It leaves the group of what started it, and until it has written its file, nothing says that it is there.
        """
        deadline = self._clock.monotonic() + _SHOWS_LIMIT
        while process.poll() is None and not self.is_alive():
            if self._clock.monotonic() >= deadline:
                self.may_appear = True
                _log.warning("embedded.left_running", data_dir=str(self._home), reason="it has not shown itself yet")
                return
            time.sleep(0.02)

    def _wait(self, seconds: float) -> None:
        if self._interrupted.wait(seconds):
            raise Interrupted

    def _full_disk(self) -> str:
        try:
            free = shutil.disk_usage(self._home).free
        except OSError:
            return ""
        return f"the disk is full, {free} bytes are free. " if free < _LEAST_FREE else ""

    def _end_of_log(self) -> str:
        logs = sorted((self._data / "log").glob("*.log"), key=lambda file: file.stat().st_mtime)
        return logs[-1].read_text(errors="replace")[-1000:] if logs else ""

    def _unavailable(self, message: str) -> Unavailable:
        return Unavailable(f"embedded database in {self._home}: {message}", downstream=self._downstream, alarm=True)


def _quoted_list(folder: Path) -> str:
    """Return a list setting of one element: a comma in it does not end the element."""
    return '"' + str(folder).replace('"', '""') + '"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
