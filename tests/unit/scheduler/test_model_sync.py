"""Keeping the ledger's models in step with the model server."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from latigo.domain.errors import LatigoError, Reason, Rejected, RevisionGone, Unavailable
from latigo.domain.model import DiscoveredProject, ModelRef, ModelSpec
from latigo.domain.schedule import Schedule
from latigo.domain.windows import DAY
from latigo.providers.protocols import ProjectModels
from latigo.scheduler.discovery import Discovery
from latigo.scheduler.model_sync import AT_ONCE, CHUNK, ModelSync
from latigo.scheduler.selection import Selection
from tests.support.build import HALF_HOUR, a_spec, an_entry
from tests.support.clock import ManualClock
from tests.support.gordo_replay import DictRoster
from tests.support.memory_ledgers import MemoryDiscovery, MemoryModels

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class ModelServer:
    """A `ModelInformationProvider` with given lists that records its calls."""

    def __init__(self, lists: Mapping[str, Sequence[str]], revision: str = "1000") -> None:
        self.lists = dict(lists)
        self.revision = revision
        self.errors: dict[str, Exception] = {}  #: by project or model name
        self.calls: list[tuple[str, str]] = []
        self.resolution = timedelta(minutes=10)
        self.at_once = self.most_at_once = 0
        self.expected: tuple[str, ...] | None = None

    async def ping(self, project: str) -> str:
        raise NotImplementedError

    async def get_model_list(self, projects: Sequence[str]) -> Sequence[ProjectModels]:
        return [
            ProjectModels(project, error=error)
            if (error := self.errors.get(project))
            else ProjectModels(project, self.revision, tuple(models), expected=self.expected)
            for project, models in self.lists.items()
            if project in projects
        ]

    async def model_exists(self, name: ModelRef) -> bool:
        return name.name in self.lists.get(name.project, ())

    async def get_model_spec(self, name: ModelRef, revision: str) -> ModelSpec:
        self.calls.append((str(name), revision))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if error := self.errors.get(name.name):
            raise error
        dataset = {"resolution": self.resolution}
        return a_spec(name.name, project=name.project, revision=revision, dataset=dataset)


class Named:
    """A `ModelDiscovery` that names what it is given, or fails."""

    def __init__(self, *projects: DiscoveredProject) -> None:
        self.projects: Sequence[DiscoveredProject] = projects
        self.error: Exception | None = None

    async def ping(self) -> str:
        raise NotImplementedError

    async def get_projects(self) -> Sequence[DiscoveredProject]:
        if self.error:
            raise self.error
        return self.projects


class Harness:
    """A model server, a ledger, and what keeps them in step; ``named`` names projects, or the settings do."""

    def __init__(self, lists: Mapping[str, Sequence[str]], named: Named | None = None) -> None:
        self.clock = ManualClock()
        self.server = ModelServer(lists)
        self.ledger = MemoryModels(self.clock)
        self.roster = DictRoster()
        self.schedule = Schedule(interval=HALF_HOUR, delay=5 * MINUTE, horizon=7 * DAY, enabled=True)
        self.may_continue = True
        self.sync = ModelSync(
            provider=self.server,
            roster=self.roster,
            selection=Selection(() if named else tuple(lists)),
            ledger=self.ledger,
            schedule_of=lambda _: self.schedule,
            max_window=DAY,
            clock=self.clock,
            version="test",
            discovery=Discovery(
                source="plugin",
                provider=named,
                ledger=MemoryDiscovery(self.clock),
                models=self.ledger,
                clock=self.clock,
            ),
        )

    async def run_once(self) -> bool:
        return await self.sync.run_once(lambda: self.may_continue)

    def leave_out(self, names: Sequence[str]) -> None:
        self.roster.decided = {ModelRef("plant", name): False for name in names}

    def states(self) -> dict[str, str]:
        return {str(ref): model.state for ref, model in self.ledger.known.items()}


def many(count: int) -> list[str]:
    return [f"model-{number:03}" for number in range(count)]


async def test_every_listed_model_is_described_and_scheduled():
    harness = Harness({"plant": ["fan", "pump"]})

    await harness.run_once()

    assert harness.states() == {"plant/fan": "active", "plant/pump": "active"}
    entry = harness.ledger.entries[ModelRef("plant", "fan")]
    assert (entry.slot, entry.delay, entry.fold, entry.horizon) == (HALF_HOUR, 5 * MINUTE, DAY, 7 * DAY)
    assert harness.ledger.listed["plant"].models == 2


async def test_metadata_is_read_once_a_model_and_revision():
    harness = Harness({"plant": ["fan", "pump"]})
    await harness.run_once()
    await harness.run_once()

    harness.server.revision = "1001"
    await harness.run_once()
    await harness.run_once()

    assert sorted(harness.server.calls) == [
        ("plant/fan", "1000"),
        ("plant/fan", "1001"),
        ("plant/pump", "1000"),
        ("plant/pump", "1001"),
    ]


async def test_a_model_that_has_changed_behind_our_back_is_described_again():
    harness = Harness({"plant": ["fan", "pump"]})
    await harness.run_once()
    harness.ledger.make_stale(ModelRef("plant", "fan"))
    harness.server.calls.clear()

    await harness.run_once()

    assert harness.server.calls == [("plant/fan", "1000")]


async def test_a_project_that_cannot_be_listed_keeps_its_models_and_does_not_stop_the_others():
    harness = Harness({"a": ["pump"], "b": ["fan"]})
    await harness.run_once()
    harness.server.errors["a"] = Unavailable("gordo/a: 503", downstream="gordo/a")
    harness.server.lists["b"] = ["fan", "valve"]

    await harness.run_once()

    assert harness.states() == {"a/pump": "active", "b/fan": "active", "b/valve": "active"}
    assert harness.ledger.listed["a"].error == "gordo/a: 503"


async def test_a_model_with_unusable_metadata_is_parked_with_the_reason():
    harness = Harness({"plant": ["fan", "odd"]})
    harness.server.errors["odd"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)

    await harness.run_once()
    await harness.run_once()

    assert harness.states() == {"plant/odd": "unusable", "plant/fan": "active"}
    assert harness.ledger.unusable == {ModelRef("plant", "odd"): (Reason.BAD_METADATA, "resolution: 'H'")}
    assert len(harness.server.calls) == 2


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("503", downstream="gordo/plant"),
        RevisionGone("410"),
        LatigoError("anything"),
        KeyError("a bug of ours"),
    ],
)
async def test_a_model_that_cannot_be_described_now_is_asked_for_again_and_does_not_stop_the_others(error: Exception):
    harness = Harness({"plant": ["fan", "odd", "pump"]})
    harness.server.errors["odd"] = error

    await harness.run_once()
    first = harness.states()
    harness.server.errors.clear()
    await harness.run_once()

    assert first == {"plant/fan": "active", "plant/pump": "active"}
    assert harness.states() == {"plant/fan": "active", "plant/pump": "active", "plant/odd": "active"}


async def test_models_that_are_not_listed_any_more_are_gone_and_back_when_they_are():
    harness = Harness({"plant": many(10)})
    await harness.run_once()

    harness.server.lists["plant"] = many(9)
    await harness.run_once()
    gone = harness.states()
    harness.server.lists["plant"] = many(10)
    await harness.run_once()

    assert [name for name, state in gone.items() if state == "gone"] == ["plant/model-009"]
    assert set(harness.states().values()) == {"active"}


async def test_a_quarantined_list_changes_nothing_until_it_has_stood_for_an_hour():
    harness = Harness({"plant": many(10)})
    await harness.run_once()
    harness.server.lists["plant"] = ["new"]

    await harness.run_once()
    await harness.clock.advance(59 * MINUTE)
    await harness.run_once()
    quarantined = harness.states()
    await harness.clock.advance(1 * MINUTE)
    await harness.run_once()

    assert quarantined == {f"plant/{name}": "active" for name in many(10)}
    assert harness.states() == {f"plant/{name}": "gone" for name in many(10)} | {"plant/new": "active"}


async def test_a_quarantined_list_is_acted_upon_when_it_is_accepted():
    harness = Harness({"plant": many(10)})
    await harness.run_once()
    harness.server.lists["plant"] = []
    await harness.run_once()

    harness.ledger.accept_loss("plant")
    await harness.run_once()

    assert set(harness.states().values()) == {"gone"}


async def test_a_list_that_recovers_is_not_quarantined_any_more():
    harness = Harness({"plant": many(10)})
    await harness.run_once()
    harness.server.lists["plant"] = []
    await harness.run_once()
    harness.server.lists["plant"] = many(10)
    await harness.run_once()
    await harness.clock.advance(2 * HOUR)
    harness.server.lists["plant"] = []

    await harness.run_once()

    assert set(harness.states().values()) == {"active"}


async def test_a_quarantined_list_has_to_stand_anew_when_it_could_not_be_read_or_has_become_another():
    harness = Harness({"plant": many(10)})
    await harness.run_once()
    harness.server.lists["plant"] = []
    for change in (
        lambda: harness.server.errors.update({"plant": Unavailable("503", downstream="gordo/plant")}),
        harness.server.errors.clear,
        lambda: harness.server.lists.update({"plant": ["new"]}),
    ):
        await harness.run_once()
        await harness.clock.advance(61 * MINUTE)
        change()
    await harness.run_once()
    await harness.clock.advance(59 * MINUTE)

    await harness.run_once()

    assert harness.states() == {f"plant/{name}": "active" for name in many(10)}


async def test_models_that_settings_leave_out_are_predicted_no_more_and_quarantine_nothing():
    harness = Harness({"plant": many(10)})
    await harness.run_once()

    harness.leave_out(many(8))
    await harness.run_once()
    without = harness.states()
    harness.roster.decided.clear()
    await harness.run_once()

    assert without == {f"plant/{name}": "unregistered" for name in many(8)} | {
        f"plant/{name}": "active" for name in many(10)[8:]
    }
    assert set(harness.states().values()) == {"active"}


async def test_models_that_settings_leave_out_are_predicted_no_more_while_the_list_is_quarantined():
    harness = Harness({"plant": many(10)})
    await harness.run_once()

    harness.server.lists["plant"] = many(3)
    harness.leave_out(many(1))
    await harness.run_once()

    assert harness.states()["plant/model-000"] == "unregistered"
    assert list(harness.states().values()).count("active") == 9
    assert harness.ledger.listed["plant"].quarantined_since is not None


async def test_a_project_that_is_no_longer_configured_is_not_predicted_until_it_is_again():
    harness = Harness({"a": ["pump"], "b": ["fan", "odd"]})
    harness.server.errors["odd"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)
    await harness.run_once()

    names = harness.server.lists.pop("b")
    await harness.run_once()
    without, listed = harness.states(), set(harness.ledger.listed)
    harness.server.lists["b"] = names
    await harness.run_once()

    assert without == {"a/pump": "active", "b/fan": "unregistered", "b/odd": "unregistered"}
    assert listed == {"a"}
    assert harness.states() == {"a/pump": "active", "b/fan": "active", "b/odd": "unusable"}


async def test_no_metadata_is_requested_for_a_list_of_an_older_revision():
    harness = Harness({"plant": ["fan", "pump"]})
    harness.server.revision = "1001"
    await harness.run_once()
    harness.ledger.make_stale(ModelRef("plant", "fan"))
    harness.server.calls.clear()

    harness.server.revision = "1000"
    harness.schedule = harness.schedule._replace(interval=HOUR)
    complete = await harness.run_once()

    assert not complete
    assert harness.server.calls == []
    assert {(model.revision, model.slot) for model in harness.ledger.known.values()} == {("1001", HALF_HOUR)}


async def test_while_processes_of_the_server_disagree_the_revision_and_the_models_only_move_forward():
    harness = Harness({"plant": ["fan", "old"]})
    await harness.run_once()
    epochs = []
    for revision, models in [("1001", ["fan", "new"]), ("1000", ["fan", "old"])] * 3:
        harness.server.revision, harness.server.lists["plant"] = revision, models
        await harness.run_once()
        epochs.append((harness.states(), harness.ledger.listed["plant"].revision))

    assert epochs == [({"plant/fan": "active", "plant/old": "gone", "plant/new": "active"}, "1001")] * 6
    assert harness.ledger.outdated == [("plant", "1000")] * 3
    assert harness.server.calls.count(("plant/fan", "1001")) == 1


async def test_models_that_the_server_expects_and_has_not_built_are_recorded_as_far_as_they_are_selected():
    harness = Harness({"plant": ["fan"]})
    harness.server.expected = ("fan", "pump", "valve")
    harness.leave_out(["valve"])
    await harness.run_once()
    first = harness.ledger.unbuilt["plant"]
    harness.server.expected = None
    await harness.run_once()
    unknown = harness.ledger.unbuilt["plant"]
    harness.server.expected, harness.server.lists["plant"] = ("fan", "pump"), ["fan", "pump"]
    await harness.run_once()

    assert (first, unknown, harness.ledger.unbuilt["plant"]) == (("pump",), ("pump",), ())


async def test_what_a_new_revision_has_predicted_again_is_that_of_the_schedule():
    harness = Harness({"plant": ["fan"]})
    harness.schedule = harness.schedule._replace(recompute=DAY)

    await harness.run_once()

    assert harness.ledger.entries[ModelRef("plant", "fan")].recompute == DAY


async def test_an_unusable_model_that_is_not_listed_any_more_is_gone():
    harness = Harness({"plant": ["fan", "odd"]})
    harness.server.errors["odd"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)
    await harness.run_once()

    harness.server.lists["plant"] = ["fan"]
    await harness.run_once()

    assert harness.states() == {"plant/fan": "active", "plant/odd": "gone"}


async def test_a_bug_that_one_project_wakes_does_not_stop_the_others():
    harness = Harness({"a": ["pump"], "b": ["fan"], "c": ["valve"]})
    harness.ledger.refused = {"b"}

    complete = await harness.run_once()

    assert not complete
    assert harness.states() == {"a/pump": "active", "c/valve": "active"}


async def test_a_bug_that_one_model_wakes_in_the_ledger_does_not_stop_the_others():
    harness = Harness({"plant": [*many(5), "odd", "unusable"]})
    harness.server.errors["unusable"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)
    harness.ledger.refused = {"odd", "unusable"}

    complete = await harness.run_once()

    assert not complete
    assert harness.states() == {f"plant/{name}": "active" for name in many(5)}


async def test_a_round_is_complete_when_all_that_is_listed_is_known():
    harness = Harness({"a": ["pump"], "b": [*many(5), "odd"]})
    harness.server.errors["odd"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)

    assert await harness.run_once()
    assert await harness.run_once()


@pytest.mark.parametrize("trouble", ["a", "model-000"])
async def test_a_round_is_not_complete_while_a_project_or_a_model_does_not_answer(trouble: str):
    harness = Harness({"a": ["pump"], "b": many(5)})
    harness.server.errors[trouble] = Unavailable("503", downstream="gordo/a")

    assert not await harness.run_once()


async def test_a_round_is_not_complete_while_a_list_is_quarantined_or_another_scheduler_plans():
    harness = Harness({"plant": many(10)})
    harness.may_continue = False
    stopped = await harness.run_once()
    harness.may_continue = True
    await harness.run_once()
    harness.server.lists["plant"] = []

    quarantined = await harness.run_once()

    assert (stopped, quarantined) == (False, False)


async def test_an_unavailable_ledger_ends_the_round():
    harness = Harness({"a": ["pump"], "b": ["fan"]})
    harness.ledger.unavailable = True

    with pytest.raises(Unavailable):
        await harness.run_once()


async def test_a_few_metadata_documents_are_read_at_once_and_planning_begins_before_the_last():
    harness = Harness({"plant": many(2 * CHUNK + 1)})

    await harness.run_once()

    assert harness.server.most_at_once == AT_ONCE
    assert harness.ledger.puts == [CHUNK, CHUNK, 1]


async def test_a_scheduler_that_no_longer_plans_stops_describing():
    harness = Harness({"plant": many(CHUNK + 1)})
    harness.may_continue = False

    await harness.run_once()

    assert harness.server.calls == []


async def test_a_changed_schedule_reaches_known_models_without_asking_the_server():
    harness = Harness({"plant": ["fan"]})
    await harness.run_once()
    harness.server.calls.clear()

    harness.schedule = harness.schedule._replace(delay=HOUR, enabled=False)
    await harness.run_once()

    (model,) = harness.ledger.known.values()
    assert (model.delay, model.state) == (HOUR, "disabled")
    assert harness.server.calls == []


async def test_a_model_whose_slots_become_others_is_described_anew():
    harness = Harness({"plant": ["fan"]})
    await harness.run_once()

    harness.schedule = harness.schedule._replace(interval=HOUR)
    await harness.run_once()

    assert harness.ledger.entries[ModelRef("plant", "fan")].slot == HOUR
    assert len(harness.server.calls) == 2


async def test_a_model_whose_rows_do_not_divide_a_day_is_never_folded():
    harness = Harness({"plant": ["fan"]})
    harness.server.resolution = 7 * MINUTE

    await harness.run_once()

    entry = harness.ledger.entries[ModelRef("plant", "fan")]
    assert (entry.slot, entry.fold) == (DAY, DAY)


async def test_of_the_projects_that_are_named_only_named_models_are_predicted():
    named = Named(DiscoveredProject("a", ("pump", "not-there")), DiscoveredProject("b"))
    harness = Harness({"a": ["fan", "pump"], "b": ["fan"], "c": ["fan"]}, named)

    assert await harness.run_once()
    assert harness.states() == {"a/pump": "active", "b/fan": "active"}


async def test_what_is_no_longer_named_is_unregistered_and_comes_back_when_it_is_named():
    named = Named(DiscoveredProject("a"), DiscoveredProject("b"))
    harness = Harness({"a": ["fan", "pump"], "b": ["fan"]}, named)
    await harness.run_once()
    named.projects = (DiscoveredProject("a", ("pump",)),)
    await harness.run_once()
    fewer = harness.states()
    named.projects = (DiscoveredProject("a"), DiscoveredProject("b"))
    await harness.run_once()

    assert fewer == {"a/fan": "unregistered", "a/pump": "active", "b/fan": "unregistered"}
    assert harness.states() == {"a/fan": "active", "a/pump": "active", "b/fan": "active"}


async def test_while_nothing_is_named_the_last_list_holds_and_the_model_server_is_read_all_the_same():
    named = Named(DiscoveredProject("a", ("pump", "new")), DiscoveredProject("b"))
    harness = Harness({"a": ["fan", "pump"], "b": ["fan"]}, named)
    await harness.run_once()
    named.error = Unavailable("502", downstream="plugin")
    harness.server.lists = {"a": ["fan", "pump", "new"], "b": ["fan", "valve"]}

    assert not await harness.run_once()  # so that it is read again soon
    assert harness.states() == dict.fromkeys(["a/new", "a/pump", "b/fan", "b/valve"], "active")


async def test_before_anything_was_named_what_is_known_stays_as_it_is():
    named = Named()
    named.error = Unavailable("502", downstream="plugin")
    harness = Harness({"a": ["fan"]}, named)
    await harness.ledger.put_models([an_entry("pump", project="a")])
    await harness.ledger.project_listed("a", "1000", ["pump"])

    assert not await harness.run_once()
    assert harness.states() == {"a/pump": "active"}
    assert harness.server.calls == []


async def test_a_model_that_is_registered_by_hand_is_predicted_whatever_is_named():
    harness = Harness({"a": ["fan"], "b": ["pump"]}, Named(DiscoveredProject("a", ())))
    harness.roster.decided = {ModelRef("b", "pump"): True, ModelRef("a", "fan"): True}
    await harness.run_once()

    assert harness.states() == {"a/fan": "active", "b/pump": "active"}
