"""Model information: which models are to be predicted. Gordo executes them, and has their metadata."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby

from latigo.domain.model import DiscoveredProject
from latigo_tilstandomatic.database import NAME, Database, Options


class Models:
    """The models of a plant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ping(self) -> str:
        return f"{len(await self.get_projects())} projects"

    async def get_projects(self) -> Sequence[DiscoveredProject]:
        query = "SELECT project, name FROM models ORDER BY project, name"
        rows = await self._database.run(lambda file: file.execute(query).fetchall())
        return [
            DiscoveredProject(project, tuple(name for _, name in models))
            for project, models in groupby(rows, key=lambda row: row[0])
        ]


@asynccontextmanager
async def open_models(options: Options) -> AsyncIterator[Models]:
    """Open the list of models; the factory that the entry point names."""
    yield Models(Database(options, f"models/{NAME}"))
