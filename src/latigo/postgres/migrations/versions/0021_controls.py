"""What people change at run time."""

from latigo.postgres.migrate import run_file

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add limits, drained executors and dismissed failures, and coverage of slots of another length."""
    run_file("0021_controls.sql")
