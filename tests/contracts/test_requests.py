"""Requests for stretches of time: what they select, that they are planned, and how they end."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from latigo.actions.backfill import (
    Asked,
    cancel_backfill,
    pause_backfill,
    preview_backfill,
    request_backfill,
    resume_backfill,
    retry_failed,
)
from latigo.domain.coverage import Coverage
from latigo.domain.errors import LatigoError, Misused, Reason, UnknownName
from latigo.domain.outcome import Rejected, Retry, Settlement, SlotException, SlotState, Stored
from latigo.domain.task import Lane
from latigo.domain.windows import Window, floor_to_slot
from latigo.ledger.protocol import Claim, Planned, Term
from latigo.postgres.ranges import to_coverage, to_range
from latigo.reports.backfills import Backfill, read_backfill, read_backfill_models, read_backfills
from latigo.reports.choices import BackfillKind
from latigo.reports.plan import read_plan
from latigo.scheduler.plan import Agenda, begins_run, in_runs
from tests.contracts.test_ledger_needs import REACH, Kept, keep, kept
from tests.support.build import NOW, an_entry, at, lane_share, window
from tests.support.ledgers import Ledgers

LEASE = timedelta(seconds=30)
CATCH_UP = timedelta(days=30)
#: Ends before the models begin, which is at 10:00.
LONG_AGO = Window(at("00:00"), at("02:00"))
DUE = window("10:00", "12:00")


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Two models that are covered from their beginning on."""
    await ledgers.set_clock(NOW)
    hour = timedelta(hours=1)
    await ledgers.models.put_models([an_entry("pump", fold=hour), an_entry("fan", fold=hour, tags=("a", "c"))])
    await ledgers.fetch("UPDATE coverage SET covered = tstzmultirange($1)", to_range(DUE))
    return ledgers


async def lead(ledger: Ledgers) -> Term:
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    assert term is not None
    return term


async def ask(ledger: Ledgers, span: Window, *names: str, expect: str = "", **asked: Any) -> int:
    """Make a request, of all models unless some are named; its number."""
    kind = asked.pop("kind", "fill")
    wanted = Asked(kind, span, names or ("*",), **asked)
    number, _ = await request_backfill(ledger.database, "operator@host", wanted, why="a reason", expect=expect)
    assert number is not None
    return number


async def plan(ledger: Ledgers) -> list[Claim]:
    """Plan all that can be planned now, a window of each model, and claim it."""
    term = await lead(ledger)
    agenda = Agenda.of(await ledger.scheduler.needs(CATCH_UP))
    room = (await ledger.scheduler.outstanding()).room
    await ledger.scheduler.plan(term, agenda.take(1000, 1000, lane_share(), room))
    return await claim_all(ledger, term)


async def runs_of(ledger: Ledgers, most: int = 7) -> list[Planned]:
    """All that can be planned now, each window with so many that continue it."""
    firsts = Agenda.of(await ledger.scheduler.needs(CATCH_UP)).take(1000, 1000, lane_share())
    continued = await ledger.scheduler.continued([each for each in firsts if begins_run(each)], CATCH_UP, most)
    return in_runs(firsts, continued, 1000, 1000)


async def claim_all(ledger: Ledgers, term: Term) -> list[Claim]:
    tasks = await ledger.scheduler.unpublished(term, 1000)
    await ledger.scheduler.mark_published(term, {task.id: "here" for task in tasks})
    claims = [await ledger.executor.claim(task, "executor-1", LEASE) for task in tasks]
    return [claim for claim in claims if claim is not None]


async def settle(ledger: Ledgers, claims: Sequence[Claim], end: Callable[[Claim], Settlement] | None = None) -> None:
    ended = [(claim, end(claim) if end else Stored.in_full(claim.window)) for claim in claims]
    assert len(await ledger.executor.settle(ended)) == len(claims)


def rejected(_: Claim) -> Settlement:
    return Rejected(Reason.VALUES_REFUSED, "refused")


async def covered(ledger: Ledgers, name: str) -> Coverage:
    (row,) = await ledger.fetch("SELECT covered FROM v_coverage WHERE model = $1", name)
    return to_coverage(row["covered"])


async def show(ledger: Ledgers, number: int) -> Backfill:
    await ledger.scheduler.tend_requests(await lead(ledger))
    return await read_backfill(ledger.database, number)


async def carry_out(ledger: Ledgers) -> list[Claim]:
    """Plan and settle until nothing is left to do; every claim."""
    done: list[Claim] = []
    for _ in range(100):
        claims = await plan(ledger)
        if not claims:
            return done
        await settle(ledger, claims)
        done += claims
    raise AssertionError("it never ends")


async def test_what_is_missing_is_predicted_however_long_ago_newest_first_and_in_whole_windows(ledger: Ledgers):
    number = await ask(ledger, LONG_AGO, "plant/pump")
    before = await show(ledger, number)

    claims = await carry_out(ledger)

    assert [claim.window for claim in claims] == [window("01:00", "02:00"), window("00:00", "01:00")]
    assert await covered(ledger, "pump") == Coverage((LONG_AGO, DUE))
    assert await covered(ledger, "fan") == Coverage((DUE,))
    after = await show(ledger, number)
    assert (before.state, before.models, before.slots, before.slots_left) == ("active", 1, 4, 4)
    assert (after.state, after.slots_left, after.ended_at) == ("done", 0, NOW)
    assert (after.who, after.why, after.at) == ("operator@host", "a reason", NOW)
    assert await ledger.scheduler.needs(CATCH_UP) == []


async def test_the_windows_of_a_request_are_planned_model_by_model_and_none_of_another_request(ledger: Ledgers):
    number = await ask(ledger, LONG_AGO)
    await ask(ledger, Window(at("04:00"), at("09:00")), "plant/fan")

    planned = await runs_of(ledger)
    count = await ledger.scheduler.plan(await lead(ledger), planned)

    run = [(window("01:00", "02:00"), number), (window("00:00", "01:00"), number)]
    assert [(task.window, task.request) for task in planned] == run * 2
    assert len({task.model_id for task in planned[:2]}) == len({task.model_id for task in planned[2:]}) == 1
    assert count == 4
    assert await ledger.scheduler.needs(CATCH_UP) == []


async def test_time_that_expired_is_predicted_on_request(ledger: Ledgers):
    await ledger.fetch("UPDATE coverage SET expired = tstzmultirange($1)", to_range(LONG_AGO))

    await ask(ledger, LONG_AGO)
    await carry_out(ledger)

    assert await covered(ledger, "pump") == Coverage((LONG_AGO, DUE))


async def test_what_is_covered_or_excepted_is_left_out_of_a_fill_and_predicted_again_by_a_replacement(ledger: Ledgers):
    excepted = window("11:00", "11:30")
    await ledger.fetch("UPDATE coverage SET covered = covered - tstzmultirange($1)", to_range(excepted))
    await ledger.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
        " SELECT id, 'absent', 'no_data', 3, 'infinity', tstzmultirange($1) FROM model WHERE name = 'pump'",
        to_range(excepted),
    )
    around = window("09:30", "12:00")

    fill = await preview_backfill(ledger.database, Asked("fill", around, ["plant/pump"]))
    again = await preview_backfill(ledger.database, Asked("replace", around, ["plant/pump"]))
    await ask(ledger, around, "plant/pump", kind="replace")
    claims = await carry_out(ledger)

    assert (fill.models, fill.slots, fill.windows, fill.calls) == (1, 1, 1, 1)
    assert [(each.reason, each.models, each.slots) for each in fill.left_out] == [("covered", 1, 3), ("excepted", 1, 1)]
    assert (again.slots, again.windows, again.calls, again.left_out) == (5, 1, 3, [])
    pump = Coverage.of(claim.window for claim in claims if claim.ref.name == "pump")
    assert pump == Coverage((around,))


async def test_a_replacement_repeats_what_was_read_before_it_was_made(ledger: Ledgers):
    """A task that was claimed before may have read what the request is about."""
    await ledger.fetch("UPDATE coverage SET covered = '{}' WHERE model_id = (SELECT id FROM model WHERE name = 'pump')")
    early = await plan(ledger)
    await ledger.set_clock(NOW + timedelta(seconds=1))
    number = await ask(ledger, window("11:00", "12:00"), "plant/pump", kind="replace")

    await settle(ledger, early)
    again = await show(ledger, number)

    assert window("11:00", "12:00") in [claim.window for claim in early]
    assert again.slots_left == 2
    assert window("11:00", "12:00") in [claim.window for claim in await carry_out(ledger)]
    assert (await show(ledger, number)).state == "done"


async def test_a_request_is_aligned_to_slots_and_ends_with_what_is_due(ledger: Ledgers):
    preview = await preview_backfill(ledger.database, Asked("replace", Window(at("11:10"), NOW), ["plant/pump"]))

    assert preview.slots == 2


async def test_live_comes_first_and_what_it_takes_is_not_requested_again(ledger: Ledgers):
    await ledger.fetch("UPDATE coverage SET covered = '{}'")
    await ask(ledger, window("09:00", "12:00"), "plant/pump", kind="replace")

    (need,) = [need for need in await ledger.scheduler.needs(CATCH_UP) if need.ref.name == "pump"]

    assert need.windows[Lane.LIVE] == window("11:00", "12:00")
    assert need.windows[Lane.MANUAL] == window("10:00", "11:00")


async def test_the_smallest_request_of_a_model_goes_first(ledger: Ledgers):
    large = await ask(ledger, LONG_AGO, "plant/pump")
    small = await ask(ledger, window("05:00", "06:00"), "plant/pump")

    (first,) = await ledger.scheduler.needs(CATCH_UP)
    await settle(ledger, await plan(ledger))
    (second,) = await ledger.scheduler.needs(CATCH_UP)

    assert (first.request, second.request) == (small, large)


async def test_a_request_of_which_the_rest_is_parked_lets_larger_ones_go_on(ledger: Ledgers):
    small = await ask(ledger, window("05:00", "06:00"), "plant/pump")
    await settle(ledger, await plan(ledger), rejected)
    large = await ask(ledger, LONG_AGO, "plant/pump")

    await carry_out(ledger)

    assert (await show(ledger, small)).slots_parked == 2
    assert (await show(ledger, large)).slots_left == 0


async def test_no_more_tasks_than_allowed_are_out_for_a_request(ledger: Ledgers):
    number = await ask(ledger, LONG_AGO, at_most=1)

    claims = await plan(ledger)

    assert len(claims) == 1
    assert await ledger.scheduler.needs(CATCH_UP) == []
    assert (await show(ledger, number)).tasks == 1


async def test_tasks_that_are_tried_again_count_among_those_that_are_allowed_for_a_request(ledger: Ledgers):
    number = await ask(ledger, window("08:00", "09:00"), at_most=1)
    for _ in ("pump", "fan"):
        await settle(ledger, await plan(ledger), lambda _: Retry("no answer"))
    await ledger.set_clock(NOW + timedelta(hours=2))

    rounds = [await ledger.scheduler.wake_waiting(await lead(ledger), blocked=[], most=10) for _ in range(2)]

    assert rounds == [1, 0]
    assert (await ledger.scheduler.outstanding()).room == {number: 0}


async def test_the_probe_of_a_circuit_counts_among_the_tasks_that_are_allowed_for_a_request(ledger: Ledgers):
    number = await ask(ledger, window("08:00", "09:00"), at_most=1)
    for _ in ("pump", "fan"):
        await settle(ledger, await plan(ledger), lambda _: Retry("no answer"))
    await ledger.set_clock(NOW + timedelta(hours=2))

    rounds = [await ledger.scheduler.wake_probe(await lead(ledger), "plant", []) for _ in range(2)]

    assert rounds == [True, False]
    assert (await ledger.scheduler.outstanding()).room == {number: 0}


async def test_a_paused_request_is_not_planned_and_its_tasks_are_withdrawn_but_for_claimed_ones(ledger: Ledgers):
    number = await ask(ledger, LONG_AGO)
    term = await lead(ledger)
    needs = await ledger.scheduler.needs(CATCH_UP)
    planned = Agenda.of(needs).take(10, 10, lane_share())
    await ledger.scheduler.plan(term, planned)
    first, second = await ledger.scheduler.unpublished(term, 10)
    claim = await ledger.executor.claim(first, "executor-1", LEASE)
    assert claim is not None

    await pause_backfill(ledger.database, "operator@host", number, "maintenance")

    assert await ledger.scheduler.plan(term, planned) == 0
    assert await ledger.executor.claim(second, "executor-1", LEASE) is None
    assert await ledger.scheduler.needs(CATCH_UP) == []
    await settle(ledger, [claim])
    paused = await show(ledger, number)
    assert (paused.state, paused.note, paused.slots_left) == ("paused", "by operator@host: maintenance", 6)
    await resume_backfill(ledger.database, "operator@host", number)
    await carry_out(ledger)
    assert (await show(ledger, number)).state == "done"


async def test_a_cancelled_request_ends_and_keeps_what_it_predicted(ledger: Ledgers):
    number = await ask(ledger, LONG_AGO, "plant/pump")
    await settle(ledger, await plan(ledger))

    await cancel_backfill(ledger.database, "operator@host", number)

    assert await carry_out(ledger) == []
    assert (await show(ledger, number)).state == "cancelled"
    assert await covered(ledger, "pump") == Coverage((window("01:00", "02:00"), DUE))
    for change in (pause_backfill, resume_backfill, cancel_backfill, retry_failed):
        with pytest.raises(LatigoError, match=f"request {number} is cancelled"):
            await change(ledger.database, "operator@host", number)


async def test_a_request_whose_rest_is_parked_is_done_and_goes_on_when_that_ends(ledger: Ledgers):
    number = await ask(ledger, LONG_AGO, "plant/pump")
    await settle(ledger, await plan(ledger), rejected)
    await carry_out(ledger)
    failed = await show(ledger, number)
    (model,) = await read_backfill_models(ledger.database, number)

    windows = await retry_failed(ledger.database, "operator@host", number)
    claims = await carry_out(ledger)

    assert (failed.state, failed.slots_left, failed.slots_parked, failed.windows_failed) == ("done", 2, 2, 1)
    assert (model.slots_left, model.slots_parked, model.parked_as) == (2, 2, "values_refused")
    assert windows == 1
    assert [claim.window for claim in claims] == [window("01:00", "02:00")]
    assert (await show(ledger, number)).slots_left == 0


async def test_a_new_revision_makes_a_request_go_on(ledger: Ledgers):
    number = await ask(ledger, LONG_AGO, "plant/pump")
    await settle(ledger, await plan(ledger), rejected)
    await carry_out(ledger)
    assert (await show(ledger, number)).state == "done"

    await ledger.models.put_models([an_entry("pump", revision="2000", fold=timedelta(hours=1))])

    assert (await show(ledger, number)).state == "active"
    await carry_out(ledger)
    assert await covered(ledger, "pump") == Coverage((LONG_AGO, DUE))


async def test_a_request_is_paused_after_too_many_failures(ledger: Ledgers):
    number = await ask(ledger, LONG_AGO, stop_after=2)
    claims = await plan(ledger)

    await settle(ledger, claims[:1], rejected)
    assert (await show(ledger, number)).state == "active"
    await settle(ledger, claims[1:], rejected)

    assert await ledger.scheduler.needs(CATCH_UP) == []
    stopped = await show(ledger, number)
    assert (stopped.state, stopped.note) == ("paused", "2 windows failed")
    await resume_backfill(ledger.database, "operator@host", number)
    assert len(await carry_out(ledger)) == 2


async def test_a_model_with_longer_slots_gets_all_that_was_requested_in_whole_ones(ledger: Ledgers):
    await ask(ledger, window("00:30", "01:30"), "plant/pump")

    await ledger.models.put_models([an_entry("pump", slot=timedelta(hours=1), fold=timedelta(hours=4))])
    await ledger.fetch("UPDATE coverage SET covered = covered + tstzmultirange($1)", to_range(DUE))

    (need,) = await ledger.scheduler.needs(CATCH_UP)
    assert need.windows == {Lane.MANUAL: window("00:00", "02:00")}


async def test_models_are_selected_by_project_pattern_name_and_sensor(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump", project="other"), an_entry("off", enabled=False)])

    async def count(*names: str, sensor: str | None = None) -> int:
        return (await preview_backfill(ledger.database, Asked("fill", LONG_AGO, names, sensor))).models

    assert await count("plant") == 2  # the third is disabled
    assert await count("*") == 3
    assert await count("*/pump") == 2
    assert await count("plant/p*", "other/pump") == 2
    assert await count("plant", sensor="c") == 1
    with pytest.raises(UnknownName, match="nearest known one is plant/pump"):
        await count("plant/pumb")
    with pytest.raises(UnknownName, match="nearest known one is plant"):
        await count("plnt")
    with pytest.raises(Misused, match="matches none of the 4 known models"):
        await count("plant/x*")
    with pytest.raises(Misused, match="no model reads the sensor d"):
        await count("*", sensor="d")


async def test_what_no_sink_keeps_and_models_that_are_not_predicted_are_left_out(ledger: Ledgers):
    await ledger.fetch("UPDATE model SET state = 'gone' WHERE name = 'fan'")

    asked = Asked("fill", LONG_AGO, ["plant"], kept_for=timedelta(hours=11, minutes=7))
    preview = await preview_backfill(ledger.database, asked)

    assert preview.slots == 1
    assert {each.reason: each.slots for each in preview.left_out} == {"not_kept": 6, "not_predicted": 1}


async def test_what_is_older_than_the_readings_of_a_model_is_left_out(ledger: Ledgers):
    """Each model for itself: of the tags that it reads, the one counts whose readings are kept shortest."""
    kept = {"a": None, "b": timedelta(hours=11, minutes=7), "c": timedelta(hours=10, minutes=37)}

    def readable_for(tags: Sequence[str]) -> timedelta | None:
        return min((limit for tag in tags if (limit := kept[tag]) is not None), default=None)

    asked = Asked("replace", LONG_AGO, ["*"], readable_for=readable_for)
    preview = await preview_backfill(ledger.database, asked)
    number, _ = await request_backfill(ledger.database, "operator@host", asked)

    assert (preview.models, preview.slots) == (1, 1)  # 01:30 of the pump; the fan's readings begin later
    assert {each.reason: (each.models, each.slots) for each in preview.left_out} == {"not_readable": (2, 7)}
    assert number is not None
    assert await wanted(ledger) == {"pump": [window("01:30", "02:00")]}


async def wanted(ledger: Ledgers) -> dict[str, list[Window]]:
    """What requests want, by model."""
    rows = await ledger.fetch("SELECT m.name, q.wanted FROM request_model q JOIN model m ON m.id = q.model_id")
    return {str(row["name"]): list(to_coverage(row["wanted"])) for row in rows}


async def test_a_dry_run_changes_nothing_and_its_digest_holds_until_the_selection_changes(ledger: Ledgers):
    shown = await preview_backfill(ledger.database, Asked("fill", LONG_AGO, ["plant"]))
    assert await read_backfills(ledger.database) == []
    await ledger.fetch("UPDATE coverage SET covered = covered + tstzmultirange($1)", to_range(window("00:00", "00:30")))
    number = await ask(ledger, LONG_AGO, "plant", expect=shown.digest)
    await ledger.models.put_models([an_entry("valve")])

    with pytest.raises(Misused, match="the selection has changed"):
        await ask(ledger, LONG_AGO, "plant", expect=shown.digest)

    assert [each.id for each in await read_backfills(ledger.database)] == [number]


async def test_a_request_for_nothing_is_not_made(ledger: Ledgers):
    requested = await request_backfill(ledger.database, "operator", Asked("fill", DUE, ["plant"]))

    assert requested.number is None
    assert await ledger.fetch("SELECT FROM request") == []


async def test_an_unknown_number_is_refused(ledger: Ledgers):
    for change in (pause_backfill, resume_backfill, cancel_backfill, retry_failed):
        with pytest.raises(Misused, match="there is no request 7"):
            await change(ledger.database, "operator@host", 7)
    with pytest.raises(Misused, match="there is no request 7"):
        await read_backfill(ledger.database, 7)


async def test_a_plan_lists_what_is_requested(ledger: Ledgers):
    await ask(ledger, window("09:00", "11:00"), "plant/pump", kind="replace")
    await ledger.fetch("UPDATE coverage SET covered = covered - tstzmultirange($1)", to_range(window("10:30", "11:00")))

    listed = await read_plan(ledger.database, "plant", "pump")
    (requested,) = (await read_plan(ledger.database, state="requested")).windows

    assert [(str(each.start.time()), each.requested) for each in listed.windows] == [
        ("10:30:00", False),
        ("09:00:00", True),
    ]
    assert (requested.start, requested.end, requested.slots, requested.calls) == (at("09:00"), at("10:30"), 3, 2)


async def test_requests_are_listed_newest_first_and_by_state(ledger: Ledgers):
    first, second = await ask(ledger, LONG_AGO, "plant/pump"), await ask(ledger, LONG_AGO, "plant/fan")
    await pause_backfill(ledger.database, "operator@host", first)

    listed, paused = (
        await read_backfills(ledger.database, most=1),
        await read_backfills(ledger.database, state="paused"),
    )

    assert ([each.id for each in listed], listed.total) == ([second], 2)
    assert [each.id for each in paused] == [first]


async def test_models_of_requests_that_ended_long_ago_are_forgotten_and_the_request_is_kept(ledger: Ledgers):
    number = await ask(ledger, LONG_AGO)
    await carry_out(ledger)
    await show(ledger, number)
    await ledger.set_clock(NOW + timedelta(days=31))

    await ledger.scheduler.maintain(history=timedelta(days=30))

    assert await read_backfill_models(ledger.database, number) == []
    assert (await read_backfill(ledger.database, number)).slots == 8


ONE_DATABASE = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    phases=[Phase.generate],
)


@st.composite
def requested_plants(draw: st.DrawFn) -> tuple[datetime, list[Kept], list[tuple[BackfillKind, Window]]]:
    """A time, models of which no task is out, and requests of all of them."""
    now = at("00:00") + draw(st.integers(0, 24 * 60 - 1)) * timedelta(minutes=1)
    models = [
        replace(model, out=(), hold_until=None, paused=False, state="active")
        for model in draw(
            st.lists(kept(now).filter(lambda model: len(model.covered.windows) < REACH), min_size=1, max_size=3)
        )
    ]
    minutes = st.integers(-2 * REACH * 30, 60)
    spans = st.tuples(minutes, minutes).filter(lambda ends: ends[0] < ends[1])
    span = spans.map(lambda ends: Window(now + ends[0] * timedelta(minutes=1), now + ends[1] * timedelta(minutes=1)))
    kinds = st.sampled_from(["fill", "replace"])
    return now, models, draw(st.lists(st.tuples(kinds, span), min_size=1, max_size=3))


def whole_slots(model: Kept, span: Window, now: datetime) -> Coverage:
    """The due slots of a model that touch a stretch of time."""
    due = floor_to_slot(now - model.delay, model.slot)
    start = floor_to_slot(span.start, model.slot)
    end = min(floor_to_slot(span.end - timedelta(microseconds=1), model.slot) + model.slot, due)
    return Coverage((Window(start, end),)) if start < end else Coverage()


def an_end(how: str, span: Window) -> Settlement:
    if how == "rejected":
        return Rejected(Reason.VALUES_REFUSED, "refused")
    absent = SlotException(SlotState.ABSENT, Coverage((span,)), "no_data")
    return Stored.in_full(span) if how == "stored" else Stored(exceptions=[absent])


@ONE_DATABASE
@given(requested_plants(), st.data())
async def test_all_that_is_requested_is_predicted_in_finitely_many_rounds_and_nothing_else(
    ledgers: Ledgers, plant: tuple[datetime, list[Kept], list[tuple[BackfillKind, Window]]], data: st.DataObject
):
    now, models, requests = plant
    await ledgers.set_clock(now)
    await keep(ledgers, models)
    await ledgers.fetch("DELETE FROM request")
    term = await lead(ledgers)
    ids = {int(str(row["name"])): int(str(row["id"])) for row in await ledgers.fetch("SELECT id, name FROM model")}
    by_id = {id_: models[number - 1] for number, id_ in ids.items()}
    for kind, span in requests:
        await request_backfill(ledgers.database, "law", Asked(kind, span, ["*"]))
    replaced = {
        id_: Coverage.of(w for kind, span in requests if kind == "replace" for w in whole_slots(model, span, now))
        for id_, model in by_id.items()
    }
    stored: dict[int, Coverage] = dict.fromkeys(by_id, Coverage())

    for _ in range(300):
        planned = await runs_of(ledgers)
        if not planned:
            break
        for each in planned:
            again = Coverage((each.window,)) & (by_id[each.model_id].covered | stored[each.model_id])
            assert not again - replaced[each.model_id], "what is covered is predicted again, and nobody asked for it"
        await ledgers.scheduler.plan(term, planned)
        out = [int(str(row["id"])) for row in await ledgers.fetch("SELECT id FROM task ORDER BY id")]
        claims = [claim for id_ in out if (claim := await ledgers.claim(id_, 1, "executor-1", LEASE))]
        assert claims
        ended: list[tuple[Claim, Settlement]] = []
        for claim in claims:
            how = data.draw(st.sampled_from(["stored", "stored", "absent", "rejected"]))
            ended.append((claim, an_end(how, claim.window)))
            if how != "rejected":
                stored[ids[int(claim.ref.name)]] |= Coverage((claim.window,))
        assert len(await ledgers.executor.settle(ended)) == len(claims)
    else:
        raise AssertionError("it never ends")

    for id_, model in by_id.items():
        parked = Coverage.of(
            Window(part.lower or at("00:00", 1) - timedelta(days=9000), part.upper or at("00:00", 30))
            for row in await ledgers.fetch("SELECT windows FROM parked WHERE model_id = $1", id_)
            for part in row["windows"]  # type: ignore[attr-defined]
        )
        excepted = Coverage.of(w for slots, _ in model.exceptions for w in slots)
        for kind, span in requests:
            settled = stored[id_] | parked | (model.covered | excepted if kind == "fill" else Coverage())
            left = whole_slots(model, span, now) - settled
            assert not left, (kind, str(span), [str(w) for w in left])
    assert all(each.state == "done" for each in await ended_requests(ledgers, term))
    assert await ledgers.fetch("SELECT FROM request_model WHERE open AND wanted = '{}'") == []


async def ended_requests(ledgers: Ledgers, term: Term) -> list[Backfill]:
    await ledgers.scheduler.tend_requests(term)
    return await read_backfills(ledgers.database)
