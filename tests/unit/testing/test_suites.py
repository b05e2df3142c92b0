"""The suites for authors of plug-ins notice what breaks a promise."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from latigo.domain.fence import Fence
from latigo.domain.model import DiscoveredProject
from latigo.domain.series import Predictions, Readings, Written
from latigo.domain.windows import Window
from latigo.providers.memory import MemoryPredictions, MemorySensors
from latigo.testing import (
    FencedPredictionStoreContract,
    ModelDiscoveryContract,
    PredictionStoreContract,
    SensorSourceContract,
)


class EndIncluded(MemorySensors):
    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        longer = Window(window.start, window.end + timedelta(microseconds=1))
        return await super().get_data_for_range(tags, longer, max_bytes=max_bytes)


class SilentLeftOut(MemorySensors):
    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        read = await super().get_data_for_range(tags, window, max_bytes=max_bytes)
        return {tag: series for tag, series in read.items() if len(series)}


class Unfenced(MemoryPredictions):
    fenced = False


class AllReported(MemoryPredictions):
    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:
        await super().put_predictions(predictions, fence)
        return Written(predictions.times)


class OneProject:
    """A list that names the first project only."""

    def __init__(self, models: Mapping[str, Sequence[str]]) -> None:
        self._models = models

    async def ping(self) -> str:
        return "one project"

    async def get_projects(self) -> Sequence[DiscoveredProject]:
        return [DiscoveredProject(project) for project in list(self._models)[:1]]


async def test_a_source_that_goes_by_another_window_fails() -> None:
    @asynccontextmanager
    async def opened(readings: Readings) -> AsyncIterator[MemorySensors]:
        yield EndIncluded(dict(readings))

    suite = SensorSourceContract()
    await suite.test_no_tags_is_no_readings(opened)
    with pytest.raises(AssertionError):
        await suite.test_a_window_holds_its_start_and_not_its_end(opened)


async def test_a_source_that_leaves_out_tags_fails() -> None:
    @asynccontextmanager
    async def opened(readings: Readings) -> AsyncIterator[MemorySensors]:
        yield SilentLeftOut(dict(readings))

    with pytest.raises(AssertionError):
        await SensorSourceContract().test_every_tag_asked_for_is_in_the_answer_and_no_other(opened)


async def test_a_store_that_reports_what_it_did_not_write_fails() -> None:
    with pytest.raises(AssertionError):
        await PredictionStoreContract().test_what_is_reported_as_written_is_what_can_be_read(AllReported())


async def test_a_store_that_does_not_compare_writers_fails_the_suite_of_those_that_do() -> None:
    suite = FencedPredictionStoreContract()

    with pytest.raises(AssertionError):
        await suite.test_a_store_that_compares_writers_is_tested_for_it(Unfenced())
    with pytest.raises(AssertionError):
        await suite.test_an_older_writer_fills_only_what_a_newer_one_left_out(Unfenced())
    with pytest.raises(AssertionError):
        await PredictionStoreContract().test_a_store_that_compares_writers_is_tested_for_it(MemoryPredictions())


async def test_a_list_that_lacks_a_project_fails() -> None:
    @asynccontextmanager
    async def opened(models: Mapping[str, Sequence[str]]) -> AsyncIterator[OneProject]:
        yield OneProject(models)

    with pytest.raises(AssertionError):
        await ModelDiscoveryContract().test_every_project_is_named_once_with_its_models_or_all_of_them(opened)
