"""Placement of rows in repeated hours, over all files that have tags in common."""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import pyarrow as pa

from latigo.domain.errors import Failed
from latigo.providers.files.reading import FileChanged, SensorFile
from latigo.providers.files.repeated_hour import NearRows, RepeatedHour, Runs, place

_DIGITS = re.compile(r"(\d+)")


class Placer:
    """Places rows in repeated hours, again where a file has changed. Not safe to use from several threads."""

    def __init__(self) -> None:
        self._seen: dict[Path, object] = {}  #: versions of the files
        self._near: dict[RepeatedHour, dict[Path, NearRows]] = {}
        self._placed: dict[Path, dict[RepeatedHour, tuple[NearRows, Runs]]] = {}

    def place(self, files: Sequence[SensorFile]) -> None:
        """Give files the runs of their rows in repeated hours.

        Args:
            files: all that may have tags in common, as of their last refresh. A file that cannot be read now, or was
                replaced since, is tried again at the next call.
        """
        by_path = {file.path: file for file in files}
        changed = [file for file in files if self._seen.get(file.path) is not file.version]
        gone = self._seen.keys() - by_path.keys()
        if not changed and not gone:
            return
        hours = frozenset[RepeatedHour]().union(*(file.hours for file in files))
        for path in gone:
            del self._seen[path]
            self._placed.pop(path, None)
        for hour in self._near.keys() - hours:
            del self._near[hour]
        unread: set[Path] = set()
        replaced = {file.path for file in changed}
        for hour in hours:
            touched = self._update(hour, files if hour not in self._near else changed, gone, unread)
            if touched:
                replaced |= self._place_hour(hour, touched, by_path)
        for path in replaced:
            if (file := by_path[path]).hours:
                placed = self._placed.get(path, {})
                file.place({hour: placed[hour] for hour in file.hours if hour in placed})
        self._seen |= {file.path: file.version for file in changed if file.path not in unread}

    def _update(
        self, hour: RepeatedHour, files: Sequence[SensorFile], gone: AbstractSet[Path], unread: set[Path]
    ) -> set[Path]:
        """Bring the rows near an hour up to date. Return the files whose rows have changed; add to ``unread``."""
        near = self._near.setdefault(hour, {})
        touched = {path for path in gone if near.pop(path, None)}
        for file in files:
            try:
                rows = file.near(hour)
            except (OSError, FileChanged, Failed, pa.ArrowException):
                rows = None
                unread.add(file.path)
            if rows is not near.get(file.path):
                touched.add(file.path)
                near.pop(file.path, None)
                if rows is not None:
                    near[file.path] = rows
        return touched

    def _place_hour(self, hour: RepeatedHour, touched: set[Path], files: Mapping[Path, SensorFile]) -> set[Path]:
        """Place the rows of an hour. Return the files that have new placements."""
        near = self._near[hour]
        groups: dict[frozenset[str], list[Path]] = {}
        for path in sorted(near, key=_natural):
            groups.setdefault(frozenset(files[path].tags), []).append(path)
        by_tag: dict[str, list[frozenset[str]]] = {}
        for tags in groups:
            for tag in tags:
                by_tag.setdefault(tag, []).append(tags)
        placed = set()
        for tags, members in groups.items():
            related = {other for tag in tags for other in by_tag[tag]} or {tags}
            paths = sorted((path for other in related for path in groups[other]), key=_natural)
            if touched.isdisjoint(paths) and touched <= files.keys():
                continue  # else a file is gone, whose tags are not known any more
            if not any(near[path].parts for path in members):
                continue
            runs = dict(zip(paths, place([near[path] for path in paths], hour), strict=True))
            for path in members:
                if near[path].parts:
                    self._placed.setdefault(path, {})[hour] = near[path], runs[path]
                    placed.add(path)
        return placed


def _natural(path: Path) -> list[str | int]:
    """Return the key by which names with numbers are in the order of the numbers."""
    return [int(part) if place % 2 else part for place, part in enumerate(_DIGITS.split(str(path)))]
