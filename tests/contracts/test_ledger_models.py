"""What the ledger remembers of models and projects, and what no trouble with their metadata makes it forget."""

import json
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from latigo.actions.accept_loss import accept_loss
from latigo.domain.errors import Reason
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Retry
from latigo.domain.schedule import Schedule
from latigo.domain.task import Lane
from latigo.domain.windows import DAY, Window, iso
from latigo.ledger.model_protocol import KnownProject
from latigo.ledger.protocol import Claim, Planned
from latigo.providers.gordo import open_gordo
from latigo.runtime.clock import SystemClock
from latigo.scheduler.model_sync import ModelSync
from latigo.scheduler.selection import Selection
from latigo.settings import GordoModels
from tests.support.build import HALF_HOUR, NOW, an_entry, at, window
from tests.support.gordo_replay import PROJECT, DictRoster, Reply, gordo_json, recorded, replaying
from tests.support.ledgers import Ledgers

PUMP = ModelRef("plant", "pump")
HOUR = timedelta(hours=1)
NO_TEXT = "no \0 text \udcff"  #: neither PostgreSQL nor UTF-8 has it
AS_TEXT = "no \N{REPLACEMENT CHARACTER} text \\udcff"  #: such a character is spelled out
SETTLED = "SELECT covered, expired, (SELECT array_agg(slots) FROM slot_exception) AS exceptions FROM coverage"
DESCRIBED = "SELECT state, revision, epoch, since, slot, delay, fold FROM model"

KEPT = (
    "SELECT c.covered::text, c.expired::text, c.silent_since, e.slots::text AS excepted, e.looks,"
    " p.windows::text AS parked"
    " FROM coverage c LEFT JOIN slot_exception e USING (model_id) LEFT JOIN parked p USING (model_id)"
)


def tstz(start: str, end: str) -> str:
    """A stretch of that day, in SQL."""
    return f"tstzmultirange(tstzrange('{iso(at(start))}', '{iso(at(end))}'))"


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    return ledgers


async def unusable(
    ledger: Ledgers, ref: ModelRef = PUMP, *, revision: str = "1001", detail: str = "", horizon: timedelta = 2 * HOUR
) -> None:
    await ledger.models.put_unusable(ref, revision, Reason.BAD_METADATA, detail or "resolution: 'H'", "test", horizon)


async def live_needs(ledger: Ledgers) -> dict[str, Window | None]:
    return {need.ref.name: need.windows.get(Lane.LIVE) for need in await ledger.scheduler.needs(30 * DAY)}


async def parked(ledger: Ledgers) -> list[tuple[object, ...]]:
    rows = await ledger.fetch("SELECT model, revision, reason FROM v_parked ORDER BY 1, 2, 3")
    return [tuple(row.values()) for row in rows]


async def claimed(ledger: Ledgers) -> Claim:
    """A claimed task of the one model that needs something."""
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(seconds=15))
    assert term is not None
    (need,) = await ledger.scheduler.needs(30 * DAY)
    await ledger.scheduler.plan(term, [Planned(need.model_id, need.epoch, need.windows[Lane.LIVE], Lane.LIVE)])
    (task,) = await ledger.scheduler.unpublished(term, 1)
    claim = await ledger.executor.claim(task, "executor-1", timedelta(seconds=30))
    assert claim is not None
    return claim


async def project(ledger: Ledgers) -> KnownProject:
    (result,) = await ledger.models.projects()
    return result


# --- models that cannot be used ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ["1000", "1001"])
async def test_a_spell_of_bad_metadata_makes_the_ledger_forget_nothing(ledger: Ledgers, revision: str):
    await ledger.models.put_models([an_entry()])
    await ledger.fetch(
        "UPDATE coverage SET covered = '{[2026-03-01 11:00Z, 2026-03-01 11:30Z)}',"
        " expired = '{[2026-03-01 10:00Z, 2026-03-01 10:30Z)}'"
    )
    await ledger.fetch(
        "INSERT INTO slot_exception SELECT id, 'absent', 'no a', 3, 'infinity',"
        " '{[2026-03-01 10:30Z, 2026-03-01 11:00Z)}' FROM model"
    )
    settled, described = await ledger.fetch(SETTLED), await ledger.fetch(DESCRIBED)

    await ledger.set_clock(NOW + 2 * DAY)
    await unusable(ledger, revision=revision)
    meanwhile, needed = await ledger.fetch(DESCRIBED), await live_needs(ledger)
    await ledger.models.put_models([an_entry(revision=revision)])
    await ledger.set_clock(NOW)

    assert meanwhile == [{**described[0], "state": "unusable", "revision": revision, "epoch": 2}]
    assert needed == {}
    assert await ledger.fetch(DESCRIBED) == [{**described[0], "revision": revision, "epoch": 3}]
    assert await ledger.fetch(SETTLED) == settled
    assert await live_needs(ledger) == {"pump": window("11:30", "12:00")}
    assert await parked(ledger) == []


async def test_a_model_that_stays_unusable_keeps_its_epoch(ledger: Ledgers):
    await unusable(ledger)
    await unusable(ledger, detail="resolution: 'M'")

    assert await ledger.fetch("SELECT epoch, detail FROM model JOIN parked ON model_id = id") == [
        {"epoch": 1, "detail": "resolution: 'M'"}
    ]


async def test_what_was_learnt_of_another_revision_does_not_outlive_bad_metadata(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    await ledger.fetch("UPDATE model SET anomaly = false, fold_limit = interval '1 hour'")

    await unusable(ledger, revision="1001")

    assert await ledger.fetch("SELECT anomaly, fold_limit FROM model") == [{"anomaly": None, "fold_limit": None}]


async def test_what_was_parked_of_another_revision_is_parked_no_more_when_the_next_one_has_bad_metadata(
    ledger: Ledgers,
):
    await ledger.models.put_models([an_entry()])
    await park(ledger, "values_refused")

    await unusable(ledger, revision="1001")

    assert await parked(ledger) == [("pump", "1001", "bad_metadata")]


async def test_bad_metadata_of_an_older_revision_changes_nothing(ledger: Ledgers):
    await ledger.models.put_models([an_entry(revision="1001")])

    await unusable(ledger, revision="1000")

    assert await ledger.fetch("SELECT state, revision FROM model") == [{"state": "active", "revision": "1001"}]
    assert await parked(ledger) == []


@pytest.mark.parametrize(
    ("slot", "since"), [(HALF_HOUR, at("10:00")), (HOUR, at("10:00")), (DAY, at("00:00"))], ids=str
)
async def test_a_model_that_was_unusable_when_first_seen_is_covered_from_its_horizon_before_that(
    ledger: Ledgers, slot: timedelta, since: object
):
    await unusable(ledger, horizon=2 * HOUR)

    await ledger.set_clock(NOW + 3 * DAY)
    await ledger.models.put_models([an_entry(revision="1001", slot=slot)])

    assert await ledger.fetch("SELECT since, slot FROM model") == [{"since": since, "slot": slot}]


# --- models that are not predicted any more ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["gone", "unregistered"])
async def test_nothing_is_requested_or_reported_of_models_that_are_no_longer_listed(ledger: Ledgers, state: str):
    await ledger.models.put_models([an_entry("stale"), an_entry("missing"), an_entry("kept")])
    await unusable(ledger, ModelRef("plant", "odd"))
    await ledger.fetch("UPDATE model SET stale_metadata = true WHERE name <> 'kept'")
    await ledger.fetch(
        "INSERT INTO parked SELECT id, revision, r, '', '{(,)}', $1, '' FROM model,"
        " unnest(ARRAY['model_gone', 'values_refused']) AS r WHERE name IN ('missing', 'kept')",
        NOW,
    )
    before = await ledger.scheduler.outstanding()

    changed = await ledger.models.set_state("plant", ["missing", "odd", "stale"], state)
    after = await ledger.scheduler.outstanding()

    assert sorted(changed) == ["missing", "odd", "stale"]
    assert (before.stale_metadata, after.stale_metadata) == (True, False)
    assert await ledger.fetch("SELECT count(*) FROM model WHERE stale_metadata") == [{"count": 0}]
    assert await parked(ledger) == [
        ("kept", "1000", "model_gone"),
        ("kept", "1000", "values_refused"),
        ("missing", "1000", "values_refused"),
    ]


async def test_what_an_executor_learns_of_a_model_that_is_gone_refreshes_no_list(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    await ledger.models.set_state("plant", ["pump"], "gone")

    await ledger.fetch("UPDATE model SET stale_metadata = true")

    assert not (await ledger.scheduler.outstanding()).stale_metadata


async def test_a_project_that_is_dropped_keeps_what_is_settled_and_needs_nothing_until_it_is_back(ledger: Ledgers):
    entries = [an_entry(), an_entry("off", enabled=False), an_entry("gone"), an_entry("fan", project="other")]
    await ledger.models.put_models(entries)
    await ledger.models.set_state("plant", ["gone"], "gone")
    for name in ("plant", "other"):
        await ledger.models.project_listed(name, "1000", [])
    await ledger.models.project_failed("plant", "503")

    changed = await ledger.models.project_dropped("plant")
    needed, states = await live_needs(ledger), await ledger.fetch("SELECT name, state FROM model ORDER BY name")
    await ledger.models.put_models([an_entry()])

    assert changed == 2
    assert list(needed) == ["fan"]
    assert [tuple(row.values()) for row in states] == [
        ("fan", "active"),
        ("gone", "gone"),
        ("off", "unregistered"),
        ("pump", "unregistered"),
    ]
    assert (await project(ledger)).name == "other"
    assert await live_needs(ledger) == dict.fromkeys(("fan", "pump"), window("10:00", "12:00"))


# --- quarantined lists ------------------------------------------------------------------------------------------------


async def test_a_list_is_quarantined_since_the_first_time_that_it_had_so_many_models(ledger: Ledgers):
    await ledger.models.project_listed("plant", "1000", ["fan", "pump"])
    quarantined = []
    for minutes, models in enumerate((0, 0, 3, 3, 0)):
        await ledger.set_clock(NOW + timedelta(minutes=minutes))
        await ledger.models.project_quarantined("plant", models)
        result = await project(ledger)
        assert result.quarantined_since is not None
        quarantined.append(((result.quarantined_since - NOW) // timedelta(minutes=1), result.quarantined_models))

    assert quarantined == [(0, 0), (0, 0), (2, 3), (2, 3), (4, 0)]


async def test_a_loss_is_accepted_and_recorded_of_a_quarantined_list_only(ledger: Ledgers):
    await ledger.models.project_listed("plant", "1000", ["fan", "pump"])

    before = await accept_loss(ledger.database, "ann@desk", "plant")
    await ledger.models.project_quarantined("plant", 0)
    await ledger.models.project_listed("elsewhere", "1000", ["fan"])
    await ledger.models.project_quarantined("elsewhere", 0)
    after = await accept_loss(ledger.database, "bob@desk", "plant")

    assert (before, after) == (False, True)
    assert {each.name: each.accept_loss for each in await ledger.models.projects()} == {
        "plant": True,
        "elsewhere": False,
    }
    assert await ledger.fetch("SELECT kind, who, selector FROM request") == [
        {"kind": "accept_loss", "who": "bob@desk", "selector": {"project": "plant"}}
    ]


async def test_a_list_that_could_not_be_read_has_not_stood(ledger: Ledgers):
    await ledger.models.project_listed("plant", "1000", ["fan", "pump"])
    await ledger.models.project_quarantined("plant", 0)
    await accept_loss(ledger.database, "somebody", "plant")

    await ledger.models.project_failed("plant", "503")
    failed = await project(ledger)
    await ledger.set_clock(NOW + HOUR)
    await ledger.models.project_quarantined("plant", 0)
    again = await project(ledger)

    assert (failed.error, failed.quarantined_since, failed.accept_loss) == ("503", None, True)
    assert (again.error, again.quarantined_since) == ("", NOW + HOUR)


# --- what is no text --------------------------------------------------------------------------------------------------


async def test_messages_are_kept_without_what_is_no_text(ledger: Ledgers):
    await ledger.models.project_failed("plant", NO_TEXT)
    await unusable(ledger, ModelRef("plant", "odd"), detail=NO_TEXT)
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)
    await ledger.executor.open_circuit("gordo/plant", NO_TEXT, alarm=False, pause=HOUR)
    (opened,) = await ledger.scheduler.circuits()
    await ledger.executor.probe_failed("gordo/plant", f"still {NO_TEXT}", longest=HOUR)
    (probed,) = await ledger.scheduler.circuits()

    await ledger.executor.settle([(claim, Retry(detail=NO_TEXT))])

    assert (await project(ledger)).error == AS_TEXT
    assert (opened.reason, probed.reason) == (AS_TEXT, f"still {AS_TEXT}")
    assert (
        await ledger.fetch("SELECT detail FROM parked UNION ALL SELECT detail FROM task") == [{"detail": AS_TEXT}] * 2
    )


def changed(result: Any, **dataset: object) -> Reply:
    result = deepcopy(result)
    del result["metadata"]["metadata"]["build_metadata"]["dataset"]  # it would show that there are no such tags
    result["metadata"]["dataset"] |= dataset
    return gordo_json(result)


async def test_odd_names_and_texts_of_the_model_server_cost_nothing_but_the_models_that_have_them(ledger: Ledgers):
    metadata = json.loads(recorded("metadata-pca-linear").body)
    async with replaying() as server, open_gordo(GordoModels(url=server.url), DictRoster()) as gordo:
        server.lists("fan", "pump\udcff", "tag", "filter", "valve")
        for name in ("fan", "pump\udcff", "valve"):
            server.on("GET", f"{name}/metadata", gordo_json(metadata))
        server.on("GET", "tag/metadata", changed(metadata, tag_list=["TT-001\0"], target_tag_list=None))
        server.on("GET", "filter/metadata", changed(metadata, row_filter="`1902.B.TT-001.PV` > 0 # \0"))
        sync = ModelSync(
            provider=gordo.catalogue,
            roster=DictRoster(),
            selection=Selection((PROJECT,)),
            ledger=ledger.models,
            schedule_of=lambda _: Schedule(HALF_HOUR, timedelta(minutes=5), DAY, enabled=True),
            max_window=DAY,
            clock=SystemClock(),
            version="test",
        )
        complete = await sync.run_once()

    assert complete
    assert await ledger.fetch("SELECT name, state FROM model ORDER BY name") == [
        {"name": "fan", "state": "active"},
        {"name": "filter", "state": "unusable"},
        {"name": "tag", "state": "unusable"},
        {"name": "valve", "state": "active"},
    ]
    assert {reason for _, _, reason in await parked(ledger)} == {"bad_metadata"}


# --- what a model's own metadata changes ------------------------------------------------------------------------------


async def park(ledger: Ledgers, reason: str, revision: str = "1000") -> None:
    """Let every model be parked."""
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, $1, $2, 'no', '{}', ledger_now(), 'test' FROM model",
        revision,
        reason,
    )


async def test_a_list_is_quarantined_with_no_other(ledger: Ledgers):
    for name in ("plant", "elsewhere"):
        await ledger.models.project_listed(name, "1000", ["pump"])

    await ledger.models.project_quarantined("plant", 0)

    doubted = {each.name: each.quarantined_since is not None for each in await ledger.models.projects()}
    assert doubted == {"plant": True, "elsewhere": False}


async def test_a_model_of_another_slot_length_leaves_what_is_settled_of_the_others(ledger: Ledgers):
    await ledger.models.put_models([an_entry("fan"), an_entry("pump")])
    await ledger.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
        " SELECT id, 'absent', 'no data', 0, 'infinity', tstzmultirange(tstzrange($1, $2)) FROM model",
        at("10:00"),
        at("10:30"),
    )
    await ledger.fetch("UPDATE coverage SET covered = tstzmultirange(tstzrange($1, $2))", at("10:30"), at("11:30"))

    await ledger.models.put_models([an_entry("fan", slot=HOUR), an_entry("pump")])

    rows = await ledger.fetch(
        "SELECT m.name, c.covered @> tstzrange($1, $2) AS whole, e.model_id IS NULL AS forgotten"
        " FROM model m JOIN coverage c ON c.model_id = m.id LEFT JOIN slot_exception e ON e.model_id = m.id ORDER BY 1",
        at("10:30"),
        at("11:30"),
    )
    assert [tuple(row.values()) for row in rows] == [("fan", False, True), ("pump", True, False)]


async def test_slots_of_another_length_keep_all_that_fills_them_and_give_the_rest_back_with_the_old_length(
    ledger: Ledgers,
):
    await ledger.models.put_models([an_entry(horizon=6 * HOUR)])
    settled = tstz("07:30", "10:30")
    await ledger.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
        f" SELECT id, 'absent', 'no data', 3, 'infinity', {tstz('06:30', '08:30')} FROM model"
    )
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        f" SELECT id, revision, 'attempts', '', {tstz('10:30', '11:30')} + {tstz('08:00', '09:00')}, $1, '' FROM model",
        NOW,
    )
    await ledger.fetch(
        f"UPDATE coverage SET covered = {settled}, expired = {tstz('06:00', '06:30')}, silent_since = $1", at("11:30")
    )

    await ledger.models.put_models([an_entry(slot=HOUR)])
    (wide,) = await ledger.fetch(KEPT)
    shown = await ledger.fetch("SELECT covered::text FROM v_coverage")
    await ledger.models.put_models([an_entry()])
    (narrow,) = await ledger.fetch(KEPT)

    async def same(kept: object, *stretches: tuple[str, str]) -> bool:
        text = " + ".join(tstz(*each) for each in stretches) or "'{}'::tstzmultirange"
        return bool((await ledger.fetch(f"SELECT {text} = $1::text::tstzmultirange AS same", kept))[0]["same"])

    assert await same(shown[0]["covered"], ("07:30", "10:30"))
    assert await same(wide["covered"], ("08:00", "10:00"))
    assert await same(wide["expired"])
    assert await same(wide["excepted"], ("07:00", "08:00"))
    assert await same(wide["parked"], ("08:00", "09:00"))
    assert (wide["silent_since"], wide["looks"]) == (at("12:00"), 3)
    assert await same(narrow["covered"], ("07:30", "10:30"))
    assert await same(narrow["excepted"], ("07:00", "08:00"))


async def test_a_task_of_the_slots_of_before_makes_no_window_that_is_no_slot(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=3 * HOUR)])
    await ledger.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at)"
        " SELECT id, epoch, tstzrange($1, $2), 'backfill', 'claimed', ledger_now() FROM model",
        *(at("10:00"), at("10:30")),
    )
    await ledger.models.put_models([an_entry(slot=HOUR)])
    term = await ledger.scheduler.acquire_lease("scheduler-1", HOUR)
    assert term is not None

    (need,) = await ledger.scheduler.needs(30 * DAY)
    planned = [Planned(need.model_id, need.epoch, each, lane) for lane, each in need.windows.items()]
    before = await ledger.scheduler.plan(term, planned)
    await ledger.scheduler.recover(term, "queue", isolated_starts=3, version="test")
    (after,) = await ledger.scheduler.needs(30 * DAY)

    assert need.windows[Lane.LIVE] == window("10:30", "12:00")  # not of whole hours
    assert before == 0
    assert after.windows == {Lane.LIVE: window("09:00", "12:00")}


@pytest.mark.parametrize(
    ("changes", "kept"), [({}, True), ({"revision": "1001"}, False), ({"slot": HOUR}, False)], ids=str
)
async def test_a_window_that_was_too_large_is_remembered_for_a_revision_and_its_slots(
    ledger: Ledgers, changes: dict[str, Any], kept: bool
):
    await ledger.models.put_models([an_entry()])
    await ledger.fetch("UPDATE model SET fold_limit = interval '1 hour'")

    await ledger.models.put_models([an_entry(**changes)])

    assert await ledger.fetch("SELECT fold_limit FROM model") == [{"fold_limit": HOUR if kept else None}]


@pytest.mark.parametrize(
    ("learnt", "listed", "revision", "then"),
    [
        (False, True, "1000", False),
        (None, True, "1000", True),
        (False, True, "1001", True),
        (False, None, "1001", None),
    ],
)
async def test_what_a_model_answers_on_is_as_learnt_until_its_next_revision(
    ledger: Ledgers, learnt: bool | None, listed: bool | None, revision: str, then: bool | None
):
    await ledger.models.put_models([an_entry()])
    await ledger.fetch("UPDATE model SET anomaly = $1", learnt)

    await ledger.models.put_models([an_entry(anomaly=listed, revision=revision)])

    assert await ledger.fetch("SELECT anomaly FROM model") == [{"anomaly": then}]


@pytest.mark.parametrize(
    ("reason", "revision", "left"),
    [("values_refused", "1000", True), ("values_refused", "0999", False), ("bad_metadata", "1000", False)],
)
async def test_within_a_revision_changed_metadata_unparks_only_what_bad_metadata_parked(
    ledger: Ledgers, reason: str, revision: str, left: bool
):
    await ledger.models.put_models([an_entry()])
    await park(ledger, reason, revision)

    await ledger.models.put_models([an_entry(tags=("a", "c"))])

    assert bool(await parked(ledger)) == left


async def test_a_model_that_stays_unusable_is_parked_since_the_first_time(ledger: Ledgers):
    await unusable(ledger)
    await ledger.set_clock(NOW + HOUR)
    await unusable(ledger)

    assert await ledger.fetch("SELECT since FROM parked") == [{"since": NOW}]


async def test_only_models_that_are_listed_again_are_not_gone_any_more(ledger: Ledgers):
    entries = [("plant", "pump"), ("plant", "fan"), ("elsewhere", "pump")]
    await ledger.models.put_models([an_entry(name, project=project) for project, name in entries])
    for reason in ("model_gone", "values_refused"):
        await park(ledger, reason)

    await ledger.models.project_listed("plant", "1000", ["pump"])

    rows = await ledger.fetch("SELECT project, model, reason FROM v_parked WHERE reason = 'model_gone'")
    assert {(row["project"], row["model"]) for row in rows} == {("plant", "fan"), ("elsewhere", "pump")}
    assert len(await ledger.fetch("SELECT FROM parked WHERE reason = 'values_refused'")) == 3


async def test_the_roster_has_what_was_registered_and_unregistered_last(ledger: Ledgers):
    fan = ModelRef("plant", "fan")
    await ledger.roster.add(PUMP, {"asset": "p-1"})
    await ledger.roster.add(fan, {})
    await ledger.roster.remove(fan)

    assert await ledger.roster.entries() == {PUMP: True, fan: False}
    rows = await ledger.fetch("SELECT name, data, who, at FROM roster ORDER BY name")
    assert [tuple(row.values()) for row in rows] == [
        ("fan", {}, "test", NOW),
        ("pump", {"asset": "p-1"}, "test", NOW),
    ]
