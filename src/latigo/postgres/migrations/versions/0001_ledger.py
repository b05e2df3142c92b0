"""The ledger itself."""

from latigo.postgres.migrate import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make tables, the clock and the views that people may rely on."""
    run_file("0001_ledger.sql")
