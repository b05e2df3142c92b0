"""The scores of many receipts at once. Pure, and numpy: one by one they take a hundred times as long."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.domain.receipt import MOST_CARRIERS

#: Versions of the form that are known here, see `latigo.domain.receipt`: without and with carriers.
_PLAIN, _WITH_TAGS = 1, 2
_COUNT_OF_TAGS: Final = 7  #: which of the numbers it is
_OVER, _FLAGS = 11, 12  #: the same, where no tags are counted
_AT_ONCE: Final = 10_000  #: receipts, so that they stay in the processor's cache
_LONGEST: Final = 9  #: octets of a number below 2^63


class Scores(NamedTuple):
    """Scores by receipt, ``n`` of them."""

    highest: npt.NDArray[np.float64]  #: NaN: there is no score
    over: npt.NDArray[np.int64]  #: rows over the threshold; -1: the model has none
    carriers: npt.NDArray[np.int32]  #: of shape (n, 3): places of tags, -1: none
    percents: npt.NDArray[np.int32]  #: the same: what they carry

    def of(self, order: npt.NDArray[np.int64]) -> "Scores":
        """Return those of these receipts, in this order."""
        return Scores(self.highest[order], self.over[order], self.carriers[order], self.percents[order])


def decode_scores(octets: bytes, lengths: npt.NDArray[np.int64]) -> Scores:
    """Return the scores of receipts that stand one behind the other; of one that is cut off or not known, none."""
    data, stops = np.frombuffer(octets, np.uint8), np.cumsum(lengths)
    parts = []
    for first in range(0, max(len(lengths), 1), _AT_ONCE):
        some = lengths[first : first + _AT_ONCE]
        begin = int(stops[first] - lengths[first]) if len(some) else 0
        parts.append(_decoded(data[begin : begin + int(some.sum())], some))
    return Scores(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _decoded(data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> Scores:
    count = len(lengths)
    scores = Scores(
        np.full(count, np.nan),
        np.full(count, -1, np.int64),
        np.full((count, MOST_CARRIERS), -1, np.int32),
        np.zeros((count, MOST_CARRIERS), np.int32),
    )
    stops = np.cumsum(lengths)
    starts = stops - lengths
    known = np.flatnonzero(lengths > 0)
    known = known[np.isin(data[starts[known]], (_PLAIN, _WITH_TAGS))]
    ends = np.flatnonzero(data < 0x80)  # of numbers, and others behind them, which are not counted
    if not len(known) or not len(ends):
        return scores
    first = ends.searchsorted(starts[known])
    tags, valid = _number(data, ends, first + _COUNT_OF_TAGS, stops[known])
    known, first, tags = known[valid], first[valid], tags[valid]
    tags = np.minimum(tags, len(data))
    over, _ = _number(data, ends, first + _OVER + 2 * tags, stops[known])
    flags, valid = _number(data, ends, first + _FLAGS + 2 * tags, stops[known])
    at = ends[np.minimum(first + _FLAGS + 2 * tags, len(ends) - 1)] + 1
    scored = valid & (flags & 1 > 0) & (at + 8 <= stops[known])
    known, over, at = known[scored], over[scored], at[scored]
    scores.highest[known] = data[at[:, None] + np.arange(8)].copy().view("<f8")[:, 0]
    scores.over[known] = over - 1
    _carriers(data, stops, known, at + 8, scores)
    return scores


def _carriers(
    data: npt.NDArray[np.uint8],
    stops: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    at: npt.NDArray[np.int64],
    scores: Scores,
) -> None:
    starts = stops[known - 1] if len(known) else stops[:0]
    starts = np.where(known == 0, 0, starts)
    tagged = (data[starts] == _WITH_TAGS) & (at < stops[known])
    known, at = known[tagged], at[tagged]
    counts = data[at].astype(np.int64)
    for number in range(MOST_CARRIERS):
        begin = at + 1 + 3 * number
        there = (number < counts) & (begin + 3 <= stops[known])
        rows, places = known[there], begin[there]
        scores.carriers[rows, number] = data[places] + (data[places + 1].astype(np.int64) << 8)
        scores.percents[rows, number] = data[places + 2]


def _number(
    data: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
    place: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the numbers at these places among all, and whether each ends within its receipt."""
    valid = place < len(ends)
    place = np.minimum(place, len(ends) - 1)
    end = ends[place]
    valid &= end < stops
    length = np.minimum(end - ends[np.maximum(place - 1, 0)], _LONGEST)
    number = data[end].astype(np.int64)
    for octet in range(1, int(length.max(initial=1))):
        longer = length > octet
        number = np.where(longer, number << 7 | data[np.maximum(end - octet, 0)] & 0x7F, number)
    return number, valid
