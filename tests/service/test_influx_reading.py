"""What the InfluxDB source does beyond what every sensor source promises, and how it takes a server's limits."""

import asyncio
import csv
import itertools
import re
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from latigo import settings
from latigo.domain.errors import ConfigurationError, Reason, Rejected, TimedOut, TooLarge, Unavailable
from latigo.domain.series import Readings, Series
from latigo.domain.windows import Window, from_ns, to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.influx.client import SWITCHES, InfluxClient, InfluxSwitches, Response, open_client
from latigo.providers.influx.query import Layout
from latigo.providers.influx.sensors import InfluxSensors, Judgement, open_sensors
from latigo.providers.qualities import Qualities
from latigo.runtime.clock import SystemClock
from latigo.settings import load_settings
from tests.support.influxd import (
    InfluxDatabase,
    InfluxServers,
    administer,
    fresh_influx_database,
    select,
    sensor_lines,
    write_lines,
)
from tests.support.sensor_sources import influx_sensors
from tests.support.skab import SKAB, require_skab

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
HOUR = Window(TEN, TEN + timedelta(hours=1))
DAY = Window(TEN, TEN + timedelta(days=1))
PLENTY = 10**8
TEMPERATURE, PRESSURE = "GRA-TT-001", "GRA-PT-002"
VERSIONS = pytest.mark.parametrize("version", ["1", "3"])  # how a query is put; the server is version 1 in both
NAMES = [
    "Volume Flow RateRMS",
    "  two  spaces  ",
    "a,b=c d",
    r"back\slash",
    r"\\server\share",
    "quote \" and ' quote",
    "''; DROP DATABASE sensors --",
    "' OR 1=1 --",
    "semi;colon",
    "#hash",
    "/regex.*/",
    "GRA.TT|001",
    "$t0",
    "$t1",
    "tab\there",
    "tag",
    "Value",
    "time",
    "null",
    "æøå °C 🌡",
    "日本",
    "%41 & + = ? #",
    "<&>\u2028",
    "x" * 5000,
]
NOT_IN_LITERALS = ["carriage\rreturn", "null\0byte"]
IMPOSSIBLE = ["ends in a backslash\\", "two\nlines", "", "lone \ud800 surrogate"]


class Watched:
    """A client, and what went through it."""

    def __init__(self, client: InfluxClient) -> None:
        self._client = client
        self.calls: list[str] = []
        self.sizes: list[int] = []
        self.after_first: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def query(self, statements: str, interpret: Callable[[Response], Any], **options: Any) -> Any:
        self.calls.append(statements)
        attempts = itertools.count()

        def watch(response: Response) -> Any:
            if next(attempts):
                self.calls.append(statements)
            self.sizes.append(len(response.body))
            if len(self.sizes) == 1:
                self.after_first()
            return interpret(response)

        return await self._client.query(statements, watch, **options)


@asynccontextmanager
async def watched(
    database: InfluxDatabase, switches: InfluxSwitches | None = None, **options: Any
) -> AsyncIterator[tuple[InfluxSensors, Watched]]:
    section = settings.InfluxSensors(url=database.url, database=database.name)
    async with open_client(section, switches=switches) as client:
        watching = Watched(client)
        layout = Layout(section.measurement, section.tag_key, section.field)
        clock, judgement = SystemClock(), Judgement(Qualities(()))
        yield InfluxSensors(watching, layout, clock, judgement, BadReadings(clock), **options), watching  # type: ignore[arg-type]  # has all of its methods


@asynccontextmanager
async def limited(
    servers: InfluxServers, readings: Readings, variables: Mapping[str, str], **options: Any
) -> AsyncIterator[InfluxSensors]:
    """Sensors on a server of the test's own."""
    server = servers.start(variables)
    async with fresh_influx_database(server.url) as database:
        await write_lines(database, sensor_lines(readings))
        async with influx_sensors(database, **options) as sensors:
            yield sensors


def plant(tags: int, readings: int, *, every: float = 1.0) -> dict[str, Series]:
    """Sensors that report from ten on."""
    times = to_ns(TEN) + (np.arange(readings) * every * 1e9).astype(np.int64)
    noise = np.random.default_rng(7)
    return {f"GRA-TT-{number:03}": Series(times, noise.normal(size=readings)) for number in range(tags)}


def same(read: Mapping[str, Series], written: Mapping[str, Series]) -> bool:
    """To the last bit, and each under its own name."""
    return read.keys() == written.keys() and all(
        np.array_equal(read[tag].times, written[tag].times)
        and read[tag].values.tobytes() == written[tag].values.tobytes()
        for tag in written
    )


@VERSIONS
async def test_a_real_plants_record_comes_back_to_the_last_bit(influx_database: InfluxDatabase, version: str):
    require_skab()
    record = skab_runs()
    await write_lines(influx_database, sensor_lines(record))

    async with influx_sensors(influx_database, version=version) as sensors:
        read = await sensors.get_data_for_range(
            list(record),
            Window(datetime(2020, 3, 9, 10, tzinfo=UTC), datetime(2020, 3, 9, 13, tzinfo=UTC)),
            max_bytes=PLENTY,
        )
        listed = await sensors.get_sensor_list()

    assert sum(len(series) for series in read.values()) == 8 * 9_012
    assert same(read, record)
    assert listed == sorted(record)


def skab_runs() -> dict[str, Series]:
    """Eight runs that follow each other, read without the product."""
    columns: dict[str, list[float]] = {}
    times: list[int] = []
    for number in range(8):
        with Path(SKAB / "valve1" / f"{number}.csv").open() as file:
            for row in csv.DictReader(file, delimiter=";"):
                times.append(to_ns(datetime.fromisoformat(row.pop("datetime")).replace(tzinfo=UTC)))
                for label in ("anomaly", "changepoint"):
                    row.pop(label)
                for name, cell in row.items():
                    columns.setdefault(name, []).append(float(cell))
    return {name: Series(np.array(times, np.int64), np.array(values)) for name, values in columns.items()}


@pytest.mark.parametrize(
    "switches",
    [
        InfluxSwitches(*each)  # type: ignore[arg-type]  # mypy widens what a product is of
        for each in itertools.product(("many", "one"), ("msgpack", "json"), (True, False), ("POST", "GET"))
    ],
    ids=lambda each: f"{each.statements_per_request}-{each.format}-{'bind' if each.bind else 'literal'}-{each.method}",
)
async def test_any_name_goes_through_however_a_query_is_put(influx_database: InfluxDatabase, switches: InfluxSwitches):
    one = np.array([to_ns(TEN)], np.int64)
    every = [*NAMES, *NOT_IN_LITERALS]
    names = every if switches.bind else NAMES
    written = {name: Series(one, np.array([float(number)])) for number, name in enumerate(every)}
    await write_lines(influx_database, sensor_lines(written))

    async with watched(influx_database, switches) as (sensors, _):
        read = await sensors.get_data_for_range(names, HOUR, max_bytes=PLENTY)
        newest = await sensors.get_last_before(every, HOUR.end, HOUR.start)
        listed = await sensors.get_sensor_list()
        exist = [name for name in (*every, *IMPOSSIBLE, "x", "X" * 5000) if await sensors.sensor_exists(name)]
        for refused in set(every) - set(names):
            with pytest.raises(Rejected, match=re.escape(repr(refused))):
                await sensors.get_data_for_range([refused], HOUR, max_bytes=PLENTY)

    assert same(read, {name: written[name] for name in names})
    assert {name: point.value for name, point in newest.items()} == {
        name: float(number) for number, name in enumerate(names)
    }
    assert listed == sorted(every)
    assert exist == names


@VERSIONS
async def test_names_that_nothing_can_have_are_rejected_by_name(influx_database: InfluxDatabase, version: str):
    await write_lines(influx_database, ["sensors,tag=GRA-TT-001 Value=1 1", "sensors,site=x Value=2 1"])
    async with influx_sensors(influx_database, version=version) as sensors:
        for name in IMPOSSIBLE:
            with pytest.raises(Rejected) as refused:
                await sensors.get_data_for_range([TEMPERATURE, name], HOUR, max_bytes=PLENTY)

            assert refused.value.reason is Reason.UNKNOWN_SENSOR
            assert repr(name) in str(refused.value)
            assert TEMPERATURE not in str(refused.value)
        assert await sensors.get_last_before(IMPOSSIBLE, HOUR.end, from_ns(0)) == {}


@VERSIONS
async def test_several_series_of_a_sensor_are_read_as_one(influx_database: InfluxDatabase, version: str):
    at = [to_ns(TEN) + minute * 60 * 10**9 for minute in range(4)]
    await write_lines(
        influx_database,
        [
            *(f"sensors,tag={TEMPERATURE},site=b Value={value} {at[n]}" for n, value in ((0, 1), (2, 5), (3, 8))),
            *(f"sensors,tag={TEMPERATURE},site=a Value={value} {at[n]}" for n, value in ((1, 2), (2, 3), (3, 9))),
            *(f"sensors,tag={TEMPERATURE} Value={value} {at[n]}" for n, value in ((2, 4), (3, 7))),
            f"sensors,tag={PRESSURE},site=a Value=99 {at[2]}",
        ],
    )

    async with influx_sensors(influx_database, version=version) as sensors:
        read = (await sensors.get_data_for_range([TEMPERATURE], HOUR, max_bytes=PLENTY))[TEMPERATURE]
        newest = await sensors.get_last_before([TEMPERATURE, PRESSURE], HOUR.end, HOUR.start)
        listed = await sensors.get_sensor_list()

    assert read.times.tolist() == [at[0], at[1], at[2], at[2], at[2], at[3], at[3], at[3]]
    assert read.values.tolist() == [1, 2, 3, 4, 5, 7, 8, 9]  # the smallest first where times are equal
    assert newest == {TEMPERATURE: (at[3], 9.0), PRESSURE: (at[2], 99.0)}
    assert listed == [PRESSURE, TEMPERATURE]


@VERSIONS
async def test_integers_and_booleans_become_floats_and_text_is_no_reading(
    influx_database: InfluxDatabase, version: str
):
    at = [to_ns(TEN) + n for n in range(3)]
    lines = [
        *(
            f"{kind},tag={kind} Value={value} {at[n]}"
            for kind, values in FIELDS.items()
            for n, value in enumerate(values)
        ),
    ]
    await write_lines(influx_database, lines)

    readings = {}
    for kind in FIELDS:
        async with influx_sensors(influx_database, version=version, measurement=kind) as sensors:
            readings[kind] = (await sensors.get_data_for_range([kind], HOUR, max_bytes=PLENTY))[kind].values.tolist()
            newest = await sensors.get_last_before([kind], HOUR.end, HOUR.start)
            assert [point.value for point in newest.values()] == readings[kind][-1:]

    assert readings == {
        "integers": [-1, 2**53, 2**63],
        "booleans": [1, 0, 1],
        "floats": [5e-324, -0.5, 1e308],
        "text": [],
    }


FIELDS = {
    "integers": ["-1i", "9007199254740992i", "9223372036854775807i"],  # the last one is no float
    "booleans": ["true", "false", "t"],
    "text": ['"1.5"', '"on"', '""'],
    "floats": ["5e-324", "-0.5", "1e308"],
}


@VERSIONS
async def test_series_beyond_ten_thousand_rows_are_whole(influx_database: InfluxDatabase, version: str):
    """The server calls them partial, though nothing is missing."""
    written = plant(3, 25_000)
    await write_lines(influx_database, sensor_lines(written))
    statement = f'SELECT "Value" FROM "sensors" WHERE "tag" = \'{next(iter(written))}\''
    (series,) = await select(influx_database, statement)
    assert series["partial"] is True

    async with influx_sensors(influx_database, version=version) as sensors:
        assert same(await sensors.get_data_for_range(list(written), DAY, max_bytes=PLENTY), written)


@pytest.mark.parametrize(
    ("limit", "tags", "readings"),
    [
        (1000, 20, 240),  # some sensors fit
        (240, 20, 240),  # the limit falls between two series, where the server marks nothing
        (241, 20, 240),
        (100, 3, 240),  # not even one sensor fits
        (7, 1, 240),
        (15_000, 1, 15_001),  # what the server cut looks just like a series that is whole
        (20_000, 2, 20_001),
        (10_000, 2, 10_000),
    ],
)
@VERSIONS
async def test_a_limit_on_rows_loses_nothing(
    influx_servers: InfluxServers, limit: int, tags: int, readings: int, version: str
):
    written = plant(tags, readings)
    settings = {"INFLUXDB_HTTP_MAX_ROW_LIMIT": str(limit)}

    async with limited(influx_servers, written, settings, version=version) as sensors:
        for _ in range(2):
            assert same(await sensors.get_data_for_range(list(written), DAY, max_bytes=PLENTY), written)
        newest = await sensors.get_last_before(list(written), DAY.end, DAY.start)
        listed = await sensors.get_sensor_list()

    assert {tag: point.time for tag, point in newest.items()} == {tag: written[tag].times[-1] for tag in written}
    assert listed == sorted(written)


async def test_a_limit_on_rows_is_learned_once_and_kept_to(influx_servers: InfluxServers):
    written = plant(20, 240)
    server = influx_servers.start({"INFLUXDB_HTTP_MAX_ROW_LIMIT": "1000"})
    async with fresh_influx_database(server.url) as database:
        await write_lines(database, sensor_lines(written))
        async with watched(database) as (sensors, watching):
            with capture_logs() as logs:
                for _ in range(30):
                    del watching.calls[:]
                    assert same(await sensors.get_data_for_range(list(written), HOUR, max_bytes=PLENTY), written)

    assert [(each["event"], each["count"]) for each in logs] == [("response.cut", 1000)]
    assert len(watching.calls) <= 7  # 20 sensors of 240 readings, 999 at a time


async def test_a_limit_that_nothing_fits_into_is_an_alarm(influx_servers: InfluxServers):
    written = plant(2, 240)
    async with limited(influx_servers, written, {"INFLUXDB_HTTP_MAX_ROW_LIMIT": "1"}) as sensors:
        with pytest.raises(Unavailable, match="max-row-limit") as reading:
            await sensors.get_data_for_range(list(written), HOUR, max_bytes=PLENTY)
        with pytest.raises(Unavailable, match="max-row-limit"):
            await sensors.get_last_before(list(written), HOUR.end, HOUR.start)
        with pytest.raises(Unavailable, match="max-row-limit"):
            await sensors.get_sensor_list()

    assert reading.value.alarm
    assert "the fields of 'sensors'" in str(reading.value)


@pytest.mark.parametrize("switches", [SWITCHES["1"], SWITCHES["3"]], ids=["1", "3"])
async def test_a_query_that_takes_too_long_is_asked_again_and_then_not_no_data(
    influx_servers: InfluxServers, switches: InfluxSwitches
):
    written = plant(2, 80_000)
    patient = influx_servers.start(folder="plant")
    await administer(patient.url, "CREATE DATABASE plant")
    await write_lines(InfluxDatabase(patient.url, "plant"), sensor_lines(written))
    patient.kill()
    server = influx_servers.start({"INFLUXDB_COORDINATOR_QUERY_TIMEOUT": "1ms"}, folder="plant")

    async with watched(InfluxDatabase(server.url, "plant"), switches) as (sensors, watching):
        with pytest.raises(Unavailable, match="query-timeout") as refused:
            await sensors.get_data_for_range(list(written), DAY, max_bytes=PLENTY)

    assert not refused.value.alarm
    assert watching.calls.count(watching.calls[-1]) == 3


@VERSIONS
async def test_too_many_queries_at_once_are_not_no_data(influx_servers: InfluxServers, version: str):
    written = plant(4, 8_000)
    settings = {"INFLUXDB_COORDINATOR_MAX_CONCURRENT_QUERIES": "1"}

    async with limited(influx_servers, written, settings, version=version) as sensors:
        reading = (sensors.get_data_for_range(list(written), DAY, max_bytes=PLENTY) for _ in range(8))
        came = await asyncio.gather(*reading, return_exceptions=True)
        isolated = await sensors.get_data_for_range(list(written), DAY, max_bytes=PLENTY)

    refused = [each for each in came if isinstance(each, BaseException)]
    assert all(isinstance(each, Unavailable) and "max-concurrent-queries" in str(each) for each in refused)
    assert all(same(each, written) for each in came if not isinstance(each, BaseException))
    assert len(refused) < len(came)
    assert same(isolated, written)


@VERSIONS
async def test_a_limit_on_the_series_of_one_query_is_an_alarm(influx_servers: InfluxServers, version: str):
    """Every query is one sensor already, so that nothing smaller could be requested."""
    server = influx_servers.start({"INFLUXDB_COORDINATOR_MAX_SELECT_SERIES": "1"})
    async with fresh_influx_database(server.url) as database:
        at = to_ns(TEN)
        await write_lines(database, [f"sensors,tag={TEMPERATURE},site={place} Value=1 {at}" for place in "ab"])
        await write_lines(database, [f"sensors,tag={PRESSURE} Value=2 {at}"])
        async with influx_sensors(database, version=version) as sensors:
            with pytest.raises(Unavailable, match=r"\[coordinator\] max-select-series") as refused:
                await sensors.get_data_for_range([TEMPERATURE, PRESSURE], HOUR, max_bytes=PLENTY)
            read = await sensors.get_data_for_range([PRESSURE], HOUR, max_bytes=PLENTY)

    assert refused.value.alarm
    assert read[PRESSURE].values.tolist() == [2]


@VERSIONS
@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"database": "nowhere"}, "database"),
        ({"retention_policy": "never"}, "retention_policy"),
        ({"measurement": "sensor"}, "measurement"),
        ({"tag_key": "name"}, "tag_key"),
        ({"field": "value"}, "field"),
    ],
)
async def test_a_wrong_setting_is_an_alarm_that_names_its_key(
    influx_database: InfluxDatabase, wrong: dict[str, Any], key: str, version: str
):
    """And never a plant where nothing happens, or whose sensors are unknown: that would park every model."""
    await write_lines(influx_database, sensor_lines(plant(2, 10)))
    options: dict[str, Any] = {
        "url": influx_database.url,
        "database": influx_database.name,
        "version": version,
        **wrong,
    }

    async with open_sensors(settings.InfluxSensors(**options), SystemClock()) as sensors:
        for ask in (
            lambda: sensors.get_data_for_range(["GRA-TT-000", "GRA-TT-001"], HOUR, max_bytes=PLENTY),
            lambda: sensors.sensor_exists("GRA-TT-000"),
            lambda: sensors.sensor_exists("NEW"),
            sensors.get_sensor_list,
        ):
            with pytest.raises(Unavailable, match=rf"sensors\.{key}") as refused:
                await ask()
            assert refused.value.alarm


@pytest.mark.parametrize("name", ["", "null\0byte", "carriage\rreturn", "lone \ud800 surrogate"])
@pytest.mark.parametrize("key", ["database", "measurement", "tag_key", "field"])
def test_a_name_that_nothing_can_have_refuses_to_open(key: str, name: str):
    given = {"LATIGO_SENSORS__KIND": "influx", f"LATIGO_SENSORS__{key.upper()}": name}

    with pytest.raises(ConfigurationError, match=rf"sensors\.{key}"):
        load_settings(None, given)


async def test_readings_of_another_retention_policy_are_found_by_its_name(influx_database: InfluxDatabase):
    name = influx_database.name
    await administer(influx_database.url, f'CREATE RETENTION POLICY "raw" ON "{name}" DURATION INF REPLICATION 1')
    await write_lines(influx_database, ["sensors,tag=GRA-TT-001 Value=1 1"])
    section = settings.InfluxSensors(url=influx_database.url, database=name, retention_policy="raw")
    async with open_client(section) as client:
        await client.write_lines(f"sensors,tag={TEMPERATURE} Value=42 {to_ns(TEN)}".encode(), precision="ns")

    async with influx_sensors(influx_database, retention_policy="raw") as sensors:
        read = await sensors.get_data_for_range([TEMPERATURE], HOUR, max_bytes=PLENTY)
    async with influx_sensors(influx_database) as sensors:
        other = await sensors.get_data_for_range([TEMPERATURE], HOUR, max_bytes=PLENTY)

    assert read[TEMPERATURE].values.tolist() == [42]
    assert len(other[TEMPERATURE]) == 0


async def test_silent_sensors_are_looked_up_once_in_a_while(influx_database: InfluxDatabase):
    await write_lines(influx_database, sensor_lines(plant(20, 10)))
    tags = [f"GRA-TT-{number:03}" for number in range(20)]
    later = Window(TEN + timedelta(hours=1), TEN + timedelta(hours=2))

    requests = {}
    for minutes in (10, 0):
        async with watched(influx_database, remember=timedelta(minutes=minutes)) as (sensors, watching):
            await sensors.get_data_for_range(tags, later, max_bytes=PLENTY)
            first = len(watching.calls)
            for _ in range(3):
                assert not any(map(len, (await sensors.get_data_for_range(tags, later, max_bytes=PLENTY)).values()))
            requests[minutes] = len(watching.calls) - first

    assert requests == {10: 3, 0: 6}


async def test_a_sensor_that_appears_is_known_at_once(influx_database: InfluxDatabase):
    await write_lines(influx_database, sensor_lines(plant(1, 10)))
    async with influx_sensors(influx_database) as sensors:
        with pytest.raises(Rejected, match="NEW"):
            await sensors.get_data_for_range(["NEW"], HOUR, max_bytes=PLENTY)

        await write_lines(influx_database, ["sensors,tag=NEW Value=1 1"])

        assert len((await sensors.get_data_for_range(["NEW"], HOUR, max_bytes=PLENTY))["NEW"]) == 0


async def test_one_request_reads_a_model(influx_database: InfluxDatabase):
    written = plant(20, 240, every=10)
    await write_lines(influx_database, sensor_lines(written))

    async with watched(influx_database) as (sensors, watching):
        window = Window(TEN, TEN + timedelta(minutes=40))
        assert same(await sensors.get_data_for_range(list(written), window, max_bytes=PLENTY), written)
        assert await sensors.get_last_before(list(written), HOUR.end, HOUR.start)

    assert len(watching.calls) == 2 + 1  # for the types of the field


async def test_dense_readings_come_in_pieces_and_in_no_more_memory_than_they_take(influx_database: InfluxDatabase):
    written = plant(20, 86_400)
    await write_lines(influx_database, sensor_lines(written))
    size = sum(series.nbytes for series in written.values())

    async with watched(influx_database) as (sensors, watching):
        tracemalloc.start()
        try:
            read = await sensors.get_data_for_range(list(written), DAY, max_bytes=size)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        with pytest.raises(TooLarge, match=f"more than {size // 20 - 1} bytes"):
            await sensors.get_data_for_range(["GRA-TT-000"], DAY, max_bytes=size // 20 - 1)

    assert same(read, written)
    assert max(watching.sizes) < 2_100_000
    assert peak < size + 8_000_000


@VERSIONS
async def test_what_does_not_fit_is_aborted_as_soon_as_it_is_known(influx_database: InfluxDatabase, version: str):
    written = plant(10, 5_000)
    await write_lines(influx_database, sensor_lines(written))

    async with influx_sensors(influx_database, version=version) as sensors:
        with pytest.raises(TooLarge, match="more than 100000 bytes"):
            await sensors.get_data_for_range(list(written), DAY, max_bytes=100_000)
    async with watched(influx_database) as (sensors, watching):
        with pytest.raises(TooLarge):
            await sensors.get_data_for_range(list(written), DAY, max_bytes=100_000)

    # The types of the field, then a day of a sensor each: there is room for one and a quarter.
    assert len(watching.calls) == 1 + 2


async def test_readings_denser_than_estimated_are_read_again_in_smaller_chunks(influx_database: InfluxDatabase):
    written = plant(3, 150_000, every=0.02)
    await write_lines(influx_database, sensor_lines(written))

    async with watched(influx_database) as (sensors, watching):
        assert same(await sensors.get_data_for_range(list(written), HOUR, max_bytes=PLENTY), written)
        del watching.calls[:], watching.sizes[:]
        assert same(await sensors.get_data_for_range(list(written), HOUR, max_bytes=PLENTY), written)

    assert len(watching.calls) <= 3 * 2
    assert max(watching.sizes) < 2_100_000


async def test_credentials(influx_servers: InfluxServers):
    server = influx_servers.start({"INFLUXDB_HTTP_AUTH_ENABLED": "true"})
    login: dict[str, Any] = {"username": "leser", "password": "påssord: æøå"}
    await administer(server.url, "CREATE USER chef WITH PASSWORD 'x' WITH ALL PRIVILEGES")
    plant_of: Callable[..., settings.InfluxSensors] = partial(settings.InfluxSensors, url=server.url, database="plant")
    async with open_client(plant_of(username="chef", password="x")) as chef:
        for statement in (
            "CREATE DATABASE plant",
            f"CREATE USER leser WITH PASSWORD '{login['password']}'",
            "GRANT READ ON plant TO leser",
            "CREATE USER guest WITH PASSWORD 'guest'",
        ):
            await chef.read(statement, max_bytes=999)
        await chef.write_lines("\n".join(sensor_lines(plant(2, 10))).encode(), precision="ns")
    tags = list(plant(2, 10))

    async with open_sensors(plant_of(**login), SystemClock()) as sensors:
        assert same(await sensors.get_data_for_range(tags, HOUR, max_bytes=PLENTY), plant(2, 10))
        assert await sensors.get_sensor_list() == tags
        with pytest.raises(Rejected, match="'NEW'"):
            await sensors.get_data_for_range(["NEW"], HOUR, max_bytes=PLENTY)
    wrongs: list[dict[str, Any]] = [
        {},
        {"username": "leser", "password": "secret-42"},
        {"username": "guest", "password": "guest"},
    ]
    for wrong in wrongs:
        async with open_sensors(plant_of(**wrong), SystemClock()) as sensors:
            with pytest.raises(Unavailable, match=r"sensors\.username") as refused:
                await sensors.get_data_for_range(tags, HOUR, max_bytes=PLENTY)
        assert refused.value.alarm
        assert "secret-42" not in str(refused.value)


@pytest.mark.parametrize("switches", [SWITCHES["1"], SWITCHES["3"]], ids=["1", "3"])
async def test_a_server_that_is_killed_between_and_in_responses_is_unavailable_and_has_everything_when_it_is_back(
    influx_servers: InfluxServers, switches: InfluxSwitches
):
    written = plant(6, 9_000)  # over a day, these are read in several requests
    server = influx_servers.start()
    async with fresh_influx_database(server.url) as database:
        await write_lines(database, sensor_lines(written))
        async with watched(database, switches) as (sensors, watching):
            watching.after_first = server.kill
            reading = (sensors.get_data_for_range(list(written), DAY, max_bytes=PLENTY) for _ in range(4))
            came = await asyncio.gather(*reading, return_exceptions=True)
            with pytest.raises(Unavailable):
                await sensors.get_last_before(list(written), DAY.end, DAY.start)

            server.open()

            assert same(await sensors.get_data_for_range(list(written), DAY, max_bytes=PLENTY), written)
    assert [type(each) for each in came] == [Unavailable] * 4
    assert not any(each.alarm for each in came if isinstance(each, Unavailable))


async def test_a_call_that_takes_longer_than_its_limit_is_cancelled(influx_database: InfluxDatabase):
    await write_lines(influx_database, sensor_lines(plant(20, 5000)))
    async with influx_sensors(influx_database, read_timeout=timedelta(milliseconds=1)) as sensors:
        with pytest.raises(TimedOut) as refused:
            await sensors.get_data_for_range(list(plant(20, 1)), DAY, max_bytes=PLENTY)

    assert refused.value.downstream == "sensors/influx"


async def test_what_is_shown_to_people_is_what_the_server_would_answer(influx_database: InfluxDatabase):
    name = "it's a back\\slash"
    written = {name: plant(1, 10)["GRA-TT-000"]} | plant(3, 10)
    await write_lines(influx_database, sensor_lines(written))

    async with influx_sensors(influx_database) as sensors:
        one = await select(influx_database, sensors.get_native_range_specifier(HOUR, {"tag": name}))
        every = await select(influx_database, sensors.get_native_range_specifier(HOUR, {}))

    (series,) = one
    assert series["values"] == [list(row) for row in rows_of(written[name])]
    assert [each["tags"] for each in every] == [{"tag": tag} for tag in sorted(written)]


def rows_of(series: Series) -> Sequence[tuple[int, float]]:
    return list(zip(series.times.tolist(), series.values.tolist(), strict=True))
