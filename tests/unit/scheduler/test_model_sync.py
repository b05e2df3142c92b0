"""Keeping the ledger's models in step with the model server."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from latigo.domain.errors import LatigoError, Reason, Rejected, RevisionGone, Unavailable
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.windows import DAY
from latigo.providers.protocols import ProjectModels
from latigo.scheduler.model_sync import AT_ONCE, CHUNK, ModelSync, Schedule
from latigo.scheduler.selection import Selection
from tests.support.build import HALF_HOUR, a_spec
from tests.support.clock import ManualClock
from tests.support.gordo_replay import DictRoster
from tests.support.memory_ledgers import MemoryModels

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class ModelServer:
    """A `ModelInformationProvider` that lists what it is told and counts what it is asked."""

    def __init__(self, lists: Mapping[str, Sequence[str]], revision: str = "1000") -> None:
        self.lists = dict(lists)
        self.revision = revision
        self.errors: dict[str, Exception] = {}  #: by project or model name
        self.asked: list[tuple[str, str]] = []
        self.resolution = timedelta(minutes=10)
        self.at_once = self.most_at_once = 0

    async def ping(self, project: str) -> str:
        raise NotImplementedError

    async def get_model_list(self, projects: Sequence[str]) -> Sequence[ProjectModels]:
        return [
            ProjectModels(project, error=error)
            if (error := self.errors.get(project))
            else ProjectModels(project, self.revision, tuple(models))
            for project, models in self.lists.items()
            if project in projects
        ]

    async def model_exists(self, name: ModelRef) -> bool:
        return name.name in self.lists.get(name.project, ())

    async def get_model_spec(self, name: ModelRef, revision: str) -> ModelSpec:
        self.asked.append((str(name), revision))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if error := self.errors.get(name.name):
            raise error
        dataset = {"resolution": self.resolution}
        return a_spec(name.name, project=name.project, revision=revision, dataset=dataset)


class World:
    """A model server, a ledger, and what keeps them in step."""

    def __init__(self, lists: Mapping[str, Sequence[str]]) -> None:
        self.clock = ManualClock()
        self.server = ModelServer(lists)
        self.ledger = MemoryModels(self.clock)
        self.roster = DictRoster()
        self.schedule = Schedule(interval=HALF_HOUR, delay=5 * MINUTE, horizon=7 * DAY, enabled=True)
        self.may_continue = True
        self.sync = ModelSync(
            provider=self.server,
            roster=self.roster,
            selection=Selection(tuple(lists)),
            ledger=self.ledger,
            schedule_of=lambda _: self.schedule,
            max_window=DAY,
            clock=self.clock,
            version="test",
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
    world = World({"plant": ["fan", "pump"]})

    await world.run_once()

    assert world.states() == {"plant/fan": "active", "plant/pump": "active"}
    entry = world.ledger.entries[ModelRef("plant", "fan")]
    assert (entry.slot, entry.delay, entry.fold, entry.horizon) == (HALF_HOUR, 5 * MINUTE, DAY, 7 * DAY)
    assert world.ledger.listed["plant"].models == 2


async def test_metadata_is_read_once_a_model_and_revision():
    world = World({"plant": ["fan", "pump"]})
    await world.run_once()
    await world.run_once()

    world.server.revision = "1001"
    await world.run_once()
    await world.run_once()

    assert sorted(world.server.asked) == [
        ("plant/fan", "1000"),
        ("plant/fan", "1001"),
        ("plant/pump", "1000"),
        ("plant/pump", "1001"),
    ]


async def test_a_model_that_has_changed_behind_our_back_is_described_again():
    world = World({"plant": ["fan", "pump"]})
    await world.run_once()
    world.ledger.make_stale(ModelRef("plant", "fan"))
    world.server.asked.clear()

    await world.run_once()

    assert world.server.asked == [("plant/fan", "1000")]


async def test_a_project_that_cannot_be_listed_keeps_its_models_and_does_not_stop_the_others():
    world = World({"a": ["pump"], "b": ["fan"]})
    await world.run_once()
    world.server.errors["a"] = Unavailable("gordo/a: 503", downstream="gordo/a")
    world.server.lists["b"] = ["fan", "valve"]

    await world.run_once()

    assert world.states() == {"a/pump": "active", "b/fan": "active", "b/valve": "active"}
    assert world.ledger.listed["a"].error == "gordo/a: 503"


async def test_a_model_with_metadata_that_nobody_understands_is_parked_with_the_reason():
    world = World({"plant": ["fan", "odd"]})
    world.server.errors["odd"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)

    await world.run_once()
    await world.run_once()

    assert world.states() == {"plant/odd": "unusable", "plant/fan": "active"}
    assert world.ledger.unusable == {ModelRef("plant", "odd"): (Reason.BAD_METADATA, "resolution: 'H'")}
    assert len(world.server.asked) == 2


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
    world = World({"plant": ["fan", "odd", "pump"]})
    world.server.errors["odd"] = error

    await world.run_once()
    first = world.states()
    world.server.errors.clear()
    await world.run_once()

    assert first == {"plant/fan": "active", "plant/pump": "active"}
    assert world.states() == {"plant/fan": "active", "plant/pump": "active", "plant/odd": "active"}


async def test_models_that_are_not_listed_any_more_are_gone_and_back_when_they_are():
    world = World({"plant": many(10)})
    await world.run_once()

    world.server.lists["plant"] = many(9)
    await world.run_once()
    gone = world.states()
    world.server.lists["plant"] = many(10)
    await world.run_once()

    assert [name for name, state in gone.items() if state == "gone"] == ["plant/model-009"]
    assert set(world.states().values()) == {"active"}


async def test_a_quarantined_list_changes_nothing_until_it_has_stood_for_an_hour():
    world = World({"plant": many(10)})
    await world.run_once()
    world.server.lists["plant"] = ["new"]

    await world.run_once()
    await world.clock.advance(59 * MINUTE)
    await world.run_once()
    quarantined = world.states()
    await world.clock.advance(1 * MINUTE)
    await world.run_once()

    assert quarantined == {f"plant/{name}": "active" for name in many(10)}
    assert world.states() == {f"plant/{name}": "gone" for name in many(10)} | {"plant/new": "active"}


async def test_a_quarantined_list_is_acted_upon_when_it_is_accepted():
    world = World({"plant": many(10)})
    await world.run_once()
    world.server.lists["plant"] = []
    await world.run_once()

    world.ledger.accept_loss("plant")
    await world.run_once()

    assert set(world.states().values()) == {"gone"}


async def test_a_list_that_recovers_is_not_quarantined_any_more():
    world = World({"plant": many(10)})
    await world.run_once()
    world.server.lists["plant"] = []
    await world.run_once()
    world.server.lists["plant"] = many(10)
    await world.run_once()
    await world.clock.advance(2 * HOUR)
    world.server.lists["plant"] = []

    await world.run_once()

    assert set(world.states().values()) == {"active"}


async def test_a_quarantined_list_has_to_stand_anew_when_it_could_not_be_read_or_has_become_another():
    world = World({"plant": many(10)})
    await world.run_once()
    world.server.lists["plant"] = []
    for change in (
        lambda: world.server.errors.update({"plant": Unavailable("503", downstream="gordo/plant")}),
        world.server.errors.clear,
        lambda: world.server.lists.update({"plant": ["new"]}),
    ):
        await world.run_once()
        await world.clock.advance(61 * MINUTE)
        change()
    await world.run_once()
    await world.clock.advance(59 * MINUTE)

    await world.run_once()

    assert world.states() == {f"plant/{name}": "active" for name in many(10)}


async def test_models_that_settings_leave_out_are_predicted_no_more_and_quarantine_nothing():
    world = World({"plant": many(10)})
    await world.run_once()

    world.leave_out(many(8))
    await world.run_once()
    without = world.states()
    world.roster.decided.clear()
    await world.run_once()

    assert without == {f"plant/{name}": "unregistered" for name in many(8)} | {
        f"plant/{name}": "active" for name in many(10)[8:]
    }
    assert set(world.states().values()) == {"active"}


async def test_models_that_settings_leave_out_are_predicted_no_more_while_the_list_is_quarantined():
    world = World({"plant": many(10)})
    await world.run_once()

    world.server.lists["plant"] = many(3)
    world.leave_out(many(1))
    await world.run_once()

    assert world.states()["plant/model-000"] == "unregistered"
    assert list(world.states().values()).count("active") == 9
    assert world.ledger.listed["plant"].quarantined_since is not None


async def test_a_project_that_nobody_names_any_more_is_predicted_no_more_until_somebody_does():
    world = World({"a": ["pump"], "b": ["fan", "odd"]})
    world.server.errors["odd"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)
    await world.run_once()

    names = world.server.lists.pop("b")
    await world.run_once()
    without, listed = world.states(), set(world.ledger.listed)
    world.server.lists["b"] = names
    await world.run_once()

    assert without == {"a/pump": "active", "b/fan": "unregistered", "b/odd": "unregistered"}
    assert listed == {"a"}
    assert world.states() == {"a/pump": "active", "b/fan": "active", "b/odd": "unusable"}


async def test_a_list_of_an_older_revision_is_not_asked_for_metadata_that_would_be_thrown_away():
    world = World({"plant": ["fan", "pump"]})
    world.server.revision = "1001"
    await world.run_once()
    world.ledger.make_stale(ModelRef("plant", "fan"))
    world.server.asked.clear()

    world.server.revision = "1000"
    world.schedule = world.schedule._replace(interval=HOUR)
    complete = await world.run_once()

    assert not complete
    assert world.server.asked == []
    assert {(model.revision, model.slot) for model in world.ledger.known.values()} == {("1001", HALF_HOUR)}


async def test_an_unusable_model_that_is_not_listed_any_more_is_gone():
    world = World({"plant": ["fan", "odd"]})
    world.server.errors["odd"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)
    await world.run_once()

    world.server.lists["plant"] = ["fan"]
    await world.run_once()

    assert world.states() == {"plant/fan": "active", "plant/odd": "gone"}


async def test_a_bug_that_one_project_wakes_does_not_stop_the_others():
    world = World({"a": ["pump"], "b": ["fan"], "c": ["valve"]})
    world.ledger.refused = {"b"}

    complete = await world.run_once()

    assert not complete
    assert world.states() == {"a/pump": "active", "c/valve": "active"}


async def test_a_bug_that_one_model_wakes_in_the_ledger_does_not_stop_the_others():
    world = World({"plant": [*many(5), "odd", "unusable"]})
    world.server.errors["unusable"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)
    world.ledger.refused = {"odd", "unusable"}

    complete = await world.run_once()

    assert not complete
    assert world.states() == {f"plant/{name}": "active" for name in many(5)}


async def test_a_round_is_complete_when_all_that_is_listed_is_known():
    world = World({"a": ["pump"], "b": [*many(5), "odd"]})
    world.server.errors["odd"] = Rejected("resolution: 'H'", reason=Reason.BAD_METADATA, whole_model=True)

    assert await world.run_once()
    assert await world.run_once()


@pytest.mark.parametrize("trouble", ["a", "model-000"])
async def test_a_round_is_not_complete_while_a_project_or_a_model_does_not_answer(trouble: str):
    world = World({"a": ["pump"], "b": many(5)})
    world.server.errors[trouble] = Unavailable("503", downstream="gordo/a")

    assert not await world.run_once()


async def test_a_round_is_not_complete_while_a_list_is_quarantined_or_someone_else_plans():
    world = World({"plant": many(10)})
    world.may_continue = False
    stopped = await world.run_once()
    world.may_continue = True
    await world.run_once()
    world.server.lists["plant"] = []

    quarantined = await world.run_once()

    assert (stopped, quarantined) == (False, False)


async def test_a_ledger_that_is_away_ends_the_round():
    world = World({"a": ["pump"], "b": ["fan"]})
    world.ledger.away = True

    with pytest.raises(Unavailable):
        await world.run_once()


async def test_a_few_metadata_documents_are_read_at_once_and_planning_begins_before_the_last():
    world = World({"plant": many(2 * CHUNK + 1)})

    await world.run_once()

    assert world.server.most_at_once == AT_ONCE
    assert world.ledger.puts == [CHUNK, CHUNK, 1]


async def test_whoever_does_not_plan_any_more_stops_describing():
    world = World({"plant": many(CHUNK + 1)})
    world.may_continue = False

    await world.run_once()

    assert world.server.asked == []


async def test_a_changed_schedule_reaches_known_models_without_asking_the_server():
    world = World({"plant": ["fan"]})
    await world.run_once()
    world.server.asked.clear()

    world.schedule = world.schedule._replace(delay=HOUR, enabled=False)
    await world.run_once()

    (model,) = world.ledger.known.values()
    assert (model.delay, model.state) == (HOUR, "disabled")
    assert world.server.asked == []


async def test_a_model_whose_slots_become_others_is_described_anew():
    world = World({"plant": ["fan"]})
    await world.run_once()

    world.schedule = world.schedule._replace(interval=HOUR)
    await world.run_once()

    assert world.ledger.entries[ModelRef("plant", "fan")].slot == HOUR
    assert len(world.server.asked) == 2


async def test_a_model_whose_rows_do_not_divide_a_day_is_never_folded():
    world = World({"plant": ["fan"]})
    world.server.resolution = 7 * MINUTE

    await world.run_once()

    entry = world.ledger.entries[ModelRef("plant", "fan")]
    assert (entry.slot, entry.fold) == (DAY, DAY)
