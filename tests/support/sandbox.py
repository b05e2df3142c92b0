"""The systems that processes of Latigo work with: the sandbox's Gordo in the test's loop, and a ledger."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from benchmarks.gordo_stub import StubPredictions
from latigo.sandbox.gordo import SandboxGordo, open_sandbox_gordo
from tests.support.outside import Outside, looking_at
from tests.support.postgres import database_on, execute
from tests.support.process import Service, Tables, a_project, newest_due, write_config

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1"


@dataclass
class Sandbox:
    """The systems around a process."""

    gordo: SandboxGordo
    ledger: Outside
    folder: Path
    models: int

    def config(self, *, predictions: Tables = (), sources: Tables = (), **sections: Mapping[str, Any]) -> Path:
        """A configuration for this plant; see `write_config`."""
        models = {"url": self.gordo.url, **sections.pop("models", {})}
        ledger = sections.pop("ledger", {"kind": "postgres", "url": self.ledger.url})
        return write_config(
            self.folder, predictions=predictions, sources=sources, models=models, ledger=ledger, **sections
        )

    async def whole(self, service: Service, *, within: float = 180.0) -> datetime:
        """Wait until everything is covered that is due by now; return the end of that time."""
        until = newest_due()
        await service.until(lambda: self.ledger.is_whole(self.models, until), within=within, what="all is covered")
        return until

    @asynccontextmanager
    async def holding(self, statement: str) -> AsyncIterator[None]:
        """Hold the locks of this statement in a transaction of the test."""
        connection = await asyncpg.connect(self.ledger.url)
        try:
            async with connection.transaction():
                await connection.execute(statement)
                yield
        finally:
            await connection.close()

    async def waits_in(self, service: Service, statement: str) -> None:
        """Wait until the process is kept waiting for a lock, in a statement that looks like this."""
        await service.until(lambda: self.ledger.value(_WAITING, statement), what=f"it waits in {statement}")

    @asynccontextmanager
    async def without_ledger(self) -> AsyncIterator[None]:
        """Refuse connections to the database, and end those that exist."""
        admin, name = database_on(self.ledger.url, "postgres"), urlsplit(self.ledger.url).path.removeprefix("/")
        await execute(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            await execute(admin, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            yield
        finally:
            await execute(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def executed(self) -> list[tuple[str, datetime]]:
        """Return every run of a model: its name, and the time of the last requested row."""
        return [(run.model, run.last) for run in self.gordo.controls.executed if run.last is not None]


@asynccontextmanager
async def open_sandbox(ledger_url: str, folder: Path, *, models: int) -> AsyncIterator[Sandbox]:
    """Such a plant, with so many models."""
    async with (
        open_sandbox_gordo(a_project(models), canned=StubPredictions()) as gordo,
        looking_at(ledger_url) as ledger,
    ):
        yield Sandbox(gordo, ledger, folder, models)
