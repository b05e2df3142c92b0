"""Work that would hold up the event loop."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from typing import Final, TypeVar

T = TypeVar("T")

#: Bytes of a foreign document from which on reading it takes several milliseconds.
LARGE_DOCUMENT: Final = 64 << 10
_SORTED_AT_ONCE: Final = 10_000  #: texts; sorting lets no other thread run


async def off_loop(size: int, large: int, work: Callable[[], T]) -> T:
    """Return the result of the work; it is done in a thread if its ``size`` is ``large``."""
    return work() if size < large else await asyncio.to_thread(work)


def taken_out(items: list[T]) -> Iterator[T]:
    """Yield the items in order, each taken out of the list: a list releases all of them at once, and no thread runs."""
    items.reverse()
    while items:
        yield items.pop()


def in_order(texts: Sequence[str]) -> list[str]:
    """Return the texts sorted, each once; however many they are, other threads run in between."""
    parts = [sorted(texts[start : start + _SORTED_AT_ONCE]) for start in range(0, len(texts), _SORTED_AT_ONCE)]
    return [text for text, _ in groupby(merge(*parts))]
