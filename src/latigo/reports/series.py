"""Predictions and readings of a model as series for charts."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from latigo.domain.anomaly import TOTAL, over_threshold, tag_shares, tag_thresholds, threshold
from latigo.domain.errors import Misused, Unavailable
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Values
from latigo.domain.windows import DAY, Window, to_ns
from latigo.postgres.database import Database
from latigo.providers.protocols import PredictionStorageProvider, SensorDataProvider
from latigo.reports.base import Report
from latigo.reports.buckets import Bucketed, bucketed, bucketed_readings, united
from latigo.reports.filled import FilledWindow, filled_shares, read_filled
from latigo.reports.receipts import TagShare

LONGEST: Final = 92 * DAY
LONGEST_READINGS: Final = DAY
MOST_POINTS: Final = 2000
MOST_COLUMNS: Final = 200
MOST_NUMBERS: Final = 200_000
MOST_TAGS: Final = 50  #: whose readings are read at once
READINGS_OCTETS: Final = 64_000_000
PREDICTIONS_OCTETS: Final = 200_000_000  #: of an answer before it is bucketed
_AT_ONCE: Final = 7 * DAY  #: of predictions, so that nothing waits long for the rows of one answer
_MILLISECOND: Final = 1_000_000  #: in nanoseconds
_DIGITS: Final = 6  #: of numbers, which is more than a chart shows


class SeriesColumn(Report):
    """What one column is."""

    group: str
    tag: str  #: empty: of the whole model


class SeriesReport(Report):
    """Columns over time. Lists of numbers are by column, and within it by time; null: nothing finite."""

    project: str
    model: str
    start: datetime
    end: datetime
    source: str  #: that was read, by the name of its circuit
    columns: Sequence[SeriesColumn]
    time: Sequence[int]  #: milliseconds since 1970, UTC: begins of buckets, or times of rows
    bucket_s: float | None  #: length of a bucket; None: rows as they are, in ``mean``; ``min`` and ``max`` are empty
    min: Sequence[Sequence[float | None]]
    max: Sequence[Sequence[float | None]]
    mean: Sequence[Sequence[float | None]]
    thresholds: Mapping[str, float]  #: by group: the line above which a row is an anomaly
    tag_thresholds: Mapping[str, float]  #: by tag: the same of its ``tag-anomaly-unscaled``
    filled: Mapping[str, Sequence[float | None]]  #: by tag, over time: share of rows that were filled; null: not known
    shares: Sequence[TagShare]  #: of all tags, the greatest first
    rows: int  #: that were read
    cut: bool  #: there are more columns than were sent


class Chosen(Report):
    """Which columns of predictions are wanted."""

    groups: Sequence[str] = ()  #: none: all
    tags: Sequence[str] = ()  #: besides those of the whole model; none: all
    worst: int | None = None  #: so many tags that carry most of the anomaly in the range, instead of ``tags``


async def read_predictions(
    database: Database,
    stores: Sequence[PredictionStorageProvider],
    ref: ModelRef,
    window: Window,
    chosen: Chosen,
    points: int,
) -> SeriesReport:
    """Return the predictions of a model that a sink has, of the first one that can be read.

    What was filled is what the receipts of their windows say: what the model was given then, whatever the source has
    now.

    Raises:
        Misused: the range is too long, or has too many numbers.
        Unavailable: there is no sink that can be read, or none that answers.
    """
    if window.length > LONGEST:
        raise Misused(f"from: at most {LONGEST.days} days before to")
    store, parts = await _stored(stores, ref, window)
    windows = await read_filled(database, ref, window)
    return await asyncio.to_thread(_report, store, ref, window, parts, chosen, points, windows)


async def read_readings(
    source: SensorDataProvider, ref: ModelRef, tags: Sequence[str], window: Window, points: int
) -> SeriesReport:
    """Return readings of tags in buckets.

    Raises:
        Misused: the range is too long, or there are too many tags.
        LatigoError: the source cannot be read.
    """
    if window.length > LONGEST_READINGS:
        raise Misused(f"from: readings of at most {LONGEST_READINGS // timedelta(hours=1)} h before to")
    if len(tags) > MOST_TAGS:
        raise Misused(f"tag: at most {MOST_TAGS} at once; name those that are wanted")
    readings = await source.get_data_for_range(tags, window, max_bytes=READINGS_OCTETS)
    rows = sum(len(series) for series in readings.values())
    wanted = {tag: readings[tag] for tag in tags}
    points = min(points, MOST_NUMBERS // max(3 * len(tags), 1))
    table = await asyncio.to_thread(
        bucketed_readings, wanted, to_ns(window.start), window.length.total_seconds(), max(points, 2)
    )
    nothing: dict[str, Any] = {"thresholds": {}, "tag_thresholds": {}, "filled": {}, "shares": ()}
    return _with(table, ref, window, source.downstream, rows, **nothing, cut=False)


async def _stored(
    stores: Sequence[PredictionStorageProvider], ref: ModelRef, window: Window
) -> tuple[str, list[Predictions]]:
    unavailable = None
    for store in stores:
        parts: list[Predictions] = []
        try:
            for piece in window.slots(_AT_ONCE):
                parts += await store.get_predictions(ref, piece)
                if sum(part.values.nbytes for part in parts) > PREDICTIONS_OCTETS:
                    length = (piece.end - window.start) // timedelta(hours=1)
                    raise Misused(f"from: so many columns and rows are read of less than {length} h at once")
        except NotImplementedError:
            continue
        except Unavailable as error:
            unavailable = error
            continue
        return store.downstream, parts
    if unavailable is not None:
        raise unavailable
    raise Misused(
        "predictions: none of the sinks in the settings can be read back; their own tools show what they hold"
        if stores
        else "predictions: this process has no sink open, so it cannot read predictions"
    )


def _report(
    store: str,
    ref: ModelRef,
    window: Window,
    parts: Sequence[Predictions],
    chosen: Chosen,
    points: int,
    windows: Sequence[FilledWindow],
) -> SeriesReport:
    times, columns, values = united(sorted(parts, key=_revision))
    over = over_threshold(columns, values)
    odd = values[over] if over is not None and over.any() else values
    shares = tag_shares(columns, odd)
    limit = threshold(columns, values)
    kept = _chosen(columns, shares, chosen)
    cut = len(kept) > MOST_COLUMNS
    kept = kept[:MOST_COLUMNS]
    points = max(min(points, MOST_NUMBERS // max(3 * len(kept), 1)), 2)
    tags = list(dict.fromkeys(columns[place].tag for place in kept if columns[place].tag))
    table = bucketed(times, [columns[place] for place in kept], values[:, kept], window.length.total_seconds(), points)
    return _with(
        table,
        ref,
        window,
        store,
        len(times),
        thresholds={} if limit is None else {TOTAL.group: limit},
        tag_thresholds=tag_thresholds(columns, values),
        filled=dict(zip(tags, _numbers(filled_shares(windows, table.times, table.bucket_s, tags)), strict=True)),
        shares=[TagShare(tag=tag, share=round(share, 4)) for tag, share in shares.items()],
        cut=cut,
    )


def _revision(part: Predictions) -> tuple[int, str]:
    """Order revisions by age: they are numbers that rise."""
    return int(part.revision) if part.revision.isdecimal() else 0, part.revision


def _chosen(columns: Sequence[Column], shares: dict[str, float], chosen: Chosen) -> list[int]:
    """Return the places of columns: of the whole model first, then by what their tags carry."""
    tags = list(chosen.tags)
    if chosen.worst is not None:
        known = list(dict.fromkeys(column.tag for column in columns if column.tag))
        ranked = [*shares, *(tag for tag in known if tag not in shares)]
        tags = ranked[: chosen.worst]
    rank = {"": -1, **{tag: number for number, tag in enumerate(shares)}}
    wanted = [
        place
        for place, column in enumerate(columns)
        if (not chosen.groups or column.group in chosen.groups)
        and (not column.tag or (not chosen.tags and chosen.worst is None) or column.tag in tags)
    ]
    return sorted(wanted, key=lambda place: rank.get(columns[place].tag, len(rank)))


def _with(table: Bucketed, ref: ModelRef, window: Window, source: str, rows: int, **rest: Any) -> SeriesReport:
    raw = table.bucket_s is None
    return SeriesReport(
        project=ref.project,
        model=ref.name,
        start=window.start,
        end=window.end,
        source=source,
        columns=[SeriesColumn(group=column.group, tag=column.tag) for column in table.columns],
        time=(table.times // _MILLISECOND).tolist(),
        bucket_s=table.bucket_s,
        min=[] if raw else _numbers(table.least),
        max=[] if raw else _numbers(table.greatest),
        mean=_numbers(table.mean),
        rows=rows,
        **rest,
    )


def _numbers(table: Values) -> list[list[float | None]]:
    """Return numbers to six digits, by row; None for those that are not finite."""
    finite = np.isfinite(table) & (table != 0)
    scale = np.ones(table.shape)
    scale[finite] = 10.0 ** np.clip(_DIGITS - 1 - np.floor(np.log10(np.abs(table[finite]))), -300, 300)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.round(table * scale) / scale
    rounded = np.where(np.isfinite(rounded), rounded, table)
    numbers = rounded.astype(object)
    numbers[~np.isfinite(table)] = None
    listed: list[list[float | None]] = numbers.tolist()
    return listed


def to_arrow(series: SeriesReport) -> bytes:
    """Return a series as an Arrow stream: ``time``, and for each column its least, greatest and mean.

    Columns are called ``group|tag|mean`` and so on; of rows as they are, there is the mean alone.
    """
    import pyarrow as pa  # noqa: PLC0415 - takes long, and most answers are JSON

    names, arrays = ["time"], [pa.array(series.time, pa.timestamp("ms", "UTC"))]
    for kind, table in (("min", series.min), ("max", series.max), ("mean", series.mean)):
        for column, numbers in zip(series.columns, table, strict=False):
            names.append(f"{column.group}|{column.tag}|{kind}")
            arrays.append(pa.array(numbers, pa.float64()))
    batch = pa.record_batch(arrays, names=names)
    metadata = {"source": series.source, "bucket_s": str(series.bucket_s or ""), "rows": str(series.rows)}
    batch = batch.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    octets: bytes = sink.getvalue().to_pybytes()
    return octets
