"""A real InfluxDB 1.x of our own, for the demo, tests and benchmarks; unlike the rest of the sandbox, no emulation.

The one program ``influxd`` is enough. If it is not on the path, Debian's package is unpacked into the user's
cache: 5 MB, without root and without installing anything.
"""

import asyncio
import fcntl
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

_DOWNSTREAM = "sandbox/influxd"
_PACKAGE = "influxdb"
_FETCH_LIMIT_S = 180.0
_STARTS_WITHIN_S = 30.0  #: 0.05 s empty
_STOPS_WITHIN_S = 15.0  #: 1.5 s empty
_LISTENING = re.compile(rb'msg="Listening on HTTP".* addr=(\S+) https=(true|false)')
_HOST = "127.0.0.1"
#: Below those of outgoing connections, one of which could otherwise get the port while a server is down.
_PORTS, _PORTS_TRIED = range(10_000, 20_000), 20
_SETTINGS: Mapping[str, str] = {
    "INFLUXDB_BIND_ADDRESS": "127.0.0.1:0",  # the default is a fixed port
    "INFLUXDB_REPORTING_DISABLED": "true",
    "INFLUXDB_MONITOR_STORE_ENABLED": "false",
    "INFLUXDB_HTTP_LOG_ENABLED": "false",
    "INFLUXDB_DATA_QUERY_LOG_ENABLED": "false",
    "INFLUXDB_DATA_INDEX_VERSION": "tsi1",
    "INFLUXDB_DATA_MAX_SERIES_PER_DATABASE": "0",
    "INFLUXDB_DATA_MAX_VALUES_PER_TAG": "0",
}


@asynccontextmanager
async def open_influxd(data_dir: Path, *, env: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """Run a server on ``data_dir`` while the context lasts; yields its URL.

    It listens on the loopback address and a free port. On Linux it also ends when this process is killed.

    Args:
        data_dir: a folder of its own, created if there is none; existing data is served again.
        env: InfluxDB's settings, ``INFLUXDB_<SECTION>_<KEY>``, on top of ours: series are not limited, indexed on disk.

    Raises:
        ConfigurationError: there is no ``influxd``.
        Unavailable: it does not start; the message holds the end of its log.
    """
    server = Influxd(data_dir, env)
    opening = asyncio.ensure_future(asyncio.to_thread(server.open))
    try:
        await asyncio.shield(opening)
        yield server.url
    finally:
        # A thread cannot be cancelled: let it finish, or the server would start after the context has ended.
        await asyncio.wait((opening,))
        await asyncio.shield(asyncio.to_thread(server.close))


class Influxd:
    """A server on a data directory. Blocking; for one thread at a time."""

    def __init__(self, data_dir: Path, env: Mapping[str, str] | None = None, *, clock: Clock | None = None) -> None:
        self._home = data_dir.expanduser().absolute()
        self._env = dict(env or {})
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """URL of the server once it is open; the same when it is opened again."""
        return self._url

    @property
    def pid(self) -> int | None:
        """Process id; None while it does not run."""
        return self._process.pid if self._process else None

    def open(self) -> None:
        """Start it; fetch the program first if necessary."""
        program = find_influxd()
        self._home.mkdir(parents=True, exist_ok=True)
        self._env.setdefault("INFLUXDB_HTTP_BIND_ADDRESS", f"{_HOST}:{_free_port()}")
        log = self._home / "influxd.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- a fixed command
                [*_killed_with_parent(), str(program), "run", "-config", os.devnull],
                env={**os.environ, **settings_on(self._home), **self._env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C goes to this process, which then stops the server
            )
        try:
            self._url = _wait_until_listening(self._process, log, self._clock)
        except BaseException:
            self.kill()
            raise
        self._env["INFLUXDB_HTTP_BIND_ADDRESS"] = self._url.partition("://")[2]
        _log.info("influxd.started", url=self._url, data_dir=str(self._home), pid=self._process.pid)

    def close(self) -> None:
        """Stop it; kill it if it does not stop. Idempotent."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


def settings_on(data_dir: Path) -> Mapping[str, str]:
    """Return the environment variables of a server on a folder: all that matters but where it listens."""
    folders = {"META_DIR": "meta", "DATA_DIR": "data", "DATA_WAL_DIR": "wal"}
    return {**_SETTINGS, **{f"INFLUXDB_{key}": str(data_dir / folder) for key, folder in folders.items()}}


def _free_port() -> int:
    """Return a free port; 0, which is any, if hardly one is free."""
    for port in random.sample(_PORTS, _PORTS_TRIED):
        with suppress(OSError), socket.create_server((_HOST, port)):
            return port
    return 0


def find_influxd() -> Path:
    """Return the program ``influxd`` of version 1, from the path, our cache or Debian's package. Blocking.

    Raises:
        ConfigurationError: it is missing and cannot be fetched, with the reason.
    """
    installed = shutil.which("influxd")
    if installed and _is_version_1(Path(installed)):
        return Path(installed)
    program = _cache() / "influxd" / "influxd"
    program.parent.mkdir(parents=True, exist_ok=True)
    with (program.parent / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may fetch at once
        if not program.exists():
            with tempfile.TemporaryDirectory(dir=program.parent) as folder:
                _unpack(Path(folder)).replace(program)
            _log.info("influxd.fetched", program=str(program))
    return program


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latigo"


def _is_version_1(program: Path) -> bool:
    """Return whether it is version 1: version 2 has a program of the same name, started in another way."""
    version = subprocess.run([program, "version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 -- from the path
    return "InfluxDB v1." in version.stdout


def _unpack(folder: Path) -> Path:
    """Fetch Debian's package and unpack it into ``folder``. Return the path of the program."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ConfigurationError(
            "influxd is not on the path, and can be fetched on Debian and Ubuntu only: install InfluxDB 1.x"
        )
    try:
        _run(folder, "apt-get", "-qq", "download", _PACKAGE)
    except subprocess.CalledProcessError:  # no package lists, as in a fresh container: get them
        lists = _package_lists_in(folder)
        try:
            _run(folder, "apt-get", *lists, "-qq", "update")
            _run(folder, "apt-get", *lists, "-qq", "download", _PACKAGE)
        except (subprocess.SubprocessError, OSError) as error:
            raise _not_fetched(error) from error
    except (subprocess.SubprocessError, OSError) as error:
        raise _not_fetched(error) from error
    (package,) = folder.glob(f"{_PACKAGE}_*.deb")
    _run(folder, "dpkg-deb", "--extract", str(package), "unpacked")
    return folder / "unpacked" / "usr" / "bin" / "influxd"


def _not_fetched(error: Exception) -> ConfigurationError:
    reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
    return ConfigurationError(f"influxd is not on the path, and Debian's package cannot be fetched: {reason[-500:]}")


def _package_lists_in(folder: Path) -> list[str]:
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return ["-o", f"Dir::State={folder}/state", "-o", f"Dir::Cache={folder}/cache"]


def _run(folder: Path, *command: str) -> None:
    subprocess.run(  # noqa: S603 -- fixed commands
        command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_LIMIT_S, check=True
    )


def _killed_with_parent() -> list[str]:
    """Return a prefix for the command that kills the server with this process, so that it does not hold its data.

    The signal is sent when the *thread* ends that started it; those of ``asyncio.to_thread`` live as long as the loop.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _wait_until_listening(process: "subprocess.Popen[bytes]", log: Path, clock: Clock) -> str:
    """Return the URL as soon as it is in the log."""
    deadline = clock.monotonic() + _STARTS_WITHIN_S
    while process.poll() is None and clock.monotonic() < deadline:
        if listening := _LISTENING.search(log.read_bytes()):
            return f"{'https' if listening[2] == b'true' else 'http'}://{listening[1].decode()}"
        time.sleep(0.01)
    end = log.read_bytes()[-2000:].decode("utf-8", "replace")
    raise Unavailable(f"influxd does not start: {end}", downstream=_DOWNSTREAM)
