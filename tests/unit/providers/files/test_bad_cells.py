"""Damage is as large as the reading that is damaged: the others are read, and it is counted or refused by name."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from latigo.domain.bad_readings import Fault
from latigo.domain.errors import BadReading, ConfigurationError
from latigo.domain.windows import to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.runtime.clock import SystemClock
from tests.support.sensor_files import DAY, FIELD_CASES, clock, minutes, opened, settle, values, write

MINUTE = 60 * 10**9


async def read(path: Path, tag: str = "A", **options: Any) -> tuple[list[float], list[tuple[str, Fault, int]]]:
    """The values of a tag, and what was skipped: tag, fault and number."""
    bad = BadReadings(SystemClock())
    async with opened(path, bad=bad, **options) as sensors:
        found = await values(sensors, tag)
        again = await values(sensors, tag)  # what is read again is not counted again
        assert again == found
        await values(sensors, tag, minutes(0, 2))
        return found, [(count.tag, count.fault, count.readings) for count in bad.counts()]


def case(name: str) -> Path:
    return FIELD_CASES / name / "data"


def without(*gone: int, count: int = 30) -> list[float]:
    return [float(n) for n in range(count) if n not in gone]


async def test_a_thousands_point_is_read_by_its_setting_and_otherwise_refused_by_name() -> None:
    comma: dict[str, Any] = {"separator": ";", "decimal_point": ","}

    found, skipped = await read(case("01-thousands-point"), thousands=".", **comma)
    assert (found[:3], len(found), skipped) == ([1234, 901.5, 902.5], 30, [])
    with pytest.raises(BadReading, match=r"line 2: '1\.234' in column 'A' .* sensors\.decimal_point or .*thousands"):
        await read(case("01-thousands-point"), **comma)
    async with opened(case("01-thousands-point"), **comma) as sensors:
        assert await values(sensors, window=minutes(1, 30)) == [n + 0.5 for n in range(901, 930)]


async def test_states_are_skipped_and_counted_or_refused_by_name() -> None:
    lines = (case("04-states") / "a.csv").read_text().splitlines()[1:]
    states = [n for n, line in enumerate(lines) if "d" in line[19:]]

    found, skipped = await read(case("04-states"))
    assert (found, skipped) == (without(*states), [("A", Fault.TEXT, len(states))])
    assert states
    with pytest.raises(BadReading, match=r"line \d+: 'Bad' in column 'A' .*sensors\.text"):
        await read(case("04-states"), text="refuse")


async def test_the_usual_markers_stand_for_no_reading() -> None:
    lines = (case("04b-missing-markers") / "a.csv").read_text().splitlines()[1:]
    markers = [n for n, line in enumerate(lines) if line.split(",")[1] in {"\\N", "-", "1.#QNAN", "Null"}]

    found, skipped = await read(case("04b-missing-markers"), strict=True)
    assert (found, skipped) == (without(*markers), [])
    assert len(markers) >= 3


@pytest.mark.parametrize(("name", "fault"), [("07-repeated-header", Fault.TIME), ("08-nul-tail", Fault.ROW)])
async def test_a_line_that_is_no_row_is_skipped_counted_and_named_once(name: str, fault: Fault) -> None:
    with capture_logs() as logs:
        found, skipped = await read(case(name))

    lines = (case(name) / "a.csv").read_bytes().split(b"\n")
    odd = next(n for n, line in enumerate(lines[1:], 2) if not line.startswith(b"2026"))
    assert found == without(*(() if name.startswith("07") else range(len(found), 30)))
    assert skipped == [("", fault, 1)]
    assert [log["example"].split(":")[0] for log in logs if log["event"] == "readings.skipped"] == [f"line {odd}"]
    with pytest.raises(BadReading, match=f"line {odd}: "):
        await read(case(name), strict=True)


async def test_booleans_are_one_and_zero() -> None:
    found, skipped = await read(case("12-booleans"), strict=True)

    assert (found, skipped) == ([float(n % 2) for n in range(30)], [])


async def test_a_quoted_decimal_comma_stands_beside_commas_as_separators() -> None:
    found, skipped = await read(case("54-quoted-decimal-comma"), decimal_point=",")

    assert (found, skipped) == ([n + 0.5 for n in range(30)], [])


async def test_what_is_not_good_is_skipped_and_counted() -> None:
    good: dict[str, Any] = {"layout": "long", "quality_column": "quality", "good": ["Good"]}
    found, skipped = await read(case("55-long-quality"), **good)
    everything, _ = await read(case("55-long-quality"), layout="long", quality_column="")

    assert found == [value for value in everything if value != -999]
    assert skipped == [("A", Fault.QUALITY, everything.count(-999))]
    assert -999 in everything


NCS_COLUMNS = {"time_column": "Time", "value_column": "Value"}


@pytest.mark.parametrize(
    ("name", "pattern", "options", "says"),
    [
        ("54-quoted-decimal-comma", "a.csv", {}, r"line 2: '0,5' in column 'A' .*sensors\.decimal_point"),
        ("55-long-quality", "a.csv", {"layout": "long"}, r"sensors\.quality_column: .*column 'quality'"),
        ("70-ncs-csv", "{tag}/*.csv", {"separator": ";", **NCS_COLUMNS}, r"set preset = \"ncs\""),
        ("70b-ncs-parquet", "", {"layout": "long", **NCS_COLUMNS}, r"sensors\.tag_column: .*name the tag in the path"),
        ("70b-ncs-parquet", "{tag}/parquet/*", NCS_COLUMNS, r"sensors\.quality_column: .*column 'Status'"),
    ],
)
async def test_an_input_of_the_field_is_refused_by_the_setting_that_it_lacks(
    name: str, pattern: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises((BadReading, ConfigurationError), match=says):
        await read(case(name) / pattern, **options)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("name", "columns", "options"),
    [
        ("a", ("time", "tag", "value", "quality"), {"layout": "long"}),
        ("a", ("time", "tag", "value", " Status"), {"layout": "long"}),
        ("a", ("time", "tag", "value", "OPC quality code"), {"layout": "long"}),
        ("{tag}", ("time", "value", "Status"), {}),
    ],
    ids=str,
)
async def test_a_quality_that_no_setting_uses_is_refused_by_the_settings_that_do(
    tmp_path: Path, kind: str, name: str, columns: Sequence[str], options: dict[str, Any]
) -> None:
    cells = {"time": clock(0), "tag": "A", "value": "-999", columns[-1]: "Bad"}
    path = tmp_path / f"A.{kind}"
    if kind == "csv":
        write(path, ",".join(columns) + "\n" + ",".join(cells[each] for each in columns) + "\n")
    else:
        pq.write_table(pa.table({each.strip(): [cells[each]] for each in columns}), path)
    source = tmp_path / f"{name}.{kind}" if name == "{tag}" else path

    with pytest.raises(
        ConfigurationError, match=r"sensors\.quality_column: .*(?i:quality|status).*quality_column and good"
    ):
        async with opened(source, **options):
            pass
    async with opened(source, quality_column="", **options) as sensors:
        assert await values(sensors) == [-999]
    async with opened(source, quality_column=columns[-1].strip(), good=["Good"], **options) as sensors:
        assert await values(sensors) == []


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("time,A,A.status", "A.status"),
        ("time,A,A_Quality,B", "A_Quality"),
        ("time,A,Quality,B,Quality", "Quality"),
        ("time,A,Status", "Status"),
        ("time,A,B.status", None),
        ("time,A,B", None),
    ],
)
async def test_a_sample_names_a_column_that_seems_to_have_qualities(
    tmp_path: Path, header: str, column: str | None
) -> None:
    path = write(tmp_path / "a.csv", f"{header}\n{clock(0)}{',1' * header.count(',')}\n")

    async with opened(path) as sensors:
        notes = (await sensors.sample(["A"])).notes
    async with opened(path, quality_column="") as sensors:
        assert (await sensors.sample(["A"])).notes == ()

    assert len(notes) == (column is not None)
    for note in notes:
        assert f"column {column!r} seems to have qualities" in note
        assert "sensors.quality_column" in note


async def test_tags_may_be_called_as_qualities_are(tmp_path: Path) -> None:
    """In files of one column a tag, and as what the settings name."""
    write(tmp_path / "wide" / "a.csv", f"time,A,status\n{clock(0)},1,2\n")
    write(tmp_path / "long" / "a.csv", f"time,quality,status\n{clock(0)},A,2\n")

    async with opened(tmp_path / "wide") as sensors:
        assert await values(sensors, "status") == [2]
    async with opened(tmp_path / "long", layout="long", tag_column="quality", value_column="status") as sensors:
        assert await values(sensors) == [2]


async def test_one_wild_time_costs_its_row_in_parquet_too() -> None:
    found, skipped = await read(case("61-parquet-one-wild-time"))

    assert (found, skipped) == (without(29), [("", Fault.TIME, 1)])
    with pytest.raises(BadReading, match=r"row 29 .*column 'time'"):
        await read(case("61-parquet-one-wild-time"), strict=True)


async def test_dates_that_no_format_is_set_for_are_refused_by_the_name_of_the_setting(tmp_path: Path) -> None:
    write(tmp_path / "b.csv", f"time,B\n{clock(0)},1\n")
    (tmp_path / "a.csv").write_bytes((case("06b-us-dates") / "a.csv").read_bytes())
    with capture_logs() as logs:
        async with opened(tmp_path) as sensors:
            assert await sensors.get_sensor_list() == ["B"]

    (reason,) = [log["reason"] for log in logs if log["event"] == "sensor_file.excluded"]
    assert "'3/1/2026 12:00:00 AM' in column 'time': set time_format" in reason


async def test_rows_are_skipped_one_by_one_wherever_they_stand(tmp_path: Path) -> None:
    rows = [f"{clock(n)},{n},x" for n in range(400)]
    rows[3] = clock(3)
    rows[5] = "no time,5,x"
    rows[7] = f"{clock(7)},7,x,"  # a surplus cell that is empty does no harm
    rows[9] = f"{clock(9)},9,x,y"
    rows[11] = f"{clock(11)},eleven,x"
    rows[13] = f'{clock(13)},13,"two\nlines"'
    rows[399] = f"{clock(399)},3"
    settle(write(tmp_path / "a.csv", "time,A,remark\n" + "\n".join(rows)))

    found, skipped = await read(tmp_path)

    assert found == without(3, 5, 9, 11, 399, count=400)
    assert sorted(skipped) == [("", Fault.ROW, 3), ("", Fault.TIME, 1), ("A", Fault.TEXT, 1)]


async def test_bad_readings_are_counted_by_tag_whichever_windows_read_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latigo.providers.files.indexing.MIN_BLOCK", 512)
    rows = [f"{clock(n)},{'Bad' if n % 10 == 0 else n},{'Bad' if n % 4 == 0 else n}" for n in range(200)]
    write(tmp_path / "a.csv", "time,A,B\n" + "\n".join(rows) + "\n")
    bad = BadReadings(SystemClock())
    async with opened(tmp_path, bad=bad) as sensors:
        for first in range(0, 200, 7):
            await sensors.get_data_for_range(["A"], minutes(first, first + 25), max_bytes=10**6)
        await sensors.get_data_for_range(["A", "B"], minutes(0, 200), max_bytes=10**6)

    assert [(count.tag, count.readings) for count in bad.counts()] == [("B", 50), ("A", 20)]


@pytest.mark.parametrize("layout", ["wide", "long", "path"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_qualities_are_judged_in_every_layout_of_both_forms(tmp_path: Path, form: str, layout: str) -> None:
    qualities: Sequence[Any] = [192, 0, 192.0, None, 64, 192]
    columns: dict[str, Any] = {"time": [clock(n) for n in range(6)]}
    options: dict[str, Any] = {"good": [192, 64]}
    if layout == "wide":
        columns |= {"A": [0.0, 1, 2, 3, None, 5], "A.q": qualities, "B": [7.0] * 6}
        options["quality_column"] = "{tag}.q"
    else:
        columns |= {"tag": ["A"] * 6, "value": [0.0, 1, 2, 3, None, 5], "q": qualities}
        options["quality_column"] = "q"
        options["layout"] = "long"
    name = "A" if layout == "path" else "x"
    if form == "csv":
        cells = zip(
            *([("" if cell is None else str(cell)) for cell in column] for column in columns.values()), strict=True
        )
        write(tmp_path / f"{name}.csv", "\n".join([",".join(columns), *map(",".join, cells)]) + "\n")
    else:
        table = pa.table(
            {key: pa.array(column, pa.float64() if key.endswith("q") else None) for key, column in columns.items()}
        )
        pq.write_table(table, tmp_path / f"{name}.parquet")

    path = tmp_path / f"{{tag}}.{form}" if layout == "path" else tmp_path
    found, skipped = await read(path, **options)

    assert (found, skipped) == ([0, 2, 5], [("A", Fault.QUALITY, 2)])
    if layout == "wide":
        assert (await read(path, "B", **options))[0] == [7] * 6  # which has no quality


@pytest.mark.parametrize(
    ("kind", "cells", "expected"),
    [
        (pa.string(), ["1", "Bad", "", None, "true"], [1, 1]),
        (pa.large_string(), ["1", "Bad", "NaN", "2.5"], [1, 2.5]),
        (pa.string_view(), ["1", "2", "\\N"], [1, 2]),
        (pa.dictionary(pa.int8(), pa.string()), ["1", "Bad", "1"], [1, 1]),
        (pa.bool_(), [True, False, None], [1, 0]),
        (pa.int64(), [2**53 + 1, -1, None], [float(2**53), -1]),
        (pa.decimal128(10, 2), ["1.25", None], [1.25]),
        (pa.float16(), np.array([0.5, math.nan], np.float16), [0.5]),
        (pa.uint8(), [255, 0], [255, 0]),
        (pa.null(), [None, None], []),
    ],
    ids=str,
)
async def test_every_kind_of_column_that_can_hold_readings_is_read(
    tmp_path: Path, kind: Any, cells: Any, expected: list[float]
) -> None:
    column = pa.array(cells, pa.string()).cast(kind) if pa.types.is_decimal(kind) else pa.array(cells, kind)
    times = pa.array([to_ns(DAY) + n * MINUTE for n in range(len(cells))], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"time": times, "A": column}), tmp_path / "a.parquet")

    assert (await read(tmp_path))[0] == expected


async def test_a_column_that_cannot_hold_readings_is_refused_by_its_name_and_kind(tmp_path: Path) -> None:
    times = pa.array([to_ns(DAY)], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"time": times, "A": times, "B": [1.0]}), tmp_path / "a.parquet")

    assert (await read(tmp_path, "B"))[0] == [1]
    with pytest.raises(BadReading, match=r"column 'A' is of the type timestamp"):
        await read(tmp_path)


@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_further_markers_are_texts_and_numbers(tmp_path: Path, form: str) -> None:
    cells = ["1", "-999", "-999.0", "offline", "OFFLINE", "2"]
    if form == "csv":
        write(tmp_path / "a.csv", "time,A\n" + "".join(f"{clock(n)},{cell}\n" for n, cell in enumerate(cells)))
    else:
        times = [to_ns(DAY) + n * MINUTE for n in range(6)]
        pq.write_table(
            pa.table({"time": pa.array(times, pa.timestamp("ns", "UTC")), "A": cells}), tmp_path / "a.parquet"
        )

    assert await read(tmp_path, missing=[-999, "Offline"], strict=True) == ([1, 2], [])


async def test_the_last_value_before_a_time_is_a_good_one(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n{clock(1)},2\n{clock(2)},Bad\nbroken\n")

    async with opened(tmp_path) as sensors:
        found = await sensors.get_last_before(["A"], minutes(0, 9).end, DAY)

    assert found["A"].value == 2


async def test_a_power_loss_leaves_nul_characters_of_any_number(tmp_path: Path) -> None:
    nuls = "\0" * 5_000_000
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n{nuls}{clock(1)},2\n{clock(2)},3\n")

    found, skipped = await read(tmp_path)

    assert found in ([1, 3], [1, 2, 3])
    assert [(fault, count) for _, fault, count in skipped] == [(Fault.ROW, 1)]
