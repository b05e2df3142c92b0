"""The SQLite file: options, calls within a time limit, and errors as Latigo knows them."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field

from latigo.domain.errors import TimedOut, Unavailable

T = TypeVar("T")

NAME = "tilstandomatic"
_OUT_OF_TIME = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT}
_BETWEEN_LOOKS = 10_000  #: steps of SQLite between two looks at the clock


class Options(BaseModel):
    """The options in the settings; Latigo checks them, and names a wrong one by its key."""

    path: Path
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0


class Database:
    """The file of a plant. Each call has a connection and a thread of its own, so that the event loop goes on."""

    def __init__(self, options: Options, downstream: str) -> None:
        self.downstream = downstream
        self._uri = f"{options.path.absolute().as_uri()}?mode=rw"  # a file that is not there is not created
        self._limit_s = options.timeout_s

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of the work, in one transaction.

        Raises:
            TimedOut, Unavailable: it took too long, or SQLite refused it.
            LatigoError: whatever the work raised.
        """
        try:
            return await asyncio.to_thread(self._run, work)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) in _OUT_OF_TIME:
                raise TimedOut(f"no answer within {self._limit_s:g} s", downstream=self.downstream) from error
            raise Unavailable(f"{type(error).__name__}: {error}", downstream=self.downstream) from error

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = sqlite3.connect(self._uri, uri=True, timeout=self._limit_s, isolation_level="IMMEDIATE")
        with closing(connection), connection:
            end = time.monotonic() + self._limit_s
            connection.set_progress_handler(lambda: time.monotonic() > end, _BETWEEN_LOOKS)
            return work(connection)


def create_plant(path: Path, tags: Sequence[str] = (), models: Sequence[tuple[str, str]] = ()) -> None:
    """Create the file of a plant with these sensors and models, by project and name."""
    schema = resources.files("latigo_tilstandomatic").joinpath("schema.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(schema)
        connection.executemany("INSERT INTO sensors VALUES (?)", ((tag,) for tag in tags))
        connection.executemany("INSERT INTO models VALUES (?, ?)", models)
