"""Tasks in the ledger's own database."""

from latigo.postgres.migrate import run_file

revision = "0025"
down_revision = "0020"


def upgrade() -> None:
    """Add tasks in a queue, and who receives them."""
    run_file("0025_postgres_queue.sql")
