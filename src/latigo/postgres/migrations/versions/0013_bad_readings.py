"""What sources have and cannot use, as each process counts it."""

from latigo.postgres.migrate import run_file

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the table of bad readings."""
    run_file("0013_bad_readings.sql")
