"""One statement for many calls: those that are made within a few milliseconds share it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from latigo.domain.errors import Unavailable
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

LARGEST_BATCH: Final = 200
#: Seconds in which calls are gathered. Reading and predicting take a hundred times as long.
GATHERING: Final = 0.005


async def gather_batch(waiting: asyncio.Queue[T]) -> list[T]:
    """Wait for an entry, and return it with those that follow within `GATHERING`."""
    batch = [await waiting.get()]
    await asyncio.sleep(GATHERING)
    while len(batch) < LARGEST_BATCH and not waiting.empty():
        batch.append(waiting.get_nowait())
    return batch


class _Call(NamedTuple, Generic[T, R]):
    item: T
    answer: "asyncio.Future[R]"


class Batches(Generic[T, R]):
    """Calls for many callers at once; every caller has an answer of its own.

    Args:
        together: answers several calls by their place, and waits for no lock. What it leaves out is asked alone.
        alone: answers one call and waits, if it has to, without the others.
        unwanted: receives an answer that its caller no longer waits for.
    """

    def __init__(
        self,
        together: Callable[[Sequence[T]], Awaitable[Mapping[int, R]]],
        alone: Callable[[T], Awaitable[R]],
        unwanted: Callable[[R], Awaitable[None]] | None = None,
    ) -> None:
        self._together = together
        self._alone = alone
        self._unwanted = unwanted
        self._waiting: asyncio.Queue[_Call[T, R]] = asyncio.Queue()

    async def ask(self, item: T) -> R:
        """Return the answer to a call.

        Raises:
            Unavailable: the ledger is unavailable.
        """
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Call(item, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            if not answer.cancelled() and answer.exception() is None:
                await self._drop(answer.result())  # it came in the moment in which the caller was cancelled
            raise

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for call in await self._ask_together(await gather_batch(self._waiting)):
                    group.create_task(self._ask_alone(call))

    async def _ask_together(self, batch: Sequence[_Call[T, R]]) -> Sequence[_Call[T, R]]:
        """Answer the calls of a batch. Return those that have to be asked alone."""
        batch = [call for call in batch if not call.answer.done()]
        if len(batch) < 2:
            return batch
        try:
            answers = await self._together([call.item for call in batch])
        except Unavailable as error:
            for call in batch:
                _fail(call, error)
            return ()
        except Exception as error:  # noqa: BLE001 - one bad call must not fail the others
            _log.warning("batch.separated", error=repr(error), count=len(batch))
            return batch
        for place, answer in answers.items():
            await self._answer(batch[place], answer)
        return [call for place, call in enumerate(batch) if place not in answers]

    async def _ask_alone(self, call: _Call[T, R]) -> None:
        try:
            answer = await self._alone(call.item)
        except Exception as error:  # noqa: BLE001 - it is the caller's
            _fail(call, error)
        else:
            await self._answer(call, answer)

    async def _answer(self, call: _Call[T, R], answer: R) -> None:
        if call.answer.done():
            await self._drop(answer)
        else:
            call.answer.set_result(answer)

    async def _drop(self, answer: R) -> None:
        if self._unwanted is not None:
            await self._unwanted(answer)


def _fail(call: _Call[T, R], error: Exception) -> None:
    if not call.answer.done():
        call.answer.set_exception(error)
