"""A small plant that a process of Latigo works for: a Gordo stand-in in the test's loop, a ledger, a place for files."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from latigo.standins.gordo import GordoStandin, running_standin
from tests.support.outside import Outside, looking_at
from tests.support.process import Service, a_project, newest_due, write_config


@dataclass
class Site:
    """Everything around a process."""

    gordo: GordoStandin
    ledger: Outside
    folder: Path
    models: int

    def config(self, **sections: Mapping[str, Any]) -> Path:
        """A configuration for this plant; see `write_config`."""
        models = {"url": self.gordo.url, **sections.pop("models", {})}
        ledger = sections.pop("ledger", {"kind": "postgres", "url": self.ledger.url})
        return write_config(self.folder, models=models, ledger=ledger, **sections)

    async def whole(self, service: Service, *, within: float = 40.0) -> datetime:
        """Wait until everything is covered that is due by now; up to when that is."""
        until = newest_due()
        await service.until(lambda: self.ledger.is_whole(self.models, until), within=within, what="all is covered")
        return until

    def executed(self) -> list[tuple[str, datetime]]:
        """Every run of a model: which one, and the last row that was asked for."""
        return [(run.model, run.last) for run in self.gordo.controls.executed if run.last is not None]


@asynccontextmanager
async def open_site(ledger_url: str, folder: Path, *, models: int) -> AsyncIterator[Site]:
    """Such a plant, with so many models."""
    async with running_standin(a_project(models), stub=True) as gordo, looking_at(ledger_url) as ledger:
        yield Site(gordo, ledger, folder, models)
