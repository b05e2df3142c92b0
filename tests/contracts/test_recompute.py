"""A new revision has the last part of what was predicted predicted again: a request that Latigo makes itself."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from latigo.actions.backfill import pause_backfill
from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason
from latigo.domain.model import ModelRef
from latigo.domain.task import Lane
from latigo.domain.windows import DAY, Window
from latigo.ledger.model_protocol import ModelEntry
from latigo.postgres.ranges import to_coverage, to_range
from latigo.reports.backfills import Backfill, read_backfills
from latigo.scheduler.plan import Agenda
from tests.contracts.test_requests import CATCH_UP, ask, carry_out, claim_all, lead, show
from tests.support.build import NOW, an_entry, at, lane_share, window
from tests.support.ledgers import Ledgers

HOUR = timedelta(hours=1)
DUE = window("10:00", "12:00")  # NOW is shortly after


def entries(revision: str, *names: str, recompute: timedelta | None = HOUR) -> list[ModelEntry]:
    return [an_entry(name, fold=HOUR, revision=revision, recompute=recompute) for name in names]


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Two models that are covered from their beginning on."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models(entries("1000", "fan", "pump"))
    await ledgers.fetch("UPDATE coverage SET covered = tstzmultirange($1)", to_range(DUE))
    return ledgers


async def requests(ledger: Ledgers) -> Sequence[Backfill]:
    return list(reversed(await read_backfills(ledger.database)))


async def wanted(ledger: Ledgers, number: int) -> dict[str, Coverage]:
    rows = await ledger.fetch(
        "SELECT m.name, q.wanted FROM request_model q JOIN model m ON m.id = q.model_id"
        " WHERE q.request_id = $1 AND q.open",
        number,
    )
    return {str(row["name"]): to_coverage(row["wanted"]) for row in rows}


async def test_what_was_settled_lately_is_predicted_again_as_one_request_of_latigo(ledger: Ledgers):
    await ledger.models.put_models(entries("1001", "fan"))
    await ledger.models.put_models(entries("1001", "pump"))

    (request,) = await requests(ledger)
    assert (request.who, request.kind, request.state) == ("latigo", "replace", "active")
    assert request.why == "new revision 1001: on_revision is recompute, 1h"
    assert request.selector == {"names": ["plant"], "revision": "1001", "recompute": "1h"}
    assert (request.models, request.slots, request.slots_left) == (2, 4, 4)
    assert request.start == NOW - HOUR
    assert await wanted(ledger, request.id) == dict.fromkeys(("fan", "pump"), Coverage((window("11:00", "12:00"),)))


async def test_it_is_carried_out_as_any_replacement_and_coverage_stays_meanwhile(ledger: Ledgers):
    await ledger.models.put_models(entries("1001", "fan", "pump"))
    covered = await ledger.fetch("SELECT DISTINCT covered FROM coverage")

    claims = await carry_out(ledger)

    assert sorted((claim.ref.name, claim.window, claim.epoch) for claim in claims) == [
        ("fan", window("11:00", "12:00"), 2),
        ("pump", window("11:00", "12:00"), 2),
    ]
    request = await show(ledger, (await requests(ledger))[0].id)
    assert (request.state, request.slots_left) == ("done", 0)
    assert [to_coverage(row["covered"]) for row in covered] == [Coverage((DUE,))]


async def test_live_comes_before_it(ledger: Ledgers):
    await ledger.models.put_models(entries("1001", "fan", "pump"))
    await ledger.set_clock(at("12:35"))

    agenda = Agenda.of(await ledger.scheduler.needs(CATCH_UP))
    planned = agenda.take(100, 100, lane_share(), {})

    assert [task.lane for task in planned] == [Lane.LIVE, Lane.LIVE, Lane.MANUAL, Lane.MANUAL]


async def test_slots_that_ended_otherwise_are_predicted_again_too_and_holes_are_not(ledger: Ledgers):
    await ledger.fetch(
        "UPDATE coverage SET covered = tstzmultirange($1), expired = tstzmultirange($2)",
        *(to_range(window("11:30", "12:00")), to_range(window("10:00", "10:30"))),
    )
    await ledger.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
        " SELECT id, 'short', 'cut', 3, 'infinity', tstzmultirange($1) FROM model WHERE name = 'fan'",
        to_range(window("10:30", "11:00")),
    )

    await ledger.models.put_models(entries("1001", "fan", "pump", recompute=DAY))

    (request,) = await requests(ledger)
    lately = window("11:30", "12:00")
    assert await wanted(ledger, request.id) == {
        "fan": Coverage((window("10:30", "11:00"), lately)),
        "pump": Coverage((lately,)),
    }


@pytest.mark.parametrize(("revision", "recompute"), [("1000", HOUR), ("999", HOUR), ("1001", None)])
async def test_nothing_is_requested_without_a_newer_revision_and_the_wish(
    ledger: Ledgers, revision: str, recompute: timedelta | None
):
    await ledger.models.put_models(entries(revision, "fan", "pump", recompute=recompute))

    assert await requests(ledger) == []


async def test_a_model_of_which_nothing_is_settled_and_a_new_one_request_nothing(ledger: Ledgers):
    await ledger.fetch("UPDATE coverage SET covered = '{}'")

    await ledger.models.put_models(entries("1001", "fan", "valve"))

    assert await requests(ledger) == []


async def test_a_model_that_was_unusable_in_between_is_predicted_again_once_it_can_be_used(ledger: Ledgers):
    await ledger.models.put_unusable(ModelRef("plant", "fan"), "1001", Reason.BAD_METADATA, "odd", "test", DAY)
    before = await requests(ledger)

    await ledger.models.put_models(entries("1001", "fan"))
    await ledger.models.put_unusable(ModelRef("plant", "fan"), "1001", Reason.BAD_METADATA, "odd", "test", DAY)
    await ledger.models.put_models(entries("1001", "fan"))

    assert before == []
    assert [request.models for request in await requests(ledger)] == [1]


async def test_a_second_revision_supersedes_what_is_left_of_the_first_request(ledger: Ledgers):
    await ledger.models.put_models(entries("1001", "fan", "pump"))
    term = await lead(ledger)
    await claim_all(ledger, term)
    (first,) = await requests(ledger)
    await pause_backfill(ledger.database, "someone@there", first.id)

    await ledger.models.put_models(entries("1002", "fan"))
    half = await requests(ledger)
    await ledger.models.put_models(entries("1002", "pump"))
    await ledger.scheduler.recover(term, "queue", isolated_starts=3, version="test")

    first, second = await requests(ledger)
    assert [(request.state, request.models_left) for request in half] == [("paused", 1), ("active", 1)]
    assert (first.state, first.note) == ("cancelled", f"superseded by request {second.id}")
    assert (second.state, second.models, second.slots_left) == ("active", 2, 4)
    assert await ledger.fetch("SELECT FROM task") == []


async def test_what_a_person_has_requested_is_not_superseded(ledger: Ledgers):
    number = await ask(ledger, Window(DUE.start, DUE.end), kind="replace")

    await ledger.models.put_models(entries("1001", "fan", "pump"))

    theirs, own = await requests(ledger)
    assert (theirs.id, theirs.state, theirs.models_left) == (number, "active", 2)
    assert (own.who, own.models_left) == ("latigo", 2)
