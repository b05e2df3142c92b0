"""The time at which a task was put into its queue, so that one that the queue has lost is detected."""

from latigo.postgres.migrate import run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the time to the tasks that are out."""
    run_file("0004_published.sql")
