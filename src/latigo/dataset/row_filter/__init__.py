"""The row filter: an allow-listed subset of ``pandas.DataFrame.eval``, over numpy.

The text is parsed, never run. Anything outside the subset raises `Rejected` and is named, so that a filter is either
applied as gordo-core applies it or not at all. In gordo-core ``&`` and ``|`` mean ``and`` and ``or``, and bind weaker
than comparisons.

Filters come from the network: their length, depth and constants are limited.

``language`` parses the text into ``expressions``; ``operators`` and ``methods`` are what a filter may use.
"""

from latigo.dataset.row_filter.expressions import Table, rejected
from latigo.dataset.row_filter.language import RowFilter, join, parse

__all__ = ["RowFilter", "Table", "join", "parse", "rejected"]
