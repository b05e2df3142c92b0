"""The row filter: an allow-listed part of what ``pandas.DataFrame.eval`` takes, over numpy.

The text is parsed, never run. Whatever is not understood is refused with `Rejected`, naming it, so that a filter is
either applied as gordo-core applies it or not at all. In gordo-core ``&`` and ``|`` are ``and`` and ``or``, and bind
less than comparisons.

The size, the depth and the constants of a filter are bounded: it comes from the network.

``language`` reads the text, ``operators`` and ``methods`` are what it may use, ``expressions`` is what it is read into.
"""

from latigo.dataset.row_filter.expressions import Table, rejected
from latigo.dataset.row_filter.language import RowFilter, join, parse

__all__ = ["RowFilter", "Table", "join", "parse", "rejected"]
