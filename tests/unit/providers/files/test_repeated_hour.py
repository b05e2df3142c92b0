"""The hour that happens twice: rows are placed by what evidence there is, or skipped; never read at another time."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latigo.domain.bad_readings import Fault
from latigo.domain.errors import BadReading
from latigo.domain.windows import Window, to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files import FileSensors, indexing
from latigo.providers.files.delimited import DelimitedFile
from latigo.providers.files.reading import Layout
from latigo.providers.files.repeated_hour import NearRows, RepeatedHour, place
from latigo.providers.files.times import TimeParser
from latigo.runtime.clock import SystemClock
from latigo.settings import FileSensors as FileSensorsSettings
from tests.support.examples import examples
from tests.support.sensor_files import ALL, FIELD_CASES, PLENTY, opened, values, write

OSLO = "Europe/Oslo"
AT = datetime(2026, 10, 25, 1, tzinfo=UTC)  #: when clocks in Oslo are set back from 3 to 2
SET_BACK = {
    OSLO: AT,
    "America/New_York": datetime(2026, 11, 1, 6, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 4, 15, tzinfo=UTC),  # by half an hour
    "America/Santiago": datetime(2026, 4, 5, 3, tzinfo=UTC),  # at midnight
}
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def local(time: datetime, zone: str = OSLO) -> str:
    return time.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat(" ")


def every(step: timedelta, start: datetime, end: datetime) -> list[datetime]:
    return [start + number * step for number in range((end - start) // step)]


def clock(hours: str) -> str:
    return f"2026-10-25 {hours}"


def runs(*files: Sequence[str], zone: str = OSLO) -> list[str]:
    """Return for each file a letter for each ambiguous row: 1, 2, or ? if it is doubtful. Times are those of a day."""
    parser = TimeParser(ZoneInfo(zone))
    parsed = [parser.parse(pa.array([clock(row) for row in rows], pa.string())) for rows in files]
    (hour,) = {hour for each in parsed for hour in each.hours}
    near = [NearRows(each.times, each.second, None, ()) for each in parsed]
    return ["".join("12?"[run] for run in placed.tolist()) for placed in place(near, hour)]


# One tag


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # Both runs
        ("01:00 02:00 02:00 03:00", "12"),
        ("01:30 02:00 02:30 02:00 02:30 03:00", "1122"),
        ("02:00 02:30 02:00 02:30", "1122"),
        ("02:30 02:00 02:30 02:00", "2211"),
        ("03:00 02:30 02:00 02:30 02:00 01:30", "2211"),
        ("04:00 03:00 02:00 02:00 01:00", "21"),
        ("01:45 02:00 02:15 02:30 02:45 02:00 02:15 02:30 02:45 03:00", "11112222"),
        # One run that continues what is before it, or goes on in what comes after it
        ("00:30 01:00 01:30 02:00 02:30", "11"),
        ("02:00 02:30 03:00 03:30 04:00", "22"),
        ("04:00 03:30 03:00 02:30 02:00", "22"),
        ("00:00 01:00 02:00", "1"),
        # One run that may be either
        ("01:30 02:00 02:30 03:00", "??"),
        ("00:00 01:00 02:00 03:00 04:00", "?"),
        ("02:00 02:30", "??"),
        ("02:10", "?"),
        ("02:00 02:00", "??"),
        # Coarse data with a gap
        ("01:00 01:30 02:00 03:00 03:30", "?"),
        # Nothing but a time that is written twice
        ("02:10 02:10 02:20 02:20 02:30 02:30", "??????"),
        ("01:00 01:00 02:00 02:00 03:00 03:00", "??"),
        # Rows that are in no order
        ("03:30 01:00 02:10 04:00 02:50 01:30 02:20", "???"),
        ("02:50 02:00 02:40 02:10 02:55 02:05", "??????"),
    ],
)
def test_rows_are_placed_by_the_rows_around_them(rows: str, expected: str):
    assert runs(rows.split()) == [expected]


def minutes(*ranges: tuple[str, int]) -> list[str]:
    """Return times of day, one a minute: so many from each start on."""
    times = []
    for start, count in ranges:
        first = datetime.strptime(start, "%H:%M").replace(tzinfo=UTC)
        times += [f"{first + number * MINUTE:%H:%M:%S}" for number in range(count)]
    return times


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (minutes(("01:00", 120), ("02:00", 120)), "1" * 60 + "2" * 60),
        (minutes(("01:00", 180)), "?" * 60),
        (minutes(("01:00", 90)), "1" * 30),
        (minutes(("02:10", 110)), "2" * 50),
        (minutes(("01:00", 90), ("03:00", 60)), "1" * 30),  # an outage, not two of which one is an hour
        (minutes(("01:00", 60), ("02:30", 90)), "2" * 30),
        (minutes(("01:00", 119), ("03:00", 60)), "?" * 59),  # one minute is missing, which shows nothing
        (minutes(("01:00", 105), ("02:20", 100)), "?" * 85),  # a jump back by less than half of the hour
        (minutes(("01:00", 105), ("02:05", 115)), "1" * 45 + "2" * 55),
    ],
)
def test_gaps_count_by_their_length(rows: list[str], expected: str):
    assert runs(rows) == [expected]
    reverse = expected[::-1]
    assert runs(rows[::-1]) == [reverse]


def test_rows_that_are_late_by_seconds_are_no_jump():
    rows = minutes(("01:00", 120), ("02:00", 120))
    rows[70], rows[150] = "02:09:00", "02:29:30"

    assert runs(rows) == ["1" * 60 + "2" * 60]


def test_rows_that_are_late_where_the_second_run_begins_are_doubtful_and_the_others_are_not():
    first = [f"02:{minute:02}:{second:02}" for minute in (58, 59) for second in range(60)]
    second = [f"02:{minute:02}:{second:02}" for minute in (0, 1) for second in range(60)]
    rows = [*first[:-1], second[0], first[-1], *second[1:]]

    assert runs(rows) == ["1" * 119 + "??" + "2" * 119]


# Several files


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("01:00", 60), ("02:00", 60), ("02:00", 60), ("03:00", 60)], ["", "1" * 60, "2" * 60, ""]),
        ([("03:00", 60), ("02:00", 60), ("02:00", 60), ("01:00", 60)], ["", "2" * 60, "1" * 60, ""]),
        ([("01:00", 60), ("02:00", 60)], ["", "1" * 60]),
        ([("02:00", 60), ("03:00", 60)], ["2" * 60, ""]),
        ([("02:00", 60), ("02:00", 60)], ["1" * 60, "2" * 60]),
        ([("01:00", 60), ("02:00", 60), ("03:00", 60)], ["", "?" * 60, ""]),
        ([("02:00", 60)], ["?" * 60]),
        ([("02:30", 1), ("02:00", 1)], ["?", "?"]),
    ],
)
def test_files_are_evidence_for_each_other(files: list[tuple[str, int]], expected: list[str]):
    rows = [minutes(each) for each in files]

    assert runs(*rows) == expected
    if {"01:00", "03:00"} & {start for start, _ in files}:  # which show the order of files in which time descends
        assert runs(*[each[::-1] for each in rows]) == [each[::-1] for each in expected]


def test_files_that_overlap_are_no_evidence_for_each_other():
    whole, cut = minutes(("00:00", 180), ("02:00", 120)), minutes(("02:10", 50))

    assert runs(whole, cut) == ["1" * 60 + "2" * 60, "?" * 50]


# Whole folders


class Written(NamedTuple):
    """Rows of a tag: their true times, and files, as rows by their numbers."""

    zone: str
    times: list[datetime]
    files: list[list[int]]


@st.composite
def written(draw: st.DrawFn, zones: Sequence[str] = tuple(SET_BACK), *, outage: bool = False) -> Written:
    """Rows of a regular sampling, cut into files at random; all rows, files, or both may descend."""
    zone = draw(st.sampled_from(zones))
    step = timedelta(seconds=draw(st.sampled_from([60, 60, 300, 900, 1800, 3600])))
    phase = timedelta(seconds=draw(st.sampled_from([0, 0, 17, 59])))
    before, after = draw(st.integers(-4, 8)), draw(st.integers(-4, 8))
    start, end = SET_BACK[zone] - HOUR - before * 15 * MINUTE, SET_BACK[zone] + HOUR + after * 15 * MINUTE
    if outage:
        start, end = min(start, SET_BACK[zone] - 2 * HOUR - 4 * step), max(end, SET_BACK[zone] + 2 * HOUR + 4 * step)
    times = [time + phase for time in every(step, start, end)] or [start]
    if outage:
        first = start + draw(st.integers(0, 300)) * MINUTE
        last = first + draw(st.integers(0, 200)) * MINUTE
        times = [time for time in times if not first <= time < last]
    cuts = draw(st.lists(st.integers(0, len(times)), max_size=5))
    edges = sorted({0, *cuts, len(times)})
    files = [list(range(low, high)) for low, high in pairwise(edges)]
    if draw(st.booleans()):
        files = [each[::-1] for each in files]
        if draw(st.booleans()):
            files = files[::-1]
    return Written(zone, times, files)


class Form(NamedTuple):
    """How files are written."""

    name: str
    layout: str = "wide"
    parquet: bool = False


FORMS = [Form("wide"), Form("long", "long"), Form("parquet", parquet=True), Form("long parquet", "long", parquet=True)]


def save(folder: Path, rows: Written, form: Form) -> None:
    """Write files whose values are the numbers of the rows; in the long layout with a second tag between them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(rows.files):
        texts = [local(rows.times[row], rows.zone) for row in file]
        if form.parquet:
            times = [datetime.fromisoformat(text) for text in texts for _ in range(1 + (form.layout == "long"))]
            columns: dict[str, Any] = {"time": pa.array(times, pa.timestamp("us"))}
            if form.layout == "long":
                columns |= {"tag": ["A", "B"] * len(file), "value": [float(row) for row in file for _ in "AB"]}
            else:
                columns |= {"A": pa.array(file, pa.float64())}
            table = pa.table(columns)
            groups = max(7, table.num_rows // 12)  # rows of each; a file of seconds has many rows
            pq.write_table(table, folder / f"log_{number}.parquet", row_group_size=groups)
        elif form.layout == "long":
            lines = [f"{text},{tag},{row}\n" for text, row in zip(texts, file, strict=True) for tag in "AB"]
            write(folder / f"log_{number}.csv", "time,tag,value\n" + "".join(lines))
        else:
            lines = [f"{text},{row}\n" for text, row in zip(texts, file, strict=True)]
            write(folder / f"log_{number}.csv", "time,A\n" + "".join(lines))


async def misplaced(sensors: FileSensors, rows: Written, tag: str = "A") -> int:
    """Return how many readings are not at their true times; check that none is there twice."""
    read = (await sensors.get_data_for_range([tag], ALL, max_bytes=PLENTY))[tag]
    assert len(set(read.values.tolist())) == len(read)
    return sum(
        to_ns(rows.times[int(row)]) != time for time, row in zip(read.times.tolist(), read.values.tolist(), strict=True)
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_every_reading_is_at_its_true_time_or_skipped(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, form: Form, data: st.DataObject
):
    monkeypatch.setattr(indexing, "MIN_BLOCK", data.draw(st.sampled_from([100, 64 * 1024])))
    rows = data.draw(written(outage=data.draw(st.booleans())))
    folder = tmp_path_factory.mktemp("plant")
    save(folder, rows, form)

    async with opened(folder, timezone=rows.zone, layout=form.layout) as sensors:
        assert await misplaced(sensors, rows) == 0


@pytest.mark.parametrize("zone", SET_BACK)
@pytest.mark.parametrize("seconds", [1, 60, 900, 1800, 3600])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
async def test_nothing_is_skipped_of_both_runs(tmp_path: Path, zone: str, seconds: int, form: Form):
    margin = HOUR if seconds == 1 else 4 * HOUR
    times = every(timedelta(seconds=seconds), SET_BACK[zone] - margin, SET_BACK[zone] + margin)
    for number, ordered in enumerate(([*range(len(times))], [*range(len(times))][::-1])):
        rows = Written(zone, times, [ordered])
        save(tmp_path / str(number), rows, form)

        async with opened(tmp_path / str(number), timezone=zone, layout=form.layout) as sensors:
            assert await misplaced(sensors, rows) == 0
            assert sorted(await values(sensors)) == [*range(len(times))]


async def test_hourly_files_are_placed_by_their_order():
    async with opened(FIELD_CASES / "56-dst-hourly" / "data", timezone=OSLO) as sensors:
        read = (await sensors.get_data_for_range(["A"], ALL, max_bytes=PLENTY))["A"]

    expected = every(MINUTE, AT - 2 * HOUR, AT + 2 * HOUR)
    assert read.times.tolist() == [to_ns(time) for time in expected]
    assert read.values.tolist() == [100 * (row // 60) + row % 60 for row in range(240)]


async def test_numbers_in_the_names_of_files_count_as_numbers(tmp_path: Path):
    for number, hour in ((8, "01"), (9, "02"), (10, "02"), (11, "03")):
        write(
            tmp_path / f"log_{number}.csv", "time,A\n" + "".join(f"{clock(hour)}:{m:02},{number}\n" for m in range(60))
        )

    async with opened(tmp_path, timezone=OSLO) as sensors:
        assert await values(sensors) == [8] * 60 + [9] * 60 + [10] * 60 + [11] * 60


async def test_files_of_other_tags_are_no_evidence(tmp_path: Path):
    write(tmp_path / "1.csv", "time,A\n" + "".join(f"{clock('02')}:{m:02},{m}\n" for m in range(60)))
    write(tmp_path / "2.csv", "time,B\n" + "".join(f"{clock('02')}:{m:02},{m}\n" for m in range(60)))

    async with opened(tmp_path, timezone=OSLO) as sensors:
        assert await values(sensors, "A") == []
        assert await values(sensors, "B") == []


async def test_the_tags_of_a_long_file_are_placed_one_by_one(tmp_path: Path):
    rows = [(time, "A") for time in minutes(("01:00", 120), ("02:00", 120))]
    rows += [(time, "B") for time in minutes(("01:00", 180))]
    rows += [(time, "C") for time in minutes(("02:30", 90))]
    text = "time,tag,value\n" + "".join(f"{clock(time)},{tag},1\n" for time, tag in rows)
    write(tmp_path / "a.csv", text)
    bad = BadReadings(SystemClock())

    async with opened(tmp_path, timezone=OSLO, layout="long", bad=bad) as sensors:
        assert len(await values(sensors, "A")) == 240
        assert len(await values(sensors, "B")) == 120
        second = Window(AT, AT + HOUR)
        assert len(await values(sensors, "C", second)) == 30
        assert [(count.fault, count.readings) for count in bad.counts()] == [(Fault.TWO_TIMES, 60)]


async def test_a_file_that_its_path_gives_to_a_tag_is_placed_by_the_files_of_that_tag(tmp_path: Path):
    for tag, hours in (("A", ("01", "02", "02", "03")), ("B", ("02",))):
        for number, hour in enumerate(hours):
            rows = "".join(f"{clock(hour)}:{m:02},{number}\n" for m in range(60))
            write(tmp_path / tag / f"{tag}_{number}.csv", "time,value\n" + rows)

    async with opened(f"{tmp_path}/{{tag}}/{{tag}}_*.csv", timezone=OSLO) as sensors:
        assert await values(sensors, "A") == [0] * 60 + [1] * 60 + [2] * 60 + [3] * 60
        assert await values(sensors, "B") == []


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
async def test_doubtful_readings_are_counted_and_named_once(tmp_path: Path, suffix: str):
    times = minutes(("01:58", 62), ("03:00", 2))
    if suffix == "csv":
        write(tmp_path / "a.csv", "# a comment\ntime,A\n" + "".join(f"{clock(time)},1\n" for time in times))
    else:
        column = pa.array([datetime.fromisoformat(clock(time)) for time in times], pa.timestamp("us"))
        pq.write_table(pa.table({"time": column, "A": [1.0] * len(times)}), tmp_path / "a.parquet", row_group_size=10)
    bad = BadReadings(SystemClock())

    with structlog.testing.capture_logs() as logs:
        async with opened(tmp_path, timezone=OSLO, bad=bad) as sensors:
            assert len(await values(sensors)) == 4
            assert len(await values(sensors)) == 4

    (count,) = bad.counts()
    assert (count.place, count.tag, count.fault) == (str(tmp_path / f"a.{suffix}"), "", Fault.TWO_TIMES)
    assert count.readings == 60
    where = "line 5" if suffix == "csv" else "row 2"
    assert count.example.startswith(f"{where}: '2026-10-25 02:00:00' occurs twice in Europe/Oslo")
    assert len([log for log in logs if log["event"] == "readings.skipped"]) == 1


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
async def test_strict_settings_refuse_what_is_doubtful_and_nothing_else(tmp_path: Path, suffix: str):
    times = minutes(("01:00", 180))
    if suffix == "csv":
        write(tmp_path / "a.csv", "time,A\n" + "".join(f"{clock(time)},1\n" for time in times))
    else:
        column = pa.array([datetime.fromisoformat(clock(time)) for time in times], pa.timestamp("us"))
        pq.write_table(pa.table({"time": column, "A": [1.0] * len(times)}), tmp_path / "a.parquet")

    async with opened(tmp_path, timezone=OSLO, strict=True) as sensors:
        assert len(await values(sensors, window=Window(AT - 3 * HOUR, AT - HOUR))) == 60
        for hour in (AT - HOUR, AT):
            with pytest.raises(BadReading, match="occurs twice in Europe/Oslo"):
                await values(sensors, window=Window(hour, hour + HOUR))


# Files that grow


async def test_later_rows_are_evidence_for_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(indexing, "MIN_BLOCK", 512)
    path, second = tmp_path / "a.csv", Window(AT, AT + HOUR)
    first = Window(AT - HOUR, AT)
    write(path, "time,A\n")

    async with opened(tmp_path, timezone=OSLO) as sensors:

        async def after(*ranges: tuple[str, int]) -> tuple[int, int]:
            with path.open("a") as file:
                file.writelines(f"{clock(time)},1\n" for time in minutes(*ranges))
            return len(await values(sensors, window=first)), len(await values(sensors, window=second))

        assert await after(("02:10", 10)) == (0, 0)  # nothing shows which run it is
        assert await after(("02:20", 40)) == (0, 0)
        assert await after(("02:00", 1)) == (50, 1)  # time has jumped back
        assert await after(("02:01", 59)) == (50, 60)
        assert await after(("03:00", 60)) == (50, 60)


async def test_what_goes_on_from_before_is_the_first_run_until_more_is_known(tmp_path: Path):
    path = write(tmp_path / "a.csv", "time,A\n")
    first = Window(AT - HOUR, AT)

    async with opened(tmp_path, timezone=OSLO) as sensors:
        for ranges, expected in (((("01:00", 90),), 30), ((("02:30", 30),), 60), ((("03:00", 1),), 0)):
            with path.open("a") as file:
                file.writelines(f"{clock(time)},1\n" for time in minutes(*ranges))
            assert len(await values(sensors, window=first)) == expected


async def test_a_file_that_appears_is_evidence_for_those_that_are_there(tmp_path: Path):
    def log(number: int, hour: str) -> None:
        write(
            tmp_path / f"log_{number}.csv", "time,A\n" + "".join(f"{clock(hour)}:{m:02},{number}\n" for m in range(60))
        )

    log(2, "02")
    async with opened(tmp_path, timezone=OSLO) as sensors:
        assert await values(sensors) == []
        log(1, "01")
        assert await values(sensors) == [1] * 60 + [2] * 60
        log(3, "02")
        assert await values(sensors, window=Window(AT, AT + HOUR)) == [3] * 60
        (tmp_path / "log_3.csv").unlink()
        log(4, "03")
        assert await values(sensors) == [1] * 60 + [4] * 60


async def test_rows_far_from_the_hour_do_not_read_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "a.csv", "time,A\n" + "".join(f"{clock(time)},1\n" for time in minutes(("01:00", 90))))
    with path.open("a") as file:
        file.writelines(f"{time:%Y-%m-%d %H:%M:%S},2\n" for time in every(MINUTE, AT + 24 * HOUR, AT + 200 * HOUR))
    sizes: list[int] = []

    async with opened(tmp_path, timezone=OSLO) as sensors:
        assert len(await values(sensors, window=Window(AT - HOUR, AT))) == 30
        monkeypatch.setattr("latigo.providers.files.csv_block.CsvBlock.near", lambda *_: sizes.append(1))
        with path.open("a") as file:
            file.write(f"{AT + 200 * HOUR:%Y-%m-%d %H:%M:%S},3\n")
        assert (await values(sensors))[-1] == 3
        assert len(await values(sensors, window=Window(AT - HOUR, AT))) == 30
    assert sizes == []


def test_a_file_is_read_by_its_index_of_before_until_its_rows_are_placed(tmp_path: Path):
    path = write(tmp_path / "a.csv", "time,A\n2026-10-25 00:00:00,1\n")
    layout = Layout.of(FileSensorsSettings(path=tmp_path, timezone=OSLO))
    file = DelimitedFile(path, layout, SystemClock(), BadReadings(SystemClock()))
    hour = RepeatedHour(to_ns(AT), 3600 * 10**9)

    def read() -> list[float]:
        low, high = to_ns(AT - 24 * HOUR), to_ns(AT + 24 * HOUR)
        chunks = [chunk for span in file.spans(low, high) for chunk in file.read(span, {"A"}, low, high)]
        return [value for chunk in chunks for value in chunk.values.tolist()]

    file.refresh(threading.Event())
    assert read() == [1]
    with path.open("a") as handle:
        handle.write("2026-10-25 02:00:00,2\n")
    file.refresh(threading.Event())
    assert file.hours == {hour}
    assert read() == [1]
    rows = file.near(hour)
    assert rows is not None
    file.place({hour: (rows, np.array([1], np.int8))})
    assert read() == [1, 2]
