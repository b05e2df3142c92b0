"""Sinks that are required, what they lack, and requests that copy it."""

from latigo.postgres.migrate import run_file

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add what the ledger knows of sinks."""
    run_file("0023_sinks.sql")
