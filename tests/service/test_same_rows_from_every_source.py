"""The same readings give the same X and y, whichever source they come from."""

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from latigo.dataset.build import Buckets, Dataset
from latigo.domain.model import DatasetConfig
from latigo.domain.series import Readings, Series
from latigo.domain.windows import Window, to_ns
from latigo.executor.pipeline import read_before
from latigo.wiring.resources import SensorSource
from tests.support.sensor_sources import SENSOR_SOURCES

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
PERIOD = Window(TEN, TEN + timedelta(hours=4))
DENSE, SPARSE, LATE, SWITCH = "1903.PT-001.PV", "1903.TT-002.PV", "1903.FT-003.PV", "1903.XV-004.STATUS"
MINUTE = 60 * 10**9
PLENTY = 10**8

CONFIGS = {
    "mean, filled": DatasetConfig((DENSE, SPARSE, LATE), (DENSE,)),
    "last, carried on, by the minute": DatasetConfig(
        (DENSE, LATE),
        (SPARSE,),
        resolution=timedelta(minutes=1),
        aggregation="last",
        interpolation_method="ffill",
        interpolation_limit=timedelta(minutes=20),
    ),
    "standard deviation, without a limit": DatasetConfig(
        (DENSE, SPARSE), (DENSE, SPARSE), resolution=timedelta(minutes=30), aggregation="std", interpolation_limit=None
    ),
    "row filter": DatasetConfig(
        (DENSE, SPARSE), (DENSE,), aggregation="median", row_filter=f"`{SWITCH}` > 0.5", filter_tags=(SWITCH,)
    ),
    "narrow gaps only": DatasetConfig(
        (DENSE, LATE), (LATE,), aggregation="max", interpolation_limit=timedelta(minutes=10)
    ),
}


@dataclass(frozen=True)
class Fixtures:
    """What an opener asks a test for, with a folder of its own."""

    request: pytest.FixtureRequest
    folder: Path

    def getfixturevalue(self, name: str) -> Any:
        return self.folder if name == "tmp_path" else self.request.getfixturevalue(name)


def random_readings(seed: int) -> Readings:
    """Readings of every size, at odd milliseconds; some before the period and some after it."""
    chance = random.Random(seed)

    def series(count: int, begin: int, end: int) -> Series:
        """Between two minutes after ten."""
        start = to_ns(TEN)
        times = sorted(chance.sample(range(begin * 60_000, end * 60_000), count))
        values = [chance.gauss(50, 20) * 10 ** chance.uniform(-6, 6) for _ in times]
        return Series(start + np.array(times, np.int64) * 10**6, np.array(values, np.float64))

    switch = series(30, -60, 300)
    return {
        DENSE: series(2000, -60, 300),
        SPARSE: series(12, -60, 300),
        LATE: series(40, 35, 200),
        SWITCH: Series(switch.times, np.array([float(chance.random() < 0.7) for _ in range(30)])),
    }


async def dataset_from(source: SensorSource, config: DatasetConfig) -> Dataset:
    readings = await source.get_data_for_range(config.tags, PERIOD, max_bytes=PLENTY)
    buckets = Buckets.of(config, readings, PERIOD)
    return buckets.dataset(await read_before(source, buckets, PERIOD))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_source_gives_the_same_x_and_y(request: pytest.FixtureRequest, tmp_path: Path, seed: int) -> None:
    readings = random_readings(seed)
    rows = 0
    async with AsyncExitStack() as opened:
        sources: dict[str, SensorSource] = {}
        for name, opener in SENSOR_SOURCES.items():
            (folder := tmp_path / name).mkdir()
            fixtures = cast(pytest.FixtureRequest, Fixtures(request, folder))
            sources[name] = await opened.enter_async_context(opener(fixtures, readings))
        for title, config in CONFIGS.items():
            wanted = await dataset_from(sources["memory"], config)
            rows += len(wanted)
            for name, source in sources.items():
                found = await dataset_from(source, config)
                for frame, expected in ((found.x, wanted.x), (found.y, wanted.y)):
                    where = f"{title}, {name}"
                    assert frame.times.tolist() == expected.times.tolist(), where
                    np.testing.assert_allclose(frame.values, expected.values, rtol=1e-9, atol=0, err_msg=where)
                assert found.missing.times.tolist() == wanted.missing.times.tolist(), f"{title}, {name}"
                assert found.filtered.tolist() == wanted.filtered.tolist(), f"{title}, {name}"

    assert rows > 100
