"""Names of the series that hold predictions: ``TAG|MODEL|COLUMN``, as the original named them."""

from collections.abc import Sequence
from typing import NamedTuple

from latigo.domain.errors import Reason, Rejected
from latigo.domain.model import ModelRef
from latigo.domain.series import Column

_SEPARATOR, _INSTEAD = "|", "-"
_WHOLE_MODEL = "INDICATOR"


class SeriesName(NamedTuple):
    """Name and description of the series of one column."""

    name: str
    description: str


def name_of(column: Column, model: ModelRef, facility: str, *, with_project: bool) -> SeriesName:
    """Return the name of a column's series; columns of the whole model are indicators of the facility."""
    tag = column.tag or f"{facility}.{_WHOLE_MODEL}"
    machine = f"{model.project}.{model.name}" if with_project else model.name
    name = _SEPARATOR.join(part.replace(_SEPARATOR, _INSTEAD) for part in (tag, machine, column.group))
    return SeriesName(name, f"Gordo {column.group} - {column.tag}")


def names_of(columns: Sequence[Column], model: ModelRef, facility: str, *, with_project: bool) -> Sequence[SeriesName]:
    """Return the names of all columns.

    Raises:
        Rejected: ``WRITE_REFUSED``: two columns would have the same name; names both.
    """
    names = [name_of(column, model, facility, with_project=with_project) for column in columns]
    seen: dict[str, Column] = {}
    for column, named in zip(columns, names, strict=True):
        if named.name in seen:
            raise Rejected(
                f"the columns {tuple(seen[named.name])} and {tuple(column)} would both be the series {named.name!r}",
                reason=Reason.WRITE_REFUSED,
            )
        seen[named.name] = column
    return names


def pattern_of(model: ModelRef, *, with_project: bool) -> str:
    """Return a search pattern for the series of a model; it may find others as well."""
    machine = f"{model.project}.{model.name}" if with_project else model.name
    return f"*|{machine.replace(_SEPARATOR, _INSTEAD)}|*"


def column_of(name: str, model: ModelRef, facility: str, *, with_project: bool) -> Column | None:
    """Return the column that a series holds; None if it is of another model."""
    parts = name.split(_SEPARATOR)
    machine = f"{model.project}.{model.name}" if with_project else model.name
    if len(parts) != 3 or parts[1] != machine.replace(_SEPARATOR, _INSTEAD):
        return None
    tag, _, group = parts
    return Column(group, "" if tag.lower() == f"{facility}.{_WHOLE_MODEL}".lower() else tag)
