"""What slots were predicted from."""

from latigo.postgres.migrate import run_file

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add fingerprints of slots."""
    run_file("0026_fingerprints.sql")
