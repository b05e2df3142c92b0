"""Where the rows of a CSV file begin, and what its columns are called."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latigo.domain.errors import ConfigurationError, Rejected
from latigo.domain.windows import to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files import delimited, indexing
from latigo.providers.files.lines import RowForm, without_comments, without_damage
from latigo.providers.files.times import TimeParser
from latigo.runtime.clock import SystemClock
from tests.support.sensor_files import ALL, DAY, FIELD_CASES, clock, minutes, opened, settle, values, write

HOUR = minutes(0, 60)
#: What every made-up input has for A: as many numbers as minutes, from 0 on.
COUNTED = list(range(30))


def rows(*cells: str, count: int = 3, separator: str = ",", end: str = "\n") -> str:
    """Return rows of a time, a number from 0 on, and these cells."""
    return "".join(separator.join([clock(n), str(n), *cells]) + end for n in range(count))


# The inputs of the field


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("03-quality-pairs", {}),
        ("05-units-row", {}),
        ("05b-preamble", {}),
        ("09-space-after-comma", {}),
        ("10-trailing-separator", {}),
        ("11-utf16", {"separator": "\t"}),
        ("14-annotated", {"columns": ("", "_time", "A"), "time_column": "_time"}),
    ],
)
async def test_an_input_of_the_field_is_read(case: str, options: Mapping[str, Any]):
    bad = BadReadings(SystemClock())
    async with opened(FIELD_CASES / case / "data", bad=bad, **options) as sensors:
        assert await sensors.sensor_exists("A")
        assert await values(sensors, window=minutes(0, 30)) == COUNTED
    assert bad.counts() == []


@pytest.mark.parametrize(
    ("case", "options", "says"),
    [
        (
            "14-annotated",
            {"layout": "long", "time_column": "_time", "value_column": "_value"},
            r"sensors\.tag_column: .* has no column 'tag'; its columns are '', '_time', '_value'.*\{tag\}\.csv",
        ),
        (
            "70-ncs-csv",
            {"separator": ";", "time_column": "Time"},
            r"sensors\.preset: .*its line 1 is 'A;0\.5;2026.*: set preset = \"ncs\"",
        ),
    ],
)
async def test_an_input_of_the_field_is_refused_by_the_setting_that_it_needs(
    case: str, options: Mapping[str, Any], says: str
):
    with pytest.raises(ConfigurationError, match=says):
        async with opened(FIELD_CASES / case / "data", **options):
            pass


# What stands before and after the header


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (
            "time,B,A\n",
            {"columns": ("time", "A", "B")},
            r"sensors\.columns: .*line 1: .*'time, B, A'.* 'time', 'A', 'B'",
        ),
        ("x,B,A\n", {"columns": ("time", "A", "B")}, r"sensors\.columns: .*line 1: "),
        ("# a\nA,time,B\n", {"columns": ("time", "A", "B")}, r"sensors\.columns: .*line 2: "),
        ("time,A,B\ntime,B,A\n", {}, r"sensors\.skip_lines: .*line 2: .*'time, B, A'"),
    ],
)
async def test_a_header_that_names_columns_in_other_places_is_refused(
    tmp_path: Path, text: str, options: Mapping[str, Any], says: str
):
    path = write(tmp_path / "a.csv", text + rows("7"))

    with pytest.raises(ConfigurationError, match=says):
        async with opened(path, **options):
            pass


@pytest.mark.parametrize("header", ["time,A,B", "Zeit,Temperature,Pressure", ",degC,bar", "A", ",,B", "time,A,B,"])
async def test_a_header_that_agrees_with_columns_or_has_other_words_is_no_row(tmp_path: Path, header: str):
    path = write(tmp_path / "a.csv", f"{header}\n" + rows("7"))

    async with opened(path, columns=("time", "A", "B")) as sensors:
        assert await values(sensors) == [0, 1, 2]
        assert await values(sensors, "B") == [7, 7, 7]


@pytest.mark.parametrize(
    "text",
    [
        "time,A\n" + rows(),
        "\n\n  \ntime,A\n" + rows(),
        "Report,Plant 1\nCreated,2026-03-02\n\ntime,A\n" + rows(),
        'Report of \'time,A\'\nOperator,"O\'Hara, ""Pat"""\ntime,A\n' + rows(),
        'note,"a quote that is never closed\ntime,A\n' + rows(),
        "".join(f"line {n}\n" for n in range(99)) + "time,A\n" + rows(),
        "time,A\n,degC\n" + rows(),
        "time,A\ndd.mm.yyyy,degC\n[s],Temperature\n,\n\n" + rows(),
        '﻿"time","A"\r\n' + rows(end="\r\n"),
        ' time , "A"\n' + rows(),
        "time,A,,\n" + rows("", ""),
        "time,A\n" + rows("", ""),
        "# made by hand\n#time,B\ntime,A\n# units follow\ns,m\n" + rows(),
        "# time, A\n" + rows(),
        "sep=,\ntime,A\n" + rows(),
        'sep=;\r\n"time";A\r\n' + rows(separator=";", end="\r\n"),
        '"sep=\t"\ntime\tA\n' + rows(separator="\t"),
        "SEP=;\nReport\n\ntime;A\n;m\n" + rows(separator=";"),
        'time,"A"\n' + rows().replace(",1\n", ',"1"\n'),
    ],
)
async def test_the_header_is_found(tmp_path: Path, text: str):
    write(tmp_path / "a.csv", text)
    bad = BadReadings(SystemClock())

    async with opened(tmp_path, bad=bad) as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors) == [0, 1, 2]
    assert bad.counts() == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"skip_lines": 2}, "time,B\n1,2\ntime,A\n" + rows()),
        ({"skip_lines": 150}, "nothing\n" * 150 + "time,A\n" + rows()),
        ({"skip_lines": 1}, "time,B,C\n\ntime,A\n" + rows()),
        ({"columns": ("time", "A")}, rows()),
        ({"columns": "time,A,"}, rows("x")),
        ({"columns": ("time", "A", "")}, rows("x", "", "")),
        ({"columns": ("time", "A"), "skip_lines": 1}, "anything,at,all\n" + rows()),
        ({"columns": ("time", "A")}, "when,what\n" + rows()),
        ({"columns": ("time", "A")}, "﻿" + rows()),
        ({"columns": ("time", "A")}, "# a comment\n\n" + rows()),
        ({"columns": ("time", "A")}, "sep=;\n" + rows(separator=";")),
        ({"comment": "//"}, "// time,B\n#1,2,3\ntime,A\n" + rows()),
        ({"comment": ""}, "#,\ntime,A\n" + rows()),
        ({"time_column": "#time"}, "#time,A\n" + rows()),
        ({"time_column": " time "}, "time,A\n" + rows()),
        ({"time_column": "Zeit", "encoding": "cp1252"}, "Überschrift\nZeit,A\n" + rows()),
    ],
)
async def test_settings_say_where_rows_begin(tmp_path: Path, options: Mapping[str, Any], text: str):
    write(tmp_path / "a.csv", text)

    async with opened(tmp_path, **options) as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors) == [0, 1, 2]


async def test_a_last_row_without_a_line_end_may_be_the_only_one(tmp_path: Path):
    settle(write(tmp_path / "a.csv", f"{clock(0)},7"))

    async with opened(tmp_path, columns=("time", "A")) as sensors:
        assert await values(sensors) == [7]


async def test_cells_of_unused_columns_are_no_tags(tmp_path: Path):
    write(tmp_path / "a.csv", rows("x", "2"))

    async with opened(tmp_path, columns=("time", "", "", "B")) as sensors:
        assert await sensors.get_sensor_list() == ["B"]
        assert await values(sensors, "B") == [2, 2, 2]


async def test_date_and_time_of_day_make_a_header_together(tmp_path: Path):
    text = "Date,of,today\nTime,A\n Date ,Time,A\n" + "".join(f"2026-03-01,00:0{n}:00,{n}\n" for n in range(3))
    write(tmp_path / "a.csv", text)

    async with opened(tmp_path, time_column=("Date", "Time")) as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors) == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "text", "says"),
    [
        (
            {},
            "Time,A\n" + rows(),
            r"sensors\.time_column: .*its line 1 is 'Time,A'; the nearest name is 'Time': set time_",
        ),
        ({}, "\n\nti me,A\n" + rows(), r"its line 3 is 'ti me,A'; the nearest name is 'ti me'"),
        (
            {},
            "when;A\n",
            r"set time_column; or skip_lines if .* separator if it is not ',', columns if there is no header",
        ),
        ({}, "time;A\n" + rows(separator=";"), r"sensors\.separator: .*: set the separator to \";\""),
        ({}, "Report\ntime\tA\n", r"sensors\.separator: .* its line 1 is 'Report': set the separator to \"\\t\""),
        ({}, "T-1;;45000.5;192\n", r"columns if there is no header"),
        ({}, "x\n" * 100 + "time,A\n" + rows(), r"sensors\.time_column: .* or skip_lines if the header comes later"),
        ({"skip_lines": 1}, "time,A\n" + rows(), r"its line 2 is '2026-03-01 00:00:00,0'"),
        ({"layout": "long"}, "time,Tag,value\n", r"sensors\.tag_column: .* no column 'tag'.*nearest name is 'Tag'"),
        ({"columns": ("time", "A")}, rows("x"), r"sensors\.columns: .* rows of 3 cells, but columns has 2 names"),
        ({"columns": ("time", "A", "B")}, rows(), r"sensors\.columns: .* rows of 2 cells, but columns has 3 names"),
        ({"columns": ("when", "A")}, rows(), r"sensors\.time_column: .* no column 'time'; its columns are 'when', 'A'"),
        ({}, "time,A\n" + rows("5", count=10), r"sensors\.separator: .* rows of 3 cells, but its header has 2"),
        ({}, "time,A,time\n" + rows("x"), r"sensors\.time_column: .* two columns 'time'"),
    ],
)
async def test_what_is_wrong_and_what_would_help_are_said(
    tmp_path: Path, options: Mapping[str, Any], text: str, says: str
):
    write(tmp_path / "a.csv", text)

    with pytest.raises(ConfigurationError, match=says):
        async with opened(tmp_path, **options):
            pass


async def test_more_lines_to_skip_than_there_are_is_said(tmp_path: Path):
    settle(write(tmp_path / "a.csv", "time,A\n" + rows()))

    with pytest.raises(ConfigurationError, match=r"sensors\.skip_lines: .* has 4 lines, no more than are skipped"):
        async with opened(tmp_path, skip_lines=9):
            pass


async def test_rows_without_a_time_are_no_units_where_no_row_has_one(tmp_path: Path):
    """Nothing shows that they are none: they are readings whose time cannot be read."""
    path = write(tmp_path / "a.csv", "time,A\n1st of March,1\n")

    async with opened(tmp_path, strict=True) as sensors:
        await sensors.get_sensor_list()
        (file,) = sensors._folder._snapshot.files
        assert file.spans(-(2**63), 2**63 - 1)

        write(path, f"time,A\n1st of March,1\n{clock(1)},2\n")
        assert await values(sensors) == [2]


async def test_units_are_recognised_although_the_first_row_comes_later(tmp_path: Path):
    path = write(tmp_path / "a.csv", "time,A\ns,degC\n")
    async with opened(tmp_path) as sensors:
        await sensors.get_sensor_list()

        with path.open("a") as file:
            file.write(rows())
        assert await values(sensors) == [0, 1, 2]


async def test_a_header_that_is_still_being_written_is_waited_for(tmp_path: Path):
    write(tmp_path / "b.csv", f"time,B\n{clock(0)},1\n")
    path = write(tmp_path / "a.csv", "# exported\n")
    async with opened(tmp_path) as sensors:
        for text in ("# exported\nReport", "# exported\nReport\nti"):
            write(path, text)
            assert await sensors.get_sensor_list() == ["B"]
            assert not sensors._folder._snapshot.excluded

        write(path, "# exported\nReport\ntime,A\n" + rows())
        assert await values(sensors) == [0, 1, 2]


# Comments


@pytest.mark.parametrize("block", [60, 75, 90])
@pytest.mark.parametrize("cells", ["{n},x#y", '"{n}",', '{n},"two\n# lines"', '{n},"two\nlines"'])
async def test_comments_may_stand_between_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: str, block: int):
    """Whatever is in them, and wherever a block begins."""
    monkeypatch.setattr(indexing, "MIN_BLOCK", block)
    monkeypatch.setattr(delimited, "_MAX_READ", 256)
    lines = [f"{clock(n)},{cells.format(n=n)}\n" for n in range(200)]
    for n in range(0, 200, 7):
        lines[n] = f'# restarted,"{n}\n#\n' + lines[n] + "#,,,\n"
    write(tmp_path / "a.csv", "time,A,remark\n" + "".join(lines) + "# the end")

    async with opened(tmp_path) as sensors:
        assert await values(sensors) == list(range(200))
        assert await values(sensors, window=minutes(70, 80)) == list(range(70, 80))


async def test_a_line_of_a_quoted_cell_is_no_comment(tmp_path: Path):
    write(tmp_path / "a.csv", f'time,A,remark\n{clock(0)},1,"see\n# 5"\n# no row\n{clock(1)},2,"\n#"\n')

    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1, 2]


@given(lines=st.lists(st.text('#",x ', max_size=4), max_size=8))
@example(lines=["#", "#,", '"', "#", '"', "#"])
@example(lines=['"'])
@example(lines=["#", '"#'])
def test_emptied_comments_leave_the_number_of_lines_and_sound_lines_alone(lines: list[str]):
    data = "\n".join(lines).encode()
    form = RowForm(",", 2, (0,), TimeParser(ZoneInfo("UTC")), b"#")

    emptied = without_comments(data, form)

    assert emptied.count(b"\n") == data.count(b"\n")
    for before, after in zip(data.split(b"\n"), emptied.split(b"\n"), strict=True):
        assert after == before or b"#" in before or b'"' in before
        assert b'"' in before or len(after) <= len(before)
    assert without_damage(sound := without_damage(data, form), form) == sound


# Names that occur twice


async def test_a_repeated_name_refuses_only_who_asks_for_it(tmp_path: Path):
    path = write(tmp_path / "a.csv", "time,A,Quality, B,Quality \n" + rows("Good", "5", "Bad"))

    async with opened(tmp_path) as sensors:
        assert await sensors.get_sensor_list() == ["A", "B"]
        assert await values(sensors, "B") == [5, 5, 5]
        with pytest.raises(Rejected, match=r"two columns of .*a\.csv have the name 'Quality': rename one") as refused:
            await values(sensors, "Quality")
        assert refused.value.reason == "unknown_sensor"

        write(path, "time,A,Quality,B\n" + rows("7", "5"))
        assert await values(sensors, "Quality") == [7, 7, 7]


async def test_columns_of_qualities_are_no_tags(tmp_path: Path):
    write(tmp_path / "a.csv", "time,A,A.ok,B,B.ok\n" + rows("1", "5", "0"))
    table = {"time": pa.array([to_ns(DAY)], pa.timestamp("ns", "UTC")), "C": [1.0], "C.ok": [1]}
    pq.write_table(pa.table(table), tmp_path / "c.parquet")

    async with opened(tmp_path, quality_column="{tag}.ok", good=[1]) as sensors:
        assert await sensors.get_sensor_list() == ["A", "B", "C"]
        assert await values(sensors) == [0, 1, 2]
        assert await values(sensors, "B") == []


@pytest.mark.parametrize(
    ("quality", "names", "says"),
    [
        ("Quality", "time,A,Quality,B,Quality", "has two columns 'Quality': rename one"),
        ("Quality", "time,A,quality,B,x", "has no column 'Quality'.*the nearest name is 'quality'"),
        ("{tag}.ok", "time,A,A.ok,B,A.ok", "has two columns 'A.ok', of a quality: rename one"),
    ],
)
async def test_a_quality_is_never_guessed(tmp_path: Path, quality: str, names: str, says: str):
    write(tmp_path / "a.csv", f"{names}\n" + rows("Good", "5", "Bad"))

    with pytest.raises(ConfigurationError, match=rf"sensors\.quality_column: .*{says}"):
        async with opened(tmp_path, quality_column=quality, good=["Good"]):
            pass


async def test_a_name_that_another_file_repeats_is_refused_for_its_time_only(tmp_path: Path):
    write(tmp_path / "1.csv", f"time,A\n{clock(0)},1\n")
    write(tmp_path / "2.csv", f"time,A,A\n{clock(10)},2,3\n")

    async with opened(tmp_path) as sensors:
        assert await values(sensors, window=minutes(0, 10)) == [1]
        with pytest.raises(Rejected, match=r"2\.csv have the name 'A'"):
            await values(sensors, window=minutes(0, 11))
        with pytest.raises(Rejected, match=r"2\.csv have the name 'A'"):
            await sensors.get_last_before(["A"], ALL.end, ALL.start)


async def test_repeated_names_in_parquet(tmp_path: Path):
    time = pa.array([to_ns(DAY)], pa.timestamp("ns", "UTC"))
    inner = pa.struct([pa.field("x", pa.float64()), pa.field("A", pa.float64())])
    table = pa.Table.from_arrays(
        [
            pa.array([1.0]),
            time,
            pa.array([{"x": 8.0, "A": 9.0}], inner),
            pa.array([2.0]),
            pa.array([3.0]),
            pa.array([4.0]),
        ],
        names=["A", "time", "C", "B", "C", "B"],
    )
    pq.write_table(table, tmp_path / "a.parquet")

    async with opened(tmp_path) as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors) == [1]
        for tag in "BC":
            with pytest.raises(Rejected, match=rf"a\.parquet have the name '{tag}'"):
                await values(sensors, tag)


async def test_a_repeated_time_column_in_parquet_is_refused(tmp_path: Path):
    time = pa.array([to_ns(DAY)], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.Table.from_arrays([time, time, pa.array([1.0])], names=["time", "time", "A"]), tmp_path / "a.pq")

    with pytest.raises(ConfigurationError, match=r"sensors\.time_column: .*a\.pq has two columns 'time'"):
        async with opened(tmp_path):
            pass
