"""What names the projects to predict, and what is posted to the Metadata API."""

from latigo.postgres.migrate import run_file

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the tables of discovery and of prediction metadata."""
    run_file("0015_discovery.sql")
