"""Where settings come from: the file with its line, an environment variable, or the defaults. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Path = tuple[str | int, ...]  #: of a key: names of tables and keys, and numbers of list items
Source = Literal["default", "file", "environment", "secret file"]

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w\s.\"'-]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([\w\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")


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
    """Return the line of each value of a TOML document; None where it is not found, as in a table within a line."""
    seen: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    prefix: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            prefix = _parts(header[2])
            if header[1] == "[[":
                counts[prefix] = counts.get(prefix, -1) + 1
            prefix = _numbered(prefix, counts)
        elif key := _KEY.match(line):
            seen.setdefault((*prefix, *_parts(key[1])), number)
    given = (path for path, value in leaves(document) if value != {} or path in seen)  # else a header without keys
    return {path: _nearest(path, seen) for path in given}


def _parts(text: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


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
