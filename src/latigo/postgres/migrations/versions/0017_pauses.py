"""Pauses, with who, when and why."""

from latigo.postgres.migrate import run_file

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the table of pauses."""
    run_file("0017_pauses.sql")
