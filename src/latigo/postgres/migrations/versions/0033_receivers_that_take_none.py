"""Receivers that take no tasks."""

from latigo.postgres.migrate import run_file

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    """Let a receiver show that it takes no tasks."""
    run_file("0033_receivers_that_take_none.sql")
