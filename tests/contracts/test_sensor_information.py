"""What every source that knows its sensors promises; the docstrings of `SensorInformationProvider`, able to run."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from latigo.domain.series import Series
from tests.support.sensor_sources import SENSOR_SOURCES, SensorSource

ONE_READING = Series(np.array([1_770_000_000 * 10**9]), np.array([1.0]))
NAMES = ["b tag", "GRA-TT-001", "gra-tt-001", "Ølstedgård °C"]


@pytest.fixture(params=SENSOR_SOURCES)
async def source(request: pytest.FixtureRequest) -> AsyncIterator[SensorSource]:
    async with SENSOR_SOURCES[request.param](request, dict.fromkeys(NAMES, ONE_READING)) as source:
        yield source


async def test_every_sensor_is_listed_once_in_order(source: SensorSource):
    assert list(await source.get_sensor_list()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
async def test_a_sensor_that_is_listed_exists(source: SensorSource, name: str):
    assert await source.sensor_exists(name)


@pytest.mark.parametrize("name", ["GRA-TT-00", "GRA-TT-0011", "Gra-TT-001", "*", "", "b"])
async def test_only_the_very_name_exists(source: SensorSource, name: str):
    assert not await source.sensor_exists(name)


async def test_a_source_that_is_there_says_how_many_sensors_it_has(source: SensorSource):
    assert await source.ping() == f"{len(NAMES)} tags"
