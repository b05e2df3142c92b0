"""The simulated plant that the real test models were trained on, in a file, with sensors that fall silent."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from latigo.domain.series import Series
from latigo.domain.windows import Window, to_ns
from latigo.providers.simulated import synth_series


def write_plant(
    path: Path, period: Window, tags: Mapping[str, float], silent: Mapping[str, Iterable[Window]] | None = None
) -> None:
    """Write the readings of ``tags``, each with the seconds between two of them, as Parquet in the long layout."""
    silent = silent or {}
    names, times, values = [], [], []
    for number, (tag, seconds) in enumerate(tags.items()):
        series = _without(synth_series(tag, to_ns(period.start), to_ns(period.end), seconds), silent.get(tag, ()))
        names.append(np.full(len(series), number))
        times.append(series.times)
        values.append(series.values)
    time = np.concatenate(times)
    order = np.argsort(time, kind="stable")
    table = pa.table(
        {
            "time": pa.array(time[order], pa.timestamp("ns", "UTC")),
            "tag": pa.DictionaryArray.from_arrays(np.concatenate(names)[order].astype(np.int32), list(tags)),
            "value": np.concatenate(values)[order],
        }
    )
    pq.write_table(table, path, row_group_size=20_000)


def _without(series: Series, windows: Iterable[Window]) -> Series:
    heard = np.ones(len(series), np.bool_)
    for window in windows:
        heard &= (series.times < to_ns(window.start)) | (series.times >= to_ns(window.end))
    return Series(series.times[heard], series.values[heard])
