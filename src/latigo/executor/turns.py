"""The order of calls to a model server: model by model, since it keeps few models in memory."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from latigo.domain.model import ModelRef

#: Calls of a model in a row, as many as windows are planned in a run; then the others have their turn.
RUN = 8


@dataclass(eq=False, slots=True)
class Turn:
    """A call that waits for its turn; ``model`` is None where no model is run."""

    model: ModelRef | None
    begins: "asyncio.Future[None]"
    live: bool = False


class Turns:
    """Calls that wait, and the models that the server most likely has in memory.

    A model that was called lately goes first while it has calls, up to `RUN` of them in a row; otherwise the first that
    came. Live calls come before others, which wait only until they have the places of all tasks at work: see `Gate`.
    A model has one call at a time: another would wait for the same lock, or load the model once more.

    Args:
        kept: models that the server keeps in memory.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._waiting: list[Turn] = []
        self._in_flight: set[ModelRef] = set()
        self._recent: OrderedDict[ModelRef, int] = OrderedDict()  #: calls in a row of each, the newest model last

    def add(self, turn: Turn) -> None:
        """Let a call wait."""
        self._waiting.append(turn)

    def withdraw(self, turn: Turn) -> None:
        """Let a call wait no longer."""
        self._waiting.remove(turn)

    def take(self) -> Turn | None:
        """Return the call whose turn it is, and count its model as in flight; None if none may begin."""
        ready = [
            turn
            for turn in self._waiting
            if not turn.begins.done() and (turn.model is None or turn.model not in self._in_flight)
        ]
        if not ready:
            return None
        ready = [turn for turn in ready if turn.live] or ready
        continued = (turn for turn in ready if turn.model and 0 < self._recent.get(turn.model, 0) < RUN)
        turn = next(continued, None)
        if turn is not None and turn.model is not None:
            self._remember(turn.model, self._recent[turn.model] + 1)
        else:
            turn = ready[0]
            if turn.model is not None:
                self._remember(turn.model, 1)
        self._waiting.remove(turn)
        return turn

    def ended(self, model: ModelRef | None) -> None:
        """Record that a call has ended."""
        if model is not None:
            self._in_flight.discard(model)

    def _remember(self, model: ModelRef, calls: int) -> None:
        self._in_flight.add(model)
        self._recent[model] = calls
        self._recent.move_to_end(model)
        while len(self._recent) > max(self._kept, len(self._in_flight)):
            self._recent.popitem(last=False)
