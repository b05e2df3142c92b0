"""Revisions, models that vanish, and models that are expected."""

from latigo.postgres.migrate import run_file

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add what the ledger keeps of revisions, and of models that vanish or are expected."""
    run_file("0022_revisions.sql")
