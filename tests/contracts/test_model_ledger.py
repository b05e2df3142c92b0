"""The contract of the ledger for model lists, PostgreSQL and in memory."""

from dataclasses import replace
from datetime import timedelta

import pytest

from latigo.domain.errors import Reason
from latigo.domain.model import ModelRef
from latigo.domain.windows import DAY
from latigo.ledger.model_protocol import KnownModel, KnownProject, Rescheduled
from tests.support.build import HALF_HOUR, NOW, an_entry
from tests.support.role_ledgers import RoleLedgers, role_ledgers

__all__ = ["role_ledgers"]

HOUR = timedelta(hours=1)
PUMP = ModelRef("plant", "pump")
LISTED = KnownProject("plant", "1000", 2, "", None, 0, accept_loss=False)


async def known(ledgers: RoleLedgers, project: str = "plant") -> dict[str, KnownModel]:
    return {model.name: model for model in await ledgers.models.known_models(project)}


async def projects(ledgers: RoleLedgers) -> list[KnownProject]:
    return list(await ledgers.models.projects())


async def unusable(ledgers: RoleLedgers, ref: ModelRef = PUMP, revision: str = "1000") -> None:
    await ledgers.models.put_unusable(ref, revision, Reason.BAD_METADATA, "resolution: 'H'", "test", DAY)


# --- projects ---------------------------------------------------------------------------------------------------------


async def test_a_new_ledger_knows_nothing(role_ledgers: RoleLedgers):
    assert await projects(role_ledgers) == []
    assert await known(role_ledgers) == {}


async def test_a_project_that_was_listed_is_known_and_one_that_was_dropped_is_not(role_ledgers: RoleLedgers):
    await role_ledgers.models.project_listed("plant", "1000", ["fan", "pump"])
    listed = await projects(role_ledgers)
    await role_ledgers.models.project_dropped("plant")

    assert listed == [LISTED]
    assert await projects(role_ledgers) == []


async def test_a_project_that_could_not_be_listed_keeps_what_was_known(role_ledgers: RoleLedgers):
    await role_ledgers.models.project_listed("plant", "1000", ["fan", "pump"])
    await role_ledgers.models.project_quarantined("plant", 0)
    await role_ledgers.models.project_failed("plant", "503")
    failed = await projects(role_ledgers)
    await role_ledgers.models.project_listed("plant", "1000", ["fan", "pump"])

    assert failed == [replace(LISTED, error="503")]
    assert await projects(role_ledgers) == [LISTED]


async def test_a_project_that_could_never_be_listed_is_known_by_its_error(role_ledgers: RoleLedgers):
    await role_ledgers.models.project_failed("plant", "503")

    assert await projects(role_ledgers) == [KnownProject("plant", "", 0, "503", None, 0, accept_loss=False)]


async def test_a_list_is_quarantined_since_it_first_had_this_length(role_ledgers: RoleLedgers):
    await role_ledgers.models.project_listed("plant", "1000", ["fan", "pump"])
    quarantined = []
    for hours, models in enumerate((1, 1, 0)):
        await role_ledgers.set_clock(NOW + hours * HOUR)
        await role_ledgers.models.project_quarantined("plant", models)
        quarantined += await projects(role_ledgers)

    assert [(each.quarantined_since, each.quarantined_models) for each in quarantined] == [
        (NOW, 1),
        (NOW, 1),
        (NOW + 2 * HOUR, 0),
    ]


async def test_a_project_that_is_not_known_is_not_quarantined(role_ledgers: RoleLedgers):
    await role_ledgers.models.project_quarantined("plant", 1)

    assert await projects(role_ledgers) == []


async def test_a_dropped_project_unregisters_the_models_that_were_predicted(role_ledgers: RoleLedgers):
    await role_ledgers.models.project_listed("plant", "1000", ["fan", "pump", "off", "old"])
    await role_ledgers.models.put_models(
        [an_entry("fan"), an_entry("pump"), an_entry("off", enabled=False), an_entry("old"), an_entry(project="other")]
    )
    await unusable(role_ledgers, ModelRef("plant", "odd"))
    await role_ledgers.models.set_state("plant", ["old"], "gone")

    assert await role_ledgers.models.project_dropped("plant") == 4
    states = {name: model.state for name, model in (await known(role_ledgers)).items()}
    assert states == {**dict.fromkeys(("fan", "pump", "off", "odd"), "unregistered"), "old": "gone"}
    assert (await known(role_ledgers, "other"))["pump"].state == "active"
    assert await role_ledgers.models.project_dropped("plant") == 0


# --- models -----------------------------------------------------------------------------------------------------------


async def test_a_model_is_known_as_it_was_put(role_ledgers: RoleLedgers):
    entry = an_entry(slot=HOUR, delay=HALF_HOUR, fold=DAY, dataset={"resolution": timedelta(minutes=2)})

    assert await role_ledgers.models.put_models([entry, an_entry("fan", enabled=False)]) == 2

    pump, fan = [(await known(role_ledgers))[name] for name in ("pump", "fan")]
    assert pump.id != fan.id
    assert pump == KnownModel(pump.id, "pump", "1000", "active", False, timedelta(minutes=2), HOUR, HALF_HOUR, DAY)
    assert fan.state == "disabled"


async def test_only_what_changes_predictions_counts(role_ledgers: RoleLedgers):
    entries = (
        an_entry(),
        an_entry(),
        an_entry(delay=HOUR, enabled=False),
        an_entry(tags=("a", "c")),
        an_entry(tags=("a", "c"), slot=HOUR),
        an_entry(tags=("a", "c"), slot=HOUR, revision="1001"),
    )

    counts = [await role_ledgers.models.put_models([entry]) for entry in entries]

    assert counts == [1, 0, 0, 1, 1, 1]


async def test_revisions_only_move_forward(role_ledgers: RoleLedgers):
    await role_ledgers.models.put_models([an_entry(revision="1000")])
    before = await known(role_ledgers)

    assert await role_ledgers.models.put_models([an_entry(revision="999", delay=HOUR)]) == 0
    await unusable(role_ledgers, revision="999")

    assert await known(role_ledgers) == before


async def test_a_model_keeps_its_schedule_and_id_while_it_is_unusable(role_ledgers: RoleLedgers):
    await role_ledgers.models.put_models([an_entry()])
    (before,) = (await known(role_ledgers)).values()

    await unusable(role_ledgers, revision="1001")
    (during,) = (await known(role_ledgers)).values()
    again = await role_ledgers.models.put_models([an_entry(revision="1001")])
    (after,) = (await known(role_ledgers)).values()

    assert during == replace(before, revision="1001", state="unusable", resolution=None)
    assert (again, after) == (1, replace(before, revision="1001"))


async def test_a_new_model_that_is_unusable_has_no_resolution_and_days_for_slots(role_ledgers: RoleLedgers):
    await unusable(role_ledgers)

    (model,) = (await known(role_ledgers)).values()
    assert model == KnownModel(model.id, "pump", "1000", "unusable", False, None, DAY, timedelta(0), DAY)


@pytest.mark.parametrize("enabled", [True, False])
async def test_settings_change_the_schedule_of_a_known_model(role_ledgers: RoleLedgers, enabled: bool):
    await role_ledgers.models.put_models([an_entry("fan"), an_entry("pump")])
    before = await known(role_ledgers)

    await role_ledgers.models.reschedule([Rescheduled(before["pump"].id, HOUR, 2 * HOUR, enabled)])

    state = "active" if enabled else "disabled"
    changed = replace(before["pump"], delay=HOUR, fold=2 * HOUR, state=state)
    assert await known(role_ledgers) == {"fan": before["fan"], "pump": changed}


async def test_a_state_is_changed_once_and_only_of_models_that_are_known(role_ledgers: RoleLedgers):
    await role_ledgers.models.put_models([an_entry("fan"), an_entry("pump"), an_entry("pump", project="other")])

    first = await role_ledgers.models.set_state("plant", ["pump", "nobody"], "gone")
    second = await role_ledgers.models.set_state("plant", ["fan", "pump"], "gone")

    assert (list(first), list(second)) == (["pump"], ["fan"])
    assert {model.state for model in (await known(role_ledgers)).values()} == {"gone"}
    assert (await known(role_ledgers, "other"))["pump"].state == "active"
