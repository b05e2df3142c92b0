"""What Latigo asks of a task queue, on one screen.

The queue holds only the next minutes of work; the ledger is the waiting room. So a queue may lose or repeat a task
without harm: claims make a repeat harmless, and the scheduler finds what is lost. Promised is only what the weakest
real implementation can keep: there is no order, no priority, no negative acknowledgement.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from latigo.domain.task import Task


class Delivery(Protocol):
    """One task in our hands. Until ``done`` returns, the queue may hand it out again, here or elsewhere."""

    @property
    def task(self) -> Task:
        """The task, as it was sent."""

    async def done(self) -> None:
        """No further attempt is needed from this delivery. Doing it twice changes nothing."""


class TaskSender(Protocol):
    """Where the scheduler puts tasks."""

    @property
    def channel(self) -> str:
        """Names the queue. A queue that does not outlive its process has a new name in every process."""

    async def publish(self, tasks: Sequence[Task], version: int) -> Mapping[int, str]:
        """Put tasks into the queue, in this order as far as it keeps one.

        Args:
            tasks: what to send.
            version: of the envelope, where the queue needs one; every executor can read it.

        Returns:
            Where each task went that the queue took, by its id: the channel, or ``<channel>#<partition>``. What it did
            not take (full, too large, away halfway, or away a moment ago) may be sent again.

        Raises:
            Unavailable: the queue is away and took nothing, as far as is known.
        """


class TaskReceiver(Protocol):
    """Where executors get tasks."""

    def receive(self) -> AsyncGenerator[Delivery]:
        """Yield deliveries as they come, forever.

        Stop iterating to stop receiving. What was not done by then is for others, whoever still works on it: whoever
        wants to finish first what it has begun goes on iterating until it has.
        """
