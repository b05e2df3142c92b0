"""Freshness of models, counted every five minutes; sums that a status shows."""

from latigo.postgres.migrate import run_file

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add what freshness is counted from, its counters, and the sums over all slots."""
    run_file("0020_freshness.sql")
