"""Positions of rows in CSV text, where quoted cells may contain line ends.

Arrow parses rows but does not report their positions, and not the cells of a row that it rejects. Python's csv module
finds them here: where a block may be cut, the line of a row for a message, the time of a malformed row. Readings are
parsed only by Arrow.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate


def last_row_end(data: bytes, separator: str) -> int:
    """Return the offset just after the last complete row; 0 if there is none."""
    end = data.rfind(b"\n") + 1
    if data.count(b'"', 0, end) % 2 == 0:
        return end
    # Either a cell continues on the next line, or a quote is literal, as in 5" pipe: only a parser can decide.
    return max(_row_ends(data[:end], separator), default=0)


def line_of_row(data: bytes, separator: str, row: int) -> int:
    """Return the line on which a row begins; both are counted from 0, rows without blank lines."""
    line = 0
    # In Latin-1 every byte is one character.
    reader = csv.reader(io.StringIO(data.decode("latin-1"), newline=""), delimiter=separator)
    with suppress(csv.Error):  # a quote that is never closed
        for cells in reader:
            if cells:
                if not row:
                    return line
                row -= 1
            line = reader.line_num
    return line + row


def cells_of_row(text: str, separator: str) -> list[str]:
    """Return the cells of one row."""
    with suppress(csv.Error):
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    return []


def _row_ends(data: bytes, separator: str) -> Iterator[int]:
    """Yield the offset just after each row. In Latin-1 every byte is one character."""
    parts = data.decode("latin-1").split("\n")
    ends = list(accumulate(len(part) + 1 for part in parts[:-1]))
    reader = csv.reader((part + "\n" for part in parts[:-1]), delimiter=separator)
    with suppress(csv.Error):  # a cell exceeds the limit, because a quote is never closed
        for cells in reader:
            if not (cells and cells[-1].endswith("\n")):  # else the cell is open at the end of the data
                yield ends[reader.line_num - 1]
