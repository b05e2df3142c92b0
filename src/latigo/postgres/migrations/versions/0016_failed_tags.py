"""The tags that failures are about."""

from latigo.postgres.migrate import run_file

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the tags of what is parked, and indexes by tag."""
    run_file("0016_failed_tags.sql")
