"""What every prediction store promises; the docstrings of `PredictionStorageProvider`, able to run."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pytest

from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Written
from latigo.domain.windows import Window, to_ns
from latigo.providers.protocols import PredictionStorageProvider
from tests.support.prediction_stores import FENCE, FENCED_STORES, PREDICTION_STORES

PUMP = ModelRef("plant-a", "pump-1")
OUTPUT, SCORE = Column("model-output", "GRA-TT-001"), Column("total-anomaly-scaled", "")
MORNING = datetime(2026, 3, 1, 23, 40, tzinfo=UTC)
STEP = timedelta(minutes=10)
NAN = float("nan")
AROUND = Window(MORNING - timedelta(days=2), MORNING + timedelta(days=2))


@pytest.fixture(params=PREDICTION_STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[PredictionStorageProvider]:
    async with PREDICTION_STORES[request.param](request) as store:
        yield store


@pytest.fixture(params=[name for name in PREDICTION_STORES if name in FENCED_STORES])
async def fenced_store(request: pytest.FixtureRequest) -> AsyncIterator[PredictionStorageProvider]:
    async with PREDICTION_STORES[request.param](request) as store:
        assert store.fenced
        yield store


def predictions(
    rows: npt.ArrayLike | Sequence[Sequence[float]],
    *,
    columns: Sequence[Column] = (OUTPUT, SCORE),
    model: ModelRef = PUMP,
    revision: str = "1600000000000",
    start: datetime = MORNING,
) -> Predictions:
    """One row every ten minutes from ``start``."""
    values = np.asarray(rows, np.float64)
    times = np.array([to_ns(start + number * STEP) for number in range(len(values))], np.int64)
    return Predictions(model, revision, times, tuple(columns), values)


def points(stored: Sequence[Predictions]) -> dict[tuple[int, Column], float]:
    """Finite points by name, whatever the revisions."""
    return {
        (int(time), column): float(value)
        for each in stored
        for time, row in zip(each.times, each.values, strict=True)
        for column, value in zip(each.columns, row, strict=True)
        if np.isfinite(value)
    }


def labels(written: Written) -> list[int]:
    times: list[int] = written.times.tolist()
    return times


async def test_what_was_written_is_read_back_to_the_last_bit(store: PredictionStorageProvider):
    written = predictions([[0.1 + 0.2, 5e-324], [-0.0, 1.7976931348623157e308], [1 / 3, 2.0]])

    assert labels(await store.put_predictions(written, FENCE)) == written.times.tolist()

    read = points(await store.get_predictions(PUMP, AROUND))
    assert {name: value.hex() for name, value in read.items()} == {
        name: value.hex() for name, value in points([written]).items()
    }


@pytest.mark.parametrize("projects", [(), ("plant-a", "plant-b")], ids=["no project", "projects"])
async def test_a_store_that_can_be_read_says_so_and_stays_as_it_is(
    store: PredictionStorageProvider, projects: Sequence[str]
):
    assert await store.ping(projects) == "can be read"
    await store.put_predictions(predictions([[1.0, 2.0]]), FENCE)
    before = points(await store.get_predictions(PUMP, AROUND))

    assert await store.ping(projects) == "can be read"

    assert points(await store.get_predictions(PUMP, AROUND)) == before


async def test_nothing_is_stored_of_a_model_that_was_never_written(store: PredictionStorageProvider):
    assert list(await store.get_predictions(PUMP, AROUND)) == []


async def test_writing_again_changes_nothing(store: PredictionStorageProvider):
    written = predictions([[1, 2], [3, 4]])

    assert labels(await store.put_predictions(written, FENCE)) == written.times.tolist()
    assert labels(await store.put_predictions(written, FENCE)) == written.times.tolist()

    stored = await store.get_predictions(PUMP, AROUND)
    assert points(stored) == points([written])
    assert sum(len(each) for each in stored) == 2


async def test_a_later_write_replaces_the_points_it_names_and_no_others(store: PredictionStorageProvider):
    await store.put_predictions(predictions([[1, 2], [3, 4], [5, 6]]), FENCE)

    await store.put_predictions(predictions([[30, 40], [50, 60]], start=MORNING + STEP), FENCE)

    assert points(await store.get_predictions(PUMP, AROUND)) == points([predictions([[1, 2], [30, 40], [50, 60]])])


async def test_a_newer_revision_replaces_what_an_older_one_said(store: PredictionStorageProvider):
    await store.put_predictions(predictions([[1, 2], [3, 4]], revision="1600000000000"), FENCE)

    await store.put_predictions(predictions([[10, 20]], revision="1700000000000"), FENCE)

    assert points(await store.get_predictions(PUMP, AROUND)) == points([predictions([[10, 20], [3, 4]])])


async def test_a_point_that_is_not_finite_never_drops_its_row(store: PredictionStorageProvider):
    written = await store.put_predictions(predictions([[NAN, 2.0], [3.0, np.inf], [-np.inf, 6.0]]), FENCE)

    assert labels(written) == [to_ns(MORNING + number * STEP) for number in range(3)]
    stored = await store.get_predictions(PUMP, AROUND)
    assert points(stored) == points([predictions([[NAN, 2.0], [3.0, NAN], [NAN, 6.0]])])


async def test_a_row_without_a_finite_point_is_not_reported_and_replaces_nothing(store: PredictionStorageProvider):
    await store.put_predictions(predictions([[1, 2], [3, 4]]), FENCE)

    written = await store.put_predictions(predictions([[NAN, np.inf], [7.0, 8.0]]), FENCE)

    assert labels(written) == [to_ns(MORNING + STEP)]
    assert points(await store.get_predictions(PUMP, AROUND)) == points([predictions([[1, 2], [7, 8]])])


async def test_nothing_at_all_may_be_written(store: PredictionStorageProvider):
    assert labels(await store.put_predictions(predictions(np.empty((0, 2))), FENCE)) == []
    assert labels(await store.put_predictions(predictions([[NAN, -np.inf], [np.inf, NAN]]), FENCE)) == []
    assert points(await store.get_predictions(PUMP, AROUND)) == {}


async def test_what_is_reported_as_written_is_what_can_be_read(store: PredictionStorageProvider):
    values = np.where(np.random.default_rng(7).random((200, 2)) < 0.6, NAN, 1.5)
    given = predictions(values)

    written = await store.put_predictions(given, FENCE)

    assert 0 < len(written) < len(given)
    assert labels(written) == sorted({time for time, _ in points(await store.get_predictions(PUMP, AROUND))})


async def test_a_window_holds_its_start_and_not_its_end(store: PredictionStorageProvider):
    await store.put_predictions(predictions([[1, 2], [3, 4], [5, 6]]), FENCE)

    stored = await store.get_predictions(PUMP, Window(MORNING + STEP, MORNING + 2 * STEP))

    assert points(stored) == points([predictions([[3, 4]], start=MORNING + STEP)])


async def test_rows_come_back_in_time_order_whatever_the_order_of_writing(store: PredictionStorageProvider):
    await store.put_predictions(predictions([[5, 6]], start=MORNING + 5 * STEP), FENCE)
    await store.put_predictions(predictions([[1, 2]]), FENCE)

    (stored,) = await store.get_predictions(PUMP, AROUND)

    assert stored.times.tolist() == [to_ns(MORNING), to_ns(MORNING + 5 * STEP)]


async def test_models_of_like_names_are_kept_apart(store: PredictionStorageProvider):
    twins = [ModelRef("plant-a", "pump"), ModelRef("plant", "a-pump"), ModelRef("plant-A", "pump")]
    for number, model in enumerate(twins):
        await store.put_predictions(predictions([[float(number)] * 2], model=model), FENCE)

    for number, model in enumerate(twins):
        stored = points(await store.get_predictions(model, AROUND))
        assert set(stored.values()) == {float(number)}


@pytest.mark.parametrize(
    "name", ["Volume Flow RateRMS", "a/b,c=d", 'quote " and \\ slash', "Temperatur °C", "温度", "it's", "{1,2}", "NULL"]
)
async def test_any_tag_name_survives(store: PredictionStorageProvider, name: str):
    columns = (Column("model-output", name), Column("tag-anomaly-scaled", name))

    await store.put_predictions(predictions([[1, 2]], columns=columns), FENCE)

    stored = points(await store.get_predictions(PUMP, AROUND))
    assert {column for _, column in stored} == set(columns)


async def test_many_writers_at_once_do_not_disturb_each_other(store: PredictionStorageProvider):
    models = [ModelRef("plant-a", f"pump-{number}") for number in range(20)]

    await asyncio.gather(
        *(
            store.put_predictions(predictions([[float(n)] * 2] * 6, model=model), FENCE)
            for n, model in enumerate(models)
            for _ in "ab"
        )
    )

    for number, model in enumerate(models):
        stored = points(await store.get_predictions(model, AROUND))
        assert list(stored.values()) == [float(number)] * 12


# --- writers ----------------------------------------------------------------------------------------------------------

BEFORE = Fence(incarnation=2, epoch=5, task_id=70, claim=3)
#: Each is newer than the one before, whatever the numbers behind the first that differs.
IN_ORDER = [
    Fence(1, 9, 900, 9),
    Fence(2, 4, 900, 9),
    Fence(2, 5, 69, 9),
    Fence(2, 5, 70, 2),
    BEFORE,
    Fence(2, 5, 70, 4),
    Fence(2, 5, 71, 1),
    Fence(2, 6, 1, 1),
    Fence(3, 1, 1, 1),
]
OLDER, NEWER = IN_ORDER[: IN_ORDER.index(BEFORE)], IN_ORDER[IN_ORDER.index(BEFORE) + 1 :]


@pytest.mark.parametrize("older", OLDER, ids=str)
async def test_a_fenced_store_refuses_an_older_writer_and_another_cannot(
    store: PredictionStorageProvider, older: Fence
):
    standing, late = predictions([[1, 2], [3, 4]], revision="1000"), predictions([[10, 20], [30, 40]], revision="2000")
    await store.put_predictions(standing, BEFORE)

    written = await store.put_predictions(late, older)

    assert written.times.tolist() == ([] if store.fenced else late.times.tolist())
    assert points(await store.get_predictions(PUMP, AROUND)) == points([standing if store.fenced else late])


@pytest.mark.parametrize("fence", [BEFORE, *NEWER], ids=str)
async def test_a_writer_that_is_not_older_replaces_whatever_its_revision(
    store: PredictionStorageProvider, fence: Fence
):
    await store.put_predictions(predictions([[1, 2], [3, 4]], revision="2000"), BEFORE)
    newest = predictions([[10, 20], [30, 40]], revision="1000")

    written = await store.put_predictions(newest, fence)

    assert written.times.tolist() == newest.times.tolist()
    assert points(await store.get_predictions(PUMP, AROUND)) == points([newest])


async def test_an_older_writer_fills_only_what_a_newer_one_left_out(fenced_store: PredictionStorageProvider):
    await fenced_store.put_predictions(predictions([[3, 4]], start=MORNING + STEP), NEWER[0])

    written = await fenced_store.put_predictions(predictions([[10, 20], [30, 40], [50, 60]]), BEFORE)

    assert written.times.tolist() == [to_ns(MORNING), to_ns(MORNING + 2 * STEP)]
    expected = points([predictions([[10, 20], [3, 4], [50, 60]])])
    assert points(await fenced_store.get_predictions(PUMP, AROUND)) == expected


async def test_a_newer_row_of_one_model_refuses_none_of_another(fenced_store: PredictionStorageProvider):
    await fenced_store.put_predictions(predictions([[1, 2], [3, 4]], model=ModelRef("plant-a", "fan")), NEWER[0])
    await fenced_store.put_predictions(predictions([[5, 6]]), NEWER[0])

    written = await fenced_store.put_predictions(predictions([[10, 20], [30, 40]]), BEFORE)

    assert written.times.tolist() == [to_ns(MORNING + STEP)]


async def test_a_newer_writer_holds_its_row_though_it_wrote_what_was_there(fenced_store: PredictionStorageProvider):
    same = predictions([[1, 2]])
    await fenced_store.put_predictions(same, OLDER[0])
    assert len(await fenced_store.put_predictions(same, NEWER[0])) == 1

    assert len(await fenced_store.put_predictions(predictions([[7, 8]]), BEFORE)) == 0

    assert points(await fenced_store.get_predictions(PUMP, AROUND)) == points([same])


async def test_of_writers_at_once_the_newest_stands(fenced_store: PredictionStorageProvider):
    by_fence = {fence: predictions([[float(number)] * 2] * 6) for number, fence in enumerate(IN_ORDER)}

    await asyncio.gather(*(fenced_store.put_predictions(each, fence) for fence, each in by_fence.items()))

    assert points(await fenced_store.get_predictions(PUMP, AROUND)) == points([by_fence[IN_ORDER[-1]]])
