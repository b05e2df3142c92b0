"""Lanes in the ledger's own queue."""

from latigo.postgres.migrate import run_file

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Let live tasks overtake others."""
    run_file("0030_lanes_in_the_queue.sql")
