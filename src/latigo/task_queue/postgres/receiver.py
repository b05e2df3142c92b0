"""An executor's end: takes a few tasks at a time, and deletes them when they are done.

A task that is taken belongs to its receiver until that stops, or has not been seen for a while; then it is delivered
again. A model's tasks go to the same receiver as long as the same ones are there, unless it is busy.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from latigo.domain.errors import Unavailable
from latigo.domain.task import Task
from latigo.postgres.database import Database, changed_session
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.runtime.redaction import excerpt
from latigo.task_queue.ahead import Ahead
from latigo.task_queue.background import Background
from latigo.task_queue.envelope import TooNew, Unreadable, decode
from latigo.task_queue.postgres.sender import CHANNEL, NOTICES, SQL
from latigo.task_queue.protocol import Delivery

_log = get_logger(__name__)

_LONGEST_DETAIL: Final = 400  #: characters


@dataclass(frozen=True, slots=True)
class ReceiverTiming:
    """How often a receiver looks."""

    poll: timedelta = timedelta(seconds=2)  #: for tasks of which no notice came
    own: timedelta = timedelta(seconds=2)  #: how long a task waits for the receiver whose it is
    expiration: timedelta = timedelta(seconds=30)  #: then one that did not show itself has lost its tasks
    pause: timedelta = timedelta(seconds=1)  #: after a failure

    @property
    def beat(self) -> timedelta:
        """How often it shows that it is there."""
        return self.expiration / 6

    @property
    def absent(self) -> timedelta:
        """How long one does not show itself before other tasks of its models wait for it no longer."""
        return self.expiration / 3


@dataclass(frozen=True, slots=True, eq=False)
class PostgresDelivery:
    """A task that was taken."""

    task: Task
    acknowledge: "Callable[[int], asyncio.Future[None]]"

    async def done(self) -> None:
        await self.acknowledge(self.task.id)


class PostgresReceiver:
    """`TaskReceiver` on the ledger's database. Opened by `open_receiver`."""

    def __init__(self, database: Database, clock: Clock, name: str, concurrency: int, timing: ReceiverTiming) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._ahead: Ahead[int] = Ahead(concurrency)  #: by the task's id
        self._taking = asyncio.Lock()  #: what is taken and what is counted as taken are the same while it is free
        self._timing = timing
        self.share = (0, 1)  #: of the tasks, one of so many; of one that takes none, the last that it had
        self.takes_back = False
        self._done: dict[int, asyncio.Future[None]] = {}
        self._changed = asyncio.Event()  #: something may have become available
        self._ended = asyncio.Event()  #: something is done
        self._background = Background()

    async def open(self) -> None:
        """Show that the receiver is there, and go on with that."""
        with suppress(Unavailable):
            await self._show()
        for work in (self._beat, self._listen, self._delete):
            self._background.start(work(), f"queue{work.__name__}")

    async def close(self) -> None:
        """Leave all tasks to others."""
        await self._background.stop()
        await self._release()
        with suppress(Unavailable):  # it is forgotten after a while
            await self._database.execute(SQL["deregister"], self._name)
        for future in self._done.values():
            future.cancel()

    async def receive(self) -> AsyncGenerator[PostgresDelivery]:
        try:
            while True:
                self._background.raise_error()
                self._changed.clear()
                tasks = deque(await self._take())
                if not tasks:
                    await self._wait()
                while tasks and not self._ahead.takes_none:
                    yield PostgresDelivery(tasks.popleft(), self._acknowledge)
                await self._leave(task.id for task in tasks)
        finally:
            await asyncio.shield(self._release())

    def limit(self, concurrency: int) -> None:
        self._ahead.limit(concurrency)
        self._changed.set()

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        await self._leave(delivery.task.id for delivery in deliveries)

    async def _leave(self, task_ids: Iterable[int] = ()) -> None:
        """Leave tasks to others, as soon as the database is available."""
        self._ahead.give_back(*task_ids)
        try:
            async with self._taking, self._database.transaction() as connection:
                await self._leave_rest(connection)
        except Unavailable as error:
            _log.warning("queue.not_reached", error=str(error))

    async def _leave_rest(self, connection: Any) -> None:
        """Give back what no receiver knows to have.

        That is what was given back, what a statement has taken whose answer was lost, and what others have lost.
        """
        left = [row["taken_by"] for row in await connection.fetch(SQL["leave"], self._name, list(self._ahead))]
        if left:
            await connection.execute(SQL["wake"])
        if lost := len(left) - left.count(self._name):
            _log.warning("queue.delivered_again", count=lost)

    async def _beat(self) -> None:
        """Show that the receiver is there, and have delivered again what was lost, until cancelled."""
        while True:
            try:
                await self._show()
            except Unavailable as error:
                _log.warning("queue.not_reached", error=str(error))
            await self._clock.sleep(self._timing.beat)

    async def _listen(self) -> None:
        """Wait for notices of tasks, until cancelled; without them, the next poll finds the tasks."""
        while True:
            try:
                async with self._database.connection() as connection, changed_session(connection):
                    await self._listen_on(connection)
            except Unavailable as error:
                _log.warning("queue.not_reached", error=str(error))
            await self._clock.sleep(self._timing.pause)

    async def _listen_on(self, connection: Any) -> None:
        """Take notices until the connection ends."""
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        await connection.add_listener(NOTICES, self._notice)
        await ended.wait()

    async def _delete(self) -> None:
        """Delete what is done, all of it at once, until cancelled."""
        while True:
            await self._ended.wait()
            self._ended.clear()
            done, self._done = self._done, {}
            try:
                await self._database.execute(SQL["delete_done"], list(done), self._name)
            except Unavailable as error:
                _log.warning("queue.not_reached", error=str(error))
                self._done = done | self._done
                self._ended.set()
                await self._clock.sleep(self._timing.pause)
                continue
            self._ahead.end(*done)
            self._changed.set()  # there is room
            for future in done.values():
                if not future.done():
                    future.set_result(None)

    def _notice(self, *_: Any) -> None:
        self._changed.set()

    def _acknowledge(self, task_id: int) -> "asyncio.Future[None]":
        future = self._done.get(task_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            if task_id not in self._ahead:
                future.set_result(None)
                return future
            self._done[task_id] = future
            self._ended.set()
        return future

    async def _wait(self) -> None:
        """Wait until there may be a task, or the next poll is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.poll.total_seconds()):
                await self._changed.wait()

    async def _take(self) -> Sequence[Task]:
        room = (self._ahead.room_for_live, self._ahead.room_for_others)
        if not any(room):
            return ()
        timing = self._timing
        try:
            async with self._taking:
                rows = await self._database.fetch(
                    SQL["take"], self._name, *room, *self.share, timing.own, timing.absent
                )
                for row in rows:
                    self._ahead.take(row["task_id"], live=row["is_live"])
        except Unavailable as error:
            _log.warning("queue.not_reached", error=str(error))
            await self._clock.sleep(timing.pause)
            return ()
        ordered = sorted(rows, key=lambda row: (not row["is_live"], row["turn"], row["task_id"]))
        return [task for row in ordered if (task := await self._decoded(row))]

    async def _decoded(self, row: Any) -> Task | None:
        """Return the task of a message; one that cannot be read is recorded before it is deleted."""
        try:
            return decode(row["body"])
        except Unreadable as error:
            reason = "too_new" if isinstance(error, TooNew) else "unreadable"
            _log.error("message.refused", reason=reason, task=row["task_id"], error=str(error))
            detail = excerpt(str(error), _LONGEST_DETAIL)
            try:
                await self._database.execute(SQL["refuse"], CHANNEL, row["task_id"], reason, detail)
            except Unavailable as outage:
                _log.warning("queue.not_reached", error=str(outage))
                self._ahead.end(row["task_id"])  # it is delivered again
            else:
                await self._acknowledge(row["task_id"])
            return None

    async def _show(self) -> None:
        async with self._taking, self._database.transaction() as connection:
            await connection.execute(SQL["register"], self._name, not self._ahead.takes_none)
            await connection.execute(SQL["forget_receivers"], self._timing.expiration)
            await self._leave_rest(connection)
            names = [row["id"] for row in await connection.fetch(SQL["receivers"])]
        if self._name in names:
            self.share = (names.index(self._name), len(names))
        self.takes_back = any(name != self._name for name in names)

    async def _release(self) -> None:
        self._ahead.clear()
        await self._leave()


@asynccontextmanager
async def open_receiver(
    database: Database, clock: Clock, name: str, concurrency: int, timing: ReceiverTiming | None = None
) -> AsyncIterator[PostgresReceiver]:
    """Open the executor's end of the queue; its database may be unavailable.

    Args:
        database: the ledger's.
        clock: the machine's.
        name: that no other receiver has or had.
        concurrency: tasks that run at once.
        timing: how often it looks.
    """
    receiver = PostgresReceiver(database, clock, name, concurrency, timing or ReceiverTiming())
    try:
        await receiver.open()
        yield receiver
    finally:
        await receiver.close()
