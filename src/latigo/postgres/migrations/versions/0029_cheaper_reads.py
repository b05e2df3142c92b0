"""Views and functions that cost less with a hundred thousand models."""

from latigo.postgres.migrate import run_file

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Replace views and functions by ones that answer the same for less work."""
    run_file("0029_cheaper_reads.sql")
