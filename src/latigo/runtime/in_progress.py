"""How many pieces of work are in progress, for requests that wait until no other can join them."""

from collections.abc import Callable


class InProgress:
    """A count of the work in progress in this process, and who wants to know that some of it has ended."""

    def __init__(self) -> None:
        self.count = 0
        self._listeners: list[Callable[[], None]] = []

    def on_end(self, listener: Callable[[], None]) -> None:
        """Call this each time a piece of work has ended."""
        self._listeners.append(listener)

    def begin(self) -> None:
        """Count one more."""
        self.count += 1

    def end(self) -> None:
        """Count one less."""
        self.count -= 1
        for listener in self._listeners:
            listener()
