"""Interface of a task queue.

The queue holds only the next minutes of work; everything else waits in the ledger. A queue may lose or repeat a task
without harm: claims make a repeat harmless, and the scheduler recovers lost tasks. Live tasks should overtake others,
and what an executor has not begun should go to others that can; neither is promised, since the weakest real
implementation can do neither.
"""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Protocol

from latigo.domain.task import Task


class Delivery(Protocol):
    """A received task. Until ``done`` returns, the queue may deliver it again, here or elsewhere."""

    @property
    def task(self) -> Task:
        """The task, as it was sent."""

    async def done(self) -> None:
        """Acknowledge the delivery. A second call changes nothing."""


class TaskSender(Protocol):
    """The scheduler's end of a queue."""

    @property
    def channel(self) -> str:
        """The name of the queue. A queue that does not outlive its process has a new name in every process."""

    @property
    def held(self) -> Collection[int] | None:
        """Ids of the tasks that wait or were delivered and are not done. None: the ledger itself can find that out."""

    async def publish(self, tasks: Sequence[Task], version: int) -> Mapping[int, str]:
        """Send tasks, in this order as far as the queue keeps one.

        Args:
            tasks: the tasks.
            version: of the envelope, where the queue needs one; one that every executor can read.

        Returns:
            The destination of each task that was sent, by task id: the channel, or ``<channel>#<partition>``. Other
            tasks (queue full, task too large, queue unreachable halfway or pausing after a failure) may be sent again.

        Raises:
            Unavailable: the queue cannot be reached, and no task was sent as far as is known.
        """


class TaskReceiver(Protocol):
    """An executor's end of a queue."""

    def receive(self) -> AsyncGenerator[Delivery]:
        """Yield deliveries without end.

        To stop receiving, stop iterating. Deliveries that are not done by then go to other executors: to finish them
        first, go on iterating until they are done.
        """

    @property
    def takes_back(self) -> bool:
        """Whether single deliveries can go to other executors now: the queue can do so, and there is another one."""

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Leave deliveries that were not begun to other executors, as long as `takes_back`.

        No more are received until another delivery is done, or all are.
        """

    def limit(self, concurrency: int) -> None:
        """Adapt what is received ahead to so many tasks at once, from now on.

        0: none will begin, so that the queue leaves everything to others that it can.
        """
