"""The documentation of settings: ``docs/settings.md``, ``config.example.toml``, and any tree of values as TOML; pure.

Both files are generated from the classes in `latigo.settings`, so that they agree with them::

    python -m latigo.settings.reference docs/settings.md config.example.toml
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from latigo.settings.keys import kind_name, secret_names, sections_of
from latigo.settings.loading import CONFIG_FILE, CONFIG_VARIABLE, PREFIX
from latigo.settings.model import Settings, shown

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TYPES: Mapping[type, str] = {
    SecretStr: "secret",
    bool: "true or false",
    ByteSize: "size",
    timedelta: "duration",
    int: "whole number",
    float: "number",
    Path: "path",
    str: "text",
}


class Table(NamedTuple):
    """One section of the settings."""

    name: str
    description: str
    repeated: bool  #: written ``[[name]]``, any number of times
    kinds: list[type[BaseModel]]  #: the default one first

    @property
    def header(self) -> str:
        """Return the line that begins the section."""
        return f"[[{self.name}]]" if self.repeated else f"[{self.name}]"


def tables() -> Iterator[Table]:
    """Yield every section, in order."""
    for name, field in Settings.model_fields.items():
        yield Table(name, field.description or "", get_origin(field.annotation) is tuple, sections_of(field))


# --- TOML ------------------------------------------------------------------------------------------------------------


def to_toml(tree: Mapping[str, Any]) -> str:
    """Write a tree of tables, lists of tables and plain values, such as `Settings.masked` returns."""
    blocks = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            blocks.append(_block(f"[{_key(name)}]", value))
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            blocks += [_block(f"[[{_key(name)}]]", item) for item in value]
        elif value != []:
            blocks.insert(0, f"{_key(name)} = {toml_value(value)}\n")
    return "\n".join(blocks)


def toml_value(value: object) -> str:
    """Write one value; tables stay on the line."""
    match value:
        case Mapping():
            inner = ", ".join(f"{_key(str(name))} = {toml_value(item)}" for name, item in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _block(header: str, values: Mapping[str, Any]) -> str:
    return "".join([f"{header}\n", *(f"{_key(name)} = {toml_value(value)}\n" for name, value in values.items())])


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else toml_value(name)


# --- config.example.toml ---------------------------------------------------------------------------------------------


def example_file() -> str:
    """Return a file of every key with its default; keys without a default, and other kinds, are comments."""
    lines = [
        "# Every setting of Latigo, with its default. Delete what you do not change.",
        "#",
        *_comment(
            f"Any key can also be set in the environment, which is stronger: {PREFIX}SECTION__KEY, for instance "
            f'{PREFIX}EXECUTOR__CONCURRENCY=8. Durations are written "500ms", "30s", "30m", "3h", "7d" or "0", sizes '
            '"128MB" or "1GiB". A secret may be in a file of its own, named by the same key with _file.'
        ),
    ]
    for table in tables():
        lines += ["", *_comment(table.description)]
        default, *others = table.kinds
        off = table.name == "override"
        lines += _out([table.header, *_example_keys(default)]) if off else [table.header, *_example_keys(default)]
        for other in others:
            lines += ["", *_comment(f"Or: {_summary(other)}"), *_out([table.header, *_example_keys(other)])]
    return "\n".join(lines) + "\n"


def _example_keys(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if name != "kind":
            yield from _comment(_explained(section, name, field))
        default = _default(field)
        if default is None:
            example = f"{name} = {toml_value(field.examples[0])}" if field.examples else f"{name} ="
            extra = field.json_schema_extra
            in_use = field.is_required() or (isinstance(extra, dict) and "in_example" in extra)
            yield example if in_use else f"# {example}"
        else:
            yield f"{name} = {toml_value(default)}"


def _explained(section: type[BaseModel], name: str, field: FieldInfo) -> str:
    secret = f" Secret; may be in a file named by {name}_file." if name in secret_names(section) else ""
    return f"{field.description}{secret}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in wrap(text, 110, break_on_hyphens=False, break_long_words=False)]


def _out(lines: list[str]) -> list[str]:
    return [f"# {line}" for line in lines]


# --- docs/settings.md ------------------------------------------------------------------------------------------------


def settings_page() -> str:
    """Return the page of every setting, its default and its meaning."""
    intro = f"""\
# Settings

<!-- Generated by `python -m latigo.settings.reference`; change the descriptions in `src/latigo/settings/`. -->

Sources, strongest first:

1. the environment: `{PREFIX}SECTION__KEY`, such as `{PREFIX}EXECUTOR__CONCURRENCY=8`. Lists are JSON, or text with
   commas where they hold names; a whole list of tables is JSON (`{PREFIX}PREDICTIONS='[{{"kind": "postgres"}}]'`).
   Case does not count: `{PREFIX}HTTP__TOKENS__ANNA__TOKEN` changes `[http.tokens.Anna]` of the file, and so does
   `{PREFIX}HTTP__TOKENS='{{"anna": {{"token": …}}}}'`.
2. the TOML file: `--config`, else `${CONFIG_VARIABLE}`, else `./{CONFIG_FILE}` where that exists.
3. the defaults below.

An unknown key, in the file or in the environment, is refused at start, with the name of the nearest known one. All
problems are reported at once, with exit code 78.

- **Durations** are text: `500ms`, `30s`, `30m`, `3h`, `7d`, or `0`.
- **Sizes** are text: `128MB`, `1GiB`.
- **Secrets** are never shown. Each secret `X` may be in a file of its own, named by `X_file` (spaces and line ends
  around it are dropped); giving both is refused. The same goes for every entry of a table of secrets.
- **Patterns** on `project/model` have `*`, which also matches `/`, `?` and `[abc]`.

`latigo config` shows the settings in effect, secrets masked.
"""
    return "\n".join([intro, *(_table_page(table) for table in tables())])


def _table_page(table: Table) -> str:
    text = [f"## `{table.header}`", "", table.description, ""]
    if len(table.kinds) == 1:
        return "\n".join([*text, *_rows(table, table.kinds[0]), ""])
    for kind in table.kinds:
        text += [f'### `{table.header}` `kind = "{kind_name(kind)}"`', "", _summary(kind), "", *_rows(table, kind), ""]
    return "\n".join(text)


def _rows(table: Table, section: type[BaseModel]) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in section.model_fields.items():
        key = f"`{table.name}.{name}`"
        if name in secret_names(section):
            key += f", `{name}_file`"
        default = _default(field)
        value = f"`{toml_value(default)}`" if default is not None else _without_default(field)
        yield f"| {key} | {_type(field)} | {value} | {field.description} |"


def _type(field: FieldInfo) -> str:
    return " or ".join(dict.fromkeys(_type_names(field.annotation)))


def _type_names(annotation: Any) -> Iterator[str]:
    origin = get_origin(annotation)
    if origin is Literal:
        yield from (f"`{item}`" for item in get_args(annotation))
    elif origin is tuple:
        yield "list of " + next(_type_names(get_args(annotation)[0]))
    elif origin is dict:
        inner = list(_type_names(get_args(annotation)[1]))
        yield f"table of {inner[0]}s" if inner else "table"
    elif annotation in _TYPES:
        yield _TYPES[annotation]
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "table"
    else:
        for part in get_args(annotation):
            yield from _type_names(part)


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() or _depends(field) else shown(field.get_default(call_default_factory=True))


def _without_default(field: FieldInfo) -> str:
    return "required" if field.is_required() else "depends" if _depends(field) else "none"


def _depends(field: FieldInfo) -> bool:
    """Return whether the default is another one on each machine."""
    return field.default_factory not in {None, dict}


def _summary(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").splitlines()[0].replace("``", "`")


if __name__ == "__main__":
    page, example = sys.argv[1:]
    Path(page).write_text(settings_page(), encoding="utf-8")
    Path(example).write_text(example_file(), encoding="utf-8")
