"""Azure Event Hubs as task queue, with its ownership and checkpoints in PostgreSQL."""
