"""Keeps grids of a few ranges in memory, so that many viewers cost what one costs.

A grid is renewed when a viewer asks and the last one is old enough: at most every 15 s, and all ranges together for at
most a tenth of the time. So nothing is made while nothing is asked for. Numbers are worked out in a thread.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import uuid4

from latigo.domain.errors import LatigoError, Misused, Unavailable
from latigo.postgres.database import Database
from latigo.reports.grid import SQL, Memory, read_ledger, to_image
from latigo.reports.grid_axis import choose_axis
from latigo.reports.grid_cells import Axis
from latigo.reports.grid_view import Grid, View, Wanted
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.runtime.times import parse_time

EVERY: Final = timedelta(seconds=15)
#: Renewing all ranges that have viewers takes at most this share of the time.
SHARE: Final = 0.1
FULL_EVERY: Final = timedelta(minutes=10)
KEPT_FOR: Final = timedelta(seconds=60)  #: a version that has been replaced
IDLE_AFTER: Final = timedelta(minutes=2)  #: without a question, a range is not renewed any more
OLDEST: Final = timedelta(minutes=2)  #: that is shown while the ledger does not answer
MOST_RANGES: Final = 3
MOST_OCTETS: Final = 160_000_000  #: of grids, and of versions that were given out
_LEAST_FOR_VERSIONS: Final = 32_000_000  #: of that
MOST_CHANGES: Final = 500
_MOST_VERSIONS: Final = 500
_READ_LIMIT: Final = timedelta(seconds=30)
_LOOK_LIMIT: Final = timedelta(seconds=10)  #: of a look for changes; what takes longer is seen by a later one
_DEFAULT_SLOT: Final = timedelta(minutes=30)

_log = get_logger(__name__)


class Range(NamedTuple):
    """A range of time as it was asked for; a relative one moves on."""

    start: str
    end: str
    step: timedelta | None = None


class Gone(LatigoError):
    """A version of a grid is not kept any more."""


@dataclass(slots=True)
class _Kept:
    """What is kept of a range; times are of the monotonic clock."""

    memory: Memory = field(default_factory=Memory)
    grid: Grid | None = None
    checked: datetime | None = None  #: until when the grid is right, by the ledger's clock
    began: float = float("-inf")
    ended: float = float("-inf")  #: of the last time that it could be made
    took: float = 0.0
    full_at: float = float("-inf")
    asked_at: float = float("-inf")
    making: asyncio.Task[Grid] | None = None

    @property
    def octets(self) -> int:
        return self.memory.octets + (self.grid.octets if self.grid else 0)


@dataclass(slots=True)
class _Version:
    """A view that was given out."""

    range: Range
    wanted: Wanted
    view: View | None
    replaced_at: float | None = None  #: when there was a newer grid; None: it is the newest


class Changes(NamedTuple):
    """What has changed since the last time this was asked."""

    number: int  #: rises with every change
    rows: Sequence[int]  #: ids of models whose cells have changed in any range
    reload: bool  #: the rows are not all: the whole grid is another one


class GridKeeper:
    """Keeps grids by range, and the views of them that were given out by version.

    Args:
        database: the ledger's.
        clock: the machine's.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database.limited(_READ_LIMIT)
        self._clock = clock
        self._ranges: OrderedDict[Range, _Kept] = OrderedDict()
        self._versions: OrderedDict[str, _Version] = OrderedDict()
        self._process = uuid4().hex[:6]
        self._one_at_a_time = asyncio.Lock()
        self._made = 0
        self._changed: set[int] = set()
        self._reload = False
        self._number = 0

    async def view(self, asked: Range, wanted: Wanted) -> tuple[str, datetime, View]:
        """Return a view of the newest grid of a range, the version by which it is asked for again, and its time.

        Raises:
            Misused: the range cannot be used.
            Unavailable: there is no grid that is new enough.
        """
        grid = await self._grid(asked)
        view = await asyncio.to_thread(View, grid, wanted)
        return self._version_of(asked, wanted, view), self._checked(asked, grid), view

    def known(self, version: str) -> View:
        """Return the view of a version.

        Raises:
            Gone: it is not kept any more.
        """
        known = self._find(version)
        if known.view is None:
            raise Gone("this version of the grid is not kept any more: ask for the grid again")
        return known.view

    async def newest(self, version: str) -> tuple[Grid, datetime]:
        """Return the newest grid of the range of a version, and its time.

        Raises:
            Gone: nothing is known of the version any more.
            Unavailable: as `view`.
        """
        asked = self._find(version).range
        grid = await self._grid(asked)
        return grid, self._checked(asked, grid)

    async def changes(self) -> Changes | None:
        """Renew every range that has viewers; return what has changed since the last time, if anything."""
        for kept_range, kept in list(self._ranges.items()):
            if self._has_viewers(kept) and self._is_due(kept):
                try:
                    async with asyncio.timeout(_LOOK_LIMIT.total_seconds()):
                        await self._make(kept_range, kept)
                except (TimeoutError, LatigoError) as error:
                    _log.debug("grid.not_made", error=str(error))
        if not self._changed and not self._reload:
            return None
        rows, other = sorted(self._changed), self._reload or len(self._changed) > MOST_CHANGES
        self._changed, self._reload = set(), False
        self._number += 1
        return Changes(self._number, [] if other else rows, other)

    async def _grid(self, asked: Range) -> Grid:
        if asked not in self._ranges:
            await self._axis(asked)  # what cannot be made takes no other's place
        kept = self._ranges.setdefault(asked, _Kept())
        self._ranges.move_to_end(asked)
        kept.asked_at = self._clock.monotonic()
        self._forget()
        if kept.grid is None:
            return await self._make(asked, kept)
        if self._is_due(kept):
            try:
                async with asyncio.timeout(1.0):  # what there is will do where the next one takes longer
                    return await self._make(asked, kept)
            except (TimeoutError, LatigoError):
                if self._clock.monotonic() - kept.ended > OLDEST.total_seconds():
                    raise Unavailable("the ledger does not answer", downstream="ledger") from None
        return kept.grid

    def _checked(self, asked: Range, grid: Grid) -> datetime:
        kept = self._ranges.get(asked)
        return kept.checked if kept and kept.checked and kept.grid is grid else grid.at

    def _is_due(self, kept: _Kept) -> bool:
        return kept.making is None and self._clock.monotonic() >= kept.began + self._interval()

    def _has_viewers(self, kept: _Kept) -> bool:
        return kept.asked_at > self._clock.monotonic() - IDLE_AFTER.total_seconds()

    def _interval(self) -> float:
        """Seconds from one renewal of a range to its next: each waits for what all take, so that none starves."""
        together = sum(kept.took for kept in self._ranges.values() if self._has_viewers(kept))
        return max(EVERY.total_seconds(), together / SHARE)

    async def _make(self, asked: Range, kept: _Kept) -> Grid:
        """Make a grid once for all who wait for it; it is made to its end, also if all of them leave."""
        if kept.making is None:
            kept.making = asyncio.create_task(self._make_now(asked, kept), name="grid")
            kept.making.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # seen, though all have left
        return await asyncio.shield(kept.making)

    async def _make_now(self, asked: Range, kept: _Kept) -> Grid:
        try:
            async with self._one_at_a_time:
                if self._ranges.get(asked) is not kept:
                    raise Unavailable("more ranges are asked for than are kept", downstream="grid")
                return await self._read(asked, kept)
        finally:
            kept.making = None

    async def _read(self, asked: Range, kept: _Kept) -> Grid:
        began = self._clock.monotonic()
        try:
            axis = await self._axis(asked)
            full = began - kept.full_at >= FULL_EVERY.total_seconds() or kept.memory.axis != axis
            if full:
                kept.memory.axis = None
            read = await read_ledger(self._database, axis, kept.memory)
            grid = await asyncio.to_thread(lambda: Grid.of(to_image(read)))
            if full:
                kept.full_at = began
            kept.checked, kept.ended = grid.at, self._clock.monotonic()
            kept.grid = self._replaced(asked, kept.grid, grid)
            return kept.grid
        finally:
            kept.began, kept.took = began, self._clock.monotonic() - began

    async def _axis(self, asked: Range) -> Axis:
        now = self._clock.now()
        try:
            start, end = parse_time(asked.start, now), parse_time(asked.end, now)
        except ValueError as error:
            raise Misused(str(error)) from None
        usual = await self._database.row(SQL["usual_slot"])
        slot, models = (usual["slot"] or _DEFAULT_SLOT, usual["models"]) if usual else (_DEFAULT_SLOT, 0)
        return choose_axis(start, end, asked.step, slot, models)

    def _replaced(self, asked: Range, old: Grid | None, new: Grid) -> Grid:
        """Return the grid to keep: the old one, if nothing has changed."""
        if old is not None:
            changed = new.changed_rows(old)
            if changed is None:
                self._reload = True
            elif not len(changed) and new.causes == old.causes:
                return old
            else:
                self._changed |= set(changed.tolist())
        now = self._clock.monotonic()
        for version in self._versions.values():
            if version.range == asked and version.replaced_at is None:
                version.replaced_at = now
        self._made += 1
        return new

    def _version_of(self, asked: Range, wanted: Wanted, view: View) -> str:
        for version, known in reversed(self._versions.items()):
            if (
                known.view is not None
                and known.view.grid is view.grid
                and (known.range, known.wanted) == (asked, wanted)
            ):
                return version
        version = f"{self._process}-{self._made}-{uuid4().hex[:6]}"
        self._versions[version] = _Version(asked, wanted, view)
        return version

    def _find(self, version: str) -> _Version:
        self._forget()
        if version not in self._versions:
            raise Gone("this version of the grid is not known any more: ask for the grid again")
        self._versions.move_to_end(version)
        return self._versions[version]

    def _forget(self) -> None:
        """Forget versions that were replaced, and the ranges that were used least, as far as they are too many."""
        now = self._clock.monotonic()
        for known in self._versions.values():
            if known.replaced_at is not None and now - known.replaced_at > KEPT_FOR.total_seconds():
                known.view = None
        while len(self._versions) > _MOST_VERSIONS:
            self._versions.popitem(last=False)
        while len(self._ranges) > 1 and (len(self._ranges) > MOST_RANGES or self._octets() > MOST_OCTETS):
            dropped, _ = self._ranges.popitem(last=False)
            for known in self._versions.values():
                if known.range == dropped:
                    known.view = None
        room = max(MOST_OCTETS - self._octets(), _LEAST_FOR_VERSIONS)
        counted = {id(each.grid) for each in self._ranges.values()}
        for known in reversed(self._versions.values()):
            if known.view is not None:
                grid = known.view.grid
                room -= known.view.octets + (0 if id(grid) in counted else grid.octets)
                counted.add(id(grid))
                if room < 0:
                    known.view = None

    def _octets(self) -> int:
        """Memory of the ranges, about."""
        return sum(each.octets for each in self._ranges.values())
