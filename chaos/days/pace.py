"""A clock that real processes and their PostgreSQL share, and on which days pass in minutes.

What scales: the time of day, of processes (`latigo.runtime.clock`) and of the ledger (``ledger_now()``), and with it
every pause and every duration that Latigo measures by its clock. A pause is never shorter than `LEAST_PAUSE_S` of real
time, or processes that look for work every second would turn without one. What does not scale: limits of calls
(``asyncio.timeout``, aiohttp, asyncpg), and the pauses of drivers between two attempts to reach a system. So limits
are generous, and what has to be longer than the real work of processes (leases) is set in real time: `real`.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Self

from latigo.runtime.clock import SystemClock

LEAST_PAUSE_S = 0.05


class Piece(NamedTuple):
    """A stretch of the clock's time, and how much faster than the machine's it passes."""

    lasting: timedelta
    speed: float


@dataclass(frozen=True)
class Pace:
    """How time passes: at the machine's speed until ``began``, then piece by piece; the last piece has no end."""

    start: datetime  #: the clock's time at ``began``
    began: float  #: seconds since the epoch, by the machine's clock
    pieces: Sequence[Piece]

    def at(self, second: float) -> datetime:
        """Return the clock's time at a second of the machine's clock."""
        start, begins, speed = next(corner for corner in reversed(self._corners()) if corner[1] <= second)
        return start + timedelta(seconds=(second - begins) * speed)

    def second_of(self, time_: datetime) -> float:
        """Return the second of the machine's clock at which it is this time."""
        start, begins, speed = next(
            corner for number, corner in reversed(list(enumerate(self._corners()))) if not number or corner[0] <= time_
        )
        return begins + (time_ - start).total_seconds() / speed

    def real(self, seconds: float) -> str:
        """Return a duration for settings that takes at least so many seconds of the machine."""
        return f"{round(seconds * max(piece.speed for piece in self.pieces))}s"

    def _corners(self) -> Sequence[tuple[datetime, float, float]]:
        """Return for each change of speed the clock's time, the machine's second, and the speed from there on."""
        times = accumulate((piece.lasting for piece in self.pieces[:-1]), initial=timedelta())
        seconds = accumulate((each.lasting.total_seconds() / each.speed for each in self.pieces[:-1]), initial=0.0)
        corners = [
            (self.start + time_, self.began + second, piece.speed)
            for time_, second, piece in zip(times, seconds, self.pieces, strict=True)
        ]
        return [(self.start - timedelta(seconds=self.began), 0.0, 1.0), *corners]

    def ledger_clock(self) -> str:
        """Return SQL that has a ledger go by this clock."""
        cases = " ".join(
            f"WHEN second >= {begins!r} THEN timestamptz '{start.isoformat()}' + (second - {begins!r}) * {speed!r}"
            " * interval '1 second'"
            for start, begins, speed in reversed(self._corners())
        )
        return (
            "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS $$"
            f" SELECT CASE {cases} END"
            " FROM (SELECT extract(epoch FROM clock_timestamp())::float8 AS second) AS machine $$"
        )

    def write(self, path: Path) -> None:
        """Write it for other processes."""
        pieces = [(piece.lasting.total_seconds(), piece.speed) for piece in self.pieces]
        path.write_text(json.dumps({"start": self.start.isoformat(), "began": self.began, "pieces": pieces}))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` has written."""
        content = json.loads(path.read_text())
        pieces = [Piece(timedelta(seconds=seconds), speed) for seconds, speed in content["pieces"]]
        return cls(datetime.fromisoformat(content["start"]), content["began"], pieces)


class PacedClock(SystemClock):
    """The clock of a process."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._ahead = time.time() - time.monotonic()

    def now(self) -> datetime:
        return self.pace.at(self._second())

    def monotonic(self) -> float:
        return (self.now() - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()

    async def sleep(self, duration: timedelta) -> None:
        if duration <= timedelta(0):
            await asyncio.sleep(0)
            return
        second = self._second()
        await asyncio.sleep(max(self.pace.second_of(self.pace.at(second) + duration) - second, LEAST_PAUSE_S))

    def _second(self) -> float:
        """Return the second of the machine's clock, as it was set when the process began."""
        return self._ahead + time.monotonic()
