"""The identity of a ledger, by which its messages differ from those of other ledgers and of a time before a restore."""

from latigo.postgres.migrate import run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the identity, and what was received that contradicts it."""
    run_file("0006_identity.sql")
