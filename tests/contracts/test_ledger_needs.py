"""What is needed is what is desired and not there: the ledger's statements against slow and simple ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latigo.domain.coverage import Coverage
from latigo.domain.task import Lane
from latigo.domain.windows import DAY, Window, floor_to_slot
from latigo.ledger.protocol import Planned
from latigo.postgres.ranges import to_multirange
from tests.support.build import at
from tests.support.ledgers import Ledgers

HOUR = timedelta(hours=1)
NEVER = datetime.max.replace(tzinfo=UTC)  # infinity
RUN = 3
REACH = 30  # slots before the newest due one in which a model may have something
NOTHING = Coverage()
BEYOND = 2  # slots after it: what is not due yet may be covered or parked as well
LONG_AGO = 300  # slots before it in which a model may be covered in many pieces


@dataclass(frozen=True)
class Out:
    """A task that has not been settled."""

    span: Window
    lane: Lane
    state: str


@dataclass(frozen=True)
class Kept:
    """All that the ledger keeps of one model."""

    slot: timedelta
    delay: timedelta
    since: datetime
    fold: timedelta
    fold_limit: timedelta | None = None
    state: str = "active"
    paused: bool = False
    covered: Coverage = NOTHING
    expired: Coverage = NOTHING
    silent_since: datetime | None = None
    hold_until: datetime | None = None
    out: tuple[Out, ...] = ()
    exceptions: tuple[tuple[Coverage, datetime], ...] = ()
    parked: tuple[tuple[datetime | None, datetime | None], ...] = ()

    def is_settled(self, start: datetime, looked_at_after: datetime) -> bool:
        """Whether nothing has to be done about the slot, as its next look comes after that time, if ever."""
        return (
            start in self.covered
            or start in self.expired
            or any(start in task.span for task in self.out)
            or any(start in slots and next_look > looked_at_after for slots, next_look in self.exceptions)
            or any((low is None or low <= start) and (high is None or start < high) for low, high in self.parked)
        )

    def slots(self, end: datetime) -> list[datetime]:
        """The starts of its slots from the first one on, oldest first."""
        return [slot.start for slot in Window(self.since, end).slots(self.slot)] if self.since < end else []


def oldest_wanted(model: Kept, now: datetime, catch_up: timedelta) -> datetime:
    return floor_to_slot(now - catch_up, model.slot) + model.slot


def needed(model: Kept, now: datetime, catch_up: timedelta) -> tuple[Window | None, Window | None]:
    """A live window and one of backfill, by asking slot after slot."""
    live, back, _ = needed_in_runs(model, now, catch_up)
    return live, back


def needed_in_runs(
    model: Kept, now: datetime, catch_up: timedelta
) -> tuple[Window | None, Window | None, Sequence[Window]]:
    """The same, and what continues the window of backfill if the model is not silent."""
    if model.state != "active" or model.paused or (model.hold_until and model.hold_until > now):
        return None, None, ()
    starts, live = missing(model, now, catch_up)
    back = newest_run(starts, model)
    out = {task.lane.is_live for task in model.out if task.state != "waiting"}
    further = [window for _ in range(RUN) if model.silent_since is None and (window := newest_run(starts, model))]
    return None if True in out else live, None if False in out else back, () if False in out else further


def missing(model: Kept, now: datetime, catch_up: timedelta) -> tuple[list[datetime], Window | None]:
    """Slots that are missing, and the window of them that reaches up to the newest one, which is not among them."""
    newest = due_end(model, now) - model.slot
    oldest = oldest_wanted(model, now, catch_up)
    starts = [
        start
        for start in model.slots(newest + model.slot)
        if start >= oldest
        and not model.is_settled(start, now)
        and not (model.silent_since is not None and model.silent_since <= start < newest)
    ]
    return starts, newest_run(starts, model) if starts and starts[-1] == newest else None


def due_end(model: Kept, now: datetime) -> datetime:
    return max(floor_to_slot(now - model.delay, model.slot), model.since)


def newest_run(starts: list[datetime], model: Kept) -> Window | None:
    """The newest slots with no gap between them, as many as fit into one task; they are taken out of ``starts``."""
    if not starts:
        return None
    longest = min(model.fold, model.fold_limit or model.fold)
    end = starts[-1] + model.slot
    first = starts.pop()
    while starts and starts[-1] == first - model.slot and end - starts[-1] <= longest:
        first = starts.pop()
    return Window(first, end)


@dataclass(frozen=True)
class Repeated:
    """What is to be predicted again of one model, whether it is covered or not."""

    damaged: tuple[tuple[Window, datetime], ...]  #: that a claim may have written over, and from when it is repaired
    wanted: tuple[tuple[int, Coverage], ...]  #: by requests, the first one first, with the number of slots it had


def to_repair(model: Kept, repeated: Repeated, now: datetime) -> Window | None:
    """The newest window to repair, by asking slot after slot."""
    starts: set[datetime] = set()
    for span, due_at in repeated.damaged:
        if due_at <= now:
            first = floor_to_slot(span.start, model.slot)
            last = floor_to_slot(span.end - timedelta(microseconds=1), model.slot)
            starts.update(slot.start for slot in Window(first, last + model.slot).slots(model.slot))
    return newest_run(sorted(start for start in starts if is_free(model, start)), model)


def requested(
    model: Kept, repeated: Repeated, active: Sequence[bool], now: datetime, catch_up: timedelta
) -> tuple[Window, int] | None:
    """The newest window that a request wants and live does not take, and which request: the smallest, by asking."""
    _, live = missing(model, now, catch_up)
    end = live.start if live else due_end(model, now)
    by_size = sorted(range(len(repeated.wanted)), key=lambda number: (repeated.wanted[number][0], number))
    for number in by_size:
        slots = [slot.start for each in repeated.wanted[number][1].windows for slot in each.slots(model.slot)]
        window = newest_run([start for start in slots if start < end and is_free(model, start)], model)
        if active[number] and window:
            return window, number
    return None


def is_free(model: Kept, start: datetime) -> bool:
    """Whether no task has the slot, and it is not parked."""
    return not replace(model, covered=NOTHING, expired=NOTHING, exceptions=()).is_settled(start, start)


def expired_slots(model: Kept, now: datetime, catch_up: timedelta) -> int:
    """How many slots have fallen behind the catch-up without having been settled for good."""
    oldest = oldest_wanted(model, now, catch_up)
    final = NEVER - timedelta(microseconds=1)
    lost = [start for start in model.slots(oldest) if not model.is_settled(start, final)]
    return len(lost) if model.state == "active" else 0


@st.composite
def kept(draw: st.DrawFn, now: datetime) -> Kept:
    """Any state that a model can be in, and many that it should not."""
    slot = draw(st.sampled_from([HOUR / 2, HOUR, DAY]))
    delay = draw(st.sampled_from([timedelta(0), timedelta(minutes=5), timedelta(minutes=45), 3 * HOUR]))
    due = floor_to_slot(now - delay, slot)

    def time(places: st.SearchStrategy[int]) -> st.SearchStrategy[datetime]:
        return places.map(lambda place: due + place * slot)

    @st.composite
    def span(draw: st.DrawFn) -> Window:
        start = draw(time(st.integers(-REACH, BEYOND - 1)))
        return Window(start, start + draw(st.integers(1, 8)) * slot)

    rarely = st.integers(0, 9).map(lambda drawn: drawn == 0)
    coverage = st.lists(span(), max_size=4).map(Coverage.of)
    since, covered = draw(time(st.integers(-REACH, BEYOND))), draw(coverage)
    if draw(st.integers(0, 3)) == 0:  # in so many pieces that the ledger does not read all of them at once
        since = due - LONG_AGO * slot
        places = range(-LONG_AGO, draw(st.integers(-REACH, 0)), 2)
        pieces = Coverage.of(Window(due + place * slot, due + (place + 1) * slot) for place in places)
        covered = (covered | pieces) - draw(coverage)
    moments = st.sampled_from([now - 3 * HOUR, now, now + timedelta(microseconds=1), now + HOUR])
    bound = st.none() | time(st.integers(-REACH, BEYOND))
    parking = st.tuples(bound, bound).filter(lambda ends: not (ends[0] and ends[1]) or ends[0] < ends[1])
    out = [Out(draw(span()), Lane.LIVE, draw(st.sampled_from(["planned", "published", "claimed"])))] * draw(rarely)
    if draw(rarely):
        lane = draw(st.sampled_from([Lane.BACKFILL, Lane.REPAIR, Lane.MANUAL]))
        out.append(Out(draw(span()), lane, draw(st.sampled_from(["planned", "published", "claimed"]))))
    waiting = st.builds(Out, span(), st.sampled_from(Lane), st.just("waiting"))
    return Kept(
        slot=slot,
        delay=delay,
        since=since,
        fold=draw(st.integers(1, 12)) * slot,
        fold_limit=draw(st.none() | st.integers(1, 6).map(lambda slots: slots * slot)),
        state="disabled" if draw(rarely) else "active",
        paused=draw(rarely),
        covered=covered,
        expired=draw(coverage) if draw(rarely) else NOTHING,
        silent_since=draw(st.none() | time(st.integers(-REACH, BEYOND))),
        hold_until=draw(st.one_of([st.none()] * 3 + [moments])),
        out=(*out, *draw(st.lists(waiting, max_size=2))),
        exceptions=tuple(draw(st.lists(st.tuples(coverage, moments | st.just(NEVER)), max_size=3))),
        parked=tuple(draw(st.lists(parking, max_size=2))) if draw(rarely) else (),
    )


async def keep(ledgers: Ledgers, models: Sequence[Kept]) -> None:
    """Make the ledger hold these models and nothing else; they are called by their numbers."""
    async with ledgers.database.transaction() as connection:
        await connection.execute("DELETE FROM task")
        await connection.execute("DELETE FROM model")
        ids = await connection.fetch(
            "INSERT INTO model (project, name, revision, state, paused, since, slot, delay, fold, fold_limit, spec, "
            "first_seen) "
            "SELECT 'plant', n::text, '1', state, paused, since, slot, delay, fold, fold_limit, '{}', since "
            "FROM unnest($1::text[], $2::boolean[], $3::timestamptz[], $4::interval[], $5::interval[], $6::interval[], "
            "$7::interval[]) WITH ORDINALITY AS m (state, paused, since, slot, delay, fold, fold_limit, n) "
            "RETURNING id",
            *zip(*((m.state, m.paused, m.since, m.slot, m.delay, m.fold, m.fold_limit) for m in models), strict=True),
        )
        by_id = [(row["id"], model) for row, model in zip(ids, models, strict=True)]
        await connection.executemany(
            "INSERT INTO coverage (model_id, covered, expired, silent_since, hold_until) "
            "VALUES ($1, $2::text::tstzmultirange, $3::text::tstzmultirange, $4, $5)",
            [
                (id_, to_multirange(m.covered), to_multirange(m.expired), m.silent_since, m.hold_until)
                for id_, m in by_id
            ],
        )
        await connection.executemany(
            "INSERT INTO task (model_id, epoch, span, lane, state, planned_at) "
            "VALUES ($1, 1, tstzrange($2, $3), $4, $5, $2)",
            [(id_, t.span.start, t.span.end, t.lane.value, t.state) for id_, m in by_id for t in m.out],
        )
        await connection.executemany(
            "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots) "
            "VALUES ($1, 'absent', $2::integer::text, 0, $3, $4::text::tstzmultirange)",
            [
                (id_, number, next_look, to_multirange(slots))
                for id_, m in by_id
                for number, (slots, next_look) in enumerate(m.exceptions)
            ],
        )
        await connection.executemany(
            "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version) "
            "VALUES ($1, '1', $2::integer::text, '', tstzmultirange(tstzrange($3, $4)), now(), '')",
            [(id_, number, *ends) for id_, m in by_id for number, ends in enumerate(m.parked)],
        )


@st.composite
def plants(draw: st.DrawFn) -> tuple[datetime, timedelta, list[Kept]]:
    """A time, a catch-up and models."""
    now = at("00:00") + draw(st.integers(0, 24 * 60 - 1)) * timedelta(minutes=1)
    catch_up = draw(st.sampled_from([8 * HOUR, 3 * DAY, 30 * DAY]))
    return now, catch_up, draw(st.lists(kept(now), min_size=1, max_size=12))


async def test_a_hole_that_began_long_ago_is_filled_with_whole_windows_however_fragmented_the_rest_is(ledgers: Ledgers):
    """A coverage in many pieces is read in part only; no hole may be cut at the edge of that part."""
    now, slot = at("12:00"), HOUR / 2
    newest, pieces = Window(now - 13 * slot, now), range(-LONG_AGO, -20, 2)
    covered = Coverage.of([newest, *(Window(now + place * slot, now + (place + 1) * slot) for place in pieces)])
    model = Kept(slot, timedelta(0), now - LONG_AGO * slot, fold=4 * slot, covered=covered)
    await keep(ledgers, [model])
    await ledgers.set_clock(now)
    filled = []

    for _ in range(3):
        (need,) = await ledgers.scheduler.needs(30 * DAY)
        hole = need.windows[Lane.BACKFILL]
        filled.append((now - hole.end) / slot)
        assert hole == needed(model, now, 30 * DAY)[1]
        model = replace(model, covered=model.covered | Coverage((hole,)))
        await keep(ledgers, [model])

    assert filled == [13, 17, 22]  # the hole is 8 slots long; the next one lies behind a piece


ONE_DATABASE = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@ONE_DATABASE
@given(plants())
async def test_the_needs_are_what_asking_slot_after_slot_finds(
    ledgers: Ledgers, plant: tuple[datetime, timedelta, list[Kept]]
):
    now, catch_up, models = plant
    await keep(ledgers, models)
    await ledgers.set_clock(now)

    needs = {need.ref: need for need in await ledgers.scheduler.needs(catch_up)}

    result = {int(ref.name): tuple(map(need.windows.get, (Lane.LIVE, Lane.BACKFILL))) for ref, need in needs.items()}
    expected = {number: needed(model, now, catch_up) for number, model in enumerate(models, 1)}
    assert result == {number: windows for number, windows in expected.items() if windows != (None, None)}
    for ref, need in needs.items():
        covered = models[int(ref.name) - 1].covered
        assert need.covered_end == (covered.windows[-1].end if covered else None)
    filling = [
        Planned(need.model_id, need.epoch, need.windows[Lane.BACKFILL], Lane.BACKFILL)
        for need in needs.values()
        if Lane.BACKFILL in need.windows
    ]
    continued = await ledgers.scheduler.continued(filling, catch_up, RUN)
    further = {
        need.model_id: needed_in_runs(models[int(ref.name) - 1], now, catch_up)[2] for ref, need in needs.items()
    }
    expected_runs = {task.model_id: further[task.model_id] for task in filling if further[task.model_id]}
    assert continued == {(model_id, Lane.BACKFILL): windows for model_id, windows in expected_runs.items()}


@st.composite
def repeating(draw: st.DrawFn) -> tuple[datetime, timedelta, list[Kept], list[Repeated], list[bool]]:
    """The same, with what is to be repeated of the models, and which of the requests are active."""
    now, catch_up, models = draw(plants())
    active = draw(st.lists(st.booleans(), max_size=3))

    def spans(model: Kept) -> st.SearchStrategy[Window]:
        due = due_end(model, now)
        places = st.tuples(st.integers(-REACH, 0), st.integers(1, 8))
        return places.map(lambda ends: Window(due + ends[0] * model.slot, due + sum(ends) * model.slot))

    def repeated(model: Kept) -> st.SearchStrategy[Repeated]:
        half = st.sampled_from([timedelta(0), model.slot / 2])
        halves = st.tuples(spans(model), half).map(lambda cut: Window(cut[0].start + cut[1], cut[0].end))
        moments = st.sampled_from([now - HOUR, now, now + timedelta(microseconds=1)])
        coverage = st.lists(spans(model), max_size=3).map(Coverage.of)
        wanted = st.tuples(*(st.tuples(st.integers(1, 3), coverage) for _ in active))
        return st.builds(Repeated, st.lists(st.tuples(halves, moments), max_size=2).map(tuple), wanted)

    return now, catch_up, models, [draw(repeated(model)) for model in models], active


async def keep_repeated(ledgers: Ledgers, repeated: Sequence[Repeated], active: Sequence[bool], now: datetime) -> None:
    """Add what is to be repeated of the models that are kept; requests have the numbers of their places."""
    async with ledgers.database.transaction() as connection:
        await connection.execute("DELETE FROM request")
        await connection.executemany(
            "INSERT INTO request (id, kind, who, at, selector, state) OVERRIDING SYSTEM VALUE "
            "VALUES ($1, 'replace', 'law', $2, '{}', $3)",
            [(number, now, "active" if each else "paused") for number, each in enumerate(active)],
        )
        rows = await connection.fetch("SELECT id FROM model ORDER BY name::integer")
        by_id = [(row["id"], each) for row, each in zip(rows, repeated, strict=True)]
        await connection.executemany(
            "INSERT INTO repair (model_id, task_id, claim, due_at, slots) "
            "VALUES ($1, $2, 1, $3, $4::text::tstzmultirange)",
            [
                (id_, number, due_at, to_multirange(Coverage.of([span])))
                for id_, each in by_id
                for number, (span, due_at) in enumerate(each.damaged)
            ],
        )
        await connection.executemany(
            "INSERT INTO request_model (request_id, model_id, wanted, slots, open) "
            "VALUES ($1, $2, $3::text::tstzmultirange, $4, $5)",
            [
                (number, id_, to_multirange(wanted), slots, bool(wanted))
                for id_, each in by_id
                for number, (slots, wanted) in enumerate(each.wanted)
            ],
        )


@ONE_DATABASE
@given(repeating())
async def test_what_is_repaired_and_requested_is_what_asking_slot_after_slot_finds(
    ledgers: Ledgers, plant: tuple[datetime, timedelta, list[Kept], list[Repeated], list[bool]]
):
    now, catch_up, models, repeated, active = plant
    await keep(ledgers, models)
    await keep_repeated(ledgers, repeated, active, now)
    await ledgers.set_clock(now)

    needs = await ledgers.scheduler.needs(catch_up)

    result = {
        int(need.ref.name): (need.windows.get(Lane.REPAIR), need.windows.get(Lane.MANUAL), need.request)
        for need in needs
        if not need.windows.keys() <= {Lane.LIVE, Lane.BACKFILL}
    }
    expected: dict[int, tuple[Window | None, Window | None, int | None]] = {}
    for number, (model, each) in enumerate(zip(models, repeated, strict=True), 1):
        is_predicted = (
            model.state == "active" and not model.paused and not (model.hold_until and model.hold_until > now)
        )
        if is_predicted and all(task.lane.is_live or task.state == "waiting" for task in model.out):
            repair, request = to_repair(model, each, now), requested(model, each, active, now, catch_up)
            if repair or request:
                expected[number] = (repair, *(request or (None, None)))
    assert result == expected


@ONE_DATABASE
@given(plants())
async def test_whatever_is_needed_can_be_planned_and_is_then_not_needed_again(
    ledgers: Ledgers, plant: tuple[datetime, timedelta, list[Kept]]
):
    now, catch_up, models = plant
    await keep(ledgers, models)
    await ledgers.set_clock(now)
    term = await ledgers.scheduler.acquire_lease("scheduler-1", HOUR)
    assert term is not None

    needs = await ledgers.scheduler.needs(catch_up)
    planned = [Planned(n.model_id, n.epoch, window, lane) for n in needs for lane, window in n.windows.items()]

    assert await ledgers.scheduler.plan(term, planned) == len(planned)
    assert await ledgers.scheduler.needs(catch_up) == []


@ONE_DATABASE
@given(plants())
async def test_what_falls_behind_the_catch_up_is_recorded_once_and_changes_no_need(
    ledgers: Ledgers, plant: tuple[datetime, timedelta, list[Kept]]
):
    now, catch_up, models = plant
    await keep(ledgers, models)
    await ledgers.set_clock(now)
    term = await ledgers.scheduler.acquire_lease("scheduler-1", HOUR)
    assert term is not None
    before = await ledgers.scheduler.needs(catch_up)

    expired = await ledgers.scheduler.expire(term, catch_up)

    expected = {number: expired_slots(model, now, catch_up) for number, model in enumerate(models, 1)}
    assert {int(ref.name): slots for ref, slots in expired.items()} == {
        number: slots for number, slots in expected.items() if slots
    }
    assert await ledgers.scheduler.expire(term, catch_up) == {}
    assert await ledgers.scheduler.needs(catch_up) == before
