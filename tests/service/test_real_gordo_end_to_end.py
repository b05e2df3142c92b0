"""All of Latigo, from files to PostgreSQL, with every kind of model on a real Gordo server.

The truth is what Gordo's own client, unmodified, gets for the same windows from the same server and readings.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import pytest_asyncio
from pydantic import SecretStr
from tests.support.gordo_process import running_gordo
from tests.support.gordo_python import run_in_gordo
from tests.support.plant_files import write_plant
from tests.support.postgres import fresh_database
from tests.support.real_gordo import gordo_home, require_gordo
from tests.support.running_latigo import ShiftedClock, Stored, Told, all_done, running_latigo, stored_in, told_of

from latigo.domain.coverage import Coverage
from latigo.domain.series import Column
from latigo.domain.windows import Window, to_ns
from latigo.settings import (
    BackfillSettings,
    ExecutorSettings,
    FileSensors,
    GordoModels,
    HttpSettings,
    Override,
    PostgresLedger,
    ScheduleSettings,
    Settings,
)
from latigo.standins.plant import synth_series

pytestmark = [pytest.mark.real_gordo, pytest.mark.asyncio(loop_scope="module")]

PROJECT, REVISION = "demo-project", "1764547200000"
NOW = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
HALF_HOUR, FOLD = timedelta(minutes=30), timedelta(hours=6)
DUE = datetime(2026, 3, 1, 12, tzinfo=UTC)
HORIZON = Window(DUE - timedelta(days=1), DUE)
DAYS = Window(datetime(2026, 2, 27, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))

PLAIN = {"plain-linear", "plain-transform", "no-thresholds"}
KERAS = {"ff-hourglass", "lstm-ae", "lstm-forecast", "wide-keras", "hourly"}
#: Columns, by model, whose target is an input that a linear model gives back as it is: what is left for their scores is
#: rounding, and so are the thresholds by which scores become confidences.
GIVEN_BACK = {"identity": {"", *(f"1902.B.TT-00{n}.PV" for n in range(1, 5))}, "targets": {"1902.E.TT-002.PV"}}
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
        | {
            each: ("absent", "no reading in the period of 'odd.name.4'")
            for each in Window(february("18:00"), march("00:00")).slots(HALF_HOUR)
        },
    }


@dataclass(frozen=True, repr=False)
class Run:
    """Everything that came of one run of Latigo."""

    told: Mapping[str, Told]
    stored: Mapping[str, Stored]
    by_client: Mapping[str, list[dict[str, Any]]]  #: what gordo-client got, window by window


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
        async with running_latigo(settings(url, ledger, readings), clock) as world:
            await all_done(world, within=120.0)
            told = await told_of(world.database)
            stored = {name: await stored_in(world.database, name) for name in told}
        asked = {
            "port": urlsplit(url).port,
            "project": PROJECT,
            "revision": REVISION,
            "path": str(readings),
            "layout": "long",
            "windows": {
                name: [[each.start.isoformat(), each.end.isoformat()] for each in model.stored]
                for name, model in told.items()
                if model.stored
            },
        }
        yield Run(told, stored, await run_in_gordo("client_windows.py", asked))


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
    for name, dataset in {
        "no-number": {"resolution": "H"},
        "twins": {"target_tag_list": ["1902.B.TT-001.PV", "1902.B.TT-001.PV"]},
        "code": {"row_filter": "`1902.B.TT-001.PV`.map(print)"},
    }.items():
        shutil.copytree(models / "pca-linear", models / name)
        change_metadata(models / name / "metadata.json", lambda found, new=dataset: found["dataset"].update(new))
    shutil.copytree(models / "pca-linear", models / "cut-short")
    shutil.copytree(models / "pca-linear", models / "mixed-up")
    pickle = (models / "pca-linear" / "model.pkl").read_bytes()
    (models / "cut-short" / "model.pkl").write_bytes(pickle[: len(pickle) // 2])
    shutil.copy(models / "wide-linear" / "model.pkl", models / "mixed-up")
    # Not models yet, or never.
    shutil.copytree(models / "pca-linear", models / "half-built", ignore=shutil.ignore_patterns("metadata.json"))
    (models / ".being-built.tmp").mkdir()
    (models / "notes.txt").write_text("left by somebody")


def change_metadata(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def tags_of(data: Path) -> dict[str, float]:
    """The seconds between two readings of every tag that a model reads, but for those that no plant has."""
    tags = set()
    for path in (data / PROJECT / "models" / REVISION).glob("*/metadata.json"):
        build = json.loads(path.read_text())["metadata"]["build_metadata"]["dataset"]
        tags |= set(build["dataset_meta"]["tag_loading_metadata"]["tags"])
    return {tag: DENSE if tag.startswith("1902.F.") else 120.0 for tag in sorted(tags) if not tag.startswith("tag-")}


USABLE = {
    *("ff-hourglass", "pca-linear", "identity", "lstm-ae", "lstm-forecast", "plain-linear", "plain-transform"),
    *("targets", "minute-filter", "filter-list", "smooth", "kfcv", "odd-names", "no-thresholds", "wide-linear"),
    *("wide-keras", "hourly", "odd-step"),
}


async def test_what_cannot_work_is_parked_for_its_own_reason_and_nothing_else_is(run: Run) -> None:
    parked = {name: set(model.parked) for name, model in run.told.items() if model.parked}

    assert parked == {
        "no-number": {"bad_metadata"},
        "twins": {"bad_metadata"},
        "code": {"bad_metadata"},
        "cut-short": {"attempts"},
        "mixed-up": {"values_refused"},
        "random-data": {"unknown_sensor"},
    }
    assert {name for name, model in run.told.items() if model.state == "active"} == USABLE | {
        *("cut-short", "mixed-up", "random-data"),
    }
    assert {name for name, model in run.told.items() if model.state == "unusable"} == {"no-number", "twins", "code"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no-number", "'H' is no time of fixed length with a number"),
        ("twins", "entries 1 and 2 are both '1902.B.TT-001.PV'"),
        ("code", "row_filter"),
        ("cut-short", "3 attempts, the last one: predict: prediction of demo-project/cut-short: 500"),
        ("mixed-up", "The feature names should match those that were passed during fit"),
        ("random-data", "'tag-0', 'tag-1', 'tag-2'"),
    ],
)
async def test_what_is_parked_says_what_is_wrong(run: Run, name: str, says: str) -> None:
    assert says in run.told[name].detail


async def test_what_is_no_model_yet_is_left_alone(run: Run) -> None:
    assert not {"half-built", ".being-built.tmp", "notes.txt"} & set(run.told)


async def test_every_due_slot_of_every_model_is_accounted_for_once(run: Run) -> None:
    for name, model in run.told.items():
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
        assert run.told[name].exceptions == expected.get(name, {}), name


async def test_slots_follow_the_resolution_and_gaps_are_folded(run: Run) -> None:
    lengths = {name: model.slot for name, model in run.told.items() if name in USABLE}

    assert lengths == dict.fromkeys(USABLE, HALF_HOUR) | {
        "hourly": timedelta(hours=1),
        "odd-step": timedelta(days=1),
    }
    for name in USABLE - {"odd-step"}:
        assert run.told[name].stored == tuple(HORIZON.slots(FOLD)), name
    assert run.told["odd-step"].stored == tuple(DAYS.slots(timedelta(days=1)))


@pytest.mark.parametrize("name", sorted(USABLE))
async def test_the_sink_holds_what_gordos_own_client_gets_for_the_same_windows(run: Run, name: str) -> None:
    stored = run.stored[name]
    wanted: dict[Column, dict[int, float]] = defaultdict(dict)
    for window, answer in zip(run.told[name].stored, run.by_client[name], strict=True):
        for column, points in columns_within(window, answer).items():
            wanted[column] |= points

    assert {column.group for column in wanted} == ({"model-output"} if name in PLAIN else ANOMALY_GROUPS)
    assert set(stored) == {column for column, points in wanted.items() if points}
    for column, points in wanted.items():
        mine = stored.get(column, {})
        assert sorted(mine) == sorted(points), column
        np.testing.assert_allclose(
            [mine[time] for time in points],
            list(points.values()),
            rtol=1e-4 if name in KERAS else 1e-6,
            atol=rounding(name, column),
            err_msg=str(column),
        )


def rounding(name: str, column: Column) -> float:
    """How far two numbers may differ that are nothing but rounding."""
    if column.group == "model-output" or column.tag not in GIVEN_BACK.get(name, ()):
        return 0.0
    return np.inf if column.group in CONFIDENCES else 1e-12


def columns_within(window: Window, answer: Mapping[str, Any]) -> Mapping[Column, Mapping[int, float]]:
    """The finite points of what the client got, without the rows around the window and without what it sent."""
    if "error" in answer:
        assert answer["error"] in {"InsufficientDataError", "RowFilterEmptyDataError"}
        return {}
    times, rows = np.array(answer["times"]), np.array(answer["rows"], np.float64)
    inside = (times >= to_ns(window.start)) & (times < to_ns(window.end))
    found = {}
    for place, (group, tag) in enumerate(answer["columns"]):
        if group != "model-input":
            values = rows[inside, place]
            finite = np.isfinite(values)
            found[Column(group, tag)] = dict(zip(times[inside][finite].tolist(), values[finite].tolist(), strict=True))
    return found
