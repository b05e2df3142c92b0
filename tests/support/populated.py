"""A ledger of a large plant, filled by SQL, and `latigo serve` on it: nothing changes but what a test changes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import orjson

from benchmarks.planning import SPEC
from latigo.postgres.statements import load_statements
from tests.support.aside import Aside, loop_aside
from tests.support.postgres import database_on, execute, fresh_database
from tests.support.process import environment, write_config
from tests.support.waiting import wait_until

PLANT = load_statements("benchmarks", "plant.sql")
#: Of one who may act; with "-reads" at its end, of one who may not.
TOKEN = "token-of-the-operator"
HOSTILE = (
    "<b>bold</b><script>window.hostile = 1</script>",
    "\"quotes\" 'and' `ticks`",
    "n" * 200,
    "right \u202e to left",
    "two\nlines",
    "&amp; %2F ?q=1#x",
)
_MODELS = """
INSERT INTO model (project, name, revision, since, slot, delay, fold, spec, first_seen)
SELECT 'plant-' || n % 10,
       'unit-' || lpad(n::text, greatest(4, length(n::text)), '0')
           || (ARRAY['-pump', '-turbine', '-compressor'])[1 + n % 3],
       '1764547200000', date_bin('30 minutes', now() - interval '29 days', 'epoch'),
       '30 minutes', '5 minutes', '1 day', $2, now()
FROM generate_series(1, $1::int) AS n
"""
_ONE = """
INSERT INTO model (project, name, revision, since, slot, delay, fold, spec, first_seen)
VALUES ('hostile', $1, '1764547200000', date_bin('30 minutes', now() - interval '2 days', 'epoch'), '30 minutes',
        '5 minutes', '1 day', $2, now())
"""
_PROJECTS = """
INSERT INTO project (name, revision, models, listed_at)
SELECT project, '1764547200000', count(*), now() FROM model GROUP BY project ON CONFLICT DO NOTHING
"""
#: A scheduler that leads for as long as the tests need one.
_LEADS = """
UPDATE planner SET holder = 'elsewhere', lease_until = now() + interval '1 hour', term = term + 1
"""


class Served:
    """A process of `latigo serve`, started and ended from synchronous tests."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, port: int = 0) -> None:
        """Start it, and wait until it listens; port 0 is any."""
        log = self.config.with_suffix(".log")
        with log.open("wb") as output:
            process = self._process = subprocess.Popen(
                (sys.executable, "-m", "latigo", "serve", "--role", "executor", "--config", str(self.config)),
                cwd=self.config.parent,
                env={**environment(), "LATIGO_HTTP__PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

        def started() -> list[bytes]:
            if process.poll() is not None:
                raise AssertionError(log.read_text()[-4000:])
            return [line for line in log.read_bytes().splitlines() if b"http.started" in line]

        wait_until(started, within=120, what=str(log))
        self.url = str(orjson.loads(started()[0])["url"]).rstrip("/")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it do nothing while the block runs; its connections stay."""
        if self._process is None:
            raise RuntimeError("it has not been started")
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Populated:
    """The ledger and its server."""

    def __init__(self, ledger: str, served: Served, aside: Aside) -> None:
        self.ledger = ledger
        self.served = served
        self._aside = aside

    @property
    def url(self) -> str:
        """Of the pages, without a slash at the end."""
        return self.served.url

    def run(self, sql: str) -> None:
        """Change the ledger."""
        self._aside.run(execute(self.ledger, sql))

    @contextmanager
    def without_ledger(self) -> Iterator[None]:
        """Refuse connections to the ledger, and end those that exist."""
        admin, name = database_on(self.ledger, "postgres"), urlsplit(self.ledger).path.removeprefix("/")
        self._aside.run(execute(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        try:
            ends = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            self._aside.run(execute(admin, ends))
            yield
        finally:
            self._aside.run(execute(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


@contextmanager
def populated_plant(postgres_server: str, template: str, folder: Path, models: int, **http: Any) -> Iterator[Populated]:
    """Serve a ledger with so many models, of which some lack something, and with names that mean harm.

    ``http`` are settings of that section.
    """
    with loop_aside() as aside:
        opened = fresh_database(postgres_server, template=template)
        url = aside.run(_entered(opened))
        served = Served(config_for(url, folder, models, **http))
        try:
            aside.run(_fill(url, models))
            served.start()
            yield Populated(url, served, aside)
        finally:
            served.kill()
            aside.run(_left(opened))


async def _entered(context: AbstractAsyncContextManager[str]) -> str:
    return await context.__aenter__()


async def _left(context: AbstractAsyncContextManager[str]) -> None:
    await context.__aexit__(None, None, None)


def config_for(ledger: str, folder: Path, models: int, **http: Any) -> Path:
    """A configuration under which a process only serves: its queue is empty."""
    where = folder / f"of-{models}"
    where.mkdir()
    return write_config(
        where,
        ledger={"kind": "postgres", "url": ledger},
        task_queue={"kind": "postgres"},
        models={"url": "http://127.0.0.1:9", "projects": [f"plant-{n}" for n in range(10)]},
        http={"port": 0, "time_zone": "Asia/Kolkata", "tokens": _tokens(where), **http},
    )


def _tokens(where: Path) -> dict[str, dict[str, str]]:
    (where / "acts").write_text(TOKEN)
    (where / "reads").write_text(f"{TOKEN}-reads")
    return {"op1": {"file": str(where / "acts"), "may": "act"}, "op2": {"file": str(where / "reads"), "may": "read"}}


async def _fill(url: str, models: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        spec = orjson.dumps(SPEC).decode()
        if models:
            await connection.execute(_MODELS, models, spec)
            for name in HOSTILE:
                await connection.execute(_ONE, name, spec)
            await connection.execute(_PROJECTS)
            for statement in PLANT.values():
                await connection.execute(statement)
        await connection.execute(_LEADS)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
