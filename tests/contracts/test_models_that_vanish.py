"""Models that vanish are missing for a day, then retired; expected ones are listed until they are built."""

from datetime import timedelta

import pytest

from latigo.domain.health import State
from latigo.domain.windows import DAY
from latigo.reports.models import read_models
from latigo.reports.status import Status, read_status
from tests.support.build import NOW, an_entry
from tests.support.ledgers import Ledgers

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    await ledgers.models.project_listed("plant", "1000", ["fan", "pump"])
    await ledgers.models.put_models([an_entry("fan"), an_entry("pump")])
    return ledgers


async def states(ledger: Ledgers) -> dict[str, str]:
    return {model.model: model.state for model in await read_models(ledger.database)}


async def status(ledger: Ledgers) -> Status:
    return await read_status(ledger.database, "test")


async def test_a_model_that_vanishes_is_missing_for_a_day_then_retired_and_active_when_it_is_back(ledger: Ledgers):
    seen = []
    await ledger.models.set_state("plant", ["pump"], "gone")
    for moment in (NOW, NOW + DAY - MINUTE, NOW + DAY):
        await ledger.set_clock(moment)
        (project,) = (await status(ledger)).projects
        (row,) = await ledger.fetch("SELECT state FROM v_models WHERE model = 'pump'")
        seen.append(((await states(ledger))["pump"], row["state"], project.missing, project.retired))
    await ledger.models.put_models([an_entry("pump")])

    assert seen == [("missing", "missing", 1, 0), ("missing", "missing", 1, 0), ("retired", "retired", 0, 1)]
    assert await states(ledger) == {"fan": "active", "pump": "active"}


async def test_a_model_that_vanishes_again_is_missing_anew(ledger: Ledgers):
    await ledger.models.set_state("plant", ["pump"], "gone")
    await ledger.models.put_models([an_entry("pump")])
    await ledger.set_clock(NOW + 2 * DAY)

    await ledger.models.set_state("plant", ["pump"], "gone")

    (missing,) = await read_models(ledger.database, state="missing")
    assert (missing.model, missing.missing_since) == ("pump", NOW + 2 * DAY)


async def test_a_model_that_vanished_under_an_earlier_version_is_retired(ledger: Ledgers):
    await ledger.fetch("UPDATE model SET state = 'gone' WHERE name = 'pump'")

    assert await states(ledger) == {"fan": "active", "pump": "retired"}


async def test_expected_models_are_listed_until_they_are_built_or_not_expected_any_more(ledger: Ledgers):
    await ledger.models.project_listed("plant", "1000", ["fan", "pump"], ["mixer", "valve"])
    await ledger.set_clock(NOW + MINUTE)
    await ledger.models.project_listed("plant", "1000", ["fan", "pump"], None)
    await ledger.models.project_listed("plant", "1000", ["fan", "mixer", "pump"], ["valve"])

    (listed,) = await read_models(ledger.database, state="expected")
    report = await status(ledger)
    everything = await states(ledger)
    await ledger.models.project_dropped("plant")

    assert (listed.model, listed.state, listed.since, listed.slot) == ("valve", "expected", NOW, None)
    assert [(each.model, each.since) for each in report.not_built] == [("valve", NOW)]
    assert (report.projects[0].not_built, report.not_built_count) == (1, 1)
    assert set(everything) == {"fan", "pump"}
    assert list(await read_models(ledger.database, state="expected")) == []


async def test_a_server_that_lists_an_older_revision_is_a_cause_that_passes_or_needs_attention(ledger: Ledgers):
    await ledger.models.project_outdated("plant", "999")
    seen = []
    for moment in (NOW, NOW + 11 * MINUTE):
        await ledger.set_clock(moment)
        await ledger.models.project_outdated("plant", "999")
        seen += [cause for cause in (await status(ledger)).causes if cause.kind == "list_outdated"]
    await ledger.models.project_listed("plant", "1000", ["fan", "pump"])

    assert [(cause.state, cause.since) for cause in seen] == [(State.RECOVERING, NOW), (State.NEEDS_ATTENTION, NOW)]
    assert "revision 999, which is older than 1000" in seen[0].text
    assert "list_outdated" not in {cause.kind for cause in (await status(ledger)).causes}
