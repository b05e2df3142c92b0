"""Writers of predictions: overtaken ones are refused, or what they may have overwritten is predicted again."""

from latigo.postgres.migrate import run_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add who wrote a prediction, who may be writing, and what has to be predicted again."""
    run_file("0007_fences.sql")
    run_file("0007_repairs.sql")
