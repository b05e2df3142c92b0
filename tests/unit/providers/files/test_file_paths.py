"""Which files a path names, and whose readings they have."""

import errno
import gzip
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog

from latigo.domain.errors import ConfigurationError, PartlyDown, Rejected, Unavailable
from latigo.domain.windows import to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files import open_files
from latigo.providers.files.delimited import DelimitedFile
from latigo.providers.files.paths import Listing, SensorPath
from latigo.runtime.clock import SystemClock
from latigo.settings import FileSensors as FileSensorsSettings
from tests.support.clock import ManualClock
from tests.support.sensor_files import ALL, DAY, FIELD_CASES, clock, minutes, opened, values, write


def listing(path: Path | str, **options: Any) -> Listing:
    return SensorPath(FileSensorsSettings(path=Path(path), **options)).listing()


def names(found: Listing, root: Path) -> list[str]:
    return [str(file.path.relative_to(root)) for file in found.files]


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        write(root / path, "")


def wide(path: Path, **readings: float) -> Path:
    """Write a row at the beginning of the day."""
    return write(path, f"time,{','.join(readings)}\n{clock(0)},{','.join(map(str, readings.values()))}\n")


def one_tag(path: Path, *readings: float, **columns: Sequence[Any]) -> None:
    """Write a Parquet file of times and values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = pa.array([to_ns(DAY + timedelta(minutes=n)) for n in range(len(readings))], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"time": times, "value": list(readings), **columns}), path)


# Folders, links and files of other kinds


def test_files_are_found_in_a_fixed_order_and_hidden_ones_are_not(tmp_path: Path):
    touch(tmp_path, "b.csv", "a/b.TXT", "a/a/c.parquet", "a.pq", "B.tsv.gz", ".c.csv", ".d/e.csv", "_temporary/f.csv")

    assert names(listing(tmp_path), tmp_path) == ["B.tsv.gz", "a/a/c.parquet", "a/b.TXT", "a.pq", "b.csv"]


def test_linked_folders_are_followed_and_each_file_is_found_once(tmp_path: Path):
    root, other = tmp_path / "root", tmp_path / "other"
    touch(root, "2026/a.csv")
    touch(other, "b.csv", "below/c.csv")
    (root / "1-link").symlink_to(other)
    (root / "2-again").symlink_to(other / "below")
    (root / "0-current").symlink_to("2026")
    (root / "2026" / "up").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "broken").symlink_to("nowhere")
    (root / "latest.csv").symlink_to("2026/a.csv")
    (root / "d.csv").symlink_to(write(tmp_path / "d", ""))
    (root / "e.csv").symlink_to(tmp_path / "d")

    assert names(listing(root), root) == ["1-link/b.csv", "1-link/below/c.csv", "2026/a.csv", "d.csv"]
    assert names(listing(f"{root}/*/*.csv"), root) == ["1-link/b.csv", "2-again/c.csv", "2026/a.csv"]


def test_where_paths_name_tags_every_link_names_one_and_cycles_are_cut(tmp_path: Path):
    touch(tmp_path, "A/x.csv")
    (tmp_path / "B").symlink_to("A")
    (tmp_path / "A" / "loop").symlink_to(tmp_path)

    found = listing(f"{tmp_path}/{{tag}}/**/*.csv")

    assert [(file.tag, str(file.path.relative_to(tmp_path))) for file in found.files] == [
        ("A", "A/x.csv"),
        ("B", "B/x.csv"),
    ]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", ["a.csv", "b1.csv", "b2.csv"]),
        ("b[12].csv", ["b1.csv", "b2.csv"]),
        ("b[!1].csv", ["b2.csv"]),
        ("b?.csv", ["b1.csv", "b2.csv"]),
        ("*", ["a.csv", "b1.csv", "b2.csv"]),
        ("**", ["a.csv", "b1.csv", "b2.csv", "d/c.csv", "d/e/c.csv"]),
        ("**/c.csv", ["d/c.csv", "d/e/c.csv"]),
        ("d/**/*.csv", ["d/c.csv", "d/e/c.csv"]),
        ("*/*.csv", ["d/c.csv"]),
        (".h/*.csv", [".h/a.csv"]),
        (".*/.*.csv", [".h/.b.csv"]),
        ("b{year}.csv", []),
        ("{any}.csv", ["a.csv", "b1.csv", "b2.csv"]),
        ("b{day}.csv", ["b1.csv", "b2.csv"]),
    ],
)
def test_patterns_are_those_of_a_shell(tmp_path: Path, pattern: str, found: list[str]):
    touch(tmp_path, "a.csv", "b1.csv", "b2.csv", "d/c.csv", "d/e/c.csv", ".h/a.csv", ".h/.b.csv")

    assert names(listing(f"{tmp_path}/{pattern}"), tmp_path) == found


def test_a_file_and_its_compressed_copy_are_read_once(tmp_path: Path):
    touch(tmp_path, "a.csv", "a.csv.gz", "b.csv.gz")

    assert names(listing(tmp_path), tmp_path) == ["a.csv", "b.csv.gz"]


async def test_files_of_no_known_kind_are_counted_and_named(tmp_path: Path):
    wide(tmp_path / "a.csv", A=1)
    touch(tmp_path, "b.xlsx", "c/d.csv.bz2", "c/e.zip", ".f.xlsx", *(f"notes/{n}" for n in range(9)))

    with structlog.testing.capture_logs() as reported:
        async with opened(tmp_path) as sensors:
            for _ in range(3):
                assert await values(sensors) == [1]
            unread = sensors._folder.unread()
            said = await sensors.ping()

    assert unread.number == 12
    assert [str(path.relative_to(tmp_path)) for path in unread.first[:3]] == ["b.xlsx", "c/d.csv.bz2", "c/e.zip"]
    assert said == "1 tags; not read, since they are of no known kind: 12 files, such as b.xlsx, d.csv.bz2, e.zip, 0, 1"
    (event,) = [each for each in reported if each["event"] == "sensor_files.unread"]
    assert (event["count"], event["first"][0]) == (12, str(tmp_path / "b.xlsx"))


async def test_where_no_file_is_of_a_known_kind_they_are_named(tmp_path: Path):
    touch(tmp_path, "a.xlsx")

    with pytest.raises(ConfigurationError, match=r"sensors\.path: there is no file at .*: 1 files, such as a\.xlsx"):
        async with opened(tmp_path):
            pass


def test_with_a_format_files_of_the_other_one_are_not_read(tmp_path: Path):
    touch(tmp_path, "a.csv", "b.parquet", "c.csv.gz", "d.dat")

    assert names(listing(tmp_path, format="csv"), tmp_path) == ["a.csv", "c.csv.gz"]
    assert listing(tmp_path, format="csv").unread.number == 2
    assert names(listing(f"{tmp_path}/*", format="csv"), tmp_path) == ["a.csv", "c.csv.gz", "d.dat"]


async def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wide(tmp_path / "a.csv", A=1)
    wide(tmp_path / "closed" / "b.csv", B=2)
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    async with opened(tmp_path) as sensors:
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", refusing)
            assert await values(sensors) == [1]
            with pytest.raises(PartlyDown, match="closed: Permission denied"):
                await values(sensors, "B")
        assert await values(sensors, "B") == [2]


async def test_a_listing_that_takes_long_is_made_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    manual = ManualClock()
    wide(tmp_path / "a.csv", A=1)
    listed, plainly = 0, SensorPath.listing

    def slowly(path: SensorPath) -> Listing:
        nonlocal listed
        listed += 1
        manual.jump(timedelta(seconds=0.5))
        return plainly(path)

    async with open_files(FileSensorsSettings(path=tmp_path), manual) as sensors:
        monkeypatch.setattr(SensorPath, "listing", slowly)
        for _ in range(11):
            await values(sensors)
            await manual.advance(timedelta(seconds=1))
    assert listed == 3


# Tables whose log says which files still count


@pytest.mark.parametrize(
    ("mark", "kind"),
    [("_delta_log/0.json", "Delta"), (".hoodie/hoodie.properties", "Hudi"), ("metadata/v1.metadata.json", "Iceberg")],
)
async def test_tables_are_refused_and_other_folders_are_read(tmp_path: Path, mark: str, kind: str):
    wide(tmp_path / "plain" / "a.csv", A=1)
    table = tmp_path / "table"
    touch(table, mark)
    wide(table / "data" / "part.csv", A=2, B=3)
    reason = rf"{table} is a table of {kind}, of which removed files"

    with structlog.testing.capture_logs() as reported:
        async with opened(tmp_path) as sensors:
            for _ in range(2):
                assert await sensors.get_sensor_list() == ["A"]
                assert await values(sensors) == [1]
            with pytest.raises(PartlyDown, match=reason):
                await values(sensors, "B")
            assert reason in await sensors.ping()
    assert [each["path"] for each in reported if each["event"] == "sensor_file.excluded"] == [str(table)]
    for path in (table, table / "data", table / "data" / "part.csv", f"{table}/data/*.csv", f"{table}/**/{{tag}}.csv"):
        with pytest.raises(ConfigurationError, match=rf"sensors\.path: {reason}"):
            async with opened(path):
                pass


async def test_the_table_of_the_field_is_refused():
    with pytest.raises(ConfigurationError, match=r"67-delta/data is a table of Delta"):
        async with opened(FIELD_CASES / "67-delta" / "data"):
            pass


async def test_a_folder_that_becomes_a_table_is_unavailable_with_an_alarm(tmp_path: Path):
    wide(tmp_path / "a.csv", A=1)
    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1]

        touch(tmp_path, "_delta_log/0.json")

        with pytest.raises(Unavailable, match=r"no file can be used: .* is a table of Delta") as refused:
            await values(sensors)
    assert refused.value.alarm


async def test_metadata_that_is_no_tables_is_no_reason(tmp_path: Path):
    wide(tmp_path / "a.csv", A=1)
    touch(tmp_path, "metadata/readme.md")

    async with opened(tmp_path) as sensors:
        assert await values(sensors) == [1]


# Tags that paths name


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("{tag}.csv", {"A.csv": "A", "B_2.csv": "B_2"}),
        ("{tag}/{tag}_{year}.csv", {"A/A_2026.csv": "A", "A_1/A_1_2026.csv": "A_1", "B/A_2026.csv": None}),
        ("{tag}_{year}{month}{day}.{any}", {"A_B_20260301.csv": "A_B", "A_2026.csv": None, "A_20260301.xlsx": None}),
        ("{tag}/{year}/{month}-{day}/*.csv", {"A/2026/03-01/x.csv": "A", "A/26/3-1/x.csv": None}),
        ("tag={tag}/*.parquet", {"tag=A/x.parquet": "A", "tag=A%2FB%20%25/x.parquet": "A/B %", "A/x.parquet": None}),
        ("tag={tag}/*.parquet", {"tag=__HIVE_DEFAULT_PARTITION__/x.parquet": None}),
        ("year={year}/name={tag}/**/*.pq", {"year=2026/name=Ä%3D1/x.pq": "Ä=1", "year=2026/name=B/c/d/x.pq": "B"}),
        ("{tag}%2F.csv", {"A%20B%2F.csv": "A%20B"}),
        ("{tag}.csv.gz", {"A.csv.gz": "A", "A.csv": None}),
    ],
)
def test_tags_are_taken_from_paths(tmp_path: Path, pattern: str, files: dict[str, str | None]):
    touch(tmp_path, *files)

    found = {str(file.path.relative_to(tmp_path)): file.tag for file in listing(f"{tmp_path}/{pattern}").files}

    assert found == {path: tag for path, tag in files.items() if tag is not None}


def test_characters_of_a_pattern_mean_themselves(tmp_path: Path):
    touch(tmp_path, "a+b.(x).A.csv", "aab.(x).A.csv")

    assert [file.tag for file in listing(f"{tmp_path}/a+b.(x).{{tag}}.csv").files] == ["A"]


def test_a_folder_with_characters_of_patterns_is_the_root_of_a_preset(tmp_path: Path):
    touch(tmp_path, "[1]/A/A_2026.csv")

    assert [file.tag for file in listing(tmp_path / "[1]", preset="ncs").files] == ["A"]


def test_an_unknown_placeholder_is_refused():
    with pytest.raises(ValueError, match=r"has \{yeer\}, which is none of \{tag\}, \{year\}, \{month\}"):
        FileSensorsSettings(path=Path("{tag}/{yeer}.csv"))


@pytest.mark.parametrize("layout", ["wide", "long"])
async def test_a_file_has_the_readings_of_the_tag_that_its_path_names(tmp_path: Path, layout: str):
    write(tmp_path / "A_2026.csv", f"time,value\n{clock(0)},1\n{clock(1)},\n{clock(2)},3\n")
    (tmp_path / "B_2026.csv.gz").write_bytes(gzip.compress(f"value,time\n5,{clock(0)}\n".encode()))
    one_tag(tmp_path / "A_2025.parquet", 7, 8)

    async with opened(f"{tmp_path}/{{tag}}_{{year}}.*", layout=layout) as sensors:
        assert await sensors.get_sensor_list() == ["A", "B"]
        assert await values(sensors) == [7, 1, 8, 3]
        assert await values(sensors, "B") == [5]
        assert await sensors.get_last_before(["A"], ALL.end, ALL.start) == {"A": (to_ns(DAY + timedelta(minutes=2)), 3)}
        with pytest.raises(Rejected, match="'value'"):
            await values(sensors, "value")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
async def test_rows_of_a_tag_that_the_path_does_not_name_are_skipped_and_counted(tmp_path: Path, suffix: str):
    if suffix == "csv":
        write(tmp_path / "A.csv", f"tag,time,value\nA,{clock(0)},1\nB,{clock(1)},2\n A ,{clock(2)},3\n")
    else:
        one_tag(tmp_path / "A.parquet", 1, 2, 3, tag=["A", "B", "A"])
    bad = BadReadings(SystemClock())

    async with opened(tmp_path / "{tag}.*", bad=bad) as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors) == [1, 3]
    assert [(each.tag, each.fault, each.readings) for each in bad.counts()] == [("", "row", 1)]


async def test_the_hive_partitions_of_the_field_are_read():
    path = FIELD_CASES / "66-hive-tag" / "data"
    async with opened(path / "tag={tag}" / "*.parquet", layout="long") as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors, window=minutes(0, 30)) == list(range(30))

    with pytest.raises(
        ConfigurationError, match=r"sensors\.tag_column: .* or name the tag in the path, such as .*tag="
    ):
        async with opened(path, layout="long"):
            pass


async def test_only_files_of_tags_that_are_read_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for tag in "ABC":
        for year in (2025, 2026):
            write(tmp_path / tag / f"{year}.csv", f"time,value\n{year}-01-01,{year}\n")
    refreshed: list[str] = []
    refresh = DelimitedFile.refresh

    def refreshing(file: DelimitedFile, *rest: Any) -> None:
        refreshed.append(f"{file.tag}/{file.path.name}")
        refresh(file, *rest)

    monkeypatch.setattr(DelimitedFile, "refresh", refreshing)
    manual = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with open_files(FileSensorsSettings(path=tmp_path / "{tag}" / "{year}.csv"), manual) as sensors:
        assert await sensors.get_sensor_list() == ["A", "B", "C"]
        assert refreshed == []
        for _ in range(2):
            assert await values(sensors, "B") == [2025, 2026]
        assert refreshed == ["B/2025.csv", "B/2026.csv"]

        with (tmp_path / "B" / "2026.csv").open("a") as file:
            file.write("2026-01-02,5\n")
        write(tmp_path / "B" / "2027.csv", "time,value\n2027-01-01,2027\n")
        await manual.advance(timedelta(seconds=1))
        assert await values(sensors, "B") == [2025, 2026, 5, 2027]
        assert refreshed[2:] == ["B/2025.csv", "B/2026.csv", "B/2027.csv"]


async def test_a_file_of_a_tag_that_cannot_be_used_affects_that_tag_only(tmp_path: Path):
    write(tmp_path / "A.csv", f"time,value\n{clock(0)},1\n")
    path = write(tmp_path / "B.csv", "what,ever\n")

    async with opened(tmp_path / "{tag}.csv") as sensors:
        assert await values(sensors) == [1]
        for _ in range(2):
            with pytest.raises(PartlyDown, match=r"'B'; excluded: .*B\.csv has no column 'time'"):
                await values(sensors, "B")
        assert await values(sensors) == [1]

        write(path, f"time,value\n{clock(0)},2\n")
        assert await values(sensors, "B") == [2]


async def test_the_only_file_may_be_unusable_for_a_while_where_paths_name_tags(tmp_path: Path):
    path = write(tmp_path / "A.csv", f"time,value\n{clock(0)},1\n")
    async with opened(tmp_path / "{tag}.csv") as sensors:
        write(path, "what,ever\n")
        for _ in range(2):
            with pytest.raises(PartlyDown, match=r"A\.csv has no column 'time'"):
                await values(sensors)
        write(path, f"time,value\n{clock(0)},2\n")
        assert await values(sensors) == [2]


# The preset ncs


async def test_the_files_of_ncs_in_the_field_are_read():
    """The reading of minute 7 has a status that is not good, in CSV."""
    bad = BadReadings(SystemClock())
    async with opened(FIELD_CASES / "70-ncs-csv" / "data", preset="ncs", bad=bad) as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors, window=minutes(0, 12)) == [n + 0.5 for n in range(12) if n != 7]
    assert [(each.tag, each.fault, each.readings) for each in bad.counts()] == [("A", "quality", 1)]

    async with opened(FIELD_CASES / "70b-ncs-parquet" / "data", preset="ncs") as sensors:
        assert await sensors.get_sensor_list() == ["A"]
        assert await values(sensors, window=minutes(0, 7)) == [0, 1, 2, 3, 4, 5, 6]


def test_ncs_prefers_parquet_of_the_same_tag_and_year(tmp_path: Path):
    touch(
        tmp_path,
        "A/A_2024.csv",
        "A/A_2025.csv",
        "A/parquet/A_2025.parquet",
        "A/A_2026.csv",
        "A/A_2026.parquet",
        "A/parquet/A_2026.parquet",
        "A/parquet/2026/A_202601.parquet",
        "A/parquet/2023/A_202301.parquet",
        "A/parquet/2023/A_202302.parquet",
        "B%2FC/b%2Fc_2026.csv",
        "D/E_2026.csv",
        "D/notes.xlsx",
    )

    found = listing(tmp_path, preset="ncs")

    assert names(found, tmp_path) == [
        "A/A_2024.csv",
        "A/parquet/2023/A_202301.parquet",
        "A/parquet/2023/A_202302.parquet",
        "A/parquet/A_2025.parquet",
        "A/parquet/A_2026.parquet",
        "B%2FC/b%2Fc_2026.csv",
    ]
    assert [file.tag for file in found.files] == ["A"] * 5 + ["B/C"]
    assert [path.name for path in found.unread.first] == ["E_2026.csv", "notes.xlsx"]


def test_ncs_with_a_pattern_of_ones_own(tmp_path: Path):
    touch(tmp_path, "A.csv", "B/B_2026.csv")

    assert names(listing(tmp_path / "{tag}.csv", preset="ncs"), tmp_path) == ["A.csv"]


@pytest.mark.parametrize("path", ["{tag}.csv", "{tag}/{any}.csv"])
async def test_a_sample_reads_the_files_that_name_a_tag_although_nothing_was_read_of_them_before(
    tmp_path: Path, path: str
):
    for tag in ("A", "B"):
        rows = "".join(f"{clock(minute)},{minute}\n" for minute in range(3))
        write(tmp_path / path.format(tag=tag, any="x"), f"time,value\n{rows}")

    async with opened(tmp_path / path) as sensors:
        found = await sensors.sample(["A", "B"])

    ends = (DAY, DAY + timedelta(minutes=2))
    assert [(each.tag, each.readings, each.first, each.last) for each in found.sensors] == [
        ("A", 3, *ends),
        ("B", 3, *ends),
    ]
