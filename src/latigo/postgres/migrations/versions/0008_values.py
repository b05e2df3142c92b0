"""How many values of a model are not finite, and which slots lack rows for no fault of the readings."""

from latigo.postgres.migrate import run_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the share to what is known of a model, and an index of such slots."""
    run_file("0008_values.sql")
