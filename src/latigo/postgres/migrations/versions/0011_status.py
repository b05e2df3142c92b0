"""Sensors without readings by name, and processes that cannot reach the task queue, for the status."""

from latigo.postgres.migrate import run_file

revision = "0011"
down_revision = "0008"


def upgrade() -> None:
    """Add the tags of exceptions, and the outages of the queue."""
    run_file("0011_status.sql")
