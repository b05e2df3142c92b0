"""How late readings are."""

from latigo.postgres.migrate import run_file

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add the counts of late readings."""
    run_file("0024_lateness.sql")
