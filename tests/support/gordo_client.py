"""What Gordo's own client, unmodified, gets from a real server: what Latigo's predictions are held against."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np

from latigo.domain.model import ModelRef
from latigo.domain.series import Column
from latigo.domain.windows import Window, iso, to_ns
from tests.support.gordo_python import run_in_gordo

Points = Mapping[Column, dict[int, float]]  #: value by time (ns), by column
#: How gordo-core says that there is nothing to predict from.
NOTHING = {"InsufficientDataError", "EmptyGeneratedDataframeError", "RowFilterEmptyDataError"}


async def client_points(
    url: str,
    windows: Mapping[ModelRef, Sequence[Window]],
    revision: str,
    readings: Path,
    layout: Literal["long", "wide"] = "long",
) -> Mapping[ModelRef, Points]:
    """Let the client predict windows of models of one project from the readings in a file.

    Only finite points inside of the windows: the client also answers the rows before a window that it needs, and one
    at its end that is made up.
    """
    (project,) = {ref.project for ref in windows}
    answers = await run_in_gordo(
        "client_windows.py",
        {
            "port": urlsplit(url).port,
            "project": project,
            "revision": revision,
            "path": str(readings),
            "layout": layout,
            "windows": {ref.name: [[iso(w.start), iso(w.end)] for w in each] for ref, each in windows.items()},
        },
    )
    result: dict[ModelRef, Points] = {}
    for ref, requested in windows.items():
        points: dict[Column, dict[int, float]] = defaultdict(dict)
        for window, answer in zip(requested, answers[ref.name], strict=True):
            for column, values in _points_within(window, answer).items():
                points[column] |= values
        result[ref] = points
    return result


def _points_within(window: Window, answer: Mapping[str, Any]) -> Points:
    if "error" in answer:
        assert answer["error"] in NOTHING
        return {}
    times, rows = np.array(answer["times"]), np.array(answer["rows"], np.float64)
    inside = (times >= to_ns(window.start)) & (times < to_ns(window.end))
    result: dict[Column, dict[int, float]] = {}
    for place, (group, tag) in enumerate(answer["columns"]):
        if group != "model-input":
            values = rows[inside, place]
            finite = np.isfinite(values)
            result[Column(group, tag)] = dict(zip(times[inside][finite].tolist(), values[finite].tolist(), strict=True))
    return result


def assert_same_points(
    mine: Points, theirs: Points, *, relative: float, absolute: Mapping[Column, float] | None = None
) -> None:
    """The same rows in the same columns with the same values; a column without a finite point need not be there."""
    assert _used(mine) == _used(theirs)
    for column in _used(theirs):
        wanted, result = theirs[column], mine[column]
        assert sorted(result) == sorted(wanted), column
        np.testing.assert_allclose(
            [result[time] for time in wanted],
            list(wanted.values()),
            rtol=relative,
            atol=(absolute or {}).get(column, 0.0),
            err_msg=str(column),
        )


def _used(points: Points) -> set[Column]:
    return {column for column, values in points.items() if values}
