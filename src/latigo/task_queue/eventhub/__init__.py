"""Azure Event Hubs as task queue, with its ownership and checkpoints in PostgreSQL.

Nothing is imported here: the migration that makes ``schema.sql`` must not need the client library.
"""
