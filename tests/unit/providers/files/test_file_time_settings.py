"""Times of files as the settings describe them: formats, and a date and a time of day in two columns."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latigo.domain.errors import ConfigurationError
from latigo.domain.windows import Window, to_ns
from latigo.settings import load_settings
from tests.support.sensor_files import ALL, DAY, FIELD_CASES, PLENTY, opened, settle, values, write

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("06b-us-dates", {"time_format": "%m/%d/%Y %I:%M:%S %p"}),
        ("60-parquet-string-view-time", {}),
        ("62-time-24h", {}),
    ],
)
async def test_times_as_plants_write_them(case: str, options: dict[str, Any]):
    async with opened(FIELD_CASES / case / "data", **options) as sensors:
        read = (await sensors.get_data_for_range(["A"], ALL, max_bytes=PLENTY))["A"]

    assert read.times.tolist() == [to_ns(DAY + number * MINUTE) for number in range(30)]
    assert read.values.tolist() == list(range(30))


async def test_without_its_format_a_file_is_refused_and_the_setting_is_named(tmp_path: Path):
    path = write(tmp_path / "a.csv", (FIELD_CASES / "06b-us-dates" / "data" / "a.csv").read_text())
    settle(path)

    with pytest.raises(
        ConfigurationError, match=r"'3/1/2026 12:00:00 AM' in column 'time': set time_format, %m/%d/%Y %I"
    ):
        async with opened(tmp_path):
            pass


async def test_serial_dates_are_read_from_both_kinds_of_file(tmp_path: Path):
    days = [46082 + number / 1440 for number in range(30)]
    write(tmp_path / "a.csv", "time,A\n" + "".join(f"{day:.9f},{number}\n" for number, day in enumerate(days)))
    pq.write_table(pa.table({"time": [day + 1 for day in days], "A": [100.0] * 30}), tmp_path / "b.parquet")

    async with opened(tmp_path, time_format="excel") as sensors:
        read = (await sensors.get_data_for_range(["A"], ALL, max_bytes=PLENTY))["A"]

    expected = [DAY + number * MINUTE for number in range(30)]
    assert read.times.tolist() == [
        to_ns(each) for each in [*expected, *(each + timedelta(days=1) for each in expected)]
    ]


async def test_a_date_and_a_time_of_day_in_two_columns(tmp_path: Path):
    write(tmp_path / "a.csv", "Date;Time;A\n01.03.2026;00:00;1\n01.03.2026;00:01;2\n01.03.2026; 24:00;3\n;;4\n")
    options: dict[str, Any] = {"separator": ";", "time_column": ["Date", "Time"]}

    async with opened(tmp_path, time_format="%d.%m.%Y %H:%M", **options) as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors) == [1, 2, 3]
        assert await values(sensors, window=Window(DAY + timedelta(days=1), DAY + timedelta(days=2))) == [3]


@pytest.mark.parametrize("group", [2, 100])
async def test_arrow_dates_and_times_of_day_in_two_columns(tmp_path: Path, group: int):
    days = [(DAY + timedelta(days=number // 2)).date() for number in range(6)]
    table = pa.table(
        {"A": [0.0, 1, 2, 3, 4, 5], "clock": [time(1), time(2)] * 3, "day": pa.array(days), "B": ["x"] * 6}
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=group)

    async with opened(tmp_path, time_column=["day", "clock"]) as sensors:
        assert await sensors.get_sensor_list() == ["A", "B"]
        window = Window(DAY + timedelta(days=1), DAY + timedelta(days=2))
        read = (await sensors.get_data_for_range(["A"], window, max_bytes=PLENTY))["A"]

    assert read.times.tolist() == [to_ns(DAY + timedelta(days=1, hours=hour)) for hour in (1, 2)]
    assert read.values.tolist() == [2, 3]


async def test_local_times_in_two_columns_over_the_hour_that_happens_twice(tmp_path: Path):
    texts = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    write(tmp_path / "a.csv", "d,t,A\n" + "".join(f"25/10/26,{text},{n}\n" for n, text in enumerate(texts)))
    options: dict[str, Any] = {"time_column": ["d", "t"], "time_format": "%d/%m/%y %H:%M", "timezone": "Europe/Oslo"}

    async with opened(tmp_path, **options) as sensors:
        read = (await sensors.get_data_for_range(["A"], ALL, max_bytes=PLENTY))["A"]

    first = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    assert read.times.tolist() == [to_ns(first + number * 30 * MINUTE) for number in range(6)]
    assert read.values.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('"%d.%m %H:%M"', "should have one year"),
        ('["%d.%m.%Y", "dmy"]', "neither a format"),
        ('"Excel"', "neither a format"),
    ],
)
def test_a_format_that_names_no_moment_is_refused_by_its_key(tmp_path: Path, written: str, problem: str):
    path = write(tmp_path / "latigo.toml", f'[sensors]\nkind = "files"\ntime_format = {written}\n')

    with pytest.raises(ConfigurationError, match=rf"sensors\.time_format.*{problem}"):
        load_settings(path, {})
