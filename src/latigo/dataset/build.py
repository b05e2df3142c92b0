"""X and y from readings: aggregate, fill, join, filter, split, in gordo-core's order."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.dataset import row_filter
from latigo.dataset.resample import (
    EMPTY_RESULTS,
    INTEGER_METHODS,
    Grid,
    aggregate,
    fill_forward,
    fill_from_before,
    steps,
)
from latigo.domain.errors import TooLarge, describe_tags
from latigo.domain.model import DatasetConfig
from latigo.domain.outcome import SlotState
from latigo.domain.series import Frame, Point, Readings, Series, Times, Values
from latigo.domain.windows import Window, span_ns, to_ns

Flags = npt.NDArray[np.bool_]

#: Tags times labels of one frame; 128 MB as float64.
MOST_CELLS: Final = 1 << 24

_NO_LOOK_BACK: Final[Mapping[str, Point]] = MappingProxyType({})
_EMPTY: Final = Series.empty()
_NEVER: Final = np.iinfo(np.int64).min

#: Reason of a slot whose rows were all dropped by the row filter.
FILTERED: Final = "the row filter leaves no rows"


class Emptiness(StrEnum):
    """Reason for a dataset without rows; gordo-core raises a different error for each."""

    NO_READINGS = "no_readings"  #: a tag has no reading in the period (InsufficientDataError)
    NO_COMMON_LABEL = "no_common_label"  #: no label has a value of every tag (EmptyGeneratedDataframeError)
    FILTERED = "filtered"  #: the row filter drops every row (RowFilterEmptyDataError)


@dataclass(frozen=True, slots=True, eq=False)
class Missing:
    """Labels without a row because a tag has no value there.

    ``lacks`` has shape (labels, tags) and is true where the tag has no value.
    """

    times: Times
    tags: tuple[str, ...]
    lacks: Flags

    def __len__(self) -> int:
        return len(self.times)

    def tags_in(self, window: Window) -> tuple[str, ...]:
        """Return the tags without a value at some label of the window."""
        low, high = self.times.searchsorted((to_ns(window.start), to_ns(window.end)))
        if low == high:
            return ()
        lacking: Flags = np.logical_or.reduce(self.lacks[low:high], axis=0)
        return tuple(self.tags[tag] for tag in lacking.nonzero()[0])


class SlotOutcome(NamedTuple):
    """State of a slot, provided that the model predicts all of its rows."""

    state: SlotState
    reason: str = ""  #: empty for a covered slot; names the tags
    rows: int = 0  #: rows of X in the slot
    silent: bool = False  #: neither rows nor rows that the row filter dropped
    tags: tuple[str, ...] = ()  #: those that the reason is about, all of them


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """X and y, and the labels that are not in them.

    Every label of the period is in exactly one of ``x.times``, ``missing.times`` and ``filtered``.
    """

    x: Frame
    y: Frame  #: has the rows of X
    provisional: Flags  #: shape (rows,): a value was carried past the last reading of its tag and may still change
    missing: Missing
    filtered: Times  #: labels that the row filter dropped
    filtered_provisional: Flags  #: shape (filtered,): as ``provisional``; later readings may restore the row
    tags: tuple[str, ...]  #: all tags of the join, those of y and of the filter included
    last_labels: Times  #: shape (tags,): the last label whose bucket has a reading of the tag; the lowest int64 if none
    emptiness: Emptiness | None = None  #: set if there are no rows
    empty_reason: str = ""  #: the same as a sentence, naming tags
    empty_tags: tuple[str, ...] = ()  #: those that the sentence is about

    def __len__(self) -> int:
        return len(self.x)

    def outcome(self, slot: Window) -> SlotOutcome:
        """Return the state of a slot, provided that the model predicts all of its rows."""
        bounds = (to_ns(slot.start), to_ns(slot.end))
        first, end = self.x.times.searchsorted(bounds)
        first_dropped, end_dropped = self.filtered.searchsorted(bounds)
        rows, dropped = int(end - first), int(end_dropped - first_dropped)
        if not rows and self.emptiness is Emptiness.NO_READINGS:
            return SlotOutcome(SlotState.ABSENT, self.empty_reason, silent=True, tags=self.empty_tags)
        if not rows and dropped:
            return SlotOutcome(SlotState.ABSENT, FILTERED)
        lacking = self.missing.tags_in(slot)
        if not rows:
            return SlotOutcome(SlotState.ABSENT, f"no data: {describe_tags(lacking)}", silent=True, tags=lacking)
        if lacking:
            reason = f"no data in a part of it: {describe_tags(lacking)}"
            return SlotOutcome(SlotState.SHORT, reason, rows, tags=lacking)
        if self.provisional[first:end].any() or self.filtered_provisional[first_dropped:end_dropped].any():
            tags = self.carried_in(slot)
            reason = f"carried on past the last reading: {describe_tags(tags)}"
            return SlotOutcome(SlotState.PROVISIONAL, reason, rows, tags=tags)
        return SlotOutcome(SlotState.COVERED, rows=rows)

    def carried_in(self, window: Window) -> tuple[str, ...]:
        """Return the tags with a value carried past their last reading in the window, in rows kept or filtered."""
        start, end = to_ns(window.start), to_ns(window.end)
        newest = max(
            (int(times[at - 1]) for times in (self.x.times, self.filtered) if (at := times.searchsorted(end))),
            default=_NEVER,
        )
        if newest < start:
            return ()
        return tuple(self.tags[tag] for tag in (self.last_labels < newest).nonzero()[0])


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Readings of a period, aggregated to one number for each tag and label, gaps filled forward.

    `Buckets.of` aggregates readings; `dataset` joins, filters and splits the result, and fills ``values`` in place.
    """

    config: DatasetConfig
    grid: Grid
    values: Values  #: shape (tags, labels); NaN where a bucket is empty
    measured: Flags  #: shape (tags, labels): the value is that of readings in the bucket, not filled
    firsts: npt.NDArray[np.int64]  #: by tag: the first bucket with a reading, or ``grid.count``
    lasts: npt.NDArray[np.int64]  #: by tag: the last bucket with a reading, or -1
    silent: tuple[str, ...]  #: tags without any reading

    @classmethod
    def of(cls, config: DatasetConfig, readings: Readings, period: Window) -> "Buckets":
        """Aggregate readings.

        Args:
            config: the model's dataset configuration, as `latigo.dataset.config.parse_dataset` makes it.
            readings: by tag; other tags and readings outside of the period are ignored. A reading exactly at the
                end counts, as in gordo-core.
            period: for a prediction, the window with its context.

        Raises:
            TooLarge: there would be more than ``MOST_CELLS`` buckets.
        """
        grid, tags = Grid.of(period, span_ns(config.resolution)), config.tags
        if grid.count * len(tags) > MOST_CELLS:
            raise TooLarge(f"{len(tags)} tags by {grid.count} labels are more than {MOST_CELLS} values")
        values = np.empty((len(tags), grid.count))
        with np.errstate(all="ignore"):
            held, known = aggregate([readings.get(tag, _EMPTY) for tag in tags], grid, config.aggregation, values)
            measured = ~np.isnan(values)
            limit = None if config.interpolation_limit is None else steps(config.interpolation_limit, config.resolution)
            fill_forward(values, linear=config.interpolation_method == "linear_interpolation", limit=limit)
        holds = np.logical_or.reduce(held, axis=1)
        firsts = np.where(holds, held.argmax(axis=1), grid.count)
        lasts = np.where(holds, grid.count - 1 - held[:, ::-1].argmax(axis=1), -1)
        silent = tuple(tags[row] for row in (~known).nonzero()[0])
        return cls(config, grid, values, measured, firsts, lasts, silent)

    @property
    def look_back(self) -> tuple[str, ...]:
        """The tags whose last value before the period is needed, because their first bucket is empty.

        Empty where the value would not be used: without an interpolation limit, and when a tag has no reading at all,
        which leaves no rows. The value must not be older than the interpolation limit.
        """
        if self.config.interpolation_limit is None or self.config.aggregation in EMPTY_RESULTS:
            return ()
        if self.silent or self.grid.first % self.grid.step:
            return ()
        return tuple(self.config.tags[row] for row in np.isnan(self.values[:, 0]).nonzero()[0])

    def dataset(self, look_back: Mapping[str, Point] = _NO_LOOK_BACK, *, label_at_end: bool = False) -> Dataset:
        """Return X and y, equal to gordo-core's on all labels before the end of the period.

        Args:
            look_back: the last finite value before the period of the tags that `Buckets.look_back` names.
            label_at_end: keep the row that gordo-core adds at the end of the period, for comparisons with it.

        Raises:
            Rejected: the row filter is invalid; `parse_dataset` rejects such a filter earlier.
        """
        config, grid, tags, buckets = self.config, self.grid, self.config.tags, self.values
        self._fill_beginnings(look_back)
        labels = grid.labels
        shown = grid.count if label_at_end else int(labels.searchsorted(grid.end))
        present = ~np.isnan(buckets)
        complete: Flags = np.logical_and.reduce(present, axis=0)
        provisional = np.arange(grid.count) > self.lasts.min()
        kept = complete
        if config.row_filter and complete.any():
            kept = complete.copy()
            kept[complete] = _kept(config, buckets, labels, complete)
        # Cut only now: methods of the row filter, such as mean, see the row at the end of the period.
        joined, kept = complete[:shown], kept[:shown]
        filtered = joined & ~kept
        emptiness, reason = None, ""
        about: tuple[str, ...] = ()
        if not kept.any():
            emptiness, reason, about = _explain_empty(config, self.silent, present[:, :shown], joined)
        x, y = _split(config, tags, buckets, labels, kept)
        return Dataset(
            x=x,
            y=y,
            provisional=provisional[:shown][kept],
            missing=_missing(tags, present[:, :shown], labels, joined),
            filtered=labels[:shown][filtered],
            filtered_provisional=provisional[:shown][filtered],
            tags=tags,
            last_labels=np.where(self.lasts >= 0, grid.first + grid.step * self.lasts, _NEVER),
            emptiness=emptiness,
            empty_reason=reason,
            empty_tags=about,
        )

    def _fill_beginnings(self, look_back: Mapping[str, Point]) -> None:
        if not look_back or self.config.interpolation_limit is None:
            return
        reach = span_ns(self.config.interpolation_limit)
        for tag in self.look_back:
            point, row = look_back.get(tag), self.config.tags.index(tag)
            if point and self.grid.start - reach <= point.time < self.grid.start:
                with np.errstate(all="ignore"):
                    fill_from_before(self.values[row], int(self.firsts[row]), point, self.grid, reach // self.grid.step)


def build(
    config: DatasetConfig,
    readings: Readings,
    period: Window,
    look_back: Mapping[str, Point] = _NO_LOOK_BACK,
    *,
    label_at_end: bool = False,
) -> Dataset:
    """Return X and y where the look-back is known in advance; see `Buckets`."""
    return Buckets.of(config, readings, period).dataset(look_back, label_at_end=label_at_end)


def _kept(config: DatasetConfig, buckets: Values, labels: Times, complete: Flags) -> Flags:
    """Return which of the complete rows the filter keeps."""
    condition = row_filter.parse(config.row_filter)
    tags = config.tags
    columns: dict[str, npt.NDArray[Any]] = {tag: buckets[tags.index(tag), complete] for tag in condition.tags}
    if config.aggregation in INTEGER_METHODS:
        columns = {tag: column.astype(np.int64) for tag, column in columns.items()}
    return condition.mask(row_filter.Table(labels[complete], columns))


def _split(
    config: DatasetConfig, tags: tuple[str, ...], buckets: Values, labels: Times, kept: Flags
) -> tuple[Frame, Frame]:
    (rows,) = kept.nonzero()
    times = labels[rows]

    def frame(columns: tuple[str, ...]) -> Frame:
        own = buckets if columns == tags else buckets[[tags.index(tag) for tag in columns]]
        return Frame(times, columns, own.take(rows, axis=1).T)

    x = frame(config.tag_list)
    return x, x if config.target_tag_list == config.tag_list else frame(config.target_tag_list)


def _missing(tags: tuple[str, ...], present: Flags, labels: Times, joined: Flags) -> Missing:
    (gaps,) = (~joined).nonzero()
    if not len(gaps):
        return Missing(labels[:0], (), np.empty((0, 0), np.bool_))
    lacks = ~present[:, gaps]
    (lacking,) = np.logical_or.reduce(lacks, axis=1).nonzero()
    return Missing(labels[gaps], tuple(tags[tag] for tag in lacking), lacks[lacking].T)


def _explain_empty(
    config: DatasetConfig, silent: tuple[str, ...], present: Flags, joined: Flags
) -> tuple[Emptiness, str, tuple[str, ...]]:
    """Return why there are no rows, the same as a sentence, and the tags that it is about."""
    tags = config.tags
    if silent:
        return Emptiness.NO_READINGS, f"no reading in the period of {describe_tags(silent)}", silent
    if joined.any():
        text = f"the row filter leaves none of {np.count_nonzero(joined)} rows: {config.row_filter:.200}"
        return Emptiness.FILTERED, text, ()
    values = present.sum(axis=1)
    fewest = tuple(tags[tag] for tag in (values == values.min()).nonzero()[0])
    text = f"no label at which all tags have a value; fewest of {describe_tags(fewest)}: {values.min()}"
    return Emptiness.NO_COMMON_LABEL, text, fewest
