"""Descriptions of models: posted once, a few at a time, and again where they were not."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from latigo.domain.errors import Failed, LatigoError, Reason, Rejected, RevisionGone, Unavailable
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Column
from latigo.providers.protocols import NamedSeries
from latigo.scheduler.prediction_metadata import AT_ONCE, LEASE, LONGEST_OUTAGE, LONGEST_WAIT, MetadataPosts
from tests.support.build import a_spec
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryMetadata

SINK = "sink/timeseries_api"
COLUMNS = (Column("model-output", "A"),)
DAY = timedelta(days=1)


class Api:
    """A `PredictionMetadataProvider` that fails as it is told to, by model or for all."""

    downstream = "metadata_api"

    def __init__(self) -> None:
        self.posted: list[str] = []
        self.tried: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.at_once = self.most_at_once = 0

    async def post_model(self, document: Mapping[str, Any]) -> None:
        name = document["model_name"]
        self.tried.append(name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if error := self.errors.get(name, self.errors.get("*")):
            raise error
        self.posted.append(name)


class Sink:
    """A `NamingSink`."""

    async def identify(
        self, model: ModelRef, tags: Sequence[str], columns: Sequence[Column]
    ) -> tuple[Sequence[NamedSeries], Sequence[NamedSeries]]:
        return [NamedSeries(tag, f"id of {tag}") for tag in tags], [NamedSeries(f"{model}", "an id") for _ in columns]


class Harness:
    """Descriptions to be posted, with a ledger in memory."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryMetadata(self.clock)
        self.api = Api()
        self.stop = asyncio.Event()
        self.errors: dict[str, Exception] = {}  #: of the model server, by model
        self.posts = MetadataPosts(
            ledger=self.ledger, provider=self.api, sinks={SINK: Sink()}, describe=self.describe, clock=self.clock
        )

    async def describe(self, ref: ModelRef, revision: str) -> ModelSpec:
        if error := self.errors.get(ref.name):
            raise error
        return a_spec(ref.name, project=ref.project, revision=revision)

    async def record(self, *models: str) -> None:
        for name in models:
            await self.ledger.record(SINK, ModelRef("plant", name), "1000", COLUMNS)

    async def round(self) -> int:
        return await self.posts.post_some(self.stop)


async def test_a_few_are_posted_at_a_time_and_each_once() -> None:
    harness, names = Harness(), [f"m{number}" for number in range(10)]
    await harness.record(*names)

    counts = [await harness.round() for _ in range(4)]

    assert counts == [AT_ONCE, AT_ONCE, 2, 0]
    assert harness.api.most_at_once <= AT_ONCE
    assert sorted(harness.api.tried) == sorted(names)


async def test_while_the_service_is_unavailable_one_at_a_time_tries_it() -> None:
    harness = Harness()
    await harness.record(*(f"m{number}" for number in range(10)))
    harness.api.errors["*"] = Unavailable("502", downstream="metadata_api")
    counts = [await harness.round() for _ in range(3)]
    harness.api.errors.clear()
    counts += [await harness.round() for _ in range(2)]

    assert counts == [AT_ONCE, 1, 1, 1, AT_ONCE - 1]


async def test_one_that_fails_waits_for_itself_and_longer_each_time() -> None:
    harness = Harness()
    await harness.record("bad", "good")
    harness.api.errors["bad"] = Failed("400")
    tries = 0
    for _ in range(40):
        tries += await harness.round()
        harness.clock.jump(timedelta(hours=3))

    assert harness.api.posted == ["good"]
    assert harness.ledger.errors[ModelRef("plant", "bad")] == "400"
    assert 120 // 6 <= tries - 1 <= 40
    assert harness.ledger.due[SINK, ModelRef("plant", "bad"), "1000"] <= harness.clock.now() + LONGEST_WAIT


async def test_one_whose_model_server_is_unavailable_does_not_hold_up_the_others() -> None:
    harness, names = Harness(), [f"m{number}" for number in range(8)]
    await harness.record(*names)
    for name in names[:3]:
        harness.errors[name] = Unavailable("503", downstream="gordo/plant")
    for _ in range(3):
        await harness.round()
    harness.errors.clear()
    harness.clock.jump(LONGEST_OUTAGE)
    await harness.round()

    assert sorted(harness.api.posted) == names


@pytest.mark.parametrize("error", [RevisionGone("1000"), Rejected("gone", reason=Reason.MODEL_GONE, whole_model=True)])
async def test_what_is_gone_is_dropped(error: LatigoError) -> None:
    harness = Harness()
    await harness.record("gone")
    harness.errors["gone"] = error
    await harness.round()
    harness.clock.jump(DAY)

    assert await harness.round() == 0
    assert harness.ledger.rows == {}


async def test_a_bug_that_one_model_triggers_does_not_stop_the_others() -> None:
    harness = Harness()
    await harness.record("odd", "good")
    harness.errors["odd"] = KeyError("a bug of ours")
    await harness.round()

    assert harness.api.posted == ["good"]
    assert harness.ledger.errors[ModelRef("plant", "odd")] == "KeyError: 'a bug of ours'"


async def test_what_was_posted_while_the_ledger_went_away_is_not_posted_again() -> None:
    harness = Harness()
    await harness.record("a", "b")
    posted = harness.ledger.posted

    async def unavailable(_: object) -> None:
        raise Unavailable("the ledger is unavailable", downstream="ledger")

    harness.ledger.posted = unavailable  # type: ignore[method-assign, assignment]
    for _ in range(2):
        with pytest.raises(Unavailable):
            await harness.round()
    harness.ledger.posted = posted  # type: ignore[method-assign]
    harness.clock.jump(LEASE)

    assert await harness.round() == 0
    assert sorted(harness.api.tried) == ["a", "b"]


async def test_at_the_end_nothing_new_is_sent_and_others_may_go_on_at_once() -> None:
    harness = Harness()
    await harness.record("a")
    harness.stop.set()
    await harness.round()
    after = await harness.ledger.take([SINK], 1, LEASE)

    assert harness.api.tried == []
    assert [(one.ref.name, one.attempts) for one in after] == [("a", 1)]
