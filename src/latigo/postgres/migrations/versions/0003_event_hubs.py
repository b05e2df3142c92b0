"""Ownership, checkpoints and the state of an event hub that serves as task queue."""

from latigo.postgres.migrate import run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make what the Event Hubs queue keeps in the ledger's database."""
    run_file("0003_event_hubs.sql")
