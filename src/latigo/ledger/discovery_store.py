"""The ledger for what names the projects and models to predict."""

from collections.abc import Sequence
from typing import Any

from latigo.domain.model import DiscoveredProject
from latigo.ledger.model_protocol import KnownDiscovery
from latigo.ledger.shared import kept
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements

SQL = load_statements("latigo.ledger", "sql/discovery.sql")


class PostgresDiscoveryLedger:
    """`DiscoveryLedger` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last(self, source: str) -> KnownDiscovery:
        for row in await self._database.fetch(SQL["last"], source):
            return KnownDiscovery(_read(row["named"]), _read(row["quarantined"]), row["quarantined_since"])
        return KnownDiscovery()

    async def named(self, source: str, projects: Sequence[DiscoveredProject]) -> None:
        await self._database.execute(SQL["named"], source, _written(projects))

    async def failed(self, source: str, error: str, *, alarm: bool) -> None:
        await self._database.execute(SQL["failed"], source, kept(error), alarm)

    async def quarantined(self, source: str, projects: Sequence[DiscoveredProject]) -> None:
        await self._database.execute(SQL["quarantined"], source, _written(projects))

    async def forget(self) -> None:
        await self._database.execute(SQL["forget"])


def _written(projects: Sequence[DiscoveredProject]) -> list[dict[str, Any]]:
    return [
        {"project": each.project, "models": None if each.models is None else list(each.models)} for each in projects
    ]


def _read(named: list[dict[str, Any]] | None) -> tuple[DiscoveredProject, ...] | None:
    if named is None:
        return None
    return tuple(
        DiscoveredProject(each["project"], None if each["models"] is None else tuple(each["models"])) for each in named
    )
