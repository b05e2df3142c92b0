"""Which inputs of predictions were filled, from the receipts of their windows."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from latigo.domain.model import ModelRef
from latigo.domain.receipt import Receipt
from latigo.domain.series import Times, Values
from latigo.domain.windows import Window, to_ns
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements

SQL = load_statements("latigo.reports", "filled.sql")
#: Windows that are read: those of 92 days of half hours, and then some.
MOST_WINDOWS: Final = 5000


class FilledWindow(NamedTuple):
    """A window, and what was filled of it."""

    start: int  #: ns
    end: int
    shares: Mapping[str, float]  #: by tag: of its rows, those without a reading of their own


async def read_filled(database: Database, ref: ModelRef, window: Window) -> list[FilledWindow]:
    """Return the windows in a range that left predictions, in the order in which they were settled.

    As far as receipts are kept: the newest `MOST_WINDOWS`.
    """
    rows = await database.fetch(SQL["written_in"], *ref, window.start, window.end, MOST_WINDOWS)
    return [found for row in rows if (found := _filled(row)) is not None]


def _filled(row: Any) -> FilledWindow | None:
    receipt = Receipt.from_bytes(row["receipt"])
    names = list(dict.fromkeys(row["tags"] or ()))
    if receipt is None or receipt.inputs is None or not receipt.inputs.labels or len(names) != len(receipt.inputs.rows):
        return None
    labels = receipt.inputs.labels
    shares = {tag: 1 - min(rows / labels, 1.0) for tag, rows in zip(names, receipt.inputs.rows, strict=True)}
    return FilledWindow(to_ns(row["start"]), to_ns(row["end"]), shares)


def filled_shares(windows: Sequence[FilledWindow], times: Times, bucket_s: float | None, tags: Sequence[str]) -> Values:
    """Return the share of filled rows by tag and time, NaN where it is not known. Pure.

    A receipt counts the rows of a window, so that all rows of a window have its share; of two windows at a time, the
    one that was settled last counts. A bucket has the greatest share of the windows that begin in it or contain its
    beginning.

    Args:
        windows: in the order in which they were settled.
        times: ns, ascending: of rows, or begins of buckets.
        bucket_s: length of a bucket; None: rows.
        tags: that are wanted.
    """
    length = 1 if bucket_s is None else int(bucket_s * 1_000_000_000)
    table = np.full((len(tags), len(times)), np.nan)
    for window in windows:
        first, last = np.searchsorted(times, (window.start - length + 1, window.end))
        if first == last:
            continue
        shares = np.array([window.shares.get(tag, np.nan) for tag in tags])[:, np.newaxis]
        there = table[:, first:last]
        there[:] = shares if bucket_s is None else np.fmax(there, shares)
    return table
