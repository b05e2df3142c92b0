"""How the service did, every five minutes: what pages draw as lines."""

from typing import NamedTuple

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements

SQL = load_statements("latigo.ledger", "sql/history.sql")


class Sample(NamedTuple):
    """How the service does now."""

    fresh: int  #: models
    stale: int
    live_oldest_s: float  #: age of the oldest live task that is out; 0: none is
    backlog: float  #: slots
    rate: float  #: slots a second, covered lately


async def keep_sample(database: Database, sample: Sample) -> None:
    """Keep how the service does now, in place of what was kept of these five minutes."""
    await database.execute(SQL["keep_sample"], *sample)
