"""An older program that holds a claim counts as its writer from its first write on."""

from latigo.postgres.migrate import run_file

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Let new rows of an older program have the fence of the claim that is held there."""
    run_file("0012_older_programs.sql")
