"""All of Latigo, from files to PostgreSQL, with every kind of model on a real Gordo server.

The truth is what Gordo's own client, unmodified, gets for the same windows from the same server and readings.
"""

import asyncio
import json
import math
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytest_asyncio
from pydantic import SecretStr

from latigo.domain.coverage import Coverage
from latigo.domain.model import ModelRef
from latigo.domain.series import Column
from latigo.domain.windows import Window, iso, to_ns
from latigo.providers.simulated import synth_series
from latigo.settings import (
    BackfillSettings,
    ExecutorSettings,
    FileSensors,
    GordoModels,
    HttpSettings,
    InfluxSensors,
    InfluxSink,
    Override,
    PostgresLedger,
    PostgresSink,
    ScheduleSettings,
    Settings,
)
from tests.support.gordo_client import Points, assert_same_points, client_points
from tests.support.gordo_process import running_gordo
from tests.support.influxd import InfluxDatabase, fresh_influx_database, select, sensor_line, write_lines
from tests.support.lacking import lacking
from tests.support.plant_files import write_plant
from tests.support.postgres import fresh_database
from tests.support.process import STARTS_WITHIN, environment
from tests.support.real_gordo import gordo_home, require_gordo
from tests.support.running_latigo import (
    ModelState,
    ShiftedClock,
    all_done,
    all_known,
    model_states,
    running_latigo,
    stored_in,
)

pytestmark = [pytest.mark.real_gordo, pytest.mark.asyncio(loop_scope="module")]

PROJECT, REVISION = "demo-project", "1764547200000"
NOW = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
HALF_HOUR, FOLD = timedelta(minutes=30), timedelta(hours=6)
DUE = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEWEST = Window(DUE - FOLD, DUE)
HORIZON = Window(DUE - timedelta(days=1), DUE)
DAYS = Window(datetime(2026, 2, 27, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))

USABLE = {
    *("ff-hourglass", "pca-linear", "identity", "lstm-ae", "lstm-forecast", "plain-linear", "plain-transform"),
    *("targets", "minute-filter", "filter-list", "smooth", "kfcv", "odd-names", "no-thresholds", "wide-linear"),
    *("wide-keras", "hourly", "odd-step"),
}
#: Why they are parked.
BROKEN = {
    "no-number": "bad_metadata",
    "twins": "bad_metadata",
    "code": "bad_metadata",
    "cut-short": "attempts",
    "mixed-up": "values_refused",
    "random-data": "unknown_sensor",
}
PLAIN = {"plain-linear", "plain-transform", "no-thresholds"}
KERAS = {"ff-hourglass", "lstm-ae", "lstm-forecast", "wide-keras", "hourly"}
TAGS_OF_B = tuple(f"1902.B.TT-00{n}.PV" for n in range(1, 5))
#: Columns, by model, whose target is an input that a linear model gives back as it is: what is left for their scores is
#: rounding, and so are the thresholds by which scores become confidences.
GIVEN_BACK = {"identity": {"", *TAGS_OF_B}, "targets": {"1902.E.TT-002.PV"}}
CONFIDENCES = {"anomaly-confidence", "total-anomaly-confidence"}
ANOMALY_GROUPS = CONFIDENCES | {
    *("model-output", "tag-anomaly-scaled", "tag-anomaly-unscaled", "total-anomaly-scaled", "total-anomaly-unscaled"),
}
DENSE = 20.0  # seconds between readings of area F, as its model was trained; 120 for all others


def march(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{clock}:00+00:00")


def february(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-02-28T{clock}:00+00:00")


def slot(start: datetime) -> Window:
    return Window(start, start + HALF_HOUR)


#: Over the seam of two windows, inside one, longer than what may be filled, and longer than a window.
SILENT = {
    "1902.D.TT-002.PV": [Window(march("04:50"), march("06:20"))],
    "1902.C.TT-002.PV": [Window(march("08:00"), march("08:40"))],
    "1902.F.TT-002.PV": [Window(march("08:03"), march("09:10"))],
    "odd.name.4": [Window(february("17:00"), march("00:30"))],
}


def always(tag: str, window: Window, value: float, seconds: float) -> bool:
    """Whether a switch stands still for a whole window."""
    return bool((synth_series(tag, to_ns(window.start), to_ns(window.end), seconds).values == value).all())


def expected_exceptions() -> Mapping[str, Mapping[Window, tuple[str, str]]]:
    """What follows from how the plant is switched on and off, and from the sensors that are silent."""
    half_hours = list(HORIZON.slots(HALF_HOUR))
    filtered = ("absent", "the row filter leaves no rows")
    carried = {
        slot(march(start)): ("provisional", "carried on past the last reading: '1902.D.TT-002.PV'")
        for start in ("04:30", "05:00", "05:30")
    }
    partly = ("short", "no data in a part of it: '1902.F.TT-002.PV'")
    return {
        # It keeps minutes in which the switch is on at least once, ...
        "minute-filter": {each: filtered for each in half_hours if always("1902.F.STATUS", each, 0.0, DENSE)}
        | {
            slot(march("08:00")): partly,
            slot(march("08:30")): ("absent", "no data: '1902.F.TT-002.PV'"),
            slot(march("09:00")): partly,
        },
        # ... and this one half hours in which it is on throughout.
        "filter-list": {each: filtered for each in half_hours if not always("1902.G.STATUS", each, 1.0, 120.0)},
        "plain-linear": carried,
        "plain-transform": carried,
        "odd-names": {
            slot(february(start)): ("provisional", "carried on past the last reading: 'odd.name.4'")
            for start in ("17:00", "17:30")
        }
        | dict.fromkeys(
            Window(february("18:00"), march("00:00")).slots(HALF_HOUR),
            ("absent", "no reading in the period of 'odd.name.4'"),
        ),
    }


@dataclass(frozen=True, repr=False)
class Run:
    """Everything that came of one run of Latigo, and the server, which is still there."""

    url: str
    readings: Path
    states: Mapping[str, ModelState]
    stored: Mapping[str, Points]
    by_client: Mapping[ModelRef, Points]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str, ledger_template: str
) -> AsyncIterator[Run]:
    """Let Latigo work until nothing is left to do, then ask the client for the same windows."""
    require_gordo()
    folder = tmp_path_factory.mktemp("plant")
    readings, data = folder / "readings.parquet", folder / "data"
    lay_out(data)
    context = timedelta(days=1)
    write_plant(readings, Window(DAYS.start - context, DUE + timedelta(hours=1)), tags_of(data), SILENT)
    clock = ShiftedClock(NOW)
    async with (
        running_gordo(data) as url,
        fresh_database(postgres_server, template=ledger_template) as ledger,
    ):
        await clock.share(ledger)
        async with running_latigo(settings(url, ledger, readings), clock) as resources:
            await all_known(resources, USABLE | BROKEN.keys(), REVISION)
            await all_done(resources)
            states = await model_states(resources.database)
            stored = {name: await stored_in(resources.database, name) for name in states}
        windows = {ModelRef(PROJECT, name): model.stored for name, model in states.items() if model.stored}
        yield Run(url, readings, states, stored, await client_points(url, windows, REVISION, readings))


def settings(url: str, ledger: str, readings: Path) -> Settings:
    return Settings(
        schedule=ScheduleSettings(max_window=FOLD),
        backfill=BackfillSettings(horizon=timedelta(days=1)),
        ledger=PostgresLedger(url=SecretStr(ledger)),
        models=GordoModels(url=url, projects=(PROJECT,)),
        sensors=FileSensors(path=readings, layout="long"),
        executor=ExecutorSettings(concurrency=8, max_attempts=3, backoff_first=timedelta(milliseconds=100)),
        http=HttpSettings(enabled=False),
        override=(Override(match="*/odd-step", horizon=timedelta(days=2)),),
    )


def lay_out(data: Path) -> None:
    """The newest revision, models of odd resolutions, and models that are broken in ways that happen."""
    built = gordo_home() / "data"
    models = data / PROJECT / "models" / REVISION
    shutil.copytree(built / PROJECT / "models" / REVISION, models)
    shutil.copytree(built / "odd-steps" / "models" / REVISION, models, dirs_exist_ok=True)
    shutil.copy(built / "layout.json", data)
    broken: Mapping[str, Mapping[str, Any]] = {
        "no-number": {"resolution": "H"},
        "twins": {"target_tag_list": ["1902.B.TT-001.PV", "1902.B.TT-001.PV"]},
        "code": {"row_filter": "`1902.B.TT-001.PV`.map(print)"},
    }
    for name, dataset in broken.items():
        shutil.copytree(models / "pca-linear", models / name)
        change_dataset(models / name / "metadata.json", dataset)
    shutil.copytree(models / "pca-linear", models / "cut-short")
    shutil.copytree(models / "pca-linear", models / "mixed-up")
    pickle = (models / "pca-linear" / "model.pkl").read_bytes()
    (models / "cut-short" / "model.pkl").write_bytes(pickle[: len(pickle) // 2])
    shutil.copy(models / "wide-linear" / "model.pkl", models / "mixed-up")
    # Not models yet, or never.
    shutil.copytree(models / "pca-linear", models / "half-built", ignore=shutil.ignore_patterns("metadata.json"))
    (models / ".being-built.tmp").mkdir()
    (models / "notes.txt").write_text("left by somebody")


def change_dataset(path: Path, changes: Mapping[str, Any]) -> None:
    document = json.loads(path.read_text())
    document["dataset"] |= changes
    path.write_text(json.dumps(document))


def tags_of(data: Path) -> dict[str, float]:
    """The seconds between two readings of every tag that a model reads, but for those that no plant has."""
    tags = set()
    for path in (data / PROJECT / "models" / REVISION).glob("*/metadata.json"):
        build = json.loads(path.read_text())["metadata"]["build_metadata"]["dataset"]
        tags |= set(build["dataset_meta"]["tag_loading_metadata"]["tags"])
    return {tag: DENSE if tag.startswith("1902.F.") else 120.0 for tag in sorted(tags) if not tag.startswith("tag-")}


async def test_what_cannot_work_is_parked_for_its_own_reason_and_nothing_else_is(run: Run) -> None:
    parked = {name: set(model.parked) for name, model in run.states.items() if model.parked}

    assert parked == {name: {reason} for name, reason in BROKEN.items()}
    assert {name for name, model in run.states.items() if model.state == "active"} == USABLE | {
        *("cut-short", "mixed-up", "random-data"),
    }
    assert {name for name, model in run.states.items() if model.state == "unusable"} == {"no-number", "twins", "code"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no-number", "'H' is not a fixed length of time with a number"),
        ("twins", "entries 1 and 2 are both '1902.B.TT-001.PV'"),
        ("code", "row_filter"),
        ("cut-short", "3 attempts, the last one: predict: prediction of demo-project/cut-short: 500"),
        ("mixed-up", "The feature names should match those that were passed during fit"),
        ("random-data", "'tag-0', 'tag-1', 'tag-2'"),
    ],
)
async def test_what_is_parked_says_what_is_wrong(run: Run, name: str, says: str) -> None:
    assert says in run.states[name].detail


async def test_what_is_no_model_yet_is_ignored(run: Run) -> None:
    assert not {"half-built", ".being-built.tmp", "notes.txt"} & set(run.states)


async def test_every_due_slot_of_every_model_is_accounted_for_once(run: Run) -> None:
    for name, model in run.states.items():
        if model.state == "active":
            due = DAYS if name == "odd-step" else HORIZON
            assert model.since == due.start, name
            assert model.accounted_for() == Coverage((due,)), name
            assert not model.covered & Coverage.of(model.exceptions), name


async def test_only_what_the_readings_do_not_allow_is_an_exception(run: Run) -> None:
    expected = expected_exceptions()

    assert len(expected["minute-filter"]) > 3
    assert len(expected["filter-list"]) > 3
    for name in USABLE:
        assert run.states[name].exceptions == expected.get(name, {}), name


async def test_slots_follow_the_resolution_and_gaps_are_folded(run: Run) -> None:
    lengths = {name: model.slot for name, model in run.states.items() if name in USABLE}

    assert lengths == dict.fromkeys(USABLE, HALF_HOUR) | {
        "hourly": timedelta(hours=1),
        "odd-step": timedelta(days=1),
    }
    for name in USABLE - {"odd-step"}:
        assert run.states[name].stored == tuple(HORIZON.slots(FOLD)), name
    assert run.states["odd-step"].stored == tuple(DAYS.slots(timedelta(days=1)))


async def test_days_of_a_resolution_that_does_not_divide_them_are_never_folded(
    run: Run, postgres_server: str, ledger_template: str
) -> None:
    clock = ShiftedClock(NOW)
    async with fresh_database(postgres_server, template=ledger_template) as ledger:
        await clock.share(ledger)
        wide = settings(run.url, ledger, run.readings).model_copy(
            update={
                "schedule": ScheduleSettings(max_window=timedelta(days=7)),
                "models": GordoModels(url=run.url, projects=(PROJECT,), include=("*/odd-step",)),
            }
        )
        async with running_latigo(wide, clock) as resources:
            await all_known(resources, ("odd-step",), REVISION)
            await all_done(resources)
            states = await model_states(resources.database)
            stored = await stored_in(resources.database, "odd-step")

    assert states["odd-step"].stored == tuple(DAYS.slots(timedelta(days=1)))
    assert stored == run.stored["odd-step"]


@pytest.mark.parametrize("name", sorted(USABLE))
async def test_the_sink_holds_what_gordos_own_client_gets_for_the_same_windows(run: Run, name: str) -> None:
    theirs = run.by_client[ModelRef(PROJECT, name)]

    assert {column.group for column in theirs} == ({"model-output"} if name in PLAIN else ANOMALY_GROUPS)
    assert_same_points(
        run.stored[name],
        theirs,
        relative=1e-4 if name in KERAS else 1e-6,
        absolute={column: rounding(name, column) for column in theirs},
    )


def rounding(name: str, column: Column) -> float:
    """How far two numbers may differ that are nothing but rounding."""
    if column.group == "model-output" or column.tag not in GIVEN_BACK.get(name, ()):
        return 0.0
    return sys.float_info.max if column.group in CONFIDENCES else 1e-12


async def test_with_influxdb_as_source_and_sink_everything_comes_out_as_with_files(
    run: Run, influx_server: str, postgres_server: str, ledger_template: str
) -> None:
    table = pq.read_table(run.readings)
    times = table["time"].cast(pa.int64()).to_pylist()
    clock = ShiftedClock(NOW)
    async with (
        fresh_influx_database(influx_server) as sensors,
        fresh_influx_database(influx_server) as predictions,
        fresh_database(postgres_server, template=ledger_template) as ledger,
    ):
        rows = zip(table["tag"].to_pylist(), table["value"].to_pylist(), times, strict=True)
        await write_lines(sensors, [sensor_line(*row) for row in rows if math.isfinite(row[1])])
        await clock.share(ledger)
        influx = settings(run.url, ledger, run.readings).model_copy(
            update={
                "sensors": InfluxSensors(url=influx_server, database=sensors.name),
                "predictions": (InfluxSink(url=influx_server, database=predictions.name), PostgresSink()),
            }
        )
        async with running_latigo(influx, clock) as resources:
            await all_known(resources, USABLE | BROKEN.keys(), REVISION)
            await all_done(resources)
            states = await model_states(resources.database)
            stored = {name: await stored_in(resources.database, name) for name in states}
        written = {name: await points_in(predictions, name) for name in USABLE}

    for name in USABLE:
        assert states[name].exceptions == run.states[name].exceptions, name
        assert states[name].covered == run.states[name].covered, name
        assert states[name].stored == run.states[name].stored, name
        assert_same_points(
            stored[name],
            run.stored[name],
            relative=1e-4 if name in KERAS else 1e-9,
            absolute={column: rounding(name, column) for column in run.stored[name]},
        )
        assert written[name] == {column: points for column, points in stored[name].items() if points}, name
    assert {name: set(model.parked) for name, model in states.items()} == {
        name: set(model.parked) for name, model in run.states.items()
    }


async def points_in(database: InfluxDatabase, model: str) -> Points:
    """Return the points of a model in InfluxDB."""
    question = f"SELECT sensor_value FROM /.*/ WHERE \"machine\" = '{model}' AND \"project\" = '{PROJECT}' GROUP BY *"
    result: dict[Column, dict[int, float]] = {}
    for series in await select(database, question):
        group, sensor = series["name"], series["tags"]["sensor_name"]
        result[Column(group, "" if sensor == group else sensor)] = {
            time: float(value) for time, value in series["values"]
        }
    return result


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    output: str
    table: pa.Table
    page: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def said(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """``latigo predict`` for the newest window, as its users run it."""
    folder = tmp_path_factory.mktemp("predict")
    (folder / "latigo.toml").write_text(
        f"""
        [models]
        url = "{run.url}"
        projects = ["{PROJECT}"]
        [sensors]
        kind = "files"
        path = "{run.readings}"
        layout = "long"
        """
    )
    window = ("--from", iso(NEWEST.start), "--to", iso(NEWEST.end))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "latigo", "predict", f"{PROJECT}/pca-linear", *window, "--config", "latigo.toml"),
        *("--out", "predicted.parquet", "--plot", "predicted.html"),
        cwd=folder,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(STARTS_WITHIN):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return Said(output.decode(), pq.read_table(folder / "predicted.parquet"), folder / "predicted.html")


async def test_predict_writes_what_gordos_own_client_gets(run: Run, said: Said) -> None:
    theirs = run.by_client[ModelRef(PROJECT, "pca-linear")]
    within = {
        column: {time: value for time, value in points.items() if to_ns(NEWEST.start) <= time < to_ns(NEWEST.end)}
        for column, points in theirs.items()
    }
    names = {f"{column.group}|{column.tag}" if column.tag else column.group: column for column in theirs}
    times = said.table["time"].cast(pa.int64()).to_pylist()
    mine = {
        names[name]: dict(zip(times, said.table[name].to_pylist(), strict=True))
        for name in said.table.column_names
        if name != "time"
    }

    assert_same_points(mine, within, relative=1e-6)
    assert re.search(r"rows +36\n", said.output)
    assert re.search(r"exceptions +none\n", said.output)


async def test_predict_draws_a_page_that_needs_no_network_and_shows_every_tag(said: Said) -> None:
    page = said.page.read_text()

    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
    dom = await rendered(said.page)
    assert f"{PROJECT}/pca-linear, revision {REVISION}" in dom
    assert {name for name in ("anomaly score", *TAGS_OF_B, "input", "output") if f">{name}</text>" not in dom} == set()
    assert dom.count('<g class="trace scatter') == 1 + 2 * len(TAGS_OF_B)


async def rendered(page: Path) -> str:
    """What a browser makes of a page."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        lacking("no Chromium is installed")
    with tempfile.TemporaryDirectory() as profile:
        process = await asyncio.create_subprocess_exec(
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"),
            *("--virtual-time-budget=20000", "--dump-dom", page.as_uri()),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(STARTS_WITHIN):
            dom, _ = await process.communicate()
    return dom.decode()
