"""What the InfluxDB sink does beyond what every prediction store promises, and how it takes a server's refusals."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from latigo.domain.errors import ConfigurationError, Reason, Rejected, TimedOut, TooLarge, Unavailable
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions
from latigo.domain.windows import Window, to_ns
from latigo.providers.influx import InfluxPredictions, open_predictions
from latigo.providers.influx.client import SWITCHES, open_client
from latigo.providers.protocols import PredictionStorageProvider, SensorSource
from latigo.runtime.clock import SystemClock
from latigo.settings import InfluxSink, Settings, load_settings
from latigo.testing.predictions import FENCE
from latigo.wiring.resources import open_sink
from latigo.wiring.sources import open_sensors
from tests.support.certificates import Certificate, self_signed
from tests.support.influxd import InfluxDatabase, InfluxServers, administer, fresh_influx_database, select, write_lines
from tests.support.prediction_stores import influx_predictions
from tests.support.waiting import eventually

PUMP = ModelRef("plant-a", "pump-1")
OUTPUT, SCORE = Column("model-output", "GRA-TT-001"), Column("total-anomaly-scaled", "")
MORNING = datetime(2026, 3, 1, 8, tzinfo=UTC)
STEP = timedelta(minutes=10)
AROUND = Window(MORNING - timedelta(days=2), MORNING + timedelta(days=2))
TORTURE = [
    "Volume Flow RateRMS",
    "  two  spaces  ",
    "a,b=c d",
    r"back\slash",
    r"back\,comma",
    r"back\=equals",
    r"back\ space",
    r"back\",quote",
    r"\\server\share",
    "quote \" and ' quote",
    "semi;colon -- comment",
    "#hash",
    "/regex.*/",
    "$bound",
    "tab\there",
    "carriage\rreturn",
    "tag",
    "time",
    "æøå °C 温度 🌡",
    "x" * 2000,
]


def predictions(
    *rows: Sequence[float],
    columns: Sequence[Column] = (OUTPUT, SCORE),
    model: ModelRef = PUMP,
    revision: str = "1600000000000",
    start: datetime = MORNING,
    step: timedelta = STEP,
) -> Predictions:
    times = np.array([to_ns(start + number * step) for number in range(len(rows))], np.int64)
    values = np.array(rows, np.float64).reshape(len(rows), len(columns))
    return Predictions(model, revision, times, tuple(columns), values)


async def stored(database: InfluxDatabase) -> dict[str, list[list[Any]]]:
    """Return every point of the database, by series."""
    return {
        f"{table['name']} {json.dumps(table['tags'], sort_keys=True, ensure_ascii=False)}": table["values"]
        for table in await select(database, 'SELECT "sensor_value" FROM /./ GROUP BY *')
    }


async def count(database: InfluxDatabase) -> int:
    """How many points there are."""
    return sum(len(rows) for rows in (await stored(database)).values())


@pytest.fixture
async def sink(influx_database: InfluxDatabase) -> AsyncIterator[InfluxPredictions]:
    async with influx_predictions(influx_database) as sink:
        yield sink


@asynccontextmanager
async def sink_on(url: str, name: str = "latigo", **options: Any) -> AsyncIterator[InfluxPredictions]:
    """A sink on a database of its own on a server of the test's own."""
    async with fresh_influx_database(url, name=name) as database, influx_predictions(database, **options) as sink:
        yield sink


async def test_points_stand_where_gordos_own_client_puts_them(sink: InfluxPredictions, influx_database: InfluxDatabase):
    assert len(await sink.put_predictions(predictions([1.5, 0.25], [2.5, np.nan]), FENCE)) == 2

    eight, ten_past = to_ns(MORNING), to_ns(MORNING + STEP)
    assert await stored(influx_database) == {
        'model-output {"machine": "pump-1", "project": "plant-a", "sensor_name": "GRA-TT-001"}': [
            [eight, 1.5],
            [ten_past, 2.5],
        ],
        'total-anomaly-scaled {"machine": "pump-1", "project": "plant-a", "sensor_name": "total-anomaly-scaled"}': [
            [eight, 0.25]
        ],
    }


@pytest.mark.parametrize("version", SWITCHES)
async def test_any_name_of_a_sensor_a_model_or_a_project_survives(influx_database: InfluxDatabase, version: str):
    columns = [Column(group, name) for group in ("model-output", "tag-anomaly-scaled") for name in TORTURE]
    speakable = [name for name in TORTURE if "\r" not in name]
    models = [
        PUMP,
        *(ModelRef(name, "pump-1") for name in speakable),
        *(ModelRef("plant-a", name) for name in speakable),
    ]
    written = {
        model: predictions(
            [float(number * len(models) + place) for number in range(len(columns))], columns=columns, model=model
        )
        for place, model in enumerate(models)
    }

    async with influx_predictions(influx_database, version=version) as sink:
        for each in written.values():
            await sink.put_predictions(each, FENCE)
        read = {model: await sink.get_predictions(model, AROUND) for model in models}

    for model, (result,) in read.items():
        expected = dict(zip(columns, written[model].values[0].tolist(), strict=True))
        assert dict(zip(result.columns, result.values[0].tolist(), strict=True)) == expected
    assert {json.loads(name.partition(" ")[2])["sensor_name"] for name in await stored(influx_database)} == set(TORTURE)


@pytest.mark.parametrize("version", SWITCHES)
@pytest.mark.parametrize("name", ["carriage\rreturn", "null\0byte", "half \ud800 a character"])
async def test_what_could_not_be_asked_for_again_is_not_written(
    influx_database: InfluxDatabase, version: str, name: str
):
    async with influx_predictions(influx_database, version=version) as sink:
        for model in (ModelRef(name, "pump-1"), ModelRef("plant-a", name)):
            with pytest.raises(Rejected, match=re.escape(repr(name))):
                await sink.put_predictions(predictions([1.0, 2.0], model=model), FENCE)

            assert await sink.get_predictions(model, AROUND) == []

    assert await stored(influx_database) == {}


async def test_any_name_of_a_column_group_survives_or_is_refused(
    sink: InfluxPredictions, influx_database: InfluxDatabase
):
    kept: dict[Column, float] = {}
    for number, name in enumerate(["a", *("".join(each) for each in product("\\\",=' a", repeat=3))]):
        column = Column(f"{name}.", "GRA-TT-001")
        with suppress(Rejected):
            await sink.put_predictions(predictions([float(number)], columns=[column]), FENCE)
            kept[column] = float(number)

    (read,) = await sink.get_predictions(PUMP, AROUND)

    assert dict(zip(read.columns, read.values[0].tolist(), strict=True)) == kept
    assert len(await stored(influx_database)) == len(kept) > 250


async def test_writing_twice_leaves_one_point(sink: InfluxPredictions, influx_database: InfluxDatabase):
    await sink.put_predictions(predictions([1.0, 2.0], [3.0, 4.0]), FENCE)
    await sink.put_predictions(predictions([10.0, 20.0], [30.0, 40.0], revision="1700000000000"), FENCE)

    assert await count(influx_database) == 4
    assert {row[1] for rows in (await stored(influx_database)).values() for row in rows} == {10.0, 20.0, 30.0, 40.0}


async def test_windows_that_were_folded_differently_leave_one_point_each(
    sink: InfluxPredictions, influx_database: InfluxDatabase
):
    slots = [predictions([1.0, 1.0], [1.0, 1.0], start=MORNING + 2 * number * STEP) for number in range(4)]
    folded = [predictions(*[[2.0, 2.0]] * 5, start=MORNING + STEP), predictions(*[[3.0, 3.0]] * 8)]

    for each in (*slots, *folded, slots[0]):
        await sink.put_predictions(each, FENCE)

    assert [[row[1] for row in rows] for rows in (await stored(influx_database)).values()] == [
        [1, 1, 3, 3, 3, 3, 3, 3]
    ] * 2


@pytest.mark.parametrize("step", [timedelta(seconds=1), timedelta(milliseconds=500), timedelta(microseconds=1)])
@pytest.mark.parametrize("start", [MORNING, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)])
async def test_times_are_stored_to_the_nanosecond(
    sink: InfluxPredictions, influx_database: InfluxDatabase, step: timedelta, start: datetime
):
    written = predictions([1.0], [2.0], [3.0], columns=[OUTPUT], step=step, start=start)

    await sink.put_predictions(written, FENCE)

    (rows,) = (await stored(influx_database)).values()
    assert [row[0] for row in rows] == written.times.tolist()
    (read,) = await sink.get_predictions(PUMP, Window(start, start + timedelta(minutes=1)))
    assert read.times.tolist() == written.times.tolist()


async def test_a_long_window_goes_in_several_requests(sink: InfluxPredictions, influx_database: InfluxDatabase):
    columns = [Column("model-output", f"tag {number}") for number in range(103)]
    written = predictions(*np.random.default_rng(0).random((144, 103)).tolist(), columns=columns)

    assert len(await sink.put_predictions(written, FENCE)) == 144

    assert await count(influx_database) == 144 * 103


async def test_what_others_wrote_to_the_same_database_is_not_taken_for_ours(
    sink: InfluxPredictions, influx_database: InfluxDatabase
):
    await sink.put_predictions(predictions([1.0], columns=[OUTPUT]), FENCE)
    time = to_ns(MORNING)
    others = [
        f"model-output,machine=pump-1,project=plant-a,sensor_name=GRA-TT-001,revision=1599 sensor_value=9 {time}",
        f"model-output,machine=pump-1,sensor_name=GRA-TT-001 sensor_value=9 {time}",
        f"sensors,tag=GRA-TT-001 Value=9 {time}",
    ]
    await write_lines(influx_database, others)

    (read,) = await sink.get_predictions(PUMP, AROUND)

    assert (read.columns, read.values.tolist(), read.revision) == ((OUTPUT,), [[1.0]], "")


async def test_every_project_may_have_a_database_of_its_own(influx_server: str):
    async with (
        fresh_influx_database(influx_server, name="of plant-a") as first,
        fresh_influx_database(influx_server, name="of plant-b"),
        open_predictions(InfluxSink(url=influx_server, database="of {project}")) as sink,
    ):
        await sink.put_predictions(predictions([1.0, 2.0]), FENCE)
        await sink.put_predictions(predictions([3.0, 4.0], model=ModelRef("plant-b", "pump-1")), FENCE)

        assert await count(first) == 2
        (read,) = await sink.get_predictions(ModelRef("plant-b", "pump-1"), AROUND)
        assert read.values.tolist() == [[3.0, 4.0]]


async def test_a_field_of_another_type_is_refused_by_name_and_the_rest_is_stored(
    sink: InfluxPredictions, influx_database: InfluxDatabase
):
    await write_lines(influx_database, [f"model-output,somebody=else sensor_value=1i {to_ns(MORNING)}"])

    with pytest.raises(Rejected, match="model-output") as refused:
        await sink.put_predictions(predictions([1.0, 2.0]), FENCE)

    assert refused.value.reason is Reason.WRITE_REFUSED
    assert 'total-anomaly-scaled {"machine"' in "".join(await stored(influx_database))


async def test_a_server_that_takes_small_bodies_gets_small_bodies(influx_servers: InfluxServers):
    server = influx_servers.start({"INFLUXDB_HTTP_MAX_BODY_SIZE": "300"})
    async with sink_on(server.url) as sink:
        rows = [[float(number), float(-number)] for number in range(40)]

        assert len(await sink.put_predictions(predictions(*rows), FENCE)) == 40

        (read,) = await sink.get_predictions(PUMP, AROUND)
        assert read.values.tolist() == rows


async def test_a_single_point_that_is_too_large_is_rejected(influx_servers: InfluxServers):
    server = influx_servers.start({"INFLUXDB_HTTP_MAX_BODY_SIZE": "60"})
    async with sink_on(server.url) as sink:
        with pytest.raises(TooLarge, match=r"\[http\] max-body-size"):
            await sink.put_predictions(predictions([1.0, 2.0], [3.0, 4.0]), FENCE)


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("MAX_SERIES_PER_DATABASE", "5", "max-series-per-database"),
        ("MAX_VALUES_PER_TAG", "5", "max-values-per-tag"),
    ],
)
async def test_a_limit_on_series_is_an_alarm_and_parks_nothing(
    influx_servers: InfluxServers, setting: str, value: str, name: str
):
    server = influx_servers.start({f"INFLUXDB_DATA_{setting}": value, "INFLUXDB_DATA_INDEX_VERSION": "inmem"})
    columns = [Column("model-output", f"tag-{number}") for number in range(20)]
    async with sink_on(server.url) as sink:
        await sink.put_predictions(predictions([1.0] * 4, columns=columns[:4]), FENCE)

        with pytest.raises(Unavailable, match=name) as refused:
            await until_refused(sink, *(predictions([1.0], columns=[column]) for column in columns[4:]))

        assert (refused.value.alarm, refused.value.downstream) == (True, "sink/influx")


async def test_points_older_than_the_server_keeps_them_do_not_fail_the_model(
    sink: InfluxPredictions, influx_database: InfluxDatabase
):
    url, name = influx_database
    await administer(url, f'CREATE RETENTION POLICY "short" ON "{name}" DURATION 3h REPLICATION 1 DEFAULT')
    now = datetime.now(UTC).replace(microsecond=0)
    rows = [[np.nan, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, np.nan]]

    with capture_logs() as logs:
        kept = await sink.put_predictions(
            predictions(*rows, start=now - timedelta(hours=5), step=timedelta(hours=1.5)), FENCE
        )

    assert kept.times.tolist() == [to_ns(now - timedelta(hours=hours)) for hours in (2, 0.5)]
    assert [(log["event"], log["model"], log["count"]) for log in logs] == [("points.dropped", str(PUMP), 3)]
    (read,) = await sink.get_predictions(PUMP, Window(now - timedelta(hours=9), now))
    assert read.values.ravel()[np.isfinite(read.values.ravel())].tolist() == [4.0, 5.0, 6.0]


async def test_points_that_are_too_old_are_counted_over_all_requests_of_a_window(
    sink: InfluxPredictions, influx_database: InfluxDatabase
):
    url, name = influx_database
    await administer(url, f'CREATE RETENTION POLICY "short" ON "{name}" DURATION 3h REPLICATION 1 DEFAULT')
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=24)
    columns = [Column("model-output", f"tag {number}") for number in range(100)]

    with capture_logs() as logs:
        written = await sink.put_predictions(
            predictions(*np.ones((144, 100)).tolist(), columns=columns, start=start), FENCE
        )

    kept = len(written)
    # 17 rows, and up to an hour more: the server counts by its shards, so that some of what is a little older stays.
    assert await count(influx_database) == kept * 100
    assert (17 <= kept < 24, logs[0]["count"]) == (True, (144 - kept) * 100)


async def test_a_database_that_is_not_there_is_an_alarm_that_names_the_key(influx_server: str):
    async with open_predictions(InfluxSink(url=influx_server, database="nowhere")) as sink:
        with pytest.raises(Unavailable, match=r"predictions\.database") as writing:
            await sink.put_predictions(predictions([1.0, 2.0]), FENCE)
        with pytest.raises(Unavailable, match=r"predictions\.database") as reading:
            await sink.get_predictions(PUMP, AROUND)

    assert writing.value.alarm
    assert reading.value.alarm


async def test_a_retention_policy_that_is_not_there_is_an_alarm_that_names_the_key(influx_database: InfluxDatabase):
    async with influx_predictions(influx_database, retention_policy="monthly") as sink:
        with pytest.raises(Unavailable, match=r"predictions\.retention_policy") as writing:
            await sink.put_predictions(predictions([1.0, 2.0]), FENCE)
        with pytest.raises(Unavailable, match=r"predictions\.retention_policy") as reading:
            await sink.get_predictions(PUMP, AROUND)

    assert writing.value.alarm
    assert reading.value.alarm


async def test_credentials(influx_servers: InfluxServers):
    url = influx_servers.start({"INFLUXDB_HTTP_AUTH_ENABLED": "true"}).url
    admin = ("chef", "påssord: æøå")
    async with open_client(InfluxSink(url=url, database="x")) as nobody:
        await nobody.read(f"CREATE USER \"{admin[0]}\" WITH PASSWORD '{admin[1]}' WITH ALL PRIVILEGES", max_bytes=999)
    options: dict[str, Any] = {"url": url, "database": "latigo"}
    section = InfluxSink(url=url, database="x", username=admin[0], password=SecretStr(admin[1]))
    async with open_client(section) as client:
        await client.read("CREATE DATABASE latigo; CREATE USER guest WITH PASSWORD 'guest'", max_bytes=999)
    written = predictions([1.0, 2.0])

    async with open_predictions(InfluxSink(**options, username=admin[0], password=SecretStr(admin[1]))) as sink:
        assert len(await sink.put_predictions(written, FENCE)) == 1
    wrongs: list[dict[str, Any]] = [
        {},
        {"username": "chef", "password": "secret-42"},
        {"username": "guest", "password": "guest"},
        {"token": "secret-42"},
    ]
    for wrong in wrongs:
        async with open_predictions(InfluxSink(**options, **wrong)) as sink:
            with pytest.raises(Unavailable, match=r"predictions\.username") as refused:
                await sink.put_predictions(written, FENCE)
            with pytest.raises(Unavailable, match=r"predictions\.username"):
                await sink.get_predictions(PUMP, AROUND)
        assert refused.value.alarm
        assert "secret-42" not in str(refused.value)


async def test_a_server_that_throttles_is_waited_for(influx_servers: InfluxServers):
    server = influx_servers.start(
        {
            "INFLUXDB_HTTP_MAX_CONCURRENT_WRITE_LIMIT": "1",
            "INFLUXDB_HTTP_MAX_ENQUEUED_WRITE_LIMIT": "1",
            "INFLUXDB_HTTP_ENQUEUED_WRITE_TIMEOUT": "20000000",  # ns
        }
    )
    async with sink_on(server.url) as sink, aiohttp.ClientSession() as session:
        end = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"x,a=b sensor_value=1.0 1"
            await end.wait()

        holding = asyncio.create_task(session.post(f"{server.url}/write", params={"db": "latigo"}, data=slowly()))
        await eventually(lambda: writes_under_way(server.url), what="the other has the only place")

        with pytest.raises(Unavailable, match="throttled") as refused:
            await sink.put_predictions(predictions([1.0, 2.0]), FENCE)
        end.set()
        (await holding).release()

        assert not refused.value.alarm
        assert len(await sink.put_predictions(predictions([1.0, 2.0]), FENCE)) == 1


async def test_a_server_that_was_killed_has_what_was_written_and_takes_more_when_it_is_back(
    influx_servers: InfluxServers,
):
    server = influx_servers.start()
    async with sink_on(server.url) as sink:
        await sink.put_predictions(predictions([1.0, 2.0], [3.0, 4.0]), FENCE)

        server.kill()
        with pytest.raises(Unavailable) as refused:
            await sink.put_predictions(predictions([5.0, 6.0], start=MORNING + 2 * STEP), FENCE)
        server.open()
        await sink.put_predictions(predictions([5.0, 6.0], start=MORNING + 2 * STEP), FENCE)

        assert not isinstance(refused.value, TimedOut)
        assert not refused.value.alarm
        (read,) = await sink.get_predictions(PUMP, AROUND)
        assert read.values.tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


async def test_a_restart_between_two_writes_is_not_noticed(influx_servers: InfluxServers):
    server = influx_servers.start()
    async with sink_on(server.url) as sink:
        await sink.put_predictions(predictions([1.0, 2.0]), FENCE)

        server.kill()
        server.open()

        assert len(await sink.put_predictions(predictions([1.0, 2.0]), FENCE)) == 1


async def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_the_limit(influx_servers: InfluxServers):
    server = influx_servers.start()
    async with sink_on(server.url, write_timeout=timedelta(seconds=0.3)) as sink:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimedOut) as refused:
                await sink.put_predictions(predictions([1.0, 2.0]), FENCE)
        finally:
            os.kill(server.pid, signal.SIGCONT)

        assert refused.value.downstream == "sink/influx"


async def test_an_answer_that_a_limit_cut_short_is_not_taken_for_whole(influx_servers: InfluxServers):
    server = influx_servers.start({"INFLUXDB_HTTP_MAX_ROW_LIMIT": "10"})
    async with sink_on(server.url) as sink:
        rows = [[float(number), 1.0] for number in range(10)]
        await sink.put_predictions(predictions(*rows), FENCE)

        with pytest.raises(TooLarge, match="max-row-limit"):
            await sink.get_predictions(PUMP, AROUND)

        (read,) = await sink.get_predictions(PUMP, Window(MORNING, MORNING + 4 * STEP))
        assert len(read) == 4


async def test_more_rows_than_version_3_is_seen_to_have_sent_whole_are_not_taken_for_whole(
    influx_database: InfluxDatabase,
):
    written = predictions(*np.ones((10_001, 1)).tolist(), columns=[OUTPUT], step=timedelta(seconds=1))
    async with influx_predictions(influx_database, version="3") as sink:
        await sink.put_predictions(written, FENCE)

        with pytest.raises(TooLarge, match="10 000 of a column"):
            await sink.get_predictions(PUMP, AROUND)

        (read,) = await sink.get_predictions(PUMP, Window(MORNING, MORNING + timedelta(seconds=10_000)))
        assert len(read) == 10_000


async def test_a_server_with_a_certificate_of_ones_own(influx_servers: InfluxServers, certificate: Certificate):
    server = influx_servers.start(
        {
            "INFLUXDB_HTTP_HTTPS_ENABLED": "true",
            "INFLUXDB_HTTP_HTTPS_CERTIFICATE": str(certificate.certificate),
            "INFLUXDB_HTTP_HTTPS_PRIVATE_KEY": str(certificate.key),
        }
    )
    async with open_client(InfluxSink(url=server.url, database="x", ca_file=certificate.certificate)) as client:
        await client.read("CREATE DATABASE latigo", max_bytes=999)

    async with from_settings(url=server.url, ca_file=str(certificate.certificate)) as (store, sensors):
        await store.put_predictions(predictions([1.0, 2.0]), FENCE)
        assert await sensors.get_sensor_list() == [OUTPUT.tag]
    async with from_settings(url=server.url) as (store, sensors):
        with pytest.raises(Unavailable, match="certificate"):
            await store.put_predictions(predictions([1.0, 2.0]), FENCE)
        with pytest.raises(Unavailable, match="certificate"):
            await sensors.get_sensor_list()


async def test_authorities_that_cannot_be_used_are_refused_by_their_key(certificate: Certificate, tmp_path: Path):
    settings = settings_for(url="https://influx", ca_file="/nowhere.pem")
    with pytest.raises(ConfigurationError, match=r"predictions\.ca_file: .*/nowhere\.pem cannot be read"):
        async with open_sink(settings.predictions[0], None):
            pytest.fail("it was opened")
    with pytest.raises(ConfigurationError, match=r"sensors\.ca_file: .*/nowhere\.pem cannot be read"):
        async with open_sensors(settings, SystemClock()):
            pytest.fail("it was opened")

    influx = f"kind = 'influx'\nurl = 'http://influx'\nca_file = '{certificate.certificate}'\n"
    (tmp_path / "latigo.toml").write_text(f"[sensors]\n{influx}[[predictions]]\n{influx}", encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_settings(tmp_path / "latigo.toml", {})
    for key in ("sensors.ca_file", "predictions[0].ca_file"):
        assert f"{key}: needs an https url" in str(refused.value)


def settings_for(**server: Any) -> Settings:
    """Predictions go into a database of the server, and are read again as if they were readings."""
    both = {"kind": "influx", "database": "latigo", **server}
    layout = {"measurement": OUTPUT.group, "tag_key": "sensor_name", "field": "sensor_value"}
    return Settings.model_validate({"sensors": {**both, **layout}, "predictions": [both]})


@asynccontextmanager
async def from_settings(**server: Any) -> AsyncIterator[tuple[PredictionStorageProvider, SensorSource]]:
    settings = settings_for(**server)
    async with (
        open_sink(settings.predictions[0], None) as sink,
        open_sensors(settings, SystemClock()) as sensors,
    ):
        yield sink.store, sensors


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return self_signed(tmp_path)


async def writes_under_way(url: str) -> int:
    """How many the server is working on; one that waits for its turn is not among them."""
    (httpd,) = await select(InfluxDatabase(url, "latigo"), "SHOW STATS FOR 'httpd'")
    return int(dict(zip(httpd["columns"], httpd["values"][0], strict=True))["writeReqActive"])


async def until_refused(sink: InfluxPredictions, *parts: Predictions) -> None:
    """One after the other: some limits are checked between requests only."""
    for each in parts:
        await sink.put_predictions(each, FENCE)
