"""The sink for predictions in the ledger's own database."""

from latigo.postgres.migrate import run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make what the PostgreSQL sink writes to."""
    run_file("0002_predictions.sql")
