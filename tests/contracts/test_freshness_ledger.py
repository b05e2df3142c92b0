"""Freshness in the ledger: which models are stale, what is counted, and sums over all slots."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

import pytest

from latigo.actions.draining import drain
from latigo.domain.circuits import System
from latigo.domain.errors import Reason
from latigo.domain.freshness import FRESH, KEPT, PERIOD, Cause
from latigo.domain.outcome import NO_FINITE_VALUES, NOT_STORED
from latigo.domain.windows import Window
from latigo.ledger.freshness import Block
from latigo.ledger.freshness_store import PostgresFreshnessLedger
from latigo.ledger.protocol import ExecutorInfo, LeaseLost, Term
from latigo.ledger.queue_outages import QueueOutages
from latigo.postgres.ranges import to_range
from latigo.reports.status import Status, read_status
from latigo.settings import ObjectiveSettings
from tests.support.build import HALF_HOUR, NOW, an_entry, at, window
from tests.support.ledgers import Ledgers

MINUTE, SECOND, HOUR = timedelta(minutes=1), timedelta(seconds=1), timedelta(hours=1)
#: How old the newest predictions may be: the delay, and two slots.
ALLOWED = timedelta(minutes=65)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    return ledgers


@pytest.fixture
def counters(ledger: Ledgers) -> PostgresFreshnessLedger:
    return PostgresFreshnessLedger(ledger.database)


async def lead(ledger: Ledgers, holder: str = "scheduler-1") -> Term:
    term = await ledger.scheduler.acquire_lease(holder, timedelta(days=365))
    assert term is not None
    return term


async def covered_until(ledger: Ledgers, ends: Mapping[str, datetime], *, project: str = "plant") -> None:
    """Models that are covered until then."""
    await ledger.models.put_models([an_entry(name, project=project) for name in ends])
    for name, end in ends.items():
        await ledger.fetch(
            "UPDATE coverage SET covered = tstzmultirange($3) FROM model m"
            " WHERE m.id = model_id AND m.project = $1 AND m.name = $2",
            *(project, name, to_range(Window(end - 2 * HOUR, end))),
        )


async def excepted(ledger: Ledgers, name: str, state: str, reason: str, slots: Window) -> None:
    await ledger.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
        " SELECT id, $2, $3, 1, 'infinity', tstzmultirange($4) FROM model WHERE name = $1",
        *(name, state, reason, to_range(slots)),
    )


async def parked(ledger: Ledgers, name: str, slots: Window | None, reason: Reason = Reason.ATTEMPTS) -> None:
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, revision, $2, 'because', tstzmultirange($3), ledger_now(), 'test' FROM model WHERE name = $1",
        *(name, reason.value, to_range(slots)),
    )


async def tasked(ledger: Ledgers, name: str, state: str, detail: str = "") -> None:
    await ledger.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, detail)"
        " SELECT id, 1, $2, 'live', $3, ledger_now(), $4 FROM model WHERE name = $1",
        *(name, to_range(window("11:30", "12:00")), state, detail),
    )


async def an_executor(ledger: Ledgers, *, in_flight: int = 0) -> None:
    await ledger.executor.register(ExecutorInfo("executor-1", "test", 1, 1, 8))
    await ledger.executor.heartbeat("executor-1", in_flight=in_flight, limit=8, concurrency=8)


async def states(ledger: Ledgers, within: timedelta | None = None) -> dict[str, str]:
    rows = await ledger.fetch("SELECT name, counts, stale FROM model_freshness($1)", within)
    return {str(row["name"]): "stale" if row["stale"] else "fresh" if row["counts"] else "apart" for row in rows}


async def counted(ledger: Ledgers) -> dict[str, timedelta]:
    """Time by outcome, in all periods and projects; the sums that are kept agree."""
    rows = await ledger.fetch("SELECT outcome, sum(model_time) AS time FROM freshness GROUP BY outcome")
    totals = await ledger.fetch("SELECT outcome, sum(model_time) AS time FROM freshness_total GROUP BY outcome")
    assert sorted((row["outcome"], row["time"]) for row in rows) == sorted(
        (row["outcome"], row["time"]) for row in totals
    )
    return {str(row["outcome"]): row["time"] for row in rows}  # type: ignore[misc]


async def count(
    counters: PostgresFreshnessLedger,
    term: Term,
    blocks: Sequence[Block] = (),
    *,
    plans: bool = True,
    full: bool = False,
    within: timedelta | None = None,
) -> Mapping[tuple[str, str], timedelta]:
    return await counters.count(term, blocks, plans=plans, full=full, within=within)


async def test_a_model_is_stale_when_the_end_of_its_coverage_is_older_than_its_delay_and_two_slots(ledger: Ledgers):
    await covered_until(ledger, {"older": NOW - ALLOWED - SECOND, "as-old": NOW - ALLOWED, "newer": NOW - HALF_HOUR})

    assert await states(ledger) == {"older": "stale", "as-old": "fresh", "newer": "fresh"}


async def test_the_objective_takes_the_place_of_every_schedule(ledger: Ledgers):
    await covered_until(ledger, {"older": NOW - ALLOWED - SECOND, "newer": NOW - HALF_HOUR})

    assert await states(ledger, 2 * HOUR) == {"older": "fresh", "newer": "fresh"}
    assert await states(ledger, timedelta(minutes=29)) == {"older": "stale", "newer": "stale"}


async def test_paused_silent_new_and_removed_models_are_apart(ledger: Ledgers):
    names = ("paused", "silent", "gone", "disabled", "plain")
    await covered_until(ledger, dict.fromkeys(names, NOW - 3 * HOUR))
    await ledger.models.put_models([an_entry("new")])
    await ledger.fetch("UPDATE model SET paused = true WHERE name = 'paused'")
    await ledger.fetch("UPDATE model SET state = name WHERE name IN ('gone', 'disabled')")
    await ledger.fetch(
        "UPDATE coverage SET silent_since = $1 FROM model m WHERE m.id = model_id AND m.name = 'silent'", NOW - HOUR
    )
    before = await states(ledger)

    await ledger.set_clock(NOW + ALLOWED + SECOND)
    after = await states(ledger)

    apart = dict.fromkeys(("paused", "silent", "gone", "disabled"), "apart")
    assert before == {**apart, "plain": "stale", "new": "apart"}
    assert after == {**apart, "plain": "stale", "new": "stale"}  # it was never predicted, and is not new any more


async def test_slots_without_rows_are_done_unless_model_or_sink_is_at_fault(ledger: Ledgers):
    names = ("no-readings", "short", "no-values", "not-stored")
    await covered_until(ledger, dict.fromkeys(names, at("10:00")))
    newest = window("11:00", "12:00")
    await excepted(ledger, "no-readings", "absent", "no rows: the filter leaves none", newest)
    await excepted(ledger, "short", "short", "no data: 'a'", newest)
    await excepted(ledger, "no-values", "absent", NO_FINITE_VALUES, newest)
    await excepted(ledger, "no-values", "absent", "no data: 'a'", window("10:00", "10:30"))
    await excepted(ledger, "not-stored", "short", f"{NOT_STORED}: sink/influx", newest)
    await ledger.models.put_models([an_entry("never-any", horizon=6 * HOUR)])
    await excepted(ledger, "never-any", "absent", NO_FINITE_VALUES, newest)

    assert await states(ledger) == {
        "no-readings": "fresh",
        "short": "fresh",
        "no-values": "stale",
        "not-stored": "stale",
        "never-any": "stale",  # it was tried, so that it is not new
    }


async def test_each_model_is_put_down_to_its_own_cause(ledger: Ledgers, counters: PostgresFreshnessLedger):
    term = await lead(ledger)
    await an_executor(ledger)
    causes = {
        "parked": Cause.PARKED,
        "unusable": Cause.PARKED,
        "no-values": Cause.GORDO,
        "not-stored": Cause.SINK,
        "held": Cause.SOURCE,
        "waits": Cause.SINK,
        "waits-and-runs": Cause.CAPACITY,
        "blocked": Cause.SOURCE,
        "claimed": Cause.CAPACITY,
        "published": Cause.QUEUE,
        "left": Cause.LATIGO,
        "on-time": FRESH,
    }
    await covered_until(ledger, {**dict.fromkeys(causes, at("10:00")), "on-time": at("12:00")})
    await covered_until(ledger, {"elsewhere": at("10:00")}, project="other")
    await parked(ledger, "parked", window("10:00", "12:00"))
    await parked(ledger, "unusable", None, Reason.BAD_METADATA)
    await ledger.fetch("UPDATE model SET state = 'unusable' WHERE name = 'unusable'")
    await excepted(ledger, "no-values", "absent", NO_FINITE_VALUES, window("11:30", "12:00"))
    await excepted(ledger, "not-stored", "absent", f"{NOT_STORED}: sink/influx", window("11:30", "12:00"))
    await ledger.fetch(
        "UPDATE coverage SET hold_until = ledger_now() + interval '1 hour', held_for = 'sensors/influx'"
        " FROM model m WHERE m.id = model_id AND m.name = 'held'"
    )
    await tasked(ledger, "waits", "waiting", "write: no route to host")
    await tasked(ledger, "waits-and-runs", "waiting", "write: no route to host")
    await tasked(ledger, "waits-and-runs", "claimed")
    await tasked(ledger, "claimed", "claimed")
    await tasked(ledger, "published", "published")
    ids = {str(row["name"]): row["id"] for row in await ledger.fetch("SELECT name, id FROM model")}
    unknown = 1 + max(int(str(number)) for number in ids.values())
    blocks = [
        Block("other", System.MODELS),
        Block("plant", System.SENSORS, [int(str(ids["blocked"]))]),
        Block("plant", System.SINK, [unknown]),
    ]

    for name, cause in causes.items():
        await ledger.fetch("UPDATE model SET paused = name <> $1 WHERE project = 'plant'", name)
        await ledger.fetch("UPDATE tally SET counted_until = ledger_now() - interval '1 minute'")
        assert await count(counters, term, blocks) == {
            ("plant", cause): MINUTE,
            ("other", Cause.GORDO): MINUTE,
        }, name


async def test_what_stops_everything_is_the_cause_for_all_models(ledger: Ledgers, counters: PostgresFreshnessLedger):
    term = await lead(ledger)
    await covered_until(ledger, {"pump": at("10:00"), "fan": at("10:00")})
    await tasked(ledger, "pump", "published")
    found = []

    async def counts(*, full: bool = False, plans: bool = True) -> None:
        await ledger.fetch("UPDATE tally SET counted_until = ledger_now() - interval '1 minute'")
        ((_, cause),) = {
            key: time for key, time in (await count(counters, term, full=full, plans=plans)).items() if time > MINUTE
        }
        assert (await read_status(ledger.database, "test")).freshness.stale_by_cause == {cause: 2}
        found.append(cause)

    await counts()  # there is no executor
    await an_executor(ledger, in_flight=8)
    await counts()
    await an_executor(ledger, in_flight=7)
    await counts(full=True)
    await counts(plans=False)
    await QueueOutages(ledger.database, "executor-1").report({"executor": "refused"})
    await counts()
    await QueueOutages(ledger.database, "executor-1").report({})
    await ledger.executor.register(ExecutorInfo("executor-2", "test", 1, 1, 8))
    await QueueOutages(ledger.database, "scheduler-1").report({"scheduler": "refused"})
    await counts()

    assert found == [Cause.CAPACITY, Cause.CAPACITY, Cause.CAPACITY, Cause.LATIGO, Cause.QUEUE, Cause.QUEUE]


async def test_a_drained_executor_is_no_capacity(ledger: Ledgers, counters: PostgresFreshnessLedger):
    term = await lead(ledger)
    await covered_until(ledger, {"pump": at("10:00")})
    await tasked(ledger, "pump", "published")
    found: list[str] = []

    async def counts() -> None:
        await ledger.fetch("UPDATE tally SET counted_until = ledger_now() - interval '1 minute'")
        await count(counters, term)
        found.extend((await read_status(ledger.database, "test")).freshness.stale_by_cause)

    await an_executor(ledger, in_flight=0)
    await counts()
    await drain(ledger.database, "operator@host", "executor-1", "patched")
    await counts()
    await ledger.executor.register(ExecutorInfo("executor-2", "test", 1, 1, 8))
    await ledger.fetch("UPDATE executor SET in_flight = 8 WHERE id = 'executor-2'")
    await counts()

    assert found == [Cause.QUEUE, Cause.CAPACITY, Cause.CAPACITY]


async def test_an_objective_that_is_shorter_than_the_schedule_is_the_delay(
    ledger: Ledgers, counters: PostgresFreshnessLedger
):
    term = await lead(ledger)
    await covered_until(ledger, {"pump": at("12:00")})
    await count(counters, term)
    await ledger.set_clock(NOW + 3 * MINUTE)

    assert await count(counters, term, within=8 * MINUTE) == {
        ("plant", FRESH): MINUTE,
        ("plant", Cause.DELAY): 2 * MINUTE,
    }


async def test_every_moment_is_counted_once_whoever_leads(ledger: Ledgers, counters: PostgresFreshnessLedger):
    await covered_until(ledger, {"pump": at("10:00"), "fan": at("12:00")})
    first = await lead(ledger)
    assert await count(counters, first) == {}  # from now on

    await ledger.set_clock(NOW + 90 * SECOND)
    await count(counters, first)
    await ledger.scheduler.release_lease(first)
    second = await lead(ledger, "scheduler-2")
    await ledger.set_clock(NOW + 2 * MINUTE)
    await count(PostgresFreshnessLedger(ledger.database), second)  # after a restart nothing is known but the ledger
    with pytest.raises(LeaseLost):
        await count(counters, first)
    await count(counters, second)  # no time has passed
    await ledger.set_clock(NOW + 4 * MINUTE)
    await count(counters, second)

    periods = await ledger.fetch("SELECT period, outcome, model_time FROM freshness ORDER BY period, outcome")
    assert [(row["period"], row["outcome"], row["model_time"]) for row in periods] == [
        (at("12:05"), Cause.CAPACITY, 3 * MINUTE),  # there is no executor
        (at("12:05"), FRESH, 3 * MINUTE),
        (at("12:10"), Cause.CAPACITY, MINUTE),
        (at("12:10"), FRESH, MINUTE),
    ]
    await counted(ledger)


async def test_time_without_a_scheduler_is_counted_afterwards_as_latigos_own(
    ledger: Ledgers, counters: PostgresFreshnessLedger
):
    term = await lead(ledger)
    await an_executor(ledger)
    await covered_until(ledger, {"pump": at("12:00"), "stuck": at("10:00")})
    await parked(ledger, "stuck", window("10:00", "12:00"))
    await count(counters, term)
    await ledger.set_clock(NOW + 6 * HOUR)

    before = (await read_status(ledger.database, "test")).freshness
    await count(counters, term)
    after = (await read_status(ledger.database, "test")).freshness

    fresh = at("12:00") + ALLOWED - NOW
    assert await counted(ledger) == {FRESH: fresh, Cause.LATIGO: 12 * HOUR - fresh}
    assert [(time.cause, time.month) for time in after.causes] == [(Cause.LATIGO, (12 * HOUR - fresh) / MINUTE)]
    assert before.stale_by_cause == after.stale_by_cause == {Cause.LATIGO: 2}
    # A status does not wait for the scheduler to know it.
    assert before.causes == after.causes
    assert before.share == after.share


async def test_a_period_of_a_gap_as_long_as_what_is_kept_is_counted_once(
    ledger: Ledgers, counters: PostgresFreshnessLedger
):
    term = await lead(ledger)
    await covered_until(ledger, {"pump": at("10:00")})
    await count(counters, term)
    await ledger.set_clock(NOW + KEPT + timedelta(days=10))

    await count(counters, term)

    assert await counted(ledger) == {Cause.LATIGO: KEPT}


async def test_counters_are_trimmed_and_their_sum_with_them(ledger: Ledgers, counters: PostgresFreshnessLedger):
    term = await lead(ledger)
    await covered_until(ledger, {"pump": at("10:00")})
    await parked(ledger, "pump", None)
    await count(counters, term)
    await ledger.set_clock(NOW + 2 * MINUTE)
    await count(counters, term)
    await ledger.fetch("UPDATE tally SET counted_until = ledger_now() + $1::interval - interval '1 minute'", KEPT)

    await ledger.set_clock(NOW + KEPT + 2 * MINUTE)
    await ledger.fetch("UPDATE planner SET lease_until = 'infinity'")
    await count(counters, term)
    kept = await counted(ledger)
    await ledger.set_clock(NOW + KEPT + 2 * MINUTE + PERIOD)
    await count(counters, term)
    trimmed = await counted(ledger)

    assert kept == {Cause.PARKED: 3 * MINUTE}
    assert trimmed == {Cause.PARKED: MINUTE + PERIOD}


async def test_a_ledger_holds_a_row_for_each_period_project_and_outcome_and_no_more(
    ledger: Ledgers, counters: PostgresFreshnessLedger
):
    term = await lead(ledger)
    await an_executor(ledger)
    await covered_until(ledger, {f"pump-{number}": at("12:00") - number * MINUTE for number in range(90)})
    await count(counters, term)
    for minutes in range(1, 20):
        await ledger.set_clock(NOW + minutes * MINUTE)
        await count(counters, term)

    rows = await ledger.fetch("SELECT count(*) AS rows, count(DISTINCT period) AS periods FROM freshness")
    assert rows == [{"rows": 5 * 2, "periods": 5}]
    assert sum((await counted(ledger)).values(), timedelta(0)) == 90 * 19 * MINUTE


# ---- sums over all slots ----


async def test_a_status_uses_the_sums_of_the_scheduler_while_they_count_and_else_its_own(
    ledger: Ledgers, counters: PostgresFreshnessLedger
):
    term = await lead(ledger)
    await covered_until(ledger, {"pump": at("10:00")})
    await excepted(ledger, "pump", "absent", "no data: 'a'", window("10:00", "10:30"))

    async def backlog() -> tuple[int, int, datetime | None]:
        totals = (await read_status(ledger.database, "test")).backlog
        return totals.slots, totals.calls, totals.as_of

    own = await read_status(ledger.database, "test")
    await counters.sum_slots(term, 15 * SECOND)
    kept = await read_status(ledger.database, "test")
    assert (kept.exceptions, kept.projects[0].backlog_slots) == (own.exceptions, own.projects[0].backlog_slots)
    assert (own.backlog.slots, own.backlog.as_of) == (3, None)
    assert await backlog() == (3, 1, NOW)

    await covered_until(ledger, {"pump": at("12:00")})
    assert await backlog() == (3, 1, NOW)
    await ledger.set_clock(NOW + 15 * SECOND)
    assert await backlog() == (0, 0, None)

    await counters.sum_slots(term, 15 * SECOND)
    assert await backlog() == (0, 0, NOW + 15 * SECOND)


async def test_a_scheduler_that_does_not_lead_keeps_no_sums(ledger: Ledgers, counters: PostgresFreshnessLedger):
    await lead(ledger, "scheduler-2")

    with pytest.raises(LeaseLost):
        await counters.sum_slots(Term("scheduler-1", 1), MINUTE)


@pytest.mark.parametrize(("in_flight", "at_once"), [(2, 4), (8, 8)])  # a full executor has all of its tasks at once
async def test_the_possible_rate_and_the_time_for_the_backlog_follow_from_what_tasks_took(
    ledger: Ledgers, in_flight: int, at_once: int
):
    await covered_until(ledger, {"pump": at("10:00")})
    await ledger.executor.register(ExecutorInfo("executor-1", "test", 1, 1, 8))
    await ledger.executor.heartbeat("executor-1", in_flight=in_flight, limit=4, concurrency=8)
    await ledger.executor.register(ExecutorInfo("drained", "test", 1, 1, 8))
    await drain(ledger.database, "operator@host", "drained", "patched")
    assert (await read_status(ledger.database, "test")).rates.possible_slots_per_second is None
    for lane, seconds in (("live", 2), ("live", 4), ("backfill", 12)):
        await ledger.fetch(
            "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts,"
            " planned_at, claimed_at, settled_at) SELECT 1, id, '1', 1, $1, $2, 'stored', 0, 1, ledger_now(),"
            " ledger_now() - interval '1 second' * $3::int, ledger_now() FROM model",
            *(to_range(window("09:00", "10:00")), lane, seconds),
        )

    status = await read_status(ledger.database, "test")

    needed, possible = 1 / HALF_HOUR.total_seconds(), at_once / 3
    assert status.rates.possible_slots_per_second == pytest.approx(possible)
    await ledger.executor.open_circuit("sink/postgres", "no route", alarm=False, pause=MINUTE)
    blocked = await read_status(ledger.database, "test")

    assert (status.backlog.calls, blocked.backlog.seconds) == (1, None)
    assert status.backlog.seconds == pytest.approx(12 / at_once / (1 - needed / possible))


# ---- the figures of a status, as they were worked out before ----

BEFORE = """
WITH due AS (
    SELECT m.id, m.project, m.name, m.slot, m.state, m.paused, m.since, m.state = 'active' AND NOT m.paused AS active,
           date_bin(m.slot, ledger_now() - m.delay, 'epoch') AS due
    FROM model m
),
seen AS (
    SELECT d.*, c.silent_since,
           coalesce(greatest(upper(c.covered),
                             (SELECT max(upper(e.slots)) FROM slot_exception e WHERE e.model_id = d.id),
                             (SELECT max(upper(p.windows)) FROM parked p WHERE p.model_id = d.id)),
                    d.since) AS looked_until,
           EXISTS (SELECT FROM parked p WHERE p.model_id = d.id) AS parked,
           EXISTS (SELECT FROM parked p WHERE p.model_id = d.id AND p.windows @> d.due - d.slot) AS parked_now
    FROM due d JOIN coverage c ON c.model_id = d.id
),
judged AS (
    SELECT *, active AND silent_since IS NULL AND NOT parked_now AND due > since AND looked_until < due - slot AS stale
    FROM seen
)
SELECT project, count(*) FILTER (WHERE active) AS active, count(*) FILTER (WHERE paused) AS paused,
       count(*) FILTER (WHERE state = 'unusable') AS unusable, count(*) FILTER (WHERE state = 'gone') AS gone,
       count(*) FILTER (WHERE active AND silent_since IS NOT NULL) AS silent, count(*) FILTER (WHERE parked) AS parked,
       count(*) FILTER (WHERE stale) AS late,
       min(looked_until) FILTER (WHERE active AND NOT parked_now) AS oldest
FROM judged GROUP BY project ORDER BY project
"""
LATE_BEFORE = (
    BEFORE[: BEFORE.index("SELECT project, count")]
    + """
SELECT project, name FROM judged WHERE stale ORDER BY looked_until, project, name LIMIT 10
"""
)


async def a_random_ledger(ledger: Ledgers, random: Random) -> None:
    """Models of two projects that have something of everything; no model is younger than it may be stale."""
    await ledger.set_clock(NOW - timedelta(days=1))
    names = [f"model-{number:02}" for number in range(60)]
    for number, name in enumerate(names):
        await ledger.models.put_models([an_entry(name, project=f"plant-{number % 2}")])
    await ledger.set_clock(NOW)

    def stretch() -> Window:
        start = at("06:00") + random.randrange(11) * HALF_HOUR
        return Window(start, min(start + random.randint(1, 8) * HALF_HOUR, at("12:00")))

    for name in names:
        for _ in range(random.randint(0, 3)):
            await ledger.fetch(
                "UPDATE coverage SET covered = covered + tstzmultirange($2) FROM model m"
                " WHERE m.id = model_id AND m.name = $1",
                *(name, to_range(stretch())),
            )
        if random.random() < 0.4:
            state = random.choice(["absent", "short", "provisional"])
            await excepted(ledger, name, state, "no data: 'a'", stretch())
        if random.random() < 0.3:
            await parked(ledger, name, stretch())
        if random.random() < 0.1:
            await parked(ledger, name, None, Reason.UNKNOWN_SENSOR)
        await ledger.fetch(
            "UPDATE model SET paused = $2, state = $3 WHERE name = $1",
            *(name, random.random() < 0.1, random.choice(["active"] * 6 + ["unusable", "gone", "disabled"])),
        )
        if random.random() < 0.1:
            await ledger.fetch(
                "UPDATE coverage SET silent_since = $2 FROM model m WHERE m.id = model_id AND m.name = $1",
                *(name, at("08:00")),
            )


@pytest.mark.parametrize("seed", range(8))
async def test_a_status_has_the_same_figures_as_when_each_model_was_read_by_itself(ledger: Ledgers, seed: int):
    await a_random_ledger(ledger, Random(seed))
    expected = [dict(row) for row in await ledger.fetch(BEFORE)]

    late = [(row["project"], row["name"]) for row in await ledger.fetch(LATE_BEFORE)]

    status = await read_status(ledger.database, "test")

    assert [_figures(status, row["project"]) for row in expected] == expected
    assert [(model.project, model.model) for model in status.stale] == late
    assert late


def _figures(status: Status, project: object) -> dict[str, object]:
    (found,) = [each for each in status.projects if each.project == project]
    names = ("project", "active", "paused", "unusable", "silent", "parked", "late", "oldest")
    return {name: getattr(found, name) for name in names} | {"gone": found.missing + found.retired}


async def test_what_a_status_reports_follows_the_objective(ledger: Ledgers):
    await covered_until(ledger, {"pump": at("11:30"), "fan": at("09:00")})

    by_schedule = (await read_status(ledger.database, "test")).freshness
    strict = (await read_status(ledger.database, "test", ObjectiveSettings(fresh_within=MINUTE, share=0.9))).freshness

    assert (by_schedule.fresh, by_schedule.stale, by_schedule.fresh_within_s, by_schedule.target) == (1, 1, None, 0.99)
    assert (strict.fresh, strict.stale, strict.fresh_within_s, strict.target) == (0, 2, 60, 0.9)
