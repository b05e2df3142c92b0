"""The list of models: their fields, and why each of them lacks predictions."""

from datetime import timedelta

from latigo.postgres.ranges import to_range
from latigo.reports.models import read_models
from tests.support.build import NOW, an_entry, window
from tests.support.ledgers import Ledgers

HALF_PAST = to_range(window("10:30", "11:00"))


async def with_every_cause(ledgers: Ledgers) -> None:
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry(name) for name in ("fan", "held", "parked", "silent", "waits")])
    await ledgers.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version, tags)"
        " SELECT id, revision, 'unknown_sensor', 'no', tstzmultirange($1), ledger_now(), 'test', '{TT-1,TT-2,TT-3}'"
        " FROM model WHERE name = 'parked'",
        HALF_PAST,
    )
    await ledgers.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots, tags)"
        " SELECT id, 'absent', 'no_readings', 1, ledger_now(), tstzmultirange($1), '{TT-9}'"
        " FROM model WHERE name = 'silent'",
        HALF_PAST,
    )
    await ledgers.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before, detail)"
        " SELECT id, 1, $1, 'backfill', 'waiting', ledger_now(), 'infinity', 'it broke'"
        " FROM model WHERE name = 'waits'",
        HALF_PAST,
    )
    await ledgers.fetch(
        "UPDATE coverage c SET silent_since = CASE WHEN m.name = 'silent' THEN ledger_now() END,"
        " held_for = CASE WHEN m.name = 'held' THEN 'influx' ELSE '' END,"
        " hold_until = CASE WHEN m.name = 'held' THEN ledger_now() + interval '1 minute' END"
        " FROM model m WHERE m.id = c.model_id"
    )


async def test_each_model_has_its_own_cause(ledgers: Ledgers):
    await with_every_cause(ledgers)

    assert {model.model: model.cause for model in await read_models(ledgers.database)} == {
        "fan": "",
        "held": "influx is unavailable",
        "parked": "unknown sensor: TT-1 and 2 more",
        "silent": "no readings: TT-9",
        "waits": "waits for another attempt: it broke",
    }


async def test_a_hold_that_is_over_is_no_cause(ledgers: Ledgers):
    await with_every_cause(ledgers)
    await ledgers.set_clock(NOW + timedelta(minutes=1))

    (held,) = await read_models(ledgers.database, names=["held"])

    assert held.cause == ""


async def test_durations_of_a_model_are_those_that_the_ledger_has(ledgers: Ledgers):
    await with_every_cause(ledgers)
    await ledgers.fetch("UPDATE model SET slot = '30 minutes', delay = '90.5 seconds', fold = '1 day'")

    model, *_ = await read_models(ledgers.database)

    expected = (timedelta(minutes=30), timedelta(seconds=90.5), timedelta(days=1))
    assert (model.slot, model.delay, model.fold) == expected
