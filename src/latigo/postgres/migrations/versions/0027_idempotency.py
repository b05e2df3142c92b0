"""Idempotency keys of actions over HTTP."""

from latigo.postgres.migrate import run_file

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add idempotency keys."""
    run_file("0027_idempotency.sql")
