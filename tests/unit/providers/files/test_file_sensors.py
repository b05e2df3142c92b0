"""Files of readings, as plants have them: growing, replaced, out of order, and with mistakes in them."""

import asyncio
import errno
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latigo.domain.errors import ConfigurationError, Failed, PartlyDown, Rejected, TimedOut, TooLarge, Unavailable
from latigo.domain.windows import Window, to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files import delimited, indexing, open_files
from latigo.providers.files.columnar import ColumnarFile
from latigo.providers.files.csv_block import CsvBlock, Unit
from latigo.providers.files.delimited import DelimitedFile
from latigo.providers.files.reading import Layout, Stopped
from latigo.runtime.clock import SystemClock
from latigo.settings import FileSensors as FileSensorsSettings
from tests.support.clock import ManualClock
from tests.support.examples import examples
from tests.support.sensor_files import ALL, DAY, PLENTY, clock, minutes, opened, settle, values, write
from tests.support.skab import SKAB, require_skab
from tests.support.waiting import eventually


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few lines, so that small files have many."""
    monkeypatch.setattr(indexing, "MIN_BLOCK", 128)
    monkeypatch.setattr(delimited, "_MAX_READ", 256)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[Path, OSError]:
    """Files that cannot be opened, and why; to be filled. Whoever runs the tests may be allowed to read everything."""
    reasons: dict[Path, OSError] = {}
    plainly, parquet = Path.open, pq.ParquetFile

    def opening(path: Path, *how: Any, **options: Any) -> Any:
        if reason := reasons.get(path):
            raise reason
        return plainly(path, *how, **options)

    def opening_parquet(path: Path, **options: Any) -> Any:
        if reason := reasons.get(path):
            raise reason
        return parquet(path, **options)

    monkeypatch.setattr(Path, "open", opening)
    monkeypatch.setattr(pq, "ParquetFile", opening_parquet)
    return reasons


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all reads of CSV files."""
    sizes: list[int] = []
    pread = os.pread

    def reading(handle: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return pread(handle, size, offset)

    monkeypatch.setattr(os, "pread", reading)
    return sizes


# How files are written


async def test_semicolons_carriage_returns_and_a_byte_order_mark(tmp_path: Path):
    text = "﻿datetime;A;Volume Flow RateRMS\r\n2026-03-01 00:00:00;1.5;2\r\n2026-03-01 00:01:00;2.5;3\r\n"
    write(tmp_path / "a.csv", text)

    async with opened(tmp_path, separator=";", time_column="datetime") as sensors:
        assert await sensors.get_sensor_list() == ["A", "Volume Flow RateRMS"]
        assert await values(sensors) == [1.5, 2.5]


async def test_a_comma_in_numbers(tmp_path: Path):
    write(tmp_path / "a.csv", "time;A\n2026-03-01 00:00:00;1,5\n2026-03-01 00:01:00; -2,5e1 \n")

    async with opened(tmp_path, separator=";", decimal_point=",") as sensors:
        assert await values(sensors) == [1.5, -25.0]


async def test_local_times(tmp_path: Path):
    write(tmp_path / "a.csv", "time,A\n2026-03-01 01:00:00,1\n")

    async with opened(tmp_path, timezone="Europe/Oslo") as sensors:
        read = await sensors.get_data_for_range(["A"], ALL, max_bytes=PLENTY)

    assert read["A"].times.tolist() == [to_ns(DAY)]


async def test_missing_cells_are_no_readings(tmp_path: Path):
    rows = [",1", "NaN,2", "null,3", "nan,4", '"",5', "7,6"]
    write(tmp_path / "a.csv", "time,A,B\n" + "".join(f"{clock(n)},{row}\n" for n, row in enumerate(rows)))

    async with opened(tmp_path) as sensors:
        assert await values(sensors, "A") == [7]
        assert await values(sensors, "B") == [1, 2, 3, 4, 5, 6]


async def test_columns_without_a_name_and_empty_lines_are_passed_over(tmp_path: Path):
    write(tmp_path / "a.csv", f"time,A,,\n{clock(0)},1,x,\n\n{clock(1)},2,,\n\n")

    async with opened(tmp_path) as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors) == [1, 2]


async def test_text_in_a_column_that_is_not_requested_does_no_harm(tmp_path: Path):
    write(tmp_path / "a.csv", f'time,A,remark\n{clock(0)},1,"all well, mostly"\n{clock(1)},2,5" pipe\n')

    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1, 2]


@pytest.mark.usefixtures("small_blocks")
async def test_cells_may_hold_line_ends_and_names_may_hold_anything(tmp_path: Path):
    rows = "".join(f'{clock(n)},{n},"said:\n""{n}""\nand left"\n' for n in range(50))
    write(tmp_path / "a.csv", 'time,"A ""x""\n, y",remark\n' + rows)

    async with opened(tmp_path) as sensors:
        assert await sensors.get_sensor_list() == ['A "x"\n, y', "remark"]
        assert await values(sensors, 'A "x"\n, y') == list(range(50))


async def test_rows_out_of_order_are_sorted_and_equal_times_keep_their_order(tmp_path: Path):
    rows = [(5, 1), (3, 2), (5, 3), (1, 4), (3, 5)]
    write(tmp_path / "a.csv", "time,A\n" + "".join(f"{clock(minute)},{value}\n" for minute, value in rows))

    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [4, 2, 5, 1, 3]


async def test_files_that_follow_each_other_and_overlap_in_tags_are_one(tmp_path: Path):
    write(tmp_path / "1.csv", f"time,A,B\n{clock(0)},1,10\n{clock(2)},3,30\n")
    write(tmp_path / "2.csv", f"time,B,C\n{clock(4)},40,5\n")
    (tmp_path / "below").mkdir()
    write(tmp_path / "below" / "3.csv", f"time,A\n{clock(1)},2\n")
    table = pa.table({"time": pa.array([to_ns(DAY) + 3 * 60 * 10**9], pa.timestamp("ns", "UTC")), "A": [4.0]})
    pq.write_table(table, tmp_path / "4.parquet")

    async with opened(tmp_path) as sensors:
        assert await sensors.get_sensor_list() == ["A", "B", "C"]
        assert await values(sensors, "A") == [1, 2, 3, 4]
        assert await values(sensors, "B") == [10, 30, 40]


async def test_a_pattern_chooses_files_and_other_files_are_not_read(tmp_path: Path):
    write(tmp_path / "plant-1.csv", f"time,A\n{clock(0)},1\n")
    write(tmp_path / "plant-2.csv", f"time,A\n{clock(1)},2\n")
    write(tmp_path / "other.csv", "what,ever\n1,2\n")
    write(tmp_path / "plant-3.md", "# notes")

    async with opened(f"{tmp_path}/plant-*") as sensors:
        assert await values(sensors) == [1, 2]


async def test_a_format_can_be_set_where_the_ending_does_not_show_it(tmp_path: Path):
    path = write(tmp_path / "export.dat", f"time,A\n{clock(0)},1\n")

    with pytest.raises(ConfigurationError, match=r"sensors\.format.*csv or parquet"):
        async with opened(path):
            pass
    async with opened(path, format="csv") as sensors:
        assert await values(sensors) == [1]


# Only what is needed


@pytest.mark.usefixtures("small_blocks")
async def test_only_the_blocks_of_the_window_are_read(tmp_path: Path, bytes_read: list[int]):
    write(tmp_path / "a.csv", "time,A\n" + "".join(f"{clock(n)},{n}\n" for n in range(5000)))

    async with opened(tmp_path) as sensors:
        await sensors.get_sensor_list()
        bytes_read.clear()

        readings = await values(sensors, window=minutes(2000, 2010))

    assert readings == list(range(2000, 2010))
    assert sum(bytes_read) < 1024


async def test_only_the_row_groups_of_the_window_are_read(tmp_path: Path):
    times = pa.array([to_ns(DAY + timedelta(minutes=n)) for n in range(100)], pa.timestamp("ns", "UTC"))
    pq.write_table(
        pa.table({"time": times, "A": [float(n) for n in range(100)]}), tmp_path / "a.parquet", row_group_size=10
    )

    async with opened(tmp_path) as sensors:
        assert await values(sensors, window=minutes(35, 42)) == [35, 36, 37, 38, 39, 40, 41]

        said = sensors.get_native_range_specifier(minutes(35, 42), {"tag": "A"})
    assert said == f"{tmp_path / 'a.parquet'} row groups 3, 4"


async def test_the_bytes_that_are_read_can_be_shown(tmp_path: Path):
    text = f"time,A\n{clock(0)},1\n"
    path = write(tmp_path / "a.csv", text)

    async with opened(tmp_path) as sensors:
        before = sensors.get_native_range_specifier(ALL, {})
        await sensors.get_sensor_list()
        after = sensors.get_native_range_specifier(ALL, {"tag": "A"})
        other = sensors.get_native_range_specifier(ALL, {"tag": "B"})

    assert str(tmp_path) in before
    assert after == f"{path} bytes 7-{len(text) - 1}"
    assert str(path) not in other


@pytest.mark.usefixtures("small_blocks")
async def test_a_large_window_is_refused_before_all_of_it_is_read(tmp_path: Path, bytes_read: list[int]):
    write(tmp_path / "a.csv", "time,A\n" + "".join(f"{clock(n)},{n}\n" for n in range(2000)))

    async with opened(tmp_path) as sensors:
        await sensors.get_sensor_list()
        bytes_read.clear()
        with pytest.raises(TooLarge):
            await sensors.get_data_for_range(["A"], ALL, max_bytes=20 * 16)

    assert sum(bytes_read) < 2048


@settings(max_examples=examples(60))
@given(data=st.data())
def test_the_index_changes_nothing_of_what_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    """Whatever the order of rows, the size of blocks and the steps in which the file grew."""
    rows = data.draw(st.lists(st.tuples(st.integers(0, 300), st.floats(allow_nan=False)), max_size=80))
    cut = data.draw(st.integers(0, len(rows)))
    low = data.draw(st.integers(0, 300))
    high = data.draw(st.integers(low + 1, 301))
    lines = [f"{clock(minute)},{value!r}\n" for minute, value in rows]
    path = tmp_path_factory.mktemp("csv") / "a.csv"

    async def read() -> list[float]:
        path.write_text("time,A\n" + "".join(lines[:cut]))
        async with opened(path) as sensors:
            await sensors.get_sensor_list()
            with path.open("a") as file:
                file.write("".join(lines[cut:]))
            return await values(sensors, window=minutes(low, high))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "MIN_BLOCK", data.draw(st.integers(40, 400)))
        patch.setattr(delimited, "_MAX_READ", data.draw(st.integers(40, 800)))
        readings = asyncio.run(read())

    expected = [value for minute, value in sorted(rows, key=lambda row: row[0]) if low <= minute < high]
    assert [value.hex() for value in readings] == [value.hex() for value in expected]


# Files that change


@pytest.mark.usefixtures("small_blocks")
async def test_what_a_logger_appends_is_read_and_only_that_is_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "a.csv", "time,A\n" + "".join(f"{clock(n)},{n}\n" for n in range(3000)))
    async with opened(tmp_path) as sensors:
        await sensors.get_sensor_list()
        looked_at: list[int] = []
        contents = CsvBlock.contents

        def looking(block: CsvBlock) -> Any:
            looked_at.append(len(block.data))
            return contents(block)

        monkeypatch.setattr(CsvBlock, "contents", looking)

        with path.open("a") as file:
            file.write(f"{clock(3000)},3000\n")
        readings = await values(sensors, window=minutes(2990, 4000))

    assert readings == list(range(2990, 3001))
    assert sum(looked_at) < 512


async def test_a_file_that_grows_line_by_line_does_not_get_a_block_for_each(tmp_path: Path):
    path = write(tmp_path / "a.csv", "time,A\n")
    async with opened(tmp_path) as sensors:
        for n in range(20):
            with path.open("a") as file:
                file.write(f"{clock(n)},{n}\n")
            assert await values(sensors) == list(range(n + 1))

        (file_of_sensors,) = sensors._folder._snapshot.files
    assert isinstance(file_of_sensors, DelimitedFile)
    assert file_of_sensors._index is not None
    assert len(file_of_sensors._index.blocks) == 1


async def test_a_line_that_is_still_being_written_waits_until_it_is_whole(tmp_path: Path):
    path = write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n{clock(1)},2")
    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1]

        with path.open("a") as file:
            file.write(f"5\n{clock(2)},3\n")
        assert await values(sensors) == [1, 25, 3]


async def test_a_last_line_without_its_end_counts_once_the_file_rests(tmp_path: Path):
    path = write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n{clock(1)},2")
    manual = ManualClock(datetime.fromtimestamp(path.stat().st_mtime, UTC) + timedelta(seconds=9))
    async with opened(tmp_path, clock=manual) as sensors:
        assert await values(sensors) == [1]

        await manual.advance(timedelta(seconds=2))
        assert await values(sensors) == [1, 2]

        with path.open("a") as file:
            file.write(f"5\n{clock(2)},3\n")
        assert await values(sensors) == [1, 25, 3]


@pytest.mark.parametrize(
    "text",
    [
        "time,A\n" + f"{clock(0)},7\n{clock(1)},8\n",  # same size
        "time,A\n" + f"{clock(0)},7\n",
        "time,A\n" + "".join(f"{clock(n)},{n + 7}\n" for n in range(9)),
        "time,B,A\n" + f"{clock(0)},1,7\n{clock(1)},2,8\n",
    ],
)
async def test_a_file_that_is_written_anew_is_indexed_anew(tmp_path: Path, text: str):
    path = write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n{clock(1)},2\n")
    async with opened(tmp_path) as sensors:
        await sensors.get_sensor_list()

        write(path, text)
        settle(path)

        assert (await values(sensors))[0] == 7


@pytest.mark.usefixtures("small_blocks")
async def test_a_file_of_the_same_size_with_other_rows_is_indexed_anew(tmp_path: Path):
    lines = [f"{clock(n)},{n:04}\n" for n in range(200)]
    path = write(tmp_path / "a.csv", "time,A\n" + "".join(lines))
    async with opened(tmp_path) as sensors:
        assert await values(sensors, window=minutes(100, 101)) == [100]

        lines[3], lines[100] = lines[100], lines[3]
        write(path, "time,A\n" + "".join(lines))
        settle(path)

        assert await values(sensors, window=minutes(100, 101)) == [100]
        assert await values(sensors, window=minutes(3, 4)) == [3]


async def test_a_file_that_is_replaced_under_a_reader_is_never_read_by_an_old_index(tmp_path: Path):
    path = write(tmp_path / "a.csv", f"time,A,B\n{clock(0)},1,2\n")
    async with open_files(FileSensorsSettings(path=tmp_path), SystemClock(), refresh=timedelta(hours=1)) as sensors:
        assert await values(sensors) == [1]

        write(tmp_path / "new", f"time,B,A\n{clock(0)},20,10\n")
        (tmp_path / "new").rename(path)

        assert await values(sensors) == [10]


async def test_new_files_are_found(tmp_path: Path):
    write(tmp_path / "1.csv", f"time,A\n{clock(0)},1\n")
    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1]

        write(tmp_path / "2.csv", f"time,A,B\n{clock(1)},2,3\n")

        assert await values(sensors) == [1, 2]
        assert await sensors.sensor_exists("B")


async def test_files_are_checked_once_a_second(tmp_path: Path):
    manual = ManualClock()
    write(tmp_path / "1.csv", f"time,A\n{clock(0)},1\n")
    async with open_files(FileSensorsSettings(path=tmp_path), manual) as sensors:
        assert await values(sensors) == [1]
        write(tmp_path / "2.csv", f"time,A\n{clock(1)},2\n")

        await manual.advance(timedelta(seconds=0.9))
        assert await values(sensors) == [1]
        await manual.advance(timedelta(seconds=0.1))
        assert await values(sensors) == [1, 2]


async def test_a_file_that_is_created_and_still_empty_holds_nothing(tmp_path: Path):
    write(tmp_path / "1.csv", f"time,A\n{clock(0)},1\n")
    path = write(tmp_path / "2.csv", "")
    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1]

        write(path, "time,A\n")
        assert await values(sensors) == [1]

        write(path, f"time,A\n{clock(1)},2\n")
        assert await values(sensors) == [1, 2]


async def test_files_that_are_all_gone_are_unavailable_and_not_silent(tmp_path: Path):
    path = write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n")
    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1]

        path.unlink()

        with pytest.raises(Unavailable) as raised:
            await values(sensors)
    assert raised.value.downstream == "sensors/files"


@pytest.mark.usefixtures("small_blocks")
async def test_an_index_that_was_broken_off_is_gone_on_with(tmp_path: Path):
    path = write(tmp_path / "a.csv", "time,A\n" + "".join(f"{clock(n)},{n}\n" for n in range(500)))
    async with opened(path) as sensors:
        layout = sensors._folder._layout
    file = DelimitedFile(path, layout, SystemClock(), BadReadings(SystemClock()))
    contents, calls, stop = CsvBlock.contents, 0, threading.Event()

    def look_and_stop(block: CsvBlock) -> Any:
        nonlocal calls
        calls += 1
        if calls == 10:
            stop.set()
        return contents(block)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CsvBlock, "contents", look_and_stop)
        with pytest.raises(Stopped):
            file.refresh(stop)
        assert calls == 10
        blocks_before = len(file.spans(-(2**63), 2**63 - 1))
        stop.clear()
        file.refresh(stop)

    whole = DelimitedFile(path, layout, SystemClock(), BadReadings(SystemClock()))
    whole.refresh(threading.Event())
    assert blocks_before > 0
    assert calls <= len(whole._index.blocks) + 1  # type: ignore[union-attr] # it has been refreshed
    assert file._index.blocks == whole._index.blocks  # type: ignore[union-attr] # as above


# Mistakes in files


async def test_an_unreadable_number_is_an_error_that_says_where_it_stands(tmp_path: Path):
    path = write(tmp_path / "a.csv", f"time,A,B\n{clock(0)},1,1\n\n{clock(1)},Bad Input,2\n{clock(2)},3,3\n")

    async with opened(tmp_path, strict=True) as sensors:
        with pytest.raises(Failed, match=r"line 4: 'Bad Input' in column 'A' is not a number") as failed:
            await values(sensors, "A")

        assert str(path) in str(failed.value)
        assert await values(sensors, "B") == [1, 2, 3]
        assert await values(sensors, "A", minutes(2, 9)) == [3]


async def test_a_line_with_too_few_or_too_many_cells_hurts_its_own_time_only(tmp_path: Path):
    write(tmp_path / "a.csv", f"time,A,B\n{clock(0)},1,1\n{clock(1)},2\n{clock(2)},3,3,3\n{clock(3)},4,4\n")

    async with opened(tmp_path, strict=True) as sensors:
        with pytest.raises(Failed, match="line 3: 2 cells, not 3 as in the header"):
            await values(sensors)
        with pytest.raises(Failed, match="line 4: 4 cells, not 3"):
            await values(sensors, window=minutes(2, 3))
        assert await values(sensors, window=minutes(0, 1)) == [1]
        assert await values(sensors, window=minutes(3, 4)) == [4]


@pytest.mark.usefixtures("small_blocks")
async def test_a_line_without_a_time_hurts_its_neighbours_and_not_the_rest_of_the_file(tmp_path: Path):
    lines = [f"{clock(n)},{n}\n" for n in range(100)]
    lines[50] = "yesterday,50\n"
    write(tmp_path / "a.csv", "time,A\n" + "".join(lines))

    async with opened(tmp_path, strict=True) as sensors:
        with pytest.raises(Failed, match="line 52: 'yesterday' in column 'time' is not a time"):
            await values(sensors, window=minutes(48, 53))
        assert await values(sensors, window=minutes(0, 30)) == list(range(30))


@pytest.mark.usefixtures("small_blocks")
async def test_a_quote_that_is_never_closed_does_not_swallow_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(indexing, "MAX_LINE", 1024)
    lines = [f"{clock(n)},{n},fine\n" for n in range(200)]
    lines[50] = f'{clock(50)},50,"not fine\n'
    write(tmp_path / "a.csv", "time,A,remark\n" + "".join(lines))

    async with opened(tmp_path) as sensors:
        assert await values(sensors, window=minutes(0, 40)) == list(range(40))
        assert await values(sensors, window=minutes(150, 200)) == list(range(150, 200))


async def test_numbers_that_are_written_oddly_are_still_numbers(tmp_path: Path):
    rows = ["+1.5", " 2 ", ".5", "3.", "1E3", "-inf", '"7"']
    write(tmp_path / "a.csv", "time,A\n" + "".join(f"{clock(n)},{row}\n" for n, row in enumerate(rows)))

    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1.5, 2, 0.5, 3, 1000, -np.inf, 7]


@pytest.mark.parametrize("cell", ["1_000", "0x10", "1e", "ten", "1 2", "--1"])
async def test_what_is_no_number_is_not_guessed_at(tmp_path: Path, cell: str):
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},{cell}\n")

    async with opened(tmp_path, strict=True) as sensors:
        with pytest.raises(Failed, match=r"is not a number|another notation"):
            await values(sensors)


ODD_NUMBERS = st.from_regex(r"[+-]?(nan|inf|infinity|null|NA)?(\([a-z0-9_ ]{0,3}\))?", fullmatch=True)
ODD_CELLS = st.one_of(
    ODD_NUMBERS,
    ODD_NUMBERS.map(str.upper),
    st.from_regex(r"[+-]{0,2}\d{0,2}[.,_ ]?\d{0,2}([eE][+-]?\d{0,3})?", fullmatch=True),
    st.text("+-.,eE019 \tnaifty()_x\u00a0\u0661", max_size=6),
)


@settings(max_examples=examples(300))
@given(cell=ODD_CELLS, point=st.sampled_from(".,"))
@example(cell="nan(1)", point=".")
@example(cell="NaN(abc)", point=",")
@example(cell="-nan()", point=".")
def test_a_cell_means_the_same_whatever_the_other_cells_of_its_block_are(cell: str, point: str):
    """A block that has a cell which is not a number is parsed in another way than one that has none."""
    layout = Layout.of(FileSensorsSettings(path=Path("a.csv"), separator=";", decimal_point=point))

    def meaning(*cells: str) -> list[str] | str:
        rows = "".join(f"{clock(n)};{each}\n" for n, each in enumerate(cells))
        block = CsvBlock(
            Path("a.csv"),
            layout,
            ("time", "A"),
            rows.encode(),
            2,
            {},
            BadReadings(SystemClock()),
            [Unit(0, len(cells))],
        )
        start = to_ns(DAY)
        try:
            chunks = list(block.read({"A"}, start, start + 1))
        except Failed as error:
            return str(error)
        return [value.hex() for chunk in chunks for value in chunk.values.tolist()]

    assert meaning(cell) == meaning(cell, "not a number")


@pytest.mark.parametrize("cell", ["nan(1)", "NaN(abc)", "-nan()", "+NAN(_)"])
async def test_a_nan_with_a_payload_is_a_missing_reading(tmp_path: Path, cell: str):
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},{cell}\n{clock(1)},2\n{clock(2)},ten\n")

    async with opened(tmp_path) as sensors:
        assert await values(sensors, window=minutes(0, 2)) == [2]


async def test_with_a_decimal_comma_a_point_is_no_decimal_point(tmp_path: Path):
    """Whatever else stands in the block: 1.100 is 1100 where the decimal point is a comma, or nothing at all."""
    write(tmp_path / "a.csv", f"time;A;B\n{clock(0)};1,5;1.100\n{clock(1)}; ;2,5\n{clock(2)};+2,5;3\n")

    async with opened(tmp_path, separator=";", decimal_point=",") as sensors:
        assert await values(sensors, "A") == [1.5, 2.5]
        with pytest.raises(Failed, match=r"line 2: '1\.100' in column 'B' looks like .*sensors\.thousands"):
            await values(sensors, "B")


async def test_lines_are_counted_over_cells_with_line_ends_and_odd_and_blank_lines(tmp_path: Path):
    rows = [f'{clock(0)},1,"two\nlines"', "", f"{clock(1)},2", f"{clock(2)},bad,x", f"{clock(3)},4,x"]
    write(tmp_path / "a.csv", "time,A,remark\n" + "\n".join(rows) + "\n")

    async with opened(tmp_path, strict=True) as sensors:
        with pytest.raises(Failed, match="line 5: 2 cells, not 3"):
            await values(sensors)
        with pytest.raises(Failed, match="line 6: 'bad' in column 'A' is not a number"):
            await values(sensors, window=minutes(2, 9))
        assert await values(sensors, window=minutes(3, 9)) == [4]


async def test_a_malformed_line_takes_part_in_the_order_that_resolves_a_repeated_hour(tmp_path: Path):
    """The clock is set back between the malformed line and the one after it."""
    rows = ["2026-10-25 01:30:00,-1", "2026-10-25 01:50:00,0"]
    rows += ["2026-10-25 02:10:00,1", "2026-10-25 02:50:00", "2026-10-25 02:05:00,3"]
    write(tmp_path / "a.csv", "time,A\n" + "\n".join(rows) + "\n")

    async with opened(tmp_path, timezone="Europe/Oslo") as sensors:
        second = datetime(2026, 10, 25, 1, tzinfo=UTC)
        assert await values(sensors, window=Window(second, second + timedelta(hours=1))) == [3]


async def test_long_files_know_errors_and_gaps_of_one_tag_from_those_of_another(tmp_path: Path):
    rows = [(0, "A", "1"), (1, "B", "Comm Fail"), (2, "A", "2"), (3, "A", ""), (4, "C", "+5")]
    text = "tag,value,quality,time\n" + "".join(f"{tag},{value},good,{clock(n)}\n" for n, tag, value in rows)
    write(tmp_path / "a.csv", text)

    async with opened(tmp_path, layout="long", strict=True, quality_column="") as sensors:
        assert await sensors.get_sensor_list() == ["A", "B", "C"]
        assert await values(sensors, "A") == [1, 2]
        assert await values(sensors, "C") == [5]
        with pytest.raises(Failed, match="line 3: 'Comm Fail' in column 'value'"):
            await values(sensors, "B")


async def test_text_in_a_parquet_column_is_an_error_for_those_who_ask_for_it(tmp_path: Path):
    times = pa.array([to_ns(DAY)], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"time": times, "A": ["bad"], "B": ["1.5"], "C": [2]}), tmp_path / "a.parquet")

    async with opened(tmp_path, strict=True) as sensors:
        with pytest.raises(Failed, match="column 'A'"):
            await values(sensors, "A")
        assert await values(sensors, "B") == [1.5]
        assert await values(sensors, "C") == [2]


# Files that cannot be used, among others


def table(**readings: float) -> pa.Table:
    """One row, at the beginning of the day."""
    columns = {tag: pa.array([value]) for tag, value in readings.items()}
    return pa.table({"time": pa.array([to_ns(DAY)], pa.timestamp("ns", "UTC")), **columns})


def half(whole: pa.Table) -> bytes:
    """Return the bytes of a Parquet file without its footer."""
    buffer = pa.BufferOutputStream()
    pq.write_table(whole, buffer)
    written: bytes = buffer.getvalue().to_pybytes()[:-20]
    return written


def left_out(reported: list[Any]) -> list[str]:
    """Return the files that a warning excludes."""
    result = [each for each in reported if each["event"] == "sensor_file.excluded"]
    assert all(each["log_level"] == "warning" and each["path"] in each["reason"] for each in result)
    return [Path(each["path"]).name for each in result]


async def test_a_parquet_file_is_left_out_until_it_is_written_to_its_end(tmp_path: Path):
    pq.write_table(table(A=1.0), tmp_path / "jan.parquet")
    february = table(B=2.0)

    with (
        structlog.testing.capture_logs() as reported,
        pq.ParquetWriter(tmp_path / "feb.parquet", february.schema) as writer,
    ):
        writer.write_table(february)
        async with opened(tmp_path) as sensors:
            assert await values(sensors, "A") == [1]
            with pytest.raises(PartlyDown, match=r"'B'; excluded: .*feb\.parquet is not a Parquet file, or is inc"):
                await values(sensors, "B")
            assert await sensors.get_sensor_list() == ["A"]

            writer.close()

            assert await values(sensors, "B") == [2]
            with pytest.raises(Rejected, match="'C'"):
                await values(sensors, "C")
    assert left_out(reported) == ["feb.parquet"]


async def test_a_foreign_file_is_named_once_and_the_others_are_read(tmp_path: Path):
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n")
    foreign = write(tmp_path / "notes.csv", "who,what\nme,nothing\n")

    with structlog.testing.capture_logs() as reported:
        async with opened(tmp_path) as sensors:
            for _ in range(3):
                assert await values(sensors) == [1]
                assert await sensors.get_last_before(["A"], DAY + timedelta(hours=1), DAY) == {"A": (to_ns(DAY), 1.0)}
            with pytest.raises(PartlyDown, match=r"'who'; excluded: .*notes\.csv has no column 'time'"):
                await values(sensors, "who")

            write(foreign, "who,what\nme,nothing\nyou,something\n")
            assert await values(sensors) == [1]
            write(foreign, "\xff", encoding="latin-1")
            settle(foreign)
            assert await values(sensors) == [1]

            write(foreign, f"time,who\n{clock(0)},2\n")
            assert await values(sensors, "who") == [2]
    assert left_out(reported) == ["notes.csv", "notes.csv"]  # for two reasons


async def test_a_file_that_is_left_out_is_not_opened_again_before_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n")
    write(tmp_path / "b.csv", "no,sensors\n")
    refreshed: list[str] = []
    refresh = DelimitedFile.refresh

    def refreshing(file: DelimitedFile, stop: threading.Event) -> None:
        refreshed.append(file.path.name)
        refresh(file, stop)

    monkeypatch.setattr(DelimitedFile, "refresh", refreshing)
    async with opened(tmp_path) as sensors:
        for _ in range(3):
            assert await values(sensors) == [1]

    assert refreshed == ["a.csv", "b.csv", "a.csv", "a.csv"]


async def test_tags_of_a_file_that_is_being_written_anew_are_not_taken_for_silent(tmp_path: Path):
    whole = table(A=1.0, B=2.0)
    path = tmp_path / "a.parquet"
    pq.write_table(whole, path)
    write(tmp_path / "b.csv", f"time,B,C\n{clock(9)},9,3\n")
    async with opened(tmp_path) as sensors:
        assert await values(sensors, "B") == [2, 9]

        path.write_bytes(half(whole))

        for window in (minutes(0, 9), minutes(5, 9)):  # of what it held, and of what it may hold by now
            with pytest.raises(PartlyDown, match=r"a\.parquet"):
                await values(sensors, "A", window)
        with pytest.raises(PartlyDown, match=r"a\.parquet"):
            await sensors.get_last_before(["A"], DAY + timedelta(hours=1), DAY)
        assert await values(sensors, "B", minutes(5, 10)) == [9]
        assert await values(sensors, "C", minutes(0, 9)) == []

        pq.write_table(whole, path)

        assert await values(sensors, "A") == [1]
        assert await values(sensors, "A", minutes(5, 9)) == []


async def test_a_file_that_was_cut_since_it_was_indexed_is_indexed_again(tmp_path: Path):
    whole = table(A=1.0)
    pq.write_table(whole, tmp_path / "a.parquet")
    pq.write_table(table(A=3.0), tmp_path / "b.parquet")
    async with open_files(FileSensorsSettings(path=tmp_path), SystemClock(), refresh=timedelta(hours=1)) as sensors:
        assert await values(sensors) == [1, 3]

        (tmp_path / "a.parquet").write_bytes(b"")

        with pytest.raises(PartlyDown, match=r"a\.parquet"):
            await values(sensors)


async def test_a_damaged_page_fails_only_reads_that_need_it(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(table(A=1.0), path, use_dictionary=False)
    place = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    data = bytearray(path.read_bytes())
    data[place : place + 8] = b"\xff" * 8
    path.write_bytes(bytes(data))
    write(tmp_path / "b.csv", f"time,B\n{clock(0)},1\n")

    async with opened(tmp_path) as sensors:
        with pytest.raises(Failed, match=r"a\.parquet is damaged"):
            await values(sensors)
        assert await values(sensors, "B") == [1]


async def test_a_file_that_may_not_be_read_is_left_out_until_it_may(tmp_path: Path, failing: dict[Path, OSError]):
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n")
    path = write(tmp_path / "b.csv", f"time,B\n{clock(0)},2\n")
    async with opened(tmp_path) as sensors:
        assert await values(sensors, "B") == [2]
        failing[path] = PermissionError(errno.EACCES, "Permission denied", str(path))

        with structlog.testing.capture_logs() as reported:
            assert await values(sensors, "A") == await values(sensors, "A") == [1]
            with pytest.raises(PartlyDown, match=r"b\.csv: .*Permission denied"):
                await values(sensors, "B")

        failing.clear()
        assert await values(sensors, "B") == [2]
    assert left_out(reported) == ["b.csv"]


async def test_when_no_file_can_be_used_the_source_is_unavailable(tmp_path: Path, failing: dict[Path, OSError]):
    whole = table(A=1.0)
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        pq.write_table(whole, path)
    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1, 1]

        for path in paths:
            path.write_bytes(half(whole))
        with pytest.raises(Unavailable, match=r"no file can be used: .*a\.parquet.*b\.parquet") as bad:
            await values(sensors)
        for path in paths:
            pq.write_table(whole, path)
            failing[path] = OSError(errno.EIO, "Input/output error", str(path))
        with pytest.raises(Unavailable, match="Input/output error") as raised:
            await values(sensors)
        failing.clear()
        assert await values(sensors) == [1, 1]

    assert (bad.type, bad.value.alarm, bad.value.downstream) == (Unavailable, True, "sensors/files")
    assert (raised.type, raised.value.alarm, raised.value.downstream) == (Unavailable, False, "sensors/files")


# Parquet's own ways


@pytest.mark.parametrize(
    "times",
    [
        pa.array([to_ns(DAY), to_ns(DAY) + 10**9], pa.timestamp("ns", "UTC")),
        pa.array([to_ns(DAY) // 10**6, to_ns(DAY) // 10**6 + 1000], pa.timestamp("ms")),
        pa.array([to_ns(DAY) // 10**9, to_ns(DAY) // 10**9 + 1], pa.timestamp("s", "Europe/Oslo")),
        pa.array([to_ns(DAY) // 10**9, to_ns(DAY) // 10**9 + 1], pa.int64()),
        pa.array(["2026-03-01 00:00:00", "2026-03-01T00:00:01Z"]),
    ],
)
async def test_parquet_times_of_any_kind(tmp_path: Path, times: Any):
    pq.write_table(pa.table({"A": [1.0, 2.0], "time": times}), tmp_path / "a.parquet", row_group_size=1)

    async with opened(tmp_path) as sensors:
        assert await values(sensors, window=Window(DAY, DAY + timedelta(seconds=1))) == [1]
        assert await values(sensors) == [1, 2]


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("group", [2, 6])
async def test_local_parquet_times_over_the_hour_that_happens_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, statistics: bool
):
    monkeypatch.setattr("latigo.providers.files.columnar._BATCH_ROWS", 2)
    local = [datetime(2026, 10, 25, 2, minute) for minute in (0, 20, 40)] * 2  # noqa: DTZ001 - that is the point
    table = pa.table({"time": pa.array(local, pa.timestamp("us")), "A": [0.0, 1, 2, 3, 4, 5]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=group, write_statistics=statistics)

    async with opened(tmp_path, timezone="Europe/Oslo") as sensors:
        hour = datetime(2026, 10, 25, 0, tzinfo=UTC)
        assert await values(sensors, window=Window(hour, hour + timedelta(hours=1))) == [0, 1, 2]
        assert await values(sensors, window=Window(hour + timedelta(hours=1), hour + timedelta(hours=2))) == [3, 4, 5]


async def test_nested_columns_and_names_with_dots_do_not_mix(tmp_path: Path):
    table = pa.table(
        {
            "info": pa.array([{"x": 1.0, "y": 2.0}]),
            "a": [1.0],
            "time": pa.array([to_ns(DAY)], pa.timestamp("ns", "UTC")),
            "a.b": [2.0],
            "list": pa.array([[1.0]]),
            "b": [3.0],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")

    async with opened(tmp_path) as sensors:
        assert await sensors.get_sensor_list() == ["a", "a.b", "b"]
        assert [await values(sensors, tag) for tag in ("a", "a.b", "b")] == [[1], [2], [3]]


async def test_rows_without_a_time_are_said(tmp_path: Path):
    table = pa.table({"time": pa.array([to_ns(DAY), None], pa.timestamp("ns", "UTC")), "A": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "a.parquet")

    async with opened(tmp_path, strict=True) as sensors:
        with pytest.raises(Failed, match=r"row 1 \(row group 0\): column 'time' has no time"):
            await values(sensors)


async def test_a_row_group_of_many_rows_is_paged_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("latigo.providers.files.columnar._BATCH_ROWS", 8)
    times = pa.array([to_ns(DAY + timedelta(minutes=n)) for n in range(100)], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"time": times, "A": [float(n) for n in range(100)]}), tmp_path / "a.parquet")

    async with opened(tmp_path) as sensors:
        assert await values(sensors, window=minutes(5, 95)) == list(range(5, 95))


# What is refused at start, and what is not


async def test_files_that_are_all_unusable_are_refused_at_start(tmp_path: Path):
    write(tmp_path / "a.csv", "when,A\n")
    (tmp_path / "b.parquet").write_bytes(half(table(B=1.0)))

    with pytest.raises(ConfigurationError, match=r"sensors\.time_column: .*a\.csv has no column .* \(and 1 more"):
        async with opened(tmp_path):
            pass


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
async def test_a_file_that_cannot_be_read_at_start_is_unavailable_and_does_not_prevent_the_start(
    tmp_path: Path, name: str, failing: dict[Path, OSError]
):
    path = tmp_path / name
    if path.suffix == ".csv":
        write(path, f"time,A\n{clock(0)},1\n")
    else:
        pq.write_table(table(A=1.0), path)
    write(tmp_path / "0.csv", "no,sensors\n")
    failing[path] = OSError(errno.EIO, "Input/output error", str(path))

    async with opened(tmp_path) as sensors:
        with pytest.raises(Unavailable, match="Input/output error"):
            await values(sensors)
        failing.clear()
        assert await values(sensors) == [1]


async def test_a_place_that_does_not_answer_at_start_is_no_reason_not_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n")
    hangs = threading.Event()
    monkeypatch.setattr(DelimitedFile, "check", lambda *_: hangs.wait())
    try:
        async with opened(tmp_path, read_timeout=timedelta(seconds=0.1)) as sensors:
            monkeypatch.setattr(sensors, "_time_limit", timedelta(seconds=60))
            assert await values(sensors) == [1]
    finally:
        hangs.set()


@pytest.mark.parametrize(
    ("options", "text", "says"),
    [
        ({}, "datetime,A\n", "sensors.time_column.*no column 'time'; its line 1 is 'datetime,A'"),
        ({"separator": ";"}, "time,A\n", "sensors.separator.*its line 1 is 'time,A': set the separator to \",\""),
        ({"layout": "long"}, "time,name,value\n", "sensors.tag_column"),
        ({"layout": "long"}, "time,tag,v\n", "sensors.value_column"),
        ({}, "time,A,time\n", "two columns 'time'"),
    ],
)
async def test_settings_that_do_not_fit_the_files_are_refused_by_name(
    tmp_path: Path, options: Mapping[str, Any], text: str, says: str
):
    write(tmp_path / "a.csv", text)

    with pytest.raises(ConfigurationError, match=says):
        async with opened(tmp_path, **options):
            pass


@pytest.mark.parametrize("path", ["nowhere", "*.csv", "a.csv"])
async def test_nothing_to_read_is_refused_at_start(tmp_path: Path, path: str):
    with pytest.raises(ConfigurationError, match=r"sensors\.path"):
        async with opened(tmp_path / path):
            pass


async def test_a_file_in_another_encoding_is_refused_by_name(tmp_path: Path):
    write(tmp_path / "a.csv", "time,Temperatur °C\n", encoding="latin-1")

    with pytest.raises(ConfigurationError, match=r"sensors\.encoding.*a\.csv: the header is not text in UTF-8"):
        async with opened(tmp_path):
            pass


async def test_a_file_without_line_ends_is_refused_and_not_taken_for_empty(tmp_path: Path):
    settle(write(tmp_path / "a.csv", f"time,A\r{clock(0)},1\r"))

    with pytest.raises(ConfigurationError, match=r"a\.csv has the line ends of old Macs"):
        async with opened(tmp_path):
            pass


async def test_no_parquet_file_is_refused_by_name(tmp_path: Path):
    write(tmp_path / "a.parquet", "time,A\n")

    with pytest.raises(ConfigurationError, match=r"a\.parquet is not a Parquet file"):
        async with opened(tmp_path):
            pass


# Looking back, limits


@pytest.mark.usefixtures("small_blocks")
async def test_looking_back_reads_newest_parts_first_and_no_more_than_it_must(tmp_path: Path, bytes_read: list[int]):
    write(tmp_path / "a.csv", "time,A,B\n" + "".join(f"{clock(n)},{n},{n if n < 990 else ''}\n" for n in range(2000)))
    async with opened(tmp_path) as sensors:
        await sensors.get_sensor_list()
        bytes_read.clear()

        last = await sensors.get_last_before(["A", "B"], DAY + timedelta(minutes=1000), DAY)

    assert last == {
        "A": (to_ns(DAY + timedelta(minutes=999)), 999.0),
        "B": (to_ns(DAY + timedelta(minutes=989)), 989.0),
    }
    assert sum(bytes_read) < 1500


async def test_looking_back_over_files_and_rows_out_of_order(tmp_path: Path):
    write(tmp_path / "1.csv", f"time,A\n{clock(9)},9\n{clock(3)},3\n")
    write(tmp_path / "2.csv", f"time,A\n{clock(7)},7\n{clock(5)},5\n{clock(7)},77\n")

    async with opened(tmp_path) as sensors:
        last = await sensors.get_last_before(["A"], DAY + timedelta(minutes=9), DAY)

    assert last == {"A": (to_ns(DAY + timedelta(minutes=7)), 77.0)}


async def test_a_file_system_that_does_not_answer_is_timed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n")
    hangs = threading.Event()
    async with opened(tmp_path) as sensors:
        monkeypatch.setattr(DelimitedFile, "refresh", lambda *_: hangs.wait())
        monkeypatch.setattr(sensors, "_time_limit", timedelta(seconds=0.1))  # opening it indexes the files as well
        try:
            with pytest.raises(TimedOut) as timed_out:
                await values(sensors)
        finally:
            hangs.set()
    assert timed_out.value.downstream == "sensors/files"


async def test_work_whose_caller_has_gone_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n")
    began, ended = threading.Event(), threading.Event()

    def until_logged(_: DelimitedFile, stop: threading.Event) -> None:
        began.set()
        while not stop.is_set():
            stop.wait(0.001)
        ended.set()

    async with opened(tmp_path) as sensors:
        monkeypatch.setattr(DelimitedFile, "refresh", until_logged)
        reading = asyncio.ensure_future(values(sensors))
        await eventually(began.is_set, what="the thread is at work")

        reading.cancel()

        await eventually(ended.is_set, what="the thread has stopped")
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_an_unknown_sensor_is_named_and_known_ones_are_not(tmp_path: Path):
    write(tmp_path / "a.csv", f"time,A\n{clock(0)},1\n")

    async with opened(tmp_path) as sensors:
        with pytest.raises(Rejected, match=r"'time'$"):
            await sensors.get_data_for_range(["A", "time"], ALL, max_bytes=PLENTY)


# A real plant


async def test_a_real_experiment_is_read_as_a_plain_csv_reader_would():
    require_skab()
    # The table of files in SKAB's own description: 1147 rows from 10:14:33 to 10:34:32, 9012 in all of valve1.
    start = datetime(2020, 3, 9, 10, 14, 33, tzinfo=UTC)
    async with opened(SKAB / "valve1", separator=";", time_column="datetime") as sensors:
        all_day = Window(start, start + timedelta(days=1))
        read = await sensors.get_data_for_range(["Pressure", "Volume Flow RateRMS"], all_day, max_bytes=PLENTY)
        first = await sensors.get_data_for_range(
            ["Pressure"], Window(start, start + timedelta(minutes=20)), max_bytes=PLENTY
        )

    lines = (SKAB / "valve1" / "0.csv").read_text().splitlines()
    place = lines[0].split(";").index("Pressure")
    assert len(read["Pressure"]) == len(read["Volume Flow RateRMS"]) == 9012
    assert first["Pressure"].values.tolist() == [float(line.split(";")[place]) for line in lines[1:]]
    assert (np.diff(read["Pressure"].times) > 0).all()


def test_both_kinds_of_file_are_sensor_files():
    assert {name for name in dir(ColumnarFile) if not name.startswith("_")} == {
        name for name in dir(DelimitedFile) if not name.startswith("_")
    }
