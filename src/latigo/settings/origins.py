"""Where settings come from: the file with its line, an environment variable, or the defaults. Pure."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Path = tuple[str | int, ...]  #: of a key: names of tables and keys, and numbers of list items
Source = Literal["default", "file", "environment", "secret file"]

#: A string, a comment, or what else has a meaning of its own; texts between are bare keys and values.
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|"(?:[^"\\]|\\.)*"'
    r"|'''.*?'{3,5}|'[^']*'"
    r"|#[^\n]*|[][{}=.,\n]|[^][{}=.,#\s\"']+",
    re.DOTALL,
)


class Origin(NamedTuple):
    """Where a value comes from."""

    source: Source
    where: str  #: ``latigo.toml:12``, or the name of a variable, also of what names the file; empty: it is a default


@dataclass(frozen=True, slots=True)
class Origins:
    """Where all values come from. Two of them are equal: they are no part of what is set."""

    file: str = field(default="", compare=False)
    lines: Mapping[Path, int | None] = field(default_factory=dict, compare=False)  #: of what the file gives
    variables: Mapping[Path, str] = field(default_factory=dict, compare=False)

    def of(self, path: Path) -> Origin:
        """Return where the value of a key comes from; that of a whole table counts for its keys."""
        for length in range(len(path), 0, -1):
            if (name := self.variables.get(path[:length])) is not None:
                return Origin("environment", name)
            if path[:length] in self.lines:
                line = self.lines[path[:length]]
                return Origin("file", self.file if line is None else f"{self.file}:{line}")
        return self._of_file_of(path)

    def _of_file_of(self, path: Path) -> Origin:
        """Return where the file of a secret is named: ``token_file``, or ``file``."""
        for name in (f"{path[-1]}_file", "file"):
            named = (*path[:-1], name)
            if named in self.variables or named in self.lines:
                return Origin("secret file", self.of(named).where)
        return Origin("default", "")


def leaves(tree: object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the values of tables and lists of tables, each with its path; a list of plain values is one."""
    if isinstance(tree, Mapping) and tree:
        for name, item in tree.items():
            yield from leaves(item, (*path, str(name)))
    elif isinstance(tree, list) and tree and all(isinstance(item, Mapping) for item in tree):
        for number, item in enumerate(tree):
            yield from leaves(item, (*path, number))
    else:
        yield path, tree


def key_of(path: Path) -> str:
    """Return a path as people write it: ``sensors[0].kind``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def lines_of(text: str, document: Mapping[str, Any]) -> dict[Path, int | None]:
    """Return the line of each value of a TOML document; of those within a value, the line where that begins."""
    seen: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    prefix: Path = ()
    for number, brackets, key in _statements(text):
        if brackets:
            prefix = key
            if brackets == 2:  # of a list of tables
                counts[prefix] = counts.get(prefix, -1) + 1
            prefix = _numbered(prefix, counts)
        else:
            seen.setdefault((*prefix, *key), number)
    given = (path for path, value in leaves(document) if value != {} or path in seen)  # else a header without keys
    return {path: _nearest(path, seen) for path in given}


def _statements(text: str) -> Iterator[tuple[int, int, Path]]:
    """Yield the headers and keys of a TOML document: the line of each, the brackets before it, and its parts."""
    number, depth, brackets = 1, 0, 0
    key: list[str] | None = []  #: the parts so far; None: it is complete, and its value follows
    for found in _TOKEN.finditer(text):
        part = found[0]
        if part == "\n" and not depth:
            key, brackets = [], 0
        elif key is None:
            depth += (part in {"[", "{"}) - (part in {"]", "}"})
        elif part == "[":
            brackets += 1
        elif part in {"=", "]"}:
            yield number, brackets, tuple(key)
            key = None
            depth = brackets - 1 if part == "]" else 0  # the second bracket of a header follows
        elif part not in {".", "\n"} and not part.startswith("#"):
            key.append(_unquoted(part))
        number += part.count("\n")


def _unquoted(part: str) -> str:
    """Return a part of a key without its quotes."""
    if "\\" in part and part.startswith('"'):
        return str(tomllib.loads(f"key = {part}")["key"])
    return part.strip(part[0]) if part[0] in "\"'" else part


def _numbered(prefix: Path, counts: Mapping[Path, int]) -> Path:
    """Return a path with the numbers of the lists of tables that it goes through."""
    whole: list[str | int] = []
    for length in range(1, len(prefix) + 1):
        whole.append(prefix[length - 1])
        if prefix[:length] in counts:
            whole.append(counts[prefix[:length]])
    return tuple(whole)


def _nearest(path: Path, seen: Mapping[Path, int]) -> int | None:
    return next((seen[path[:length]] for length in range(len(path), 0, -1) if path[:length] in seen), None)


class Value(NamedTuple):
    """One key and its value, as the configuration file would have it."""

    key: str
    value: Any
    default: Any  #: None: there is none, or the table is of another kind
    origin: Origin


def values_of(masked: Mapping[str, Any], defaults: Mapping[str, Any], origins: Origins) -> Sequence[Value]:
    """Return all values of settings whose secrets are masked."""
    usual = dict(leaves(defaults))
    return [Value(key_of(path), value, usual.get(path), origins.of(path)) for path, value in leaves(masked)]
