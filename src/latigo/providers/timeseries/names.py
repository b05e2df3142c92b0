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


def names_of(columns: Sequence[Column], model: ModelRef, facility: str, *, with_project: bool) -> Sequence[SeriesName]:
    """Return the names of all columns; columns of the whole model are indicators of the facility.

    Raises:
        Rejected: ``WRITE_REFUSED``: two columns would have the same name; names both.
    """
    machine, indicator = _part(_machine(model, with_project=with_project)), f"{facility}.{_WHOLE_MODEL}"
    names = [SeriesName(_joined(tag or indicator, machine, group), f"Gordo {group} - {tag}") for group, tag in columns]
    if len({name for name, _ in names}) < len(names):
        raise _of_one_name(columns, names)
    return names


def _of_one_name(columns: Sequence[Column], names: Sequence[SeriesName]) -> Rejected:
    seen: dict[str, Column] = {}
    for column, (name, _) in zip(columns, names, strict=True):
        if name in seen:
            break
        seen[name] = column
    return Rejected(
        f"the columns {tuple(seen[name])} and {tuple(column)} would both be the series {name!r}",
        reason=Reason.WRITE_REFUSED,
    )


def _machine(model: ModelRef, *, with_project: bool) -> str:
    return f"{model.project}.{model.name}" if with_project else model.name


def _joined(tag: str, machine: str, group: str) -> str:
    name = f"{tag}{_SEPARATOR}{machine}{_SEPARATOR}{group}"
    if name.count(_SEPARATOR) == 2:  # as nearly always
        return name
    return _SEPARATOR.join((_part(tag), machine, _part(group)))


def _part(text: str) -> str:
    return text.replace(_SEPARATOR, _INSTEAD)


def pattern_of(model: ModelRef, *, with_project: bool) -> str:
    """Return a search pattern for the series of a model; it may find others as well."""
    return f"*|{_part(_machine(model, with_project=with_project))}|*"


def column_of(name: str, model: ModelRef, facility: str, *, with_project: bool) -> Column | None:
    """Return the column that a series holds; None if it is of another model."""
    parts = name.split(_SEPARATOR)
    if len(parts) != 3 or parts[1] != _part(_machine(model, with_project=with_project)):
        return None
    tag, _, group = parts
    return Column(group, "" if tag.lower() == f"{facility}.{_WHOLE_MODEL}".lower() else tag)
