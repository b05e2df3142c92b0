"""State behind the probes and the API."""

from collections.abc import Sequence

from latigo.domain.errors import Unavailable
from latigo.executor.loop import Executor
from latigo.ledger.protocol import DOWNSTREAM
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.runtime.heartbeat import Heartbeat
from latigo.web.api.context import Context, Kept
from latigo.web.probes import Probes
from latigo.wiring.answering import context_of
from latigo.wiring.executor_processes import ExecutorProcesses
from latigo.wiring.resources import Queue, Resources


class Readiness:
    """Not ready until every resource is open.

    Args:
        processes: executors below this process, which have to be ready as well.
    """

    def __init__(self, processes: ExecutorProcesses | None = None) -> None:
        self._processes = processes
        self.executor: Executor | None = None
        self.missing = "is starting"  #: why the process is not ready
        self._resources: Resources | None = None
        self._queue: Queue | None = None
        self._kept = Kept()

    def open(self, resources: Resources, queue: Queue) -> None:
        """Become ready."""
        self._resources, self._queue = resources, queue

    def close(self) -> None:
        """Stop being ready: the resources are about to be closed."""
        self.missing, self._resources, self._queue = "is being stopped", None, None

    def probes(self, heartbeat: Heartbeat) -> Probes:
        """Return the probes of this process: not live while a task is beyond its hard limit, not ready until opened."""
        checks = {"start": self._start, "ledger": self._ledger, "queue": self._check_queue}
        if self._processes is not None:
            checks["executors"] = self._processes.check
        return Probes(heartbeat, overdue=self._overdue, checks=checks)

    def _overdue(self) -> Sequence[str]:
        return self.executor.overdue if self.executor else ()

    async def _start(self) -> None:
        self._opened()

    async def _ledger(self) -> None:
        if self._resources is not None:
            if trouble := self._resources.database.trouble:
                raise Unavailable(trouble, downstream=DOWNSTREAM)
            ledger = PostgresSchedulerLedger(self._resources.database)
            await ledger.clock_skew(self._resources.clock.now())

    async def _check_queue(self) -> None:
        if self._queue is not None and (troubles := self._queue.troubles()):
            raise Unavailable("; ".join(dict.fromkeys(troubles)), downstream="task_queue")

    def context(self) -> Context:
        """Return what the API answers from.

        Raises:
            Unavailable: not everything is open.
        """
        return context_of(self._opened(), self._kept)

    def _opened(self) -> Resources:
        if self._resources is None:
            raise Unavailable(self.missing, downstream="start")
        return self._resources
