"""The task queue in the ledger's own database: any number of executors, and nothing more to operate."""

from latigo.task_queue.postgres.receiver import PostgresReceiver, open_receiver
from latigo.task_queue.postgres.sender import CHANNEL, PostgresSender

__all__ = ["CHANNEL", "PostgresReceiver", "PostgresSender", "open_receiver"]
