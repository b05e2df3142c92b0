"""Named SQL statements, loaded from ``.sql`` files."""

import re
from collections.abc import Iterator, Mapping
from importlib import resources

_HEADER = re.compile(r"^--[ \t]*([a-z][a-z0-9_]*)[ \t]*--[ \t]*$", re.MULTILINE)


class Statements(Mapping[str, str]):
    """Statements by name: ``statements["claim_task"]`` or ``statements.claim_task``."""

    def __init__(self, by_name: Mapping[str, str], source: str) -> None:
        self._by_name = dict(by_name)
        self._source = source

    def __getitem__(self, name: str) -> str:
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f"{self._source} has no statement {name!r}") from None

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):  # before __init__ has run, as when unpickling
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(str(error)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


def parse_statements(text: str, source: str) -> Statements:
    """Split SQL text at its headers, lines of the form ``-- name --``.

    Text before the first header is a comment on the file and is ignored.

    Raises:
        ValueError: a name is used twice, a statement is empty, or SQL precedes the first header.
    """
    preamble, *parts = _HEADER.split(text)
    if any(line and not line.startswith("--") for line in map(str.strip, preamble.splitlines())):
        raise ValueError(f"{source} has SQL before its first '-- name --'")
    by_name: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in by_name:
            raise ValueError(f"{source} has two statements {name!r}")
        if not (sql := body.strip()):
            raise ValueError(f"{source} has an empty statement {name!r}")
        by_name[name] = sql
    return Statements(by_name, source)


def load_statements(package: str, *files: str) -> Statements:
    """Load the statements of files that are shipped inside a package.

    Raises:
        ValueError: a file cannot be parsed, or two files have a statement of the same name.
    """
    by_name: dict[str, str] = {}
    for file in files:
        text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
        statements = parse_statements(text, f"{package}/{file}")
        if twice := by_name.keys() & statements.keys():
            raise ValueError(f"{package}/{file} has {sorted(twice)}, which another file that is loaded with it has too")
        by_name |= statements
    return Statements(by_name, f"{package}/{','.join(files)}")
