"""Requests for stretches of time."""

from latigo.postgres.migrate import run_file

revision = "0016"
down_revision = "0014"


def upgrade() -> None:
    """Add the models of requests, and what a request for time keeps."""
    run_file("0016_requests.sql")
