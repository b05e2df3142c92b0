"""Receipts of settled windows, and the tags that they count by."""

from latigo.postgres.migrate import run_file

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the receipt of a settled task, and keep the tags that models had before."""
    run_file("0019_receipts.sql")
