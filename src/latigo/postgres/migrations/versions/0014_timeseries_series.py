"""Ids of series in the Timeseries API are kept for a day."""

from latigo.postgres.migrate import run_file

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the cache of ids."""
    run_file("0014_timeseries_series.sql")
