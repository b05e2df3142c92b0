"""Real readings of a real plant, models that Gordo trained on them, and all of Latigo between the two.

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
from pydantic import SecretStr

from latigo.domain.coverage import Coverage
from latigo.domain.model import ModelRef
from latigo.domain.series import Column
from latigo.domain.windows import Window, from_ns
from latigo.settings import (
    BackfillSettings,
    FileSensors,
    GordoModels,
    HttpSettings,
    PostgresLedger,
    ScheduleSettings,
    Settings,
)
from tests.support.gordo_client import Points, assert_same_points, client_points
from tests.support.gordo_process import running_gordo
from tests.support.gordo_python import run_in_gordo
from tests.support.postgres import fresh_database
from tests.support.real_gordo import require_gordo
from tests.support.running_latigo import (
    ModelState,
    ShiftedClock,
    all_done,
    all_known,
    model_states,
    running_latigo,
    stored_in,
)
from tests.support.skab import SKAB, require_skab

pytestmark = [pytest.mark.real_gordo, pytest.mark.asyncio(loop_scope="module")]

BEGINS = datetime(2020, 3, 9, 10, 14, 33, tzinfo=UTC)
RUNS = Window(datetime(2020, 3, 9, 10, tzinfo=UTC), datetime(2020, 3, 9, 13, tzinfo=UTC))
NOW = RUNS.end + timedelta(minutes=6)
SLOT, ROW = timedelta(minutes=30), timedelta(seconds=10)
TAGS = (
    *("Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage"),
    "Volume Flow RateRMS",
)
SCORE = Column("total-anomaly-scaled", "")


@dataclass(frozen=True, repr=False)
class Plant:
    """What came of all runs, by model.

    ``pump`` has every tag and is distinguished from all by its level: not for this working point, but row by row.
    ``flow`` has the flow, distinguished from the others by how far they are from the window's median.
    """

    states: Mapping[str, ModelState]
    stored: Mapping[str, Points]
    pump_by_client: Points


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str, ledger_template: str
) -> AsyncIterator[Plant]:
    require_skab()
    require_gordo()
    data = tmp_path_factory.mktemp("plant") / "data"
    built = await run_in_gordo("build_plant_model.py", None, str(SKAB / "anomaly-free"), str(data))
    project, revision = built["project"], built["revision"]
    clock = ShiftedClock(NOW)
    async with (
        running_gordo(data) as url,
        fresh_database(postgres_server, template=ledger_template) as ledger,
    ):
        await clock.share(ledger)
        settings = Settings(
            schedule=ScheduleSettings(max_window=SLOT),
            backfill=BackfillSettings(horizon=NOW - RUNS.start),
            ledger=PostgresLedger(url=SecretStr(ledger)),
            models=GordoModels(url=url, projects=(project,)),
            sensors=FileSensors(path=SKAB, separator=";", time_column=("datetime",)),
            http=HttpSettings(enabled=False),
        )
        async with running_latigo(settings, clock) as resources:
            await all_known(resources, ["pump", "flow"], revision)
            await all_done(resources)
            states = await model_states(resources.database)
            stored = {name: await stored_in(resources.database, name) for name in states}
        pump = ModelRef(project, "pump")
        theirs = await client_points(url, {pump: states["pump"].stored}, revision, SKAB / "valve1", "wide")
        yield Plant(states, stored, theirs[pump])


def labels(run: int) -> Mapping[datetime, Sequence[bool]]:
    """Label each row of predictions by the record of the run: whether each of its readings is anomalous."""
    result: dict[datetime, list[bool]] = defaultdict(list)
    with (SKAB / "valve1" / f"{run}.csv").open() as file:
        for line in csv.DictReader(file, delimiter=";"):
            time = datetime.fromisoformat(line["datetime"]).replace(tzinfo=UTC)
            result[time - (time - RUNS.start) % ROW].append(float(line["anomaly"]) == 1.0)
    return result


def rise(scores: Mapping[datetime, float], run: int) -> float:
    """How many times the score of before is the score while the valve is closed; medians."""
    known = labels(run)
    closed = [time for time, anomalous in known.items() if all(anomalous)]
    before = [time for time, anomalous in known.items() if time < closed[0] and not any(anomalous)]
    return median(scores[time] for time in closed) / median(scores[time] for time in before)


async def test_the_score_rises_in_every_run_while_the_valve_is_closed(plant: Plant) -> None:
    scores = {from_ns(time): score for time, score in plant.stored["flow"][SCORE].items()}

    rises = [rise(scores, run) for run in range(8)]

    assert min(rises) > 1  # in the first run the valve is closed so little that it takes 1 % of the flow
    assert sorted(rises)[1] > 5


async def test_gordos_own_client_gets_the_same_from_the_same_files(plant: Plant) -> None:
    # Not of the other model: the client adds rows before and after a window, and they move its median.
    assert {column.tag for column in plant.stored["pump"]} == {"", *TAGS}
    assert_same_points(plant.stored["pump"], plant.pump_by_client, relative=1e-6)


async def test_every_slot_is_covered_but_the_ends_of_the_record_are_short_and_provisional(plant: Plant) -> None:
    first, *middle, last = RUNS.slots(SLOT)

    for states in plant.states.values():
        assert states.covered == Coverage.of(middle)
        assert {window: state for window, (state, _) in states.exceptions.items()} == {
            first: "short",
            last: "provisional",
        }
        assert states.parked == {}
    _, why = plant.states["pump"].exceptions[last]
    assert why == "carried on past the last reading: " + ", ".join(map(repr, TAGS[:5])) + " and 3 more"
    times = sorted(plant.stored["pump"][SCORE])
    assert from_ns(times[0]) - ROW < BEGINS < from_ns(times[0]) + ROW
    assert from_ns(times[-1]) == RUNS.end - ROW
