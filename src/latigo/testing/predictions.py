"""What every store of predictions promises; the docstrings of its protocol, able to run."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Written
from latigo.domain.windows import Window, to_ns
from latigo.providers.protocols import PredictionStorageProvider
from latigo.wiring.plugins import shortcomings

OpenPredictions = Callable[[], AbstractAsyncContextManager[PredictionStorageProvider]]

_PUMP = ModelRef("plant-a", "pump-1")
_OUTPUT, _SCORE = Column("model-output", "GRA-TT-001"), Column("total-anomaly-scaled", "")
_MORNING = datetime(2026, 3, 1, 23, 40, tzinfo=UTC)
_STEP = timedelta(minutes=10)
_NAN = float("nan")
_AROUND = Window(_MORNING - timedelta(days=2), _MORNING + timedelta(days=2))
#: The writer of predictions whose writers are of no interest.
FENCE = Fence(incarnation=1, epoch=1, task_id=1, claim=1)
_BEFORE = Fence(incarnation=2, epoch=5, task_id=70, claim=3)
#: Each is newer than the one before, whatever the numbers behind the first that differs.
_IN_ORDER = [
    Fence(1, 9, 900, 9),
    Fence(2, 4, 900, 9),
    Fence(2, 5, 69, 9),
    Fence(2, 5, 70, 2),
    _BEFORE,
    Fence(2, 5, 70, 4),
    Fence(2, 5, 71, 1),
    Fence(2, 6, 1, 1),
    Fence(3, 1, 1, 1),
]
_OLDER, _NEWER = _IN_ORDER[: _IN_ORDER.index(_BEFORE)], _IN_ORDER[_IN_ORDER.index(_BEFORE) + 1 :]


@pytest.mark.asyncio
class PredictionStoreContract:
    """Every test that a store of predictions has to pass; subclass it, with a fixture ``open_predictions`` of your own.

    For a store that compares writers, subclass `FencedPredictionStoreContract`.
    """

    @pytest.fixture
    def open_predictions(self) -> OpenPredictions:
        """Return a function that opens the store without any predictions, as an async context manager."""
        raise NotImplementedError("the subclass has to have a fixture open_predictions")

    @pytest_asyncio.fixture
    async def store(self, open_predictions: OpenPredictions) -> AsyncIterator[PredictionStorageProvider]:
        """Yield the store, empty."""
        async with open_predictions() as store:
            yield store

    async def test_it_has_what_the_protocol_promises(self, store: PredictionStorageProvider) -> None:
        assert shortcomings(store, PredictionStorageProvider) == []

    async def test_its_circuit_has_a_name(self, store: PredictionStorageProvider) -> None:
        assert store.downstream.startswith("sink/")

    async def test_a_store_that_compares_writers_is_tested_for_it(self, store: PredictionStorageProvider) -> None:
        assert store.fenced == isinstance(self, FencedPredictionStoreContract)

    @pytest.mark.parametrize("projects", [(), ("plant-a", "plant-b")], ids=["no project", "projects"])
    async def test_a_store_that_can_be_read_answers_in_a_line_and_stays_as_it_is(
        self, store: PredictionStorageProvider, projects: Sequence[str]
    ) -> None:
        assert len((await store.ping(projects)).splitlines()) == 1
        await store.put_predictions(_predictions([[1.0, 2.0]]), FENCE)
        before = _points(await store.get_predictions(_PUMP, _AROUND))

        assert len((await store.ping(projects)).splitlines()) == 1

        assert _points(await store.get_predictions(_PUMP, _AROUND)) == before

    async def test_what_was_written_is_read_back_to_the_last_bit(self, store: PredictionStorageProvider) -> None:
        written = _predictions([[0.1 + 0.2, 5e-324], [-0.0, 1.7976931348623157e308], [1 / 3, 2.0]])

        assert _labels(await store.put_predictions(written, FENCE)) == written.times.tolist()

        read = _points(await store.get_predictions(_PUMP, _AROUND))
        assert {name: value.hex() for name, value in read.items()} == {
            name: value.hex() for name, value in _points([written]).items()
        }

    async def test_nothing_is_stored_of_a_model_that_was_never_written(self, store: PredictionStorageProvider) -> None:
        assert list(await store.get_predictions(_PUMP, _AROUND)) == []

    async def test_writing_again_changes_nothing(self, store: PredictionStorageProvider) -> None:
        written = _predictions([[1, 2], [3, 4]])

        assert _labels(await store.put_predictions(written, FENCE)) == written.times.tolist()
        assert _labels(await store.put_predictions(written, FENCE)) == written.times.tolist()

        stored = await store.get_predictions(_PUMP, _AROUND)
        assert _points(stored) == _points([written])
        assert sum(len(each) for each in stored) == 2

    async def test_a_later_write_replaces_the_points_it_names_and_no_others(
        self, store: PredictionStorageProvider
    ) -> None:
        await store.put_predictions(_predictions([[1, 2], [3, 4], [5, 6]]), FENCE)

        await store.put_predictions(_predictions([[30, 40], [50, 60]], start=_MORNING + _STEP), FENCE)

        assert _points(await store.get_predictions(_PUMP, _AROUND)) == _points(
            [_predictions([[1, 2], [30, 40], [50, 60]])]
        )

    async def test_a_newer_revision_replaces_what_an_older_one_said(self, store: PredictionStorageProvider) -> None:
        await store.put_predictions(_predictions([[1, 2], [3, 4]], revision="1600000000000"), FENCE)

        await store.put_predictions(_predictions([[10, 20]], revision="1700000000000"), FENCE)

        assert _points(await store.get_predictions(_PUMP, _AROUND)) == _points([_predictions([[10, 20], [3, 4]])])

    async def test_a_point_that_is_not_finite_never_drops_its_row(self, store: PredictionStorageProvider) -> None:
        written = await store.put_predictions(_predictions([[_NAN, 2.0], [3.0, np.inf], [-np.inf, 6.0]]), FENCE)

        assert _labels(written) == [to_ns(_MORNING + number * _STEP) for number in range(3)]
        stored = await store.get_predictions(_PUMP, _AROUND)
        assert _points(stored) == _points([_predictions([[_NAN, 2.0], [3.0, _NAN], [_NAN, 6.0]])])

    async def test_a_row_without_a_finite_point_is_not_reported_and_replaces_nothing(
        self, store: PredictionStorageProvider
    ) -> None:
        await store.put_predictions(_predictions([[1, 2], [3, 4]]), FENCE)

        written = await store.put_predictions(_predictions([[_NAN, np.inf], [7.0, 8.0]]), FENCE)

        assert _labels(written) == [to_ns(_MORNING + _STEP)]
        assert _points(await store.get_predictions(_PUMP, _AROUND)) == _points([_predictions([[1, 2], [7, 8]])])

    async def test_nothing_at_all_may_be_written(self, store: PredictionStorageProvider) -> None:
        assert _labels(await store.put_predictions(_predictions(np.empty((0, 2))), FENCE)) == []
        assert _labels(await store.put_predictions(_predictions([[_NAN, -np.inf], [np.inf, _NAN]]), FENCE)) == []
        assert _points(await store.get_predictions(_PUMP, _AROUND)) == {}

    async def test_what_is_reported_as_written_is_what_can_be_read(self, store: PredictionStorageProvider) -> None:
        values = np.where(np.random.default_rng(7).random((200, 2)) < 0.6, _NAN, 1.5)
        given = _predictions(values)

        written = await store.put_predictions(given, FENCE)

        assert 0 < len(written) < len(given)
        assert _labels(written) == sorted({time for time, _ in _points(await store.get_predictions(_PUMP, _AROUND))})

    async def test_a_window_holds_its_start_and_not_its_end(self, store: PredictionStorageProvider) -> None:
        await store.put_predictions(_predictions([[1, 2], [3, 4], [5, 6]]), FENCE)

        stored = await store.get_predictions(_PUMP, Window(_MORNING + _STEP, _MORNING + 2 * _STEP))

        assert _points(stored) == _points([_predictions([[3, 4]], start=_MORNING + _STEP)])

    async def test_rows_come_back_in_time_order_whatever_the_order_of_writing(
        self, store: PredictionStorageProvider
    ) -> None:
        await store.put_predictions(_predictions([[5, 6]], start=_MORNING + 5 * _STEP), FENCE)
        await store.put_predictions(_predictions([[1, 2]]), FENCE)

        (stored,) = await store.get_predictions(_PUMP, _AROUND)

        assert stored.times.tolist() == [to_ns(_MORNING), to_ns(_MORNING + 5 * _STEP)]

    async def test_models_of_like_names_are_kept_apart(self, store: PredictionStorageProvider) -> None:
        twins = [ModelRef("plant-a", "pump"), ModelRef("plant", "a-pump"), ModelRef("plant-A", "pump")]
        for number, model in enumerate(twins):
            await store.put_predictions(_predictions([[float(number)] * 2], model=model), FENCE)

        for number, model in enumerate(twins):
            stored = _points(await store.get_predictions(model, _AROUND))
            assert set(stored.values()) == {float(number)}

    @pytest.mark.parametrize(
        "name",
        ["Volume Flow RateRMS", "a/b,c=d", 'quote " and \\ slash', "Temperatur °C", "温度", "it's", "{1,2}", "NULL"],
    )
    async def test_any_tag_name_survives(self, store: PredictionStorageProvider, name: str) -> None:
        columns = (Column("model-output", name), Column("tag-anomaly-scaled", name))

        await store.put_predictions(_predictions([[1, 2]], columns=columns), FENCE)

        stored = _points(await store.get_predictions(_PUMP, _AROUND))
        assert {column for _, column in stored} == set(columns)

    async def test_many_writers_at_once_do_not_disturb_each_other(self, store: PredictionStorageProvider) -> None:
        models = [ModelRef("plant-a", f"pump-{number}") for number in range(20)]

        await asyncio.gather(
            *(
                store.put_predictions(_predictions([[float(n)] * 2] * 6, model=model), FENCE)
                for n, model in enumerate(models)
                for _ in "ab"
            )
        )

        for number, model in enumerate(models):
            stored = _points(await store.get_predictions(model, _AROUND))
            assert list(stored.values()) == [float(number)] * 12

    @pytest.mark.parametrize("older", _OLDER, ids=str)
    async def test_a_fenced_store_refuses_an_older_writer_and_another_cannot(
        self, store: PredictionStorageProvider, older: Fence
    ) -> None:
        standing, late = (
            _predictions([[1, 2], [3, 4]], revision="1000"),
            _predictions([[10, 20], [30, 40]], revision="2000"),
        )
        await store.put_predictions(standing, _BEFORE)

        written = await store.put_predictions(late, older)

        assert written.times.tolist() == ([] if store.fenced else late.times.tolist())
        assert _points(await store.get_predictions(_PUMP, _AROUND)) == _points([standing if store.fenced else late])

    @pytest.mark.parametrize("fence", [_BEFORE, *_NEWER], ids=str)
    async def test_a_writer_that_is_not_older_replaces_whatever_its_revision(
        self, store: PredictionStorageProvider, fence: Fence
    ) -> None:
        await store.put_predictions(_predictions([[1, 2], [3, 4]], revision="2000"), _BEFORE)
        newest = _predictions([[10, 20], [30, 40]], revision="1000")

        written = await store.put_predictions(newest, fence)

        assert written.times.tolist() == newest.times.tolist()
        assert _points(await store.get_predictions(_PUMP, _AROUND)) == _points([newest])


class FencedPredictionStoreContract(PredictionStoreContract):
    """Every test that a store has to pass that compares writers, and so keeps a point from an older one."""

    async def test_an_older_writer_fills_only_what_a_newer_one_left_out(self, store: PredictionStorageProvider) -> None:
        await store.put_predictions(_predictions([[3, 4]], start=_MORNING + _STEP), _NEWER[0])

        written = await store.put_predictions(_predictions([[10, 20], [30, 40], [50, 60]]), _BEFORE)

        assert written.times.tolist() == [to_ns(_MORNING), to_ns(_MORNING + 2 * _STEP)]
        expected = _points([_predictions([[10, 20], [3, 4], [50, 60]])])
        assert _points(await store.get_predictions(_PUMP, _AROUND)) == expected

    async def test_a_newer_row_of_one_model_refuses_none_of_another(self, store: PredictionStorageProvider) -> None:
        await store.put_predictions(_predictions([[1, 2], [3, 4]], model=ModelRef("plant-a", "fan")), _NEWER[0])
        await store.put_predictions(_predictions([[5, 6]]), _NEWER[0])

        written = await store.put_predictions(_predictions([[10, 20], [30, 40]]), _BEFORE)

        assert written.times.tolist() == [to_ns(_MORNING + _STEP)]

    async def test_a_newer_writer_holds_its_row_though_it_wrote_what_was_there(
        self, store: PredictionStorageProvider
    ) -> None:
        same = _predictions([[1, 2]])
        await store.put_predictions(same, _OLDER[0])
        assert len(await store.put_predictions(same, _NEWER[0])) == 1

        assert len(await store.put_predictions(_predictions([[7, 8]]), _BEFORE)) == 0

        assert _points(await store.get_predictions(_PUMP, _AROUND)) == _points([same])

    async def test_of_writers_at_once_the_newest_stands(self, store: PredictionStorageProvider) -> None:
        by_fence = {fence: _predictions([[float(number)] * 2] * 6) for number, fence in enumerate(_IN_ORDER)}

        await asyncio.gather(*(store.put_predictions(each, fence) for fence, each in by_fence.items()))

        assert _points(await store.get_predictions(_PUMP, _AROUND)) == _points([by_fence[_IN_ORDER[-1]]])


def _predictions(
    rows: npt.ArrayLike | Sequence[Sequence[float]],
    *,
    columns: Sequence[Column] = (_OUTPUT, _SCORE),
    model: ModelRef = _PUMP,
    revision: str = "1600000000000",
    start: datetime = _MORNING,
) -> Predictions:
    """One row every ten minutes from ``start``."""
    values = np.asarray(rows, np.float64)
    times = np.array([to_ns(start + number * _STEP) for number in range(len(values))], np.int64)
    return Predictions(model, revision, times, tuple(columns), values)


def _points(stored: Sequence[Predictions]) -> dict[tuple[int, Column], float]:
    """Finite points by name, whatever the revisions."""
    return {
        (int(time), column): float(value)
        for each in stored
        for time, row in zip(each.times, each.values, strict=True)
        for column, value in zip(each.columns, row, strict=True)
        if np.isfinite(value)
    }


def _labels(written: Written) -> list[int]:
    times: list[int] = written.times.tolist()
    return times
