"""Behaviour of an emulator: troubles, and a record of what clients did.

Nothing here waits for time: a trouble reports that it has struck by an event, and lasts until it is lifted.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Literal, NamedTuple, Self

from latigo.sandbox.eventhub.addresses import EVERYWHERE, Place, Scope
from latigo.sandbox.eventhub.frames import Accepted, Performative
from latigo.sandbox.eventhub.hub import Refused
from latigo.sandbox.eventhub.links import RejectStyle, Settle

_FRAMES_KEPT = 20_000


class Traced(NamedTuple):
    """One frame, in or out; ``performative`` is None for an empty one. Payloads, which hold tokens, are not kept."""

    connection: int
    direction: Literal["in", "out"]
    channel: int
    performative: Performative | None
    payload_bytes: int


class Strikes(Enum):
    """Kinds of trouble, by what they strike."""

    CONNECTIONS = auto()  #: new ones are never answered
    LINKS = auto()  #: senders and receivers are refused
    SENDS = auto()  #: events are rejected, and not kept
    ACKNOWLEDGEMENTS = auto()  #: events are kept, and not acknowledged


@dataclass(eq=False)
class Trouble:
    """A misbehaviour that lasts until it is lifted, or has struck ``times`` times."""

    strikes: Strikes
    scope: Scope = EVERYWHERE
    error: Refused | None = None
    times: int | None = None
    met: int = 0
    withheld: list[Settle] = field(default_factory=list)
    lifted: bool = False
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    def meets(self, strikes: Strikes, place: Place | None) -> bool:
        """Return whether it strikes here, and count it."""
        if self.lifted or strikes is not self.strikes or (place is not None and place not in self.scope):
            return False
        if self.times is not None and self.met >= self.times:
            return False
        self.met += 1
        self._reached.set()
        return True

    async def reached(self, *, within: float = 120.0) -> None:
        """Return once it has struck.

        Raises:
            TimeoutError: not within so many seconds.
        """
        async with asyncio.timeout(within):
            await self._reached.wait()

    def lift(self) -> None:
        """End it. Acknowledgements that were withheld are sent; a connection that got no response never gets one."""
        self.lifted = True
        for settle in self.withheld:
            settle(Accepted())
        self.withheld.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.lift()


class Behaviour:
    """Troubles and counts of an emulator. Belongs to one event loop.

    ``counts`` has ``connections``, ``senders``, ``receivers``, ``links_stolen``, ``links_refused``, ``tokens``,
    ``tokens_refused``, ``questions`` (to $management), ``sends`` (a batch is one), ``sends_rejected``, ``events_in``
    and ``events_out``.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.trace: deque[Traced] = deque(maxlen=_FRAMES_KEPT)  #: the newest frames since `start_trace`
        self.on_frame: Callable[[Traced], None] | None = None  #: called with every frame, in or out
        self.strict_offsets = True  #: whether a position beyond the newest event is refused
        self.reject_style = RejectStyle.NULL_TERMINUS
        self._troubles: list[Trouble] = []
        self._changed = asyncio.Event()

    # -- recording ---------------------------------------------------------------------------------------------------

    def count(self, what: str, by: int = 1) -> None:
        """Add to a count."""
        self.counts[what] += by
        self._changed.set()

    async def counted(self, what: str, times: int = 1, *, within: float = 120.0) -> None:
        """Return once a count has reached ``times``.

        Raises:
            TimeoutError: not within so many seconds.
        """
        async with asyncio.timeout(within):
            while self.counts[what] < times:
                self._changed.clear()
                await self._changed.wait()

    def start_trace(self) -> None:
        """Keep the newest 20 000 frames in ``trace``."""
        self.on_frame = self.trace.append

    # -- troubles, until lifted --------------------------------------------------------------------------------------

    def withhold_acknowledgements(self, scope: Scope = EVERYWHERE, *, times: int | None = None) -> Trouble:
        """Keep events, and acknowledge them only when lifted."""
        return self.add_trouble(Trouble(Strikes.ACKNOWLEDGEMENTS, scope, times=times))

    def reject_sends(
        self,
        condition: str = "com.microsoft:server-busy",
        description: str = "as requested",
        scope: Scope = EVERYWHERE,
        *,
        times: int | None = None,
    ) -> Trouble:
        """Reject events."""
        return self.add_trouble(Trouble(Strikes.SENDS, scope, Refused(condition, description), times))

    def refuse_links(
        self,
        condition: str = "amqp:not-found",
        description: str = "as requested",
        scope: Scope = EVERYWHERE,
        *,
        times: int | None = None,
    ) -> Trouble:
        """Refuse senders and receivers, in the way of ``reject_style``."""
        return self.add_trouble(Trouble(Strikes.LINKS, scope, Refused(condition, description), times))

    def lift_all(self) -> None:
        """End every trouble."""
        for trouble in self._troubles:
            trouble.lift()
        self._troubles.clear()

    # -- used by the emulator ----------------------------------------------------------------------------------------

    def silences(self) -> bool:
        """Return whether a new connection gets no response."""
        return self._strike(Strikes.CONNECTIONS) is not None

    def check_link(self, place: Place) -> None:
        """Check that a link is not to be refused.

        Raises:
            Refused: it is to be refused.
        """
        self._refuse(Strikes.LINKS, place)

    def check_send(self, place: Place) -> None:
        """Check that events are not to be rejected.

        Raises:
            Refused: they are to be rejected.
        """
        try:
            self._refuse(Strikes.SENDS, place)
        except Refused:
            self.count("sends_rejected")
            raise

    def acknowledges(self, place: Place, settle: Settle) -> bool:
        """Return whether to acknowledge events now; if not, ``settle`` is called when the trouble is lifted."""
        trouble = self._strike(Strikes.ACKNOWLEDGEMENTS, place)
        if trouble is not None:
            trouble.withheld.append(settle)
        return trouble is None

    def _refuse(self, strikes: Strikes, place: Place) -> None:
        trouble = self._strike(strikes, place)
        if trouble is not None and trouble.error is not None:
            raise Refused(trouble.error.condition, str(trouble.error))

    def _strike(self, strikes: Strikes, place: Place | None = None) -> Trouble | None:
        return next((trouble for trouble in reversed(self._troubles) if trouble.meets(strikes, place)), None)

    def add_trouble(self, trouble: Trouble) -> Trouble:
        """Add a trouble, which strikes from now on."""
        self._troubles = [*(before for before in self._troubles if not before.lifted), trouble]
        return trouble
