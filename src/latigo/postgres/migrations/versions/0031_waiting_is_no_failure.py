"""A task that waits for the end of a pause is no failure."""

from latigo.postgres.migrate import run_file

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Leave what only waits out of the failures."""
    run_file("0031_waiting_is_no_failure.sql")
