"""Rules that change while tasks are under way lose no coverage, and have nothing predicted again that is covered."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from latigo.actions.pausing import pause, resume
from latigo.domain.coverage import Coverage
from latigo.domain.errors import Misused, Reason
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Rejected, Retry, Settlement, SlotException, SlotState, Stored
from latigo.domain.schedule import Schedule
from latigo.domain.task import Lane
from latigo.domain.windows import DAY, Window, floor_to_slot
from latigo.ledger.protocol import Planned, Term
from latigo.postgres.ranges import to_coverage, to_window
from latigo.providers.protocols import ProjectModels
from latigo.scheduler.model_sync import ModelSync
from latigo.scheduler.selection import Selection
from tests.support.build import HALF_HOUR, NOW, a_spec
from tests.support.clock import ManualClock
from tests.support.gordo_replay import DictRoster
from tests.support.ledgers import Ledgers

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CATCH_UP, LEASE = 3 * DAY, timedelta(days=99)
PUMP = ModelRef("plant", "pump")
MOST_ROUNDS = 300


@dataclass(frozen=True)
class Rules:
    """What settings and people may change about a model."""

    interval: timedelta = HALF_HOUR
    delay: timedelta = 5 * MINUTE
    horizon: timedelta = 11 * HALF_HOUR
    max_window: timedelta = DAY
    enabled: bool = True
    excluded: bool = False
    paused: bool = False


@dataclass(frozen=True)
class Later:
    """Time passes."""

    by: timedelta


@dataclass(frozen=True)
class Work:
    """Tasks are planned, and some of them end; those that do not are still claimed when the rules change next."""

    ends: tuple[str, ...]  #: of the slots of a window, in turn; a word for the whole of it is first
    recovered: bool
    settled: int  #: of the tasks that are claimed then


WHOLE = ("refused", "retry", "silent")
SLOTS = ("covered", "covered", "covered", "absent", "short", "provisional")

rules = st.builds(
    Rules,
    interval=st.sampled_from([HALF_HOUR, HOUR, 2 * HOUR, 6 * HOUR, DAY]),
    delay=st.sampled_from([timedelta(0), 5 * MINUTE, 90 * MINUTE]),
    horizon=st.sampled_from([timedelta(0), 11 * HALF_HOUR, DAY]),
    max_window=st.sampled_from([HOUR, 4 * HOUR, DAY]),
    enabled=st.sampled_from([True, True, True, False]),
    excluded=st.sampled_from([True, False, False, False]),
    paused=st.sampled_from([True, False, False, False]),
)
later = st.builds(Later, st.sampled_from([10 * MINUTE, 45 * MINUTE, 5 * HOUR, 26 * HOUR]))
work = st.builds(
    Work,
    st.one_of(
        st.sampled_from([(each,) for each in WHOLE]),
        st.lists(st.sampled_from(SLOTS), min_size=1, max_size=5).map(tuple),
    ),
    recovered=st.booleans(),
    settled=st.integers(0, 4),
)
steps = st.lists(st.one_of(rules, later, work, work), max_size=14)


class Lists:
    """A `ModelInformationProvider` that has one model."""

    async def get_model_list(self, projects: Sequence[str]) -> Sequence[ProjectModels]:
        return [ProjectModels(project, "1000", ("pump",)) for project in projects]

    async def get_model_spec(self, name: ModelRef, revision: str) -> ModelSpec:
        return a_spec(name.name, project=name.project, revision=revision)


@dataclass
class World:
    """A ledger with one model, and what a person who watches it knows."""

    ledger: Ledgers
    clock: ManualClock
    now: datetime = NOW
    rules: Rules = field(default_factory=Rules)
    stored: Coverage = field(default_factory=Coverage)  #: every window that was settled as covered, and counted
    claims: list[Any] = field(default_factory=list)
    term: Term | None = None

    async def begin(self) -> None:
        async with self.ledger.database.transaction() as connection:
            for table in ("task", "model", "project", "pause"):
                await connection.execute(f"DELETE FROM {table}")
        await self.ledger.set_clock(self.now)
        self.term = await self.ledger.scheduler.acquire_lease("scheduler-1", LEASE)
        await self.change(self.rules)

    async def change(self, new: Rules) -> None:
        """Let these rules hold, as a scheduler with other settings and commands bring about."""
        self.rules = new
        if new.paused:
            await pause(self.ledger.database, "operator", "plant", "pump", "a test")
        else:
            with suppress(Misused):  # it was not paused
                await resume(self.ledger.database, "operator", "plant", "pump")
        sync = ModelSync(
            provider=Lists(),  # type: ignore[arg-type]  # only these are used
            roster=DictRoster(),
            selection=Selection(("plant",), exclude=("plant/pump",) if new.excluded else ()),
            ledger=self.ledger.models,
            schedule_of=lambda _: Schedule(new.interval, new.delay, new.horizon, new.enabled),
            max_window=new.max_window,
            clock=self.clock,
            version="test",
        )
        await sync.run_once()
        await self.check()

    async def wait(self, by: timedelta) -> None:
        self.now += by
        await self.ledger.set_clock(self.now)

    async def recover(self) -> None:
        assert self.term is not None
        await self.ledger.scheduler.recover(self.term, "", isolated_starts=99, version="test")
        await self.ledger.scheduler.expire(self.term, CATCH_UP)

    async def plan(self) -> int:
        """Plan whatever is needed; nothing of it may be covered, or be no slot, unless tasks of older slots are out."""
        assert self.term is not None
        before = {row["id"] for row in await self.ledger.fetch("SELECT id FROM task")}
        await self.ledger.scheduler.wake_waiting(self.term, blocked=(), most=99)
        needs = await self.ledger.scheduler.needs(CATCH_UP)
        stale = await self.ledger.fetch("SELECT FROM task t JOIN model m ON m.id = t.model_id WHERE t.epoch <> m.epoch")
        for need in () if stale else needs:
            (model,) = await self.ledger.fetch("SELECT slot FROM model WHERE id = $1", need.model_id)
            for window in need.windows.values():
                self.is_lacking(window, model["slot"])
        planned = [Planned(n.model_id, n.epoch, window, lane) for n in needs for lane, window in n.windows.items()]
        count = await self.ledger.scheduler.plan(self.term, planned)
        rows = await self.ledger.fetch("SELECT t.id, span, lane, slot FROM task t JOIN model m ON m.id = model_id")
        for row in rows:
            if row["id"] not in before and row["lane"] in {Lane.LIVE, Lane.BACKFILL}:
                self.is_lacking(to_window(row["span"]), row["slot"])
        return count

    def is_lacking(self, window: Window, slot: Any) -> None:
        assert (floor_to_slot(window.start, slot), floor_to_slot(window.end, slot)) == (window.start, window.end)
        for each in window.slots(slot):
            assert Coverage((each,)) - self.stored, f"{each} is covered, and planned again"

    async def claim(self) -> None:
        for row in await self.ledger.fetch("SELECT id, epoch FROM task WHERE state = 'planned' ORDER BY id"):
            claim = await self.ledger.claim(row["id"], row["epoch"], "executor-1", LEASE)  # type: ignore[arg-type]
            if claim is not None:
                slot: Any = (await self.ledger.fetch("SELECT slot FROM model"))[0]["slot"]
                self.claims.append((claim, slot))

    async def settle(self, ends: tuple[str, ...], most: int) -> None:
        for claim, slot in self.claims[:most]:
            settlement = ended(claim.window, slot, ends)
            counted = await self.ledger.executor.settle([(claim, settlement)])
            if counted and isinstance(settlement, Stored):
                self.stored |= settlement.covered
        del self.claims[:most]
        await self.check()

    async def check(self) -> None:
        """Whatever was stored is covered, in the view that others read."""
        rows = await self.ledger.fetch("SELECT covered FROM v_coverage")
        covered = Coverage.of(window for row in rows for window in to_coverage(row["covered"]))
        assert not self.stored - covered, "coverage was lost"

    async def accounted_for(self) -> None:
        """Every due slot is covered, excepted, parked, expired or held back by silence, and nothing else is desired."""
        (row,) = await self.ledger.fetch(
            "SELECT m.since, m.slot, c.covered, c.expired, c.silent_since,"
            " date_bin(m.slot, $1::timestamptz - m.delay, 'epoch') AS due,"
            " (SELECT range_agg(s) FROM slot_exception e, unnest(e.slots) AS s WHERE e.next_look > $1) AS excepted,"
            " (SELECT range_agg(s) FROM parked p, unnest(p.windows) AS s) AS parked"
            " FROM model m JOIN coverage c ON c.model_id = m.id",
            self.now,
        )
        known: Any = row
        parts = [known[name] for name in ("covered", "expired", "excepted", "parked") if known[name]]
        settled = Coverage.of(window for part in parts for window in to_coverage(part))
        if known["silent_since"] and known["silent_since"] < known["due"] - known["slot"]:
            settled |= Coverage((Window(known["silent_since"], known["due"] - known["slot"]),))
        low = max(known["since"], floor_to_slot(self.now - CATCH_UP, known["slot"]) + known["slot"])
        if low < known["due"]:
            assert not Coverage((Window(low, known["due"]),)) - settled


def ended(window: Window, slot: timedelta, ends: tuple[str, ...]) -> Settlement:
    """How a task ends: as a whole, or slot by slot."""
    if ends[0] == "refused":
        return Rejected(Reason.VALUES_REFUSED, "no")
    if ends[0] == "retry":
        return Retry("later")
    if ends[0] == "silent":
        absent = SlotException(SlotState.ABSENT, Coverage((window,)), "no data", ("a",))
        return Stored(exceptions=[absent], silent_since=window.start)
    slots = list(window.slots(slot))
    by_end = {end: Coverage.of(each for at, each in enumerate(slots) if ends[at % len(ends)] == end) for end in SLOTS}
    exceptions = [
        SlotException(SlotState(end), covered, "some")
        for end, covered in by_end.items()
        if end != "covered" and covered
    ]
    return Stored(covered=by_end["covered"], exceptions=exceptions, rows=1)


@settings(
    max_examples=80,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps)
async def test_whatever_changes_coverage_stays_and_only_what_lacks_it_is_predicted(
    ledgers: Ledgers, steps: list[Rules | Later | Work]
):
    world = World(ledgers, ManualClock())
    await world.begin()
    for step in steps:
        match step:
            case Rules():
                await world.change(step)
            case Later(by):
                await world.wait(by)
            case Work(ends, recovered, settled):
                if recovered:
                    await world.recover()
                await world.plan()
                await world.claim()
                await world.settle(ends, settled)

    await world.change(Rules(interval=world.rules.interval, delay=world.rules.delay, max_window=DAY))
    await world.settle(("covered",), len(world.claims))
    await world.wait(HOUR)  # longer than any back-off
    for _ in range(MOST_ROUNDS):
        await world.recover()
        if not await world.plan() and not await ledgers.fetch("SELECT FROM task"):
            break
        await world.claim()
        await world.settle(("covered",), len(world.claims))
    assert await ledgers.scheduler.needs(CATCH_UP) == []
    await world.accounted_for()
