"""Azure Event Hubs as task queue, with ownership and checkpoints in PostgreSQL."""
