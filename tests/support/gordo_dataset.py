"""Cases that gordo-core has answered: what we make of them, and whether it is the same.

The cases are written by ``tests/real_gordo/dataset_cases.py``, which describes their form.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from latigo.dataset import Buckets, Dataset, Emptiness, build, parse_dataset
from latigo.domain.errors import Rejected
from latigo.domain.model import DatasetConfig
from latigo.domain.series import Frame, Point, Series
from latigo.domain.windows import Window, span_ns, to_ns

Case = Mapping[str, Any]

GORDO_ERRORS = {
    "InsufficientDataError": Emptiness.NO_READINGS,
    "EmptyGeneratedDataframeError": Emptiness.NO_COMMON_LABEL,
    "RowFilterEmptyDataError": Emptiness.FILTERED,
}


def nanoseconds(text: str) -> int:
    return to_ns(datetime.fromisoformat(text))


def _series(points: list[list[Any]]) -> Series:
    times = np.array([nanoseconds(time) for time, _ in points], np.int64)
    return Series(times, np.array([math.nan if value is None else value for _, value in points], np.float64))


def _between(series: Series, low: int, high: int) -> Series:
    inside = (low <= series.times) & (series.times < high)
    return Series(series.times[inside], series.values[inside])


def _period(case: Case) -> Window:
    config = case["config"]
    return Window(datetime.fromisoformat(config["train_start_date"]), datetime.fromisoformat(config["train_end_date"]))


def _look_back(case: Case, config: DatasetConfig, readings: Mapping[str, Series], period: Window) -> dict[str, Point]:
    """What a source answers to ``get_last_before``."""
    if not case["look_back"]:
        return {}
    result = {}
    for tag in Buckets.of(config, readings, period).look_back:
        assert config.interpolation_limit is not None
        start = to_ns(period.start)
        before = _between(_series(case["raw"][tag]), start - span_ns(config.interpolation_limit), start)
        (valid,) = (~np.isnan(before.values)).nonzero()
        if len(valid):
            result[tag] = Point(int(before.times[valid[-1]]), float(before.values[valid[-1]]))
    return result


def made_of(case: Case, *, label_at_end: bool) -> Dataset:
    """What we make of a case.

    Raises:
        Rejected: the dataset configuration is refused.
        ValueError: the period is.
    """
    config = parse_dataset(case["config"], None)
    period = _period(case)
    start, end = to_ns(period.start), to_ns(period.end) + case["end_closed"]
    readings = {tag: _between(_series(case["raw"].get(tag, [])), start, end) for tag in config.tags}
    look_back = _look_back(case, config, readings, period)
    return build(config, readings, period, look_back, label_at_end=label_at_end)


def assert_same(case: Case) -> None:
    """Ours is what gordo-core answered, rows, values and reasons alike; without the row at the end as well."""
    expected = case["expected"]
    if expected.get("error") not in {None, *GORDO_ERRORS}:
        assert _refuses(case), expected
        return
    dataset = made_of(case, label_at_end=True)
    if "error" in expected:
        assert (dataset.emptiness, len(dataset)) == (GORDO_ERRORS[expected["error"]], 0)
        return
    assert dataset.emptiness is None
    cut = made_of(case, label_at_end=False)
    end = to_ns(_period(case).end)
    for frame, before_end, wanted in ((dataset.x, cut.x, expected["X"]), (dataset.y, cut.y, expected["y"])):
        _assert_frame(frame, wanted, last=end)
        _assert_frame(before_end, wanted, last=end - 1)


def _refuses(case: Case) -> bool:
    try:
        made_of(case, label_at_end=True)
    except (Rejected, ValueError):
        return True
    return False


def _assert_frame(frame: Frame, wanted: Mapping[str, Any], *, last: int) -> None:
    times = [nanoseconds(time) for time in wanted["index"]]
    rows = [row for row, time in zip(wanted["data"], times, strict=True) if time <= last]
    assert frame.columns == tuple(wanted["columns"])
    assert frame.times.tolist() == [time for time in times if time <= last]
    values = np.array(rows, np.float64).reshape(len(rows), len(frame.columns))
    np.testing.assert_allclose(frame.values, values, rtol=1e-9, atol=1e-12)
