"""Times as loggers and historians really write them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from latigo.domain.bad_readings import Fault
from latigo.domain.errors import ConfigurationError
from latigo.domain.windows import Window, from_ns
from latigo.providers.bad_readings import BadReadings
from latigo.runtime.clock import SystemClock
from tests.support.sensor_files import DAY, FIELD_CASES, PLENTY, opened

YEAR = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


async def read(path: Path, **options: Any) -> dict[datetime, float]:
    """The readings of A by their times."""
    async with opened(path, **options) as sensors:
        series = (await sensors.get_data_for_range(["A"], YEAR, max_bytes=PLENTY))["A"]
    return dict(zip(map(from_ns, series.times.tolist()), series.values.tolist(), strict=True))


def case(name: str) -> Path:
    return FIELD_CASES / name / "data"


EVERY_MINUTE = {DAY + timedelta(minutes=n): float(n) for n in range(30)}


@pytest.mark.parametrize("name", ["60-parquet-string-view-time", "62-time-24h"])
async def test_what_can_mean_one_time_only_is_read(name: str) -> None:
    assert await read(case(name), strict=True) == EVERY_MINUTE


async def test_a_date_that_can_mean_two_is_read_by_its_format_and_otherwise_refused_with_both() -> None:
    assert await read(case("06b-us-dates"), time_format=["%m/%d/%Y %I:%M:%S %p"]) == EVERY_MINUTE
    with pytest.raises(ConfigurationError, match=r"set time_format, %m/%d/%Y %I:%M:%S %p or %d/%m/%Y"):
        await read(case("06b-us-dates"))


async def test_hourly_files_show_by_their_order_which_hour_came_first() -> None:
    bad = BadReadings(SystemClock())

    found = await read(case("56-dst-hourly"), timezone="Europe/Oslo", bad=bad)

    begin = datetime(2026, 10, 24, 23, tzinfo=UTC)
    assert found == {begin + timedelta(minutes=n): n // 60 * 100.0 + n % 60 for n in range(240)}
    assert bad.counts() == []


async def test_one_file_of_the_hour_that_fits_both_is_doubtful_and_left_out(tmp_path: Path) -> None:
    for name in ("log_0.csv", "log_1.csv", "log_3.csv"):
        (tmp_path / name).write_bytes((case("56-dst-hourly") / name).read_bytes())
    bad = BadReadings(SystemClock())

    found = await read(tmp_path, timezone="Europe/Oslo", bad=bad)

    assert sorted(found.values()) == [float(n) for n in (*range(60), *range(300, 360))]
    assert [(count.fault, count.readings) for count in bad.counts()] == [(Fault.TWO_TIMES, 60)]
