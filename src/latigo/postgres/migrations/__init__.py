"""The schema of the ledger, as Alembic revisions over ``.sql`` files."""
