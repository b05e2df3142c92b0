"""Which sinks are required since when, what they lack, and how a copy fills that."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.actions.backfill import Asked, Requested, pause_backfill, preview_backfill, request_backfill
from latigo.actions.limits import set_limits
from latigo.domain.coverage import Coverage
from latigo.domain.errors import Misused
from latigo.domain.health import State
from latigo.domain.limits import Limits
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Copied, Deferred, Stored
from latigo.domain.sinks import RequiredSink
from latigo.domain.windows import Window
from latigo.ledger.executor_store import PostgresExecutorLedger
from latigo.ledger.protocol import Claim
from latigo.ledger.sinks import SinkChanges, sink_changes
from latigo.postgres.ranges import to_coverage, to_range
from latigo.reports.explain import read_explanation
from latigo.reports.status import Status, read_status
from latigo.reports.story import sentences
from tests.contracts.test_requests import ask, lead, plan, show
from tests.support.build import NOW, an_entry, at, retry_rules, window
from tests.support.ledgers import VERSION, Ledgers

FIRST, SECOND = RequiredSink("sink/first", None), RequiredSink("sink/second", None)
DUE = window("10:00", "12:00")


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Two models that are covered from their beginning on, in the only sink that is required."""
    await ledgers.set_clock(NOW)
    hour = timedelta(hours=1)
    await ledgers.models.put_models([an_entry("fan", fold=hour), an_entry("pump", fold=hour)])
    await require(ledgers, FIRST)
    await ledgers.fetch("UPDATE coverage SET covered = tstzmultirange($1)", to_range(DUE))
    return ledgers


async def require(ledger: Ledgers, *sinks: RequiredSink) -> Sequence[str]:
    return await ledger.scheduler.require_sinks(await lead(ledger), sinks)


async def lacks(ledger: Ledgers, sink: RequiredSink = SECOND) -> dict[str, Coverage]:
    rows = await ledger.fetch(
        "SELECT m.name, l.lacks FROM sink_lacks l JOIN model m ON m.id = l.model_id WHERE l.sink = $1", sink.name
    )
    return {str(row["name"]): slots for row in rows if (slots := to_coverage(row["lacks"]))}


async def cover(ledger: Ledgers, sinks: Sequence[RequiredSink]) -> None:
    """Settle all that can be planned, by an executor that requires these sinks."""
    executor = PostgresExecutorLedger(ledger.database, retry_rules(), VERSION, sinks=[sink.name for sink in sinks])
    claims = await plan(ledger)
    assert claims
    await executor.settle([(claim, Stored.in_full(claim.window)) for claim in claims])


def copy(span: Window | None = None, *names: str, everything: bool = False) -> Asked:
    readable = (FIRST.name, SECOND.name)
    return Asked("copy", span, names or ("*",), sink=SECOND.name, everything=everything, readable=readable)


async def request(ledger: Ledgers, asked: Asked) -> Requested:
    return await request_backfill(ledger.database, "operator@host", asked, why="a new sink")


async def status(ledger: Ledgers) -> Status:
    return await read_status(ledger.database, "test")


@given(
    st.dictionaries(st.sampled_from("abcd"), st.booleans()),
    st.lists(st.sampled_from("abcd"), unique=True),
)
def test_joined_and_left_are_all_that_changes(known: dict[str, bool], required: list[str]):
    changes = sink_changes(known, required)

    before = {name for name, was in known.items() if was} if known else set(required)
    assert (before | set(changes.joined)) - set(changes.left) == set(required)
    assert not set(changes.joined) & before
    assert set(changes.left) <= before


def test_the_first_sinks_lack_nothing():
    assert sink_changes({}, ["a", "b"]) == SinkChanges((), ())


async def test_the_first_sinks_of_a_ledger_lack_nothing(ledgers: Ledgers):
    await ledgers.models.put_models([an_entry()])
    await ledgers.fetch("UPDATE coverage SET covered = tstzmultirange($1)", to_range(DUE))

    assert list(await require(ledgers, FIRST, SECOND)) == []
    assert (await lacks(ledgers, FIRST), await lacks(ledgers)) == ({}, {})


async def test_a_sink_that_joins_lacks_what_was_stored_before_and_nothing_that_comes_later(ledger: Ledgers):
    await ledger.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots) SELECT id, s, '', 3, 'infinity',"
        " tstzmultirange($1) FROM model, unnest(ARRAY['short', 'absent']) AS s WHERE (name = 'fan') = (s = 'short')",
        to_range(window("09:30", "10:00")),
    )

    joined = await require(ledger, FIRST, SECOND)
    again = await require(ledger, FIRST, SECOND)
    await ledger.set_clock(at("12:35"))
    await cover(ledger, [FIRST, SECOND])

    assert (list(joined), list(again)) == ([SECOND.name], [])
    assert await lacks(ledger) == {"fan": Coverage((window("09:30", "12:00"),)), "pump": Coverage((DUE,))}
    (sink,) = (await status(ledger)).sinks
    assert (sink.sink, sink.models, sink.slots, sink.lost, sink.request) == ("sink/second", 2, 9, 0, None)


async def test_a_sink_that_returns_lacks_what_was_stored_while_it_was_not_required(ledger: Ledgers):
    await require(ledger, FIRST, SECOND)
    await ledger.fetch("UPDATE sink_model SET lacks = tstzmultirange($1)", to_range(window("10:00", "10:30")))
    await require(ledger, FIRST)
    gone = (await status(ledger)).sinks
    await ledger.set_clock(at("12:35"))
    await cover(ledger, [FIRST])
    await require(ledger, FIRST, SECOND)

    expected = Coverage((window("10:00", "10:30"), window("12:00", "12:30")))
    assert list(gone) == []
    assert await lacks(ledger) == {"fan": expected, "pump": expected}


async def test_what_an_executor_of_older_settings_stores_is_lacking_until_one_of_the_new_ones_repeats_it(
    ledger: Ledgers,
):
    await require(ledger, FIRST, SECOND)
    await ledger.fetch("DELETE FROM sink_model")
    await ledger.set_clock(at("12:35"))
    await cover(ledger, [FIRST])
    missed = await lacks(ledger)
    await ask(ledger, window("12:00", "12:30"), kind="replace")
    await cover(ledger, [FIRST, SECOND])

    assert missed == dict.fromkeys(("fan", "pump"), Coverage((window("12:00", "12:30"),)))
    assert await lacks(ledger) == {}


async def test_what_a_sink_would_not_keep_it_does_not_lack(ledger: Ledgers):
    await require(ledger, FIRST, SECOND._replace(kept_for=NOW - at("11:00")))

    assert await lacks(ledger) == dict.fromkeys(("fan", "pump"), Coverage((window("11:30", "12:00"),)))


async def test_a_dry_run_counts_what_is_copied_and_what_is_predicted(ledger: Ledgers):
    await require(ledger, FIRST._replace(kept_for=NOW - at("10:30")), SECOND)

    preview = await preview_backfill(ledger.database, copy())

    assert (preview.kind, preview.sink, preview.models, preview.slots) == ("copy", "sink/second", 2, 8)
    # the first one keeps slots that begin after 10:30
    assert (preview.copied, preview.predicted, preview.calls) == (4, 4, 2)
    assert (preview.start, preview.end) == (DUE.start, DUE.end)
    assert await ledger.fetch("SELECT FROM request") == []


async def test_a_copy_fills_what_is_lacking_and_no_coverage_and_no_other_request(ledger: Ledgers):
    await require(ledger, FIRST, SECOND)
    number, preview = await request(ledger, copy())
    assert number is not None
    (copying,) = (cause for cause in (await status(ledger)).causes if cause.kind == "sink_lacks")
    tasks = await claimed(ledger)
    other = await ask(ledger, DUE, kind="replace")
    await ledger.executor.settle([(claim, Copied(Coverage((claim.window,)))) for claim in tasks])
    await ledger.executor.settle([(claim, Copied(Coverage((claim.window,)))) for claim in await claimed(ledger)])

    assert (preview.slots, (await show(ledger, number)).state) == (8, "done")
    assert (copying.state, f"request {number} copies" in copying.text) == (State.RECOVERING, True)
    assert await lacks(ledger) == {}
    assert (await show(ledger, other)).slots_left == 8


async def test_an_explanation_names_the_sink_that_lacks_a_covered_moment_and_the_copy_that_ends_that(ledger: Ledgers):
    async def story() -> str:
        ref, history = ModelRef("plant", "fan"), timedelta(days=30)
        return " ".join(sentences(await read_explanation(ledger.database, ref, at("11:15"), history)))

    complete = await story()
    await require(ledger, FIRST, SECOND)
    lacking = await story()
    number, _ = await request(ledger, copy())
    copied = await story()
    claims = await claimed(ledger)
    await ledger.executor.settle([(claim, Copied()) for claim in claims])
    lost = await story()

    assert "sink/second" not in complete
    assert "sink/second is required by now and lacks it: latigo backfill --sink second copies it." in lacking
    assert "sink/second is required by now and lacks it." in copied
    assert f"Request {number}, made by operator@host at 2026-03-01T12:07:00Z, copies it to sink/second." in copied
    assert "It is lost for sink/second: neither another sink nor the readings had it any more." in lost
    assert "lacks it" not in lost


async def test_a_copy_that_does_not_go_on_needs_no_second_one(ledger: Ledgers):
    await require(ledger, FIRST, SECOND)
    number, _ = await request(ledger, copy())
    assert number is not None
    await set_limits(ledger.database, "operator@host", Limits(backfill_paused=True), "reports")
    (waits,) = (cause for cause in (await status(ledger)).causes if cause.kind == "sink_lacks")
    await pause_backfill(ledger.database, "operator@host", number, "enough")
    (paused,) = (cause for cause in (await status(ledger)).causes if cause.kind == "sink_lacks")

    assert waits.state is State.RECOVERING
    assert "backfill is paused (latigo limits --resume-backfill)" in waits.text
    assert paused.state is State.NEEDS_ATTENTION
    assert f"(latigo backfills resume {number})" in paused.text


async def claimed(ledger: Ledgers) -> list[Claim]:
    claims = await plan(ledger)
    assert claims
    assert {await sink_of(ledger, claim) for claim in claims} == {"sink/second"}
    return claims


async def sink_of(ledger: Ledgers, claim: Claim) -> object:
    rows = await ledger.fetch(
        "SELECT r.sink FROM task t JOIN request r ON r.id = t.request_id WHERE t.id = $1", claim.task_id
    )
    return rows[0]["sink"] if rows else None


async def test_a_task_that_copies_names_its_sink(ledger: Ledgers):
    await require(ledger, FIRST, SECOND)
    await request(ledger, copy(None, "plant/fan"))
    term = await lead(ledger)
    (claim,) = await plan(ledger)
    await ledger.executor.release([claim])

    (task,) = await ledger.scheduler.unpublished(term, 10)

    assert (task.copy_to, task.window, task.ref.name) == ("sink/second", window("11:00", "12:00"), "fan")


async def test_what_cannot_be_had_any_more_is_lost_and_does_not_count_as_lacking(ledger: Ledgers):
    await require(ledger, FIRST, SECOND)
    number, _ = await request(ledger, copy(window("11:00", "12:00"), "plant/fan"))
    assert number is not None
    claims = await plan(ledger)
    await ledger.executor.settle([(claim, Copied(Coverage((window("11:00", "11:30"),)))) for claim in claims])

    (sink,) = (await status(ledger)).sinks
    assert (await show(ledger, number)).state == "done"
    assert (sink.slots, sink.lost) == (6, 1)
    assert (await lacks(ledger))["fan"] == Coverage((window("10:00", "11:00"),))
    await require(ledger, FIRST)
    await require(ledger, FIRST, SECOND)
    assert (await lacks(ledger))["fan"] == Coverage((window("10:00", "11:00"),))


async def test_all_that_is_stored_is_copied_where_that_is_asked_for(ledger: Ledgers):
    await require(ledger, FIRST, SECOND)
    await ledger.fetch("DELETE FROM sink_model")

    nothing = await request(ledger, copy())
    everything = await request(ledger, copy(DUE, everything=True))

    assert (nothing.number, everything.preview.slots, everything.preview.copied) == (None, 8, 8)


async def test_while_a_copy_cannot_go_on_live_predictions_do(ledger: Ledgers):
    await require(ledger, FIRST, SECOND)
    await request(ledger, copy(None, "plant/fan"))
    (claim,) = await claimed(ledger)
    await ledger.set_clock(at("12:35"))
    await ledger.executor.settle([(claim, Deferred("it is unavailable", "sink/first"))])

    planned = await plan(ledger)

    live = {(claim.ref.name, claim.window) for claim in planned if await sink_of(ledger, claim) is None}
    assert live == {(name, window("12:00", "12:30")) for name in ("fan", "pump")}
    assert await ledger.fetch("SELECT state, request_id IS NOT NULL AS copies FROM task WHERE state = 'waiting'") == [
        {"state": "waiting", "copies": True}
    ]


async def test_a_sink_that_is_not_required_cannot_be_filled(ledger: Ledgers):
    with pytest.raises(Misused, match="sink/second is not known as a required sink"):
        await request(ledger, copy())
