"""Files as power losses, full disks and careless tools leave them: what is damaged is lost, and nothing around it.

Each case says which lines are damaged; every other reading has to be there, in whichever windows it is asked for, and
what was skipped is counted, with the line where it stands.
"""

import asyncio
import os
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from latigo.domain.bad_readings import Fault
from latigo.domain.errors import BadReading, ConfigurationError
from latigo.domain.windows import Window, to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files import delimited, indexing
from latigo.providers.files.ranges import ranges_of
from latigo.runtime.clock import SystemClock
from tests.support.examples import examples
from tests.support.sensor_files import DAY, clock, minutes, opened, settle, values, write

ROWS = 60


@pytest.fixture(params=[200, 64 * 1024], ids=["small blocks", "one block"])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(indexing, "MIN_BLOCK", request.param)
    if request.param < 1000:
        monkeypatch.setattr(delimited, "_MAX_READ", 3 * request.param)
    return int(request.param)


def rows(count: int = ROWS) -> list[str]:
    """Return rows of the columns time, A, remark and B; that of number n has the line n + 2."""
    return [f"{clock(n)},{n},ok,{n + 0.5}" for n in range(count)]


def csv_file(folder: Path, lines: Sequence[str | bytes], header: str = "time,A,remark,B", end: bytes = b"\n") -> Path:
    path = folder / "a.csv"
    data = [line if isinstance(line, bytes) else line.encode() for line in [header, *lines]]
    path.write_bytes(b"".join(line + end for line in data))
    settle(path)
    return path


def all_but(*gone: int, count: int = ROWS) -> list[float]:
    return [float(n) for n in range(count) if n not in gone]


async def require(path: Path, gone: Sequence[int], lines: Sequence[int], *, count: int = ROWS, **options: Any) -> None:
    """Require that all readings of A and B are there but these, and that each of the lines is counted and refused.

    Args:
        path: of the file.
        gone: the minutes without a reading.
        lines: that are counted.
        count: of minutes.
        options: of the sensors.
    """
    bad = BadReadings(SystemClock())
    with capture_logs() as logs:
        async with opened(path, bad=bad, **options) as sensors:
            assert await values(sensors) == all_but(*gone, count=count)
            assert await values(sensors, "B") == [n + 0.5 for n in all_but(*gone, count=count)]
            for first in range(0, count, 11):
                expected = [n for n in all_but(*gone, count=count) if first <= n < first + 11]
                assert await values(sensors, window=minutes(first, first + 11)) == expected
    found = [log["example"] for log in logs if log["event"] == "readings.skipped"]
    assert sum(count.readings for count in bad.counts()) == len(lines), bad.counts()
    assert {text.split(":")[0] for text in found} <= {f"line {line}" for line in lines}, found
    if lines:
        assert any(text.startswith(f"line {min(lines)}:") for text in found), found
        async with opened(path, strict=True, **options) as sensors:
            with pytest.raises(BadReading, match=f"line {min(lines)}\\b"):
                await values(sensors)


# --- Quotes ----------------------------------------------------------------------------------------------------------


OPEN_QUOTES: dict[str, Callable[[int], str]] = {
    "in a value": lambda n: f'{clock(n)},"{n},ok,{n + 0.5}',
    "in a remark": lambda n: f'{clock(n)},{n},"ok,{n + 0.5}',
    "at the end": lambda n: f'{clock(n)},{n},ok,"{n + 0.5}',
    "before the time": lambda n: f'"{clock(n)},{n},ok,{n + 0.5}',
    "alone": lambda _: '"',
    "after a quoted cell": lambda n: f'"{clock(n)}","{n},ok,{n + 0.5}',
    "with a literal one": lambda n: f'{clock(n)},5" pipe,"ok,{n + 0.5}',
}


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize("form", OPEN_QUOTES)
@pytest.mark.parametrize("damaged", [(30,), (5, 8, 12, 30, 31, 59), (0, 1)], ids=str)
async def test_an_open_quote_loses_its_own_row(tmp_path: Path, form: str, damaged: Sequence[int]) -> None:
    lines = rows()
    for n in damaged:
        lines[n] = OPEN_QUOTES[form](n)
    if 0 in damaged:
        lines.insert(0, f"{clock(-5)},-5,first,-5")  # before the first time rows are taken for units
        path = csv_file(tmp_path, lines)
        async with opened(path) as sensors:
            assert await values(sensors) == [-5, *all_but(*damaged)]
        return

    await require(csv_file(tmp_path, lines), damaged, [n + 2 for n in damaged])


@pytest.mark.usefixtures("block_size")
async def test_an_open_quote_among_quoted_cells_loses_its_own_row(tmp_path: Path) -> None:
    lines = [f'"{clock(n)}","{n}","5"" pipe","{n + 0.5}"' for n in range(ROWS)]
    lines[20] = f'"{clock(20)}","20,"ok","20.5"'
    lines[40] = f'"{clock(40)}","40","ok","40.5'
    lines[41] = f'"{clock(41)},"41","ok","41.5"'

    await require(csv_file(tmp_path, lines), [20, 40, 41], [22, 42, 43])


@pytest.mark.usefixtures("block_size")
async def test_an_open_quote_in_a_column_before_the_time_loses_its_own_row(tmp_path: Path) -> None:
    lines = [f"ok,{clock(n)},{n},{n + 0.5}" for n in range(ROWS)]
    lines[17] = f'"no,{clock(17)},17,17.5'
    lines[19] = f'"no,{clock(19)},19,19.5'

    await require(csv_file(tmp_path, lines, "remark,time,A,B"), [17, 19], [19, 21])


@pytest.mark.usefixtures("block_size")
async def test_cells_with_line_ends_are_still_cells(tmp_path: Path) -> None:
    remarks = ["ok", '"two\nlines"', '"three,\n""and more"",\nlines"', '"a, b"', '5" pipe', '"\n"', '"# no comment\n#"']
    lines = [f"{clock(n)},{n},{remarks[n % len(remarks)]},{n + 0.5}" for n in range(ROWS)]
    lines[30] = f'{clock(30)},"30,ok,30.5'
    before = sum(line.count("\n") + 1 for line in lines[:30])

    await require(csv_file(tmp_path, lines), [30], [before + 2])


@pytest.mark.usefixtures("block_size")
async def test_a_remark_with_line_ends_may_stand_before_the_time(tmp_path: Path) -> None:
    lines = [f'"note\n{n}",{clock(n)},{n},{n + 0.5}' for n in range(ROWS)]

    await require(csv_file(tmp_path, lines, "remark,time,A,B"), [], [])


# --- Lines without measure -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 5_000_000,
        b"2026-03-01 00:30:00,30," + b"x" * 5_000_000 + b",30.5",
        b'2026-03-01 00:30:00,30,"' + b"x" * 5_000_000 + b",30.5",
        b"2026-03-01 00:30:00,3" + b"\0" * 5_000_000,
        b"\0" * 5_000_000,
        b"2026-03-01 00:3" + b"\0" * 5_000_000 + b"0,30,ok,30.5",
    ],
    ids=["no row", "long remark", "open quote", "cut by NULs", "NULs", "NULs within"],
)
async def test_a_line_of_many_bytes_loses_itself(tmp_path: Path, line: bytes) -> None:
    lines: list[str | bytes] = list(rows())
    lines[30] = line

    await require(csv_file(tmp_path, lines), [30], [32])


async def test_strict_settings_refuse_only_the_windows_that_a_lost_line_may_belong_to(tmp_path: Path) -> None:
    lines: list[str | bytes] = list(rows())
    lines[30] = b"x" * 5_000_000
    path = csv_file(tmp_path, lines)

    async with opened(path, strict=True) as sensors:
        assert await values(sensors, window=minutes(0, 29)) == list(range(29))
        assert await values(sensors, window=minutes(32, 60)) == list(range(32, 60))
        with pytest.raises(BadReading, match="line 32: the line has more than"):
            await values(sensors, window=minutes(30, 31))


async def test_several_lines_of_many_bytes_lose_themselves_also_at_the_end(tmp_path: Path) -> None:
    lines: list[str | bytes] = list(rows())
    for n in (7, 8, 59):
        lines[n] = b"y" * 4_500_000

    await require(csv_file(tmp_path, lines), [7, 8, 59], [9, 10, 61])


@pytest.mark.usefixtures("block_size")
async def test_nuls_lose_the_same_wherever_a_block_begins(tmp_path: Path) -> None:
    data = b"".join(line.encode() + b"\n" for line in ["time,A,remark,B", *rows()])
    at = data.index(f"{clock(30)}".encode())
    path = tmp_path / "a.csv"
    path.write_bytes(data[:at] + b"\0" * 4096 + data[at:])
    settle(path)

    await require(path, [], [32])


async def test_memory_stays_bounded_with_a_line_without_end(tmp_path: Path) -> None:
    path = csv_file(tmp_path, rows())
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.truncate(file.tell() + 60_000_000)  # NULs that take no space
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + f"{clock(60)},60,ok,60.5\n".encode() + b"x" * 60_000_000 + b"\n")
        file.write(f"{clock(61)},61,ok,61.5\n".encode())
    settle(path)
    tracemalloc.start()
    try:
        async with opened(path) as sensors:
            assert await values(sensors) == all_but(count=62)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


async def test_a_long_line_that_is_being_written_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, "time,A\n" + f"{clock(0)},0\n")
    async with opened(path) as sensors:
        for part in (b"x" * 5_000_000, b"x" * 10_000, b"x\n", f"{clock(1)},1\n".encode()):
            with path.open("ab") as file:
                file.write(part)
            assert (await values(sensors))[0] == 0
        assert await values(sensors) == [0, 1]


# --- Torn and joined lines -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("block_size")
async def test_torn_and_joined_lines_lose_themselves(tmp_path: Path) -> None:
    lines = rows()
    lines[10] = lines[10][:12]
    lines[20] = lines[20][: lines[20].index("ok")]
    lines[30] += lines[31]
    lines[32] = lines[32][:7] + lines[33]
    lines[34] = lines[34][:-7] + lines[35]
    for n in (35, 33, 31):
        del lines[n]

    await require(csv_file(tmp_path, lines), [10, 20, 30, 31, 32, 33, 34, 35], [12, 22, 32, 33, 34])


@pytest.mark.usefixtures("block_size")
async def test_a_row_that_is_cut_by_a_line_end_is_two_bad_lines(tmp_path: Path) -> None:
    lines = rows()
    lines[25] = lines[25][:21] + "\n" + lines[25][21:]

    await require(csv_file(tmp_path, lines), [25], [27, 28])


# --- Headers in the middle -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize(
    "again",
    [
        "time,A,remark,B",
        " time , A,remark,B,",
        "time,A,rem",
        "time,A,remark,B" + rows()[20],
        "\ufefftime,A,remark,B",
        "TIME,A,remark,B",
    ],
)
async def test_a_header_that_comes_again_is_a_bad_row(tmp_path: Path, again: str) -> None:
    lines = rows()
    lines[20] = again

    await require(csv_file(tmp_path, lines), [20], [22])


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("time,B,remark,A", "{t},{b},ok,{n}"),
        ("time,A,C,B", "{t},{n},1,{b}"),
        ("time,A", "{t},{n}"),
        ("A,remark,B,time", "{n},ok,{b},{t}"),
        ("Zeit,B,remark,A", "{t},{b},ok,{n}"),
        ("time,A,remark,B,C", "{t},{n},ok,{b},1"),
    ],
)
async def test_a_header_with_other_columns_refuses_what_comes_after_it(tmp_path: Path, header: str, row: str) -> None:
    lines = rows()
    lines[20:] = [row.format(t=clock(n), n=n, b=n + 0.5) for n in range(20, ROWS)]
    lines.insert(20, header)
    path = csv_file(tmp_path, lines)
    bad = BadReadings(SystemClock())

    async with opened(path, bad=bad) as sensors:
        for tag in "AB":
            found = await values(sensors, tag, minutes(0, 20))
            assert found == [n if tag == "A" else n + 0.5 for n in range(20)]
            for first in (19, 20, 40):
                with pytest.raises(BadReading, match=r"a\.csv, line 22: .*other columns"):
                    await values(sensors, tag, minutes(first, first + 5))
        assert await values(sensors, "A", minutes(70, 90)) == []
    assert [count.example.split(":")[0] for count in bad.counts()] == ["line 22"]


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize("header", ["time,B", "\ufefftime,B", "Time,B", '"time","B"', ' TIME,"B"'])
async def test_another_tag_in_the_only_column_refuses_what_comes_after_it(tmp_path: Path, header: str) -> None:
    """As where files of one tag each have been joined, with their byte order marks."""
    lines = [f"{clock(n)},{n}" for n in range(20)] + [header] + [f"{clock(n)},{n}" for n in range(20, 40)]
    path = csv_file(tmp_path, lines, "\ufefftime,A" if header.startswith("\ufeff") else "time,A")

    async with opened(path) as sensors:
        assert await values(sensors, "A", minutes(0, 20)) == list(range(20))
        with pytest.raises(BadReading, match=r"a\.csv, line 22: .*other columns, '(?i:time), B'"):
            await values(sensors, "A", minutes(20, 21))


@pytest.mark.usefixtures("block_size")
async def test_files_that_were_joined_with_their_byte_order_marks_lose_no_row(tmp_path: Path) -> None:
    lines = rows()
    for number in (20, 40):
        lines[number] = "\ufeff" + lines[number]

    await require(csv_file(tmp_path, lines), [], [])


@pytest.mark.usefixtures("block_size")
async def test_other_columns_in_the_long_layout_refuse_what_comes_after_them(tmp_path: Path) -> None:
    lines = [f"{clock(n)},A,{n}" for n in range(20)] + ["time,value,tag"] + [f"{clock(n)},{n},A" for n in range(20, 40)]
    path = csv_file(tmp_path, lines, "time,tag,value")

    async with opened(path, layout="long") as sensors:
        assert await values(sensors, window=minutes(0, 20)) == list(range(20))
        with pytest.raises(BadReading, match=r"line 22: .*other columns"):
            await values(sensors, window=minutes(30, 31))


async def test_other_columns_in_a_growing_file_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, f"time,A,B\n{clock(0)},0,1\n")
    async with opened(path) as sensors:
        assert await values(sensors) == [0]
        for n, line in enumerate(["time,B,A\n", f"{clock(1)},1,2\n", f"{clock(2)},1,2\n"]):
            with path.open("a") as file:
                file.write(line)
            if n:
                with pytest.raises(BadReading, match="line 3: "):
                    await values(sensors)
            assert await values(sensors, window=minutes(0, 1)) == [0]


@pytest.mark.usefixtures("block_size")
async def test_a_torn_header_before_another_one_costs_its_line(tmp_path: Path) -> None:
    lines = rows(20) + ["time,A,rem", "time,B,remark,A"] + [f"{clock(n)},0,ok,0" for n in range(20, 30)]
    path = csv_file(tmp_path, lines)

    async with opened(path) as sensors:
        assert await values(sensors, window=minutes(0, 20)) == list(range(20))
        with pytest.raises(BadReading, match=r"line 2[23]: .*other columns"):
            await values(sensors, window=minutes(25, 26))


@pytest.mark.usefixtures("block_size")
async def test_rows_after_the_first_header_once_more_are_read(tmp_path: Path) -> None:
    lines = rows(60)
    lines[20:40] = ["time,B,remark,A", *(f"{clock(n)},0,ok,0" for n in range(21, 39)), "time,A,remark,B"]
    path = csv_file(tmp_path, lines)

    async with opened(path) as sensors:
        assert await values(sensors, window=minutes(40, 60)) == list(range(40, 60))
        with pytest.raises(BadReading, match="line 22: "):
            await values(sensors, window=minutes(38, 41))


# --- Wild times ------------------------------------------------------------------------------------------------------


WILD = [
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59",
    "1970-01-01 00:00:00",
    "2199-01-01 00:00:00",
    "1700-01-01 00:00:00",
]
YEAR = timedelta(days=365)


def far_from(window: Window) -> Window:
    return Window(window.start + YEAR, window.end + YEAR)


@pytest.mark.parametrize("time", WILD)
@pytest.mark.parametrize("every", [1000, 100, 7])
async def test_wild_times_do_not_stretch_the_index_of_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: str, every: int
) -> None:
    monkeypatch.setattr(indexing, "MIN_BLOCK", 4096)
    monkeypatch.setattr(delimited, "_MAX_READ", 4096)
    lines = rows(3000)
    wild = range(every // 2, 3000, every)
    for n in wild:
        lines[n] = f"{time},-1,wild,-1"
    path = csv_file(tmp_path, lines)

    async with opened(path) as sensors:
        assert await values(sensors, window=minutes(0, 3000)) == all_but(*wild, count=3000)
        for first in (0, 1500, 2990):
            window = minutes(first, first + 9)
            expected = [n for n in range(first, first + 9) if n not in wild]
            assert await values(sensors, window=window) == expected
            assert described_bytes(sensors.get_native_range_specifier(window, {})) <= 3 * 4096
            assert "nothing" in sensors.get_native_range_specifier(far_from(window), {})
        last = await sensors.get_last_before(["A"], minutes(0, 2000).end, DAY)
        assert last["A"].value == max(n for n in range(2000) if n not in wild)


async def test_many_different_wild_times_do_not_stretch_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "MIN_BLOCK", 4096)
    monkeypatch.setattr(delimited, "_MAX_READ", 4096)
    lines = rows(3000)
    for n in range(0, 3000, 5):
        lines[n] = f"{1700 + n * 37 % 500}-06-01 00:00:00,-1,wild,-1"
    lines[0] = rows(1)[0]
    path = csv_file(tmp_path, lines)

    async with opened(path) as sensors:
        assert len(await values(sensors, window=minutes(0, 3000))) == 2401
        assert described_bytes(sensors.get_native_range_specifier(minutes(1500, 1509), {})) <= 3 * 4096


def described_bytes(text: str) -> int:
    parts = [part.split("-") for part in text.split(" bytes ")[1].split(", ")]
    return sum(int(end) - int(start) + 1 for start, end in parts)


@pytest.mark.parametrize("time", [-62_135_596_800_000_000, 253_402_300_799_000_000, 0, 7_226_582_400_000_000])
@pytest.mark.parametrize("unit", ["us", "ms"])
@pytest.mark.parametrize("groups", [1, 10])
async def test_wild_times_do_not_stretch_the_index_of_parquet(
    tmp_path: Path, time: int, unit: str, groups: int
) -> None:
    count = 1000
    times = [(to_ns(DAY) // 1000 + n * 60_000_000) for n in range(count)]
    wild = [5, 505, 995]
    for n in wild:
        times[n] = time
    divided = times if unit == "us" else [each // 1000 for each in times]
    table = pa.table({"time": pa.array(divided, pa.timestamp(unit, "UTC")), "A": [float(n) for n in range(count)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=count // groups)

    async with opened(tmp_path) as sensors:
        assert await values(sensors, window=minutes(0, count)) == all_but(*wild, count=count)
        for first in (0, 500, 990):
            window = minutes(first, first + 9)
            assert await values(sensors, window=window) == [n for n in range(first, first + 9) if n not in wild]
            found = sensors.get_native_range_specifier(window, {})
            assert found.endswith(f"row groups {first * groups // count}")
            assert "nothing" in sensors.get_native_range_specifier(far_from(window), {})


@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_a_wild_time_is_a_reading_of_its_own_time(tmp_path: Path, form: str) -> None:
    times = [clock(0), "1970-01-01 00:00:00", clock(2)]
    if form == "csv":
        csv_file(tmp_path, [f"{time},{n}" for n, time in enumerate(times)], "time,A")
    else:
        pq.write_table(pa.table({"time": times, "A": [0.0, 1.0, 2.0]}), tmp_path / "a.parquet")
    start = datetime(1970, 1, 1, tzinfo=UTC)

    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [0, 2]
        assert await values(sensors, window=Window(start, start + timedelta(minutes=1))) == [1]


async def test_a_row_group_without_any_time_is_counted_and_costs_no_window(tmp_path: Path) -> None:
    times = [None] * 10 + [to_ns(DAY) + n * 60 * 10**9 for n in range(10, 30)]
    table = pa.table({"time": pa.array(times, pa.timestamp("ns", "UTC")), "A": [float(n) for n in range(30)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    bad = BadReadings(SystemClock())

    async with opened(tmp_path, bad=bad) as sensors:
        assert await values(sensors) == list(range(10, 30))
        assert sensors.get_native_range_specifier(minutes(0, 30), {}).endswith("row groups 1, 2")
    assert [(count.fault, count.readings, count.example[:6]) for count in bad.counts()] == [(Fault.TIME, 10, "row 0 ")]
    async with opened(tmp_path, strict=True) as sensors:
        with pytest.raises(BadReading, match="row 0 "):
            await values(sensors)


@given(
    times=st.lists(st.one_of(st.integers(0, 50), st.integers(-(2**63), 2**63 - 1)), max_size=60),
    length=st.sampled_from([0, 3]),
)
def test_ranges_hold_each_time(times: list[int], length: int) -> None:
    first = np.array(times, np.int64)
    last = first + np.where((first >= 0) & (first < 20), length, 0) if length else first

    ranges = ranges_of(first, last)

    assert len(ranges) <= 8
    assert sum(each.rows for each in ranges) == len(times)
    for low, high in zip(first.tolist(), last.tolist(), strict=True):
        assert any(each.first <= low and high <= each.last for each in ranges)
    assert all(before.first < after.first for before, after in pairwise(ranges))


# --- Line ends, encodings, decimal commas ----------------------------------------------------------------------------


@pytest.mark.usefixtures("block_size")
async def test_line_ends_may_be_mixed(tmp_path: Path) -> None:
    lines = [line + ("\r" if n % 3 else "") for n, line in enumerate(rows())]
    lines[15] = '"broken\r'
    lines[16] += "\r\n\r\n"
    path = csv_file(tmp_path, lines, "time,A,remark,B\r")

    await require(path, [15], [17])


@pytest.mark.usefixtures("block_size")
async def test_other_bytes_in_utf8_lose_their_own_reading(tmp_path: Path) -> None:
    lines: list[str | bytes] = list(rows())
    lines[12] = lines[12].encode().replace(b"ok", b"20 \xb0C")  # type: ignore[union-attr]
    lines[13] = b"\xff\xfe\xb0\xe5,13,ok,13.5"
    lines[14] = f"{clock(14)},14\xb0,ok,14.5".encode("latin-1")
    bad = BadReadings(SystemClock())

    async with opened(csv_file(tmp_path, lines), bad=bad) as sensors:
        assert await values(sensors) == all_but(13, 14)
        assert await values(sensors, "B") == [n + 0.5 for n in all_but(13)]
    found = {count.fault: count.example.split(":")[0] for count in bad.counts()}
    assert found == {Fault.TIME: "line 15", Fault.TEXT: "line 16"}


@pytest.mark.usefixtures("block_size")
async def test_damage_among_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    lines = [f"{clock(n)};{n},0;ok;{n},5" for n in range(ROWS)]
    lines[9] = f'{clock(9)};"9,0;ok;9,5'
    lines[11] = lines[11][:24]
    lines[13] = lines[13] + lines[14]
    lines[14] = "\0" * 700 + lines[15]
    lines[15] = "\xb0"
    lines[30] = f"{clock(30)},30,ok,30.5"  # of another program

    await require(
        csv_file(tmp_path, lines, "time;A;remark;B"),
        [9, 11, 13, 14, 30],
        [11, 13, 15, 16, 17, 32],
        separator=";",
        decimal_point=",",
    )


# --- What is refused at start ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_a_file_without_any_time_is_refused_at_start(tmp_path: Path, form: str) -> None:
    times = [f"{n % 28 + 1}.3.2026 kl. 12" for n in range(5000)]
    if form == "csv":
        csv_file(tmp_path, [f"{time},1" for time in times], "time,A")
    else:
        pq.write_table(pa.table({"time": times, "A": [1.0] * len(times)}), tmp_path / "a.parquet")

    with pytest.raises(
        ConfigurationError, match=rf"sensors\.time_format: .*a\.{form}.*'1\.3\.2026 kl\. 12'.*time_column"
    ):
        async with opened(tmp_path):
            pass


async def test_times_that_begin_late_are_times(tmp_path: Path) -> None:
    lines = [f"#####,{n},ok,1" for n in range(20_000)] + rows()
    path = csv_file(tmp_path, lines)

    async with opened(path) as sensors:
        assert await values(sensors) == all_but()


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("layout", "quality"), [("wide", "{tag}.q"), ("wide", "q"), ("long", "q")])
async def test_a_file_without_the_column_of_the_quality_is_refused_by_name(
    tmp_path: Path, form: str, layout: str, quality: str
) -> None:
    columns: dict[str, list[Any]] = {"time": [clock(n) for n in range(3)], "tag": ["A"] * 3, "value": [1.0] * 3}
    if layout == "wide":
        columns = {"time": columns["time"], "A": [1.0] * 3, "B": [2.0] * 3}
    if form == "csv":
        cells = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        csv_file(tmp_path, cells, ",".join(columns))
    else:
        pq.write_table(pa.table(columns), tmp_path / "a.parquet")

    with pytest.raises(ConfigurationError, match=rf"sensors\.quality_column: .*a\.{form} has no column '{quality}'"):
        async with opened(tmp_path, layout=layout, quality_column=quality, good=[192]):
            pass


# --- Any damage ------------------------------------------------------------------------------------------------------


def damages(line: str) -> dict[str, str]:
    return {
        "torn": line[: len(line) // 2],
        "tail": line[len(line) // 2 :],
        "empty time": "," + line.split(",", 1)[1],
        "quote": line.replace(",", ',"', 1),
        "quote first": '"' + line,
        "nuls": "\0" * 20 + line,
        "garbage": "\ufffd\x01;;\x7f",
        "twice": line + line,
        "header": "time,A,remark,B",
    }


@settings(max_examples=examples(40), deadline=None)
@given(
    hits=st.dictionaries(st.integers(1, 39), st.sampled_from(sorted(damages("a,b"))), max_size=12),
    block=st.sampled_from([120, 300, 64 * 1024]),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_any_damage_loses_what_is_damaged(
    tmp_path_factory: pytest.TempPathFactory, hits: dict[int, str], block: int, ends: str
) -> None:
    lines = rows(40)
    for n, kind in hits.items():
        lines[n] = damages(lines[n])[kind]
    folder = tmp_path_factory.mktemp("damage")
    path = csv_file(folder, lines, end=ends.encode())
    bad = BadReadings(SystemClock())

    async def check() -> None:
        async with opened(path, bad=bad) as sensors:
            assert await values(sensors) == all_but(*hits, count=40)
            assert sum(count.readings for count in bad.counts()) == len(hits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "MIN_BLOCK", block)
        asyncio.run(check())
