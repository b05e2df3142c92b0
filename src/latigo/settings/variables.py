"""Environment variables as tables of settings. Pure; works on any tree of pydantic models."""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from latigo.settings.origins import Path, leaves

DELIMITER = "__"


class UnclearVariable(ValueError):
    """It is not known what a variable is to set.

    Args:
        name: of the variable.
        key: the parts of the key that is the reason.
        reason: what is said of it after the variable.
    """

    def __init__(self, name: str, key: Path, reason: str) -> None:
        super().__init__(name)
        self.name, self.key, self.reason = name, key, reason


_NO_TABLE = "sets a key of it, but another variable sets it as a whole, to something that is no table"


class Given(NamedTuple):
    """What variables set."""

    tables: dict[str, Any]  #: by section
    names: dict[Path, str]  #: the variable of each value, by the path of its key


def tables_of(variables: Mapping[str, str], root: type[BaseModel], file: Mapping[str, Any] | None = None) -> Given:
    """Return what variables set.

    A value is read as JSON where a list or a table is expected. Where it is no JSON, it is left as it is, for its field
    to understand or refuse. What is set as a whole and key by key has both. An item of a table, such as a header or a
    token, has the name that the file or the whole table has for it, whatever its case; so has one in a whole table.

    Args:
        variables: values by name, without prefix and in lower case: ``section``, or ``section__key``. Those of sections
            that do not exist are left out, and those that are ``null`` as a whole.
        root: the class of all settings.
        file: what they are stronger than.

    Raises:
        UnclearVariable: another one contradicts it, it may mean several items, or it sets one twice.
    """
    tables: dict[str, Any] = {}
    names: dict[Path, str] = {}
    for name, text in sorted(variables.items(), key=lambda variable: variable[0].count(DELIMITER)):
        *parts, last = name.split(DELIMITER)
        if [*parts, last][0] not in root.model_fields:
            continue
        table: Any = tables
        below: Any = file
        kind: Any = root
        path: Path = ()
        for part in parts:
            key = _item(name, path, part, table, below) if _names_items(kind) else part
            kind = _below(kind, part)
            path = (*path, key)
            table = table.setdefault(key, {})
            below = _within(below, key)
            if not isinstance(table, dict):
                raise UnclearVariable(name, path, _NO_TABLE)
        value = _decoded(text) if _is_list_or_table(_below(kind, last)) else text
        if value is None and not parts:
            continue
        value = _with_names_of(name, (*path, last), _below(kind, last), value, _within(below, last))
        last = _item(name, path, last, table, below) if _names_items(kind) else last
        table.update(merge(table, {last: value}))
        names |= {(*path, last, *leaf): name for leaf, each in leaves(value) if each != {}}
    return Given(tables, names)


def _within(table: Any, key: str) -> Any:
    return table.get(key) if isinstance(table, Mapping) else None


def _with_names_of(variable: str, path: Path, kind: Any, value: Any, known: Any) -> Any:
    """Return a value of which the items in tables have the names that known tables have for them."""
    if not isinstance(value, dict) or not isinstance(known, Mapping):
        return value
    named: dict[str, Any] = {}
    for key, each in value.items():
        name = _item(variable, path, key, known) if _names_items(kind) else key
        name = key if name in value else name  # it has both
        if name in named:
            raise UnclearVariable(variable, (*path, name), "sets it twice, in different case")
        named[name] = _with_names_of(variable, (*path, name), _below(kind, key), each, known.get(name))
    return named


def _item(variable: str, path: Path, name: str, *tables: Any) -> str:
    """Return the name that the item has in one of the tables, where it differs by nothing but its case."""
    items = {key for table in tables if isinstance(table, Mapping) for key in table if key.lower() == name.lower()}
    if name not in items and len(items) > 1:
        raise UnclearVariable(variable, (*path, name), f"may mean each of {', '.join(sorted(items))}")
    return name if name in items or not items else items.pop()


def _names_items(kind: Any) -> bool:
    """Return whether a type is a table of items that have names of their own, such as headers and tokens."""
    return get_origin(kind) is dict or any(map(_names_items, get_args(kind)))


def merge(weak: Mapping[str, Any], strong: Mapping[str, Any]) -> dict[str, Any]:
    """Return tables in which the values of ``strong`` replace those of ``weak``, key by key."""
    merged = dict(weak)
    for key, value in strong.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _below(kind: Any, key: str) -> Any:
    """Return the type of a key in a table of this type: of several kinds of tables, the first that has it; or None."""
    if get_origin(kind) is dict:
        return get_args(kind)[-1]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_fields[key].annotation if key in kind.model_fields else None
    return next((found for part in get_args(kind) if (found := _below(part, key)) is not None), None)


def _is_list_or_table(kind: Any) -> bool:
    """Return whether values of a type may be lists or tables."""
    origin = get_origin(kind)
    if isinstance(origin or kind, type) and issubclass(origin or kind, BaseModel | Mapping | Sequence | AbstractSet):
        return not issubclass(origin or kind, str | bytes)
    if origin is Annotated:
        return _is_list_or_table(get_args(kind)[0])
    return any(map(_is_list_or_table, get_args(kind)))
