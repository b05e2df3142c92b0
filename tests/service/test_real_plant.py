"""Real readings of a real plant, models that Gordo trained on them, and ``latigo predict``'s way through both.

SKAB, the Skoltech Anomaly Benchmark: a pump that circulates water. The models know only a run without anomalies; a
month later a valve before the pump was closed for some minutes in each of eight runs. Its licence keeps it out of this
repository: ``SKAB_DATA`` says where it is.
"""

import csv
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
import pytest_asyncio

from latigo.cli.predict import NoRoster
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Column
from latigo.domain.windows import Window, from_ns, to_ns
from latigo.executor.once import Piece, pieces_of, predict_once
from latigo.runtime.clock import SystemClock
from latigo.settings import FileSensors, GordoModels, Settings
from latigo.systems import open_models, open_sensors
from tests.support.gordo_client import Points, assert_same_points, client_points
from tests.support.gordo_process import running_gordo
from tests.support.gordo_python import run_in_gordo
from tests.support.real_gordo import require_gordo
from tests.support.skab import SKAB, require_skab

pytestmark = [pytest.mark.real_gordo, pytest.mark.asyncio(loop_scope="module")]

RUNS = Window(datetime(2020, 3, 9, 10, 14, 30, tzinfo=UTC), datetime(2020, 3, 9, 12, 55, tzinfo=UTC))
ENDS = datetime(2020, 3, 9, 12, 54, 37, tzinfo=UTC)
SLOT, ROW = timedelta(minutes=30), timedelta(seconds=10)
TAGS = (
    *("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage"),
    "Volume Flow RateRMS",
)
SCORE = Column("total-anomaly-scaled", "")


@dataclass(frozen=True, repr=False)
class Predicted:
    """All runs, by one model."""

    spec: ModelSpec
    pieces: Sequence[Piece]

    def points(self) -> Points:
        """Every finite point, as a sink would get it."""
        found: dict[Column, dict[int, float]] = defaultdict(dict)
        for piece in self.pieces:
            assert piece.predictions is not None
            for place, column in enumerate(piece.predictions.columns):
                values = piece.predictions.values[:, place].tolist()
                found[column] |= dict(zip(piece.predictions.times.tolist(), values, strict=True))
        return found


@dataclass(frozen=True, repr=False)
class Plant:
    pump: Predicted  #: every tag, told from all by its level: not for this working point, but row by row
    flow: Predicted  #: the flow, told from the others by how far they are from the window's median
    pump_by_client: Points


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plant]:
    require_skab()
    require_gordo()
    data = tmp_path_factory.mktemp("plant") / "data"
    built = await run_in_gordo("build_plant_model.py", None, str(SKAB / "anomaly-free"), str(data))
    project, revision = built["project"], built["revision"]
    windows = pieces_of(RUNS, SLOT, SLOT)
    async with running_gordo(data) as url:
        settings = Settings(
            models=GordoModels(url=url, projects=(project,)),
            sensors=FileSensors(path=SKAB, separator=";", time_column="datetime"),
        )
        async with open_models(settings, NoRoster()) as models, open_sensors(settings, SystemClock()) as sensors:
            assert set(TAGS) <= set(await sensors.get_sensor_list())

            async def predict(name: str) -> Predicted:
                spec = await models.get_model_spec(ModelRef(project, name), revision)
                pieces = predict_once(sensors, models, spec, windows, SLOT, max_bytes=1_000_000)
                return Predicted(spec, [piece async for piece in pieces])

            pump, flow = await predict("pump"), await predict("flow")
        theirs = await client_points(url, {pump.spec.ref: windows}, revision, SKAB / "valve1", "wide")
        yield Plant(pump, flow, theirs[pump.spec.ref])


def labels(run: int) -> Mapping[datetime, Sequence[bool]]:
    """What the record of a run says of each row of predictions: whether each of its readings is anomalous."""
    found: dict[datetime, list[bool]] = defaultdict(list)
    with (SKAB / "valve1" / f"{run}.csv").open() as file:
        for line in csv.DictReader(file, delimiter=";"):
            time = datetime.fromisoformat(line["datetime"]).replace(tzinfo=UTC)
            found[time - (time - RUNS.start) % ROW].append(float(line["anomaly"]) == 1.0)
    return found


def rise(scores: Mapping[datetime, float], run: int) -> float:
    """How many times the score of before is the score while the valve is closed; medians."""
    known = labels(run)
    closed = [time for time, anomalous in known.items() if all(anomalous)]
    before = [time for time, anomalous in known.items() if time < closed[0] and not any(anomalous)]
    return median(scores[time] for time in closed) / median(scores[time] for time in before)


async def test_the_score_rises_in_every_run_while_the_valve_is_closed(plant: Plant) -> None:
    scores = {from_ns(time): score for time, score in plant.flow.points()[SCORE].items()}

    rises = [rise(scores, run) for run in range(8)]

    assert min(rises) > 1  # in the first run the valve is closed so little that it takes 1 % of the flow
    assert sorted(rises)[1] > 5


async def test_gordos_own_client_gets_the_same_from_the_same_files(plant: Plant) -> None:
    # Not of the other model: the client adds rows before and after a window, and they move its median.
    assert plant.pump.spec.dataset.tag_list == TAGS
    assert_same_points(plant.pump.points(), plant.pump_by_client, relative=1e-6)


async def test_the_ends_of_the_record_are_short_and_provisional(plant: Plant) -> None:
    first, *middle, last = plant.pump.pieces

    assert [exception.state for exception in first.slots.exceptions] == ["short"]
    assert not [exception for piece in middle for exception in piece.slots.exceptions]
    (exception,) = last.slots.exceptions
    assert exception.state == "provisional"
    assert exception.reason == "carried on past the last reading: " + ", ".join(map(repr, TAGS[:5])) + " and 3 more"
    assert last.predictions is not None
    assert from_ns(int(last.predictions.times[-1])) == last.window.end - ROW
    assert to_ns(ENDS) < last.predictions.times[-1]
