"""Every source of readings of ours keeps what `latigo.testing` asks of one."""

import re
from functools import partial

import pytest

from latigo.testing import OpenSensors, SensorSourceContract
from latigo.wiring.resources import SensorSource
from tests.support.sensor_sources import SENSOR_SOURCES


class TestSources(SensorSourceContract):
    @pytest.fixture(params=SENSOR_SOURCES)
    def open_sensors(self, request: pytest.FixtureRequest) -> OpenSensors:
        return partial(SENSOR_SOURCES[request.param], request)

    async def test_a_source_that_can_be_reached_answers_how_many_sensors_it_has(self, known: SensorSource):
        assert re.fullmatch(r"\d+ tags", answer := await known.ping())
        assert answer.split()[0] == str(len(await known.get_sensor_list()))
