"""Requests for stretches of time."""

from latigo.postgres.migrate import run_file

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the models of requests, and what a request for time keeps."""
    run_file("0018_requests.sql")
