"""All pauses that hold a task."""

from latigo.postgres.migrate import run_file

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Name all that is paused of which a task is a part."""
    run_file("0032_all_pauses_of_a_task.sql")
