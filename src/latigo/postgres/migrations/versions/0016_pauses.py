"""Pauses, with who, when and why."""

from latigo.postgres.migrate import run_file

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the table of pauses."""
    run_file("0016_pauses.sql")
