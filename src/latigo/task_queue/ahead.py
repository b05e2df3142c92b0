"""How much a receiver may take ahead of its executor. Pure."""

from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

#: Tasks that are taken and not done, for each that runs at once; more would only keep work from others. Live ones have
#: places of their own, so that none waits behind what was taken before. Of the eight windows of a run two may run at
#: once, so that the others are enough models for all that may run.
LIVE_AHEAD: Final = 2
OTHERS_AHEAD: Final = 4

#: What names a task that was taken.
Key = TypeVar("Key", bound=Hashable)


class Ahead(Generic[Key]):
    """The tasks that a receiver has taken, and its room for more.

    An executor that has given tasks back is full: it takes none until one of those that it has kept is done.

    Args:
        concurrency: tasks that run at once; 0: none will begin, so none is taken.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._held: dict[Key, bool] = {}  #: whether each is live
        self._is_full = False

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __iter__(self) -> Iterator[Key]:
        return iter(self._held)

    @property
    def takes_none(self) -> bool:
        """Whether none will begin."""
        return self._concurrency == 0

    def limit(self, concurrency: int) -> None:
        """Change how many run at once."""
        self._concurrency, self._is_full = concurrency, False

    @property
    def room_for_live(self) -> int:
        """Number of live tasks that may be taken now."""
        return self._room(LIVE_AHEAD, live=True)

    @property
    def room_for_others(self) -> int:
        """Number of tasks of all other lanes that may be taken now."""
        return self._room(OTHERS_AHEAD, live=False)

    def _room(self, ahead: int, *, live: bool) -> int:
        held = [*self._held.values()].count(live)
        return 0 if self._is_full else max(ahead * self._concurrency - held, 0)

    def take(self, key: Key, *, live: bool) -> None:
        """Count a task as taken."""
        self._held[key] = live

    def end(self, *keys: Key) -> None:
        """Count tasks as done."""
        for key in keys:
            self._held.pop(key, None)
        self._is_full = False

    def give_back(self, *keys: Key) -> None:
        """Count tasks as given back to others."""
        if keys:
            self.end(*keys)
            self._is_full = bool(self._held)

    def clear(self) -> None:
        """Forget everything that was taken."""
        self._held.clear()
        self._is_full = False
