"""${message}."""

from latigo.postgres.migrate import run_file

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Run the statements of the file next to this folder."""
    run_file("${up_revision}_name.sql")
