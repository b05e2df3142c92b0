"""The task queue in the ledger's own database: any number of executors, and nothing more to operate."""

from latigo.task_queue.postgres.receiver import PostgresDelivery, PostgresReceiver, ReceiverTiming, open_receiver
from latigo.task_queue.postgres.sender import CHANNEL, PostgresSender

__all__ = ["CHANNEL", "PostgresDelivery", "PostgresReceiver", "PostgresSender", "ReceiverTiming", "open_receiver"]
