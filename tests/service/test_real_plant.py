"""Real readings of a real plant, a model that Gordo trained on them, and ``latigo predict``'s way through both.

SKAB, the Skoltech Anomaly Benchmark: a pump that circulates water, while a valve before it is closed for some minutes
in each of eight runs. Its licence keeps it out of this repository: ``SKAB_DATA`` says where it is.
"""

import csv
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from latigo.app import open_models, open_sensors
from latigo.cli.predict import NoRoster
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Column
from latigo.domain.windows import Window, from_ns, to_ns
from latigo.executor.once import Piece, pieces_of, predict_once
from latigo.runtime.clock import SystemClock
from latigo.settings import FileSensors, GordoModels, Settings
from tests.support.gordo_client import Points, assert_same_points, client_points
from tests.support.gordo_process import running_gordo
from tests.support.gordo_python import run_in_gordo
from tests.support.real_gordo import require_gordo

pytestmark = [pytest.mark.real_gordo, pytest.mark.asyncio(loop_scope="module")]

SKAB = Path(os.environ.get("SKAB_DATA", Path(__file__).parents[2].parent / "shared" / "data" / "skab"))
LEARNED_UNTIL = datetime(2020, 3, 9, 11, 30, tzinfo=UTC)  # four runs; the other four are new to the model
RUNS = Window(datetime(2020, 3, 9, 11, 34, tzinfo=UTC), datetime(2020, 3, 9, 12, 55, tzinfo=UTC))
ENDS = datetime(2020, 3, 9, 12, 54, 37, tzinfo=UTC)
SLOT, ROW = timedelta(minutes=30), timedelta(seconds=10)
TAGS = (
    *("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage"),
    "Volume Flow RateRMS",
)
SCORE = Column("total-anomaly-scaled", "")


@dataclass(frozen=True, repr=False)
class Predicted:
    """The last four runs."""

    spec: ModelSpec
    pieces: Sequence[Piece]
    by_client: Points

    def points(self) -> Points:
        """Every finite point, as a sink would get it."""
        found: dict[Column, dict[int, float]] = defaultdict(dict)
        for piece in self.pieces:
            assert piece.predictions is not None
            for place, column in enumerate(piece.predictions.columns):
                values = piece.predictions.values[:, place].tolist()
                found[column] |= dict(zip(piece.predictions.times.tolist(), values, strict=True))
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def predicted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Predicted]:
    require_skab()
    require_gordo()
    data = tmp_path_factory.mktemp("plant") / "data"
    until = ("--until", LEARNED_UNTIL.isoformat())
    built = await run_in_gordo("build_plant_model.py", None, str(SKAB / "valve1"), str(data), *until)
    ref = ModelRef(built["project"], built["model"])
    async with running_gordo(data) as url:
        settings = Settings(
            models=GordoModels(url=url, projects=(ref.project,)),
            sensors=FileSensors(path=SKAB, separator=";", time_column="datetime"),
        )
        async with open_models(settings, NoRoster()) as models, open_sensors(settings, SystemClock()) as sensors:
            assert set(TAGS) <= set(await sensors.get_sensor_list())
            spec = await models.get_model_spec(ref, built["revision"])
            windows = pieces_of(RUNS, SLOT, SLOT)
            pieces = [piece async for piece in predict_once(sensors, models, spec, windows, SLOT, max_bytes=1_000_000)]
        theirs = await client_points(url, {ref: windows}, spec.revision, SKAB / "valve1", "wide")
        yield Predicted(spec, pieces, theirs[ref])


def require_skab() -> None:
    if not SKAB.is_dir():
        pytest.skip(f"the plant data SKAB is not at {SKAB} (SKAB_DATA)")


def labels() -> Mapping[datetime, Sequence[bool]]:
    """What the record says of each row of predictions: whether each of its readings is anomalous."""
    found: dict[datetime, list[bool]] = defaultdict(list)
    for number in range(8):
        with (SKAB / "valve1" / f"{number}.csv").open() as file:
            for line in csv.DictReader(file, delimiter=";"):
                time = datetime.fromisoformat(line["datetime"]).replace(tzinfo=UTC)
                found[time - (time - RUNS.start) % ROW].append(float(line["anomaly"]) == 1.0)
    return found


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


async def test_a_closed_valve_stands_out(predicted: Predicted) -> None:
    known = labels()
    scores = {from_ns(time): score for time, score in predicted.points()[SCORE].items() if from_ns(time) in known}
    closed = [score for time, score in scores.items() if all(known[time])]
    open_ = [score for time, score in scores.items() if not any(known[time])]

    assert len(closed) > 150
    assert len(open_) > 250
    assert mean(closed) > 3 * mean(open_)


async def test_gordos_own_client_gets_the_same_from_the_same_files(predicted: Predicted) -> None:
    assert predicted.spec.dataset.tag_list == TAGS
    assert_same_points(predicted.points(), predicted.by_client, relative=1e-6)


async def test_rows_after_the_last_reading_are_provisional(predicted: Predicted) -> None:
    first, *middle, last = predicted.pieces

    assert not [exception for piece in (first, *middle) for exception in piece.slots.exceptions]
    (exception,) = last.slots.exceptions
    assert exception.state == "provisional"
    assert exception.reason == "carried on past the last reading: " + ", ".join(map(repr, TAGS[:5])) + " and 3 more"
    assert last.predictions is not None
    assert from_ns(int(last.predictions.times[-1])) == last.window.end - ROW
    assert to_ns(ENDS) < last.predictions.times[-1]
