"""Runs of windows of a model's past."""

from latigo.postgres.migrate import run_file

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Let several windows of a model's past be out at once."""
    run_file("0028_runs.sql")
