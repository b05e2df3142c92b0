"""The files of a path: which there are, of which kind, and whose readings they have.

A path is a file, a folder, or a pattern: with ``*``, ``?``, ``[...]`` and ``**`` as in a shell, and with placeholders
such as ``{tag}``. Linked folders are followed; in a folder a file is read once, however many links lead to it. Hidden
files are no sensor files. A folder that is a Delta, Iceberg or Hudi table is refused: only its log shows which of its
files still count.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from glob import has_magic
from itertools import takewhile
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote

from latigo.providers.files.reading import InvalidFile
from latigo.settings import PATH_PLACEHOLDER
from latigo.settings import FileSensors as FileSensorsSettings

Kind = Literal["csv", "parquet"]
_SUFFIXES: Mapping[str, Kind] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PACKED = ".gz"
_PLACEHOLDERS = {"tag": "[^/]+", "year": r"\d{4}", "month": r"\d\d?", "day": r"\d\d?", "hour": r"\d\d?", "any": "[^/]*"}
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"  #: the value of a hive partition whose rows have none
_DEEP = "**"
_UNCOMMITTED = "_temporary"  #: folder of files that Spark has not finished
#: Folders that make the one above them a table: of which kind, and what must be in it.
_TABLE_MARKS = {
    "_delta_log": ("Delta", "*"),
    ".hoodie": ("Hudi", "*"),
    "metadata": ("Iceberg", "*.metadata.json"),
}
_MOST_NAMES = 5  #: of unread files

#: Below the folder of the preset ``ncs``, the preferred one first; gordo-core's own reader has this order.
_NCS = (
    "{tag}/parquet/{tag}_{year}.parquet",
    "{tag}/{tag}_{year}.parquet",
    "{tag}/{tag}_{year}.csv",
    "{tag}/parquet/{year}/{tag}_{year}{month}.parquet",
)


class FoundFile(NamedTuple):
    """A file of readings."""

    path: Path
    kind: Kind
    tag: str | None  #: whose readings it has, if its path says so


class UnreadFiles(NamedTuple):
    """The files below a path that are not read, since they are of no known kind."""

    number: int
    first: tuple[Path, ...]


NO_FILES = UnreadFiles(0, ())


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a path at one moment."""

    files: tuple[FoundFile, ...] = ()  #: sorted by path
    refused: Mapping[Path, str] = field(default_factory=dict)  #: folders that are not read, and why
    unread: UnreadFiles = NO_FILES


class SensorPath:
    """The path of the settings."""

    def __init__(self, settings: FileSensorsSettings) -> None:
        self.text = str(settings.path)
        self._format = settings.format
        self._is_preset = settings.preset == "ncs" and not _has_placeholder(self.text)
        self.names_tags = self._is_preset or "{tag}" in self.text  #: each file has the readings of one tag

    def __str__(self) -> str:
        return self.text

    @property
    def expected_suffixes(self) -> str:
        return f" with one of the suffixes {', '.join(_SUFFIXES)}" if self._format == "auto" else ""

    def listing(self) -> Listing:
        """Return the files as they are now.

        Raises:
            OSError: the folder cannot be read.
            InvalidFile: the path is a file of no known kind.
        """
        path = Path(self.text)
        if self._is_preset:
            return self._below(path, _NCS)
        if _has_placeholder(self.text) or (has_magic(self.text) and not path.exists()):
            root, pattern = _split(path)
            return self._below(root, [pattern], is_chosen=True)
        if path.is_dir():
            return self._below(path, [f"{_DEEP}/*"])
        if not path.exists():
            return Listing()
        if table := _table_above(path):
            return Listing(refused=dict([table]))
        kind = self._kind(path, is_chosen=True)
        if kind is None:
            raise InvalidFile(
                f"{path} has none of the suffixes {', '.join(_SUFFIXES)}: set the format to csv or parquet", "format"
            )
        return Listing((FoundFile(path, kind, None),))

    def _below(self, root: Path, texts: Sequence[str], *, is_chosen: bool = False) -> Listing:
        """Return the files below a folder that match a pattern.

        Args:
            root: the folder.
            texts: patterns, the preferred one first.
            is_chosen: the settings name the pattern; what it does not match is no sensor file.
        """
        if table := _table_above(root):
            return Listing(refused=dict([table]))
        patterns = [_Pattern(text, is_ncs=self._is_preset) for text in texts]
        walk = _Walk(root, patterns, is_each_once=not self.names_tags)
        files: dict[Path, FoundFile] = {}
        ranks: dict[Path, tuple[object, int]] = {}
        unread: list[Path] = []
        for relative in walk.files:
            path = root / relative
            kind = self._kind(path, is_chosen=is_chosen)
            rank, match = _first_match(patterns, relative)
            if match and kind:
                files[path] = FoundFile(path, kind, match.tag)
                ranks[path] = (match.key, rank)
            elif match or not is_chosen:
                unread.append(path)
        best: dict[object, int] = {}
        for key, rank in ranks.values():
            best[key] = min(rank, best.get(key, rank))
        found = [
            file
            for path, file in sorted(files.items())
            if ranks[path][1] == best[ranks[path][0]]
            and file.tag != _NO_PARTITION
            and not (path.suffix.lower() == _PACKED and path.with_suffix("") in files)  # a copy of the other one
        ]
        return Listing(tuple(found), walk.refused, UnreadFiles(len(unread), tuple(sorted(unread)[:_MOST_NAMES])))

    def _kind(self, path: Path, *, is_chosen: bool) -> Kind | None:
        """Return the kind of a file; None if it is not read. If it is chosen, the format that is set decides."""
        suffix = path.suffix.lower()
        kind = _SUFFIXES.get(suffix)
        if suffix == _PACKED and _SUFFIXES.get(Path(path.stem).suffix.lower()) == "csv":
            kind = "csv"
        if self._format == "auto":
            return kind
        return self._format if kind == self._format or (kind is None and is_chosen) else None


class _Match(NamedTuple):
    tag: str | None
    key: object  #: of several files with the same key, those of the preferred pattern are read


class _Pattern:
    """A pattern of paths below a folder."""

    def __init__(self, text: str, *, is_ncs: bool) -> None:
        parts = text.split("/")
        if parts[-1] == _DEEP:
            parts.append("*")
        named: set[str] = set()
        steps = ["(?:[^/]+/)*" if part == _DEEP else _regex(part, named) + "/" for part in parts]
        self._whole = re.compile("".join(steps).removesuffix("/"), re.IGNORECASE if is_ncs else 0)
        self._parts = [None if part == _DEEP else re.compile(_regex(part, None)) for part in parts]
        self._hidden = [part.startswith(".") for part in parts]
        self._is_ncs = is_ncs
        self._is_encoded = is_ncs or any(re.fullmatch(r"[^={}]+=\{tag\}", part) for part in parts)

    def match(self, relative: str) -> _Match | None:
        match = self._whole.fullmatch(relative)
        if match is None:
            return None
        groups = match.groupdict()
        tag = groups.get("tag")
        if tag is not None and self._is_encoded:
            tag = unquote(tag)
        return _Match(tag, (tag, groups["year"]) if self._is_ncs else relative)

    def may_be_below(self, name: str, depth: int) -> bool:
        """Return whether a folder at a depth (0: of the root) may have files that match."""
        deep = self._parts.index(None) if None in self._parts else len(self._parts)
        if depth >= deep:
            return not name.startswith(".")
        part = self._parts[depth] if depth < len(self._parts) - 1 else None
        return bool(part and part.fullmatch(name) and (self._hidden[depth] or not name.startswith(".")))

    def may_be(self, name: str, depth: int) -> bool:
        """Return whether a file of this name is not hidden from the pattern."""
        return not name.startswith(".") or (depth < len(self._hidden) and self._hidden[depth])


class _Walk:
    """The files below a folder.

    Args:
        root: the folder.
        patterns: folders that can have no file of theirs are not entered.
        is_each_once: enter each folder once only, whatever links lead to it; otherwise only cycles of links are cut.

    Raises:
        OSError: the folder itself cannot be read.
    """

    def __init__(self, root: Path, patterns: Sequence[_Pattern], *, is_each_once: bool) -> None:
        self.files: list[str] = []
        self.refused: dict[Path, str] = {}
        self._root = root
        self._patterns = patterns
        self._is_each_once = is_each_once
        self._entered: set[tuple[int, int]] = set()  #: device and inode
        folders, linked = [_Folder("", 0, frozenset())], list[_Folder]()
        links: list[str] = []  #: linked files
        while folders or linked:
            folder = folders.pop() if folders else linked.pop(0)  # by links last, so that a file has its own path
            entries, above = self._entries(folder)
            for entry in entries:
                relative = folder.relative + entry.name
                if _is_true(entry.is_dir):
                    if self._may_be_below(entry.name, folder.depth):
                        inner = _Folder(f"{relative}/", folder.depth + 1, above)
                        (linked if is_each_once and entry.is_symlink() else folders).append(inner)
                elif _is_true(entry.is_file) and any(each.may_be(entry.name, folder.depth) for each in patterns):
                    (links if entry.is_symlink() else self.files).append(relative)
        self.files += self._other_files(links) if is_each_once else links

    def _may_be_below(self, name: str, depth: int) -> bool:
        return name != _UNCOMMITTED and any(pattern.may_be_below(name, depth) for pattern in self._patterns)

    def _entries(self, folder: "_Folder") -> tuple[list[os.DirEntry[str]], frozenset[tuple[int, int]]]:
        """Return what is in a folder, sorted, and the folders above that; nothing if it is refused or was entered."""
        path = self._root / folder.relative
        try:
            identity = _identity(path)
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return [], folder.above
        except OSError as error:
            if not folder.relative:
                raise
            self.refused[path] = f"{path}: {error.strerror}"
            return [], folder.above
        if identity in (self._entered if self._is_each_once else folder.above):
            return [], folder.above
        if any(entry.name in _TABLE_MARKS for entry in found) and (reason := _table(path)):
            self.refused[path] = reason
            return [], folder.above
        self._entered.add(identity)
        return found, folder.above if self._is_each_once else folder.above | {identity}

    def _other_files(self, links: Sequence[str]) -> Iterator[str]:
        """Yield the links whose files are not found without a link as well."""
        seen = {_identity(self._root / relative) for relative in self.files} if links else set()
        for relative in sorted(links):
            identity = _identity(self._root / relative)
            if identity not in seen:
                seen.add(identity)
                yield relative


class _Folder(NamedTuple):
    relative: str  #: with a slash at its end
    depth: int
    above: frozenset[
        tuple[int, int]
    ]  #: device and inode of the folders that lead to it, of which none is entered again


def _has_placeholder(text: str) -> bool:
    return bool(PATH_PLACEHOLDER.search(text))


def _split(path: Path) -> tuple[Path, str]:
    """Return the folder above a pattern, and the pattern."""
    plain = list(takewhile(lambda part: not (has_magic(part) or _has_placeholder(part)), path.parts[:-1]))
    return Path(*plain), "/".join(path.parts[len(plain) :])


def _regex(part: str, named: set[str] | None) -> str:
    """Return the regular expression of one part of a pattern.

    Args:
        part: without slashes.
        named: placeholders of the parts before: each has one value. Without it placeholders have no names.
    """
    return "".join(_step(step, named) for step in re.split(r"(\{\w*\}|\*+|\?|\[!?\]?[^]]*\])", part))


def _step(step: str, named: set[str] | None) -> str:
    if PATH_PLACEHOLDER.fullmatch(step):
        name = step[1:-1]
        if named is None or name == "any":
            return f"(?:{_PLACEHOLDERS[name]})"
        if name in named:
            return f"(?P={name})"
        named.add(name)
        return f"(?P<{name}>{_PLACEHOLDERS[name]})"
    if step.startswith("*"):
        return "[^/]*"
    if step == "?":
        return "[^/]"
    if step.startswith("["):
        characters = step[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
        with suppress(re.error):
            return re.compile(f"[{'^' + characters[1:] if characters.startswith('!') else characters}]").pattern
    return re.escape(step)


def _first_match(patterns: Sequence[_Pattern], relative: str) -> tuple[int, _Match | None]:
    for rank, pattern in enumerate(patterns):
        if match := pattern.match(relative):
            return rank, match
    return len(patterns), None


def _table_above(path: Path) -> tuple[Path, str] | None:
    """Return the table that a file or folder is part of, if it is, and why it is refused."""
    for folder in path.absolute().parents:
        if reason := _table(folder):
            return folder, reason
    return None


def _table(folder: Path) -> str | None:
    """Return why a folder is refused, if it is a table whose log shows which of its files still count."""
    for name, (kind, pattern) in _TABLE_MARKS.items():
        if any((folder / name).glob(pattern)):
            return f"{folder} is a table of {kind}, of which removed files would be read too: export it to plain files"
    return None


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _is_true(ask: Callable[[], bool]) -> bool:
    """Return whether an entry of a folder is what is asked; a link to itself is nothing."""
    try:
        return ask()
    except OSError:
        return False
