"""What a model that was deferred waits for, so that only that lets it go."""

from latigo.postgres.migrate import run_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the downstream to what is known of a model."""
    run_file("0005_holds.sql")
