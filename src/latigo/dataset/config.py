"""A model's metadata to the part of it that makes X and y."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from latigo.dataset import row_filter
from latigo.dataset.resample import AGGREGATIONS
from latigo.domain.errors import Reason, Rejected, describe_tags
from latigo.domain.model import DatasetConfig

#: Data sets that gordo-core makes as described here, whatever module an older version kept them in.
_TYPES: Final = frozenset({"TimeSeriesDataset", "RandomDataset"})
_INTERPOLATIONS: Final = frozenset({"linear_interpolation", "ffill"})


def _by_spelling(*units: tuple[int, str]) -> dict[str, int]:
    return {spelling: nanoseconds for nanoseconds, spellings in units for spelling in spellings.split()}


_US: Final = 1_000
_MS: Final = 1_000_000
_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
#: Pandas frequencies of fixed length. "M" and "m" are months there, "W" weeks that end on a Sunday.
_FREQUENCIES: Final = _by_spelling(
    (1, "n ns"), (_US, "u us"), (_MS, "l ms"), (_SECOND, "s"), (_MINUTE, "t min"), (_HOUR, "h"), (_DAY, "d")
)
#: Pandas durations.
_DURATIONS: Final = _FREQUENCIES | _by_spelling(
    (1, "nano nanos nanosecond nanoseconds"),
    (_US, "micro micros microsecond microseconds \u00b5s"),
    (_MS, "milli millis millisecond milliseconds"),
    (_SECOND, "sec second seconds"),
    (_MINUTE, "m minute minutes"),
    (_HOUR, "hr hour hours"),
    (_DAY, "day days"),
    (7 * _DAY, "w week weeks"),
)
_MOST_TEXT: Final = 64
_NUMBER: Final = r"\d+(?:\.\d*)?|\.\d+"
_PIECE: Final = re.compile(rf"\s*({_NUMBER})\s*([a-zA-Z\u00b5]+)\s*")
_CLOCK: Final = re.compile(r"(?:(?P<d>\d+)\s+days?\s+)?(?P<h>\d+):(?P<min>\d{1,2}):(?P<s>\d{1,2}(?:\.\d+)?)")
_ISO: Final = re.compile(
    rf"P(?:(?P<w>{_NUMBER})W)?(?:(?P<d>{_NUMBER})D)?"
    rf"(?:T(?:(?P<h>{_NUMBER})H)?(?:(?P<min>{_NUMBER})M)?(?:(?P<s>{_NUMBER})S)?)?"
)


def _refused(key: str, why: str) -> Rejected:
    return Rejected(f"{key}: {why}", reason=Reason.BAD_METADATA, whole_model=True)


def _pieces(text: str, units: Mapping[str, int]) -> int | None:
    """Nanoseconds of ``2h30min``, or None."""
    total, at = Decimal(0), 0
    while match := _PIECE.match(text, at):
        number, spelling = match.groups()
        # "ms" alone is told apart by case: "MS" is the start of a month.
        unit = units.get(spelling if spelling.lower() == "ms" else spelling.lower())
        if unit is None:
            return None
        total += Decimal(number) * unit
        at = match.end()
    return int(total) if 0 < at == len(text) else None


def _named(match: re.Match[str] | None) -> int | None:
    """Nanoseconds of a match whose groups are units, or None."""
    if match is None or not any(match.groups()):
        return None
    return int(sum(Decimal(number) * _DURATIONS[unit] for unit, number in match.groupdict().items() if number))


def _nanoseconds(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    if (found := _pieces(text, _DURATIONS)) is not None:
        return found
    return _named(_CLOCK.fullmatch(text) or _ISO.fullmatch(text))


def _timedelta(nanoseconds: int) -> timedelta | None:
    try:
        return timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None


def parse_resolution(text: object, key: str = "resolution") -> timedelta:
    """Read a pandas frequency of fixed length, with a number: ``10T``, ``10min``, ``600S``, ``0.5H``, ``1H30T``.

    Raises:
        Rejected: it is none, has no number, is not positive, or is no whole number of microseconds.
    """
    found = _pieces(text, _FREQUENCIES) if isinstance(text, str) and len(text) <= _MOST_TEXT else None
    if not found:
        raise _refused(key, f"{text!r} is no time of fixed length with a number, such as '10T' or '10min'"[:300])
    resolution = _timedelta(found)
    if resolution is None or found % 1000:
        raise _refused(key, f"{text!r} is too long or finer than a microsecond")
    return resolution


def parse_duration(text: object, key: str = "interpolation_limit") -> timedelta:
    """Read a pandas duration: ``48H``, ``2H30T``, ``2 days``, ``1 days 00:30:00``, ``P1DT12H``, a number of ns.

    What is below a microsecond is cut off.

    Raises:
        Rejected: it is none.
    """
    found = text if isinstance(text, int) and not isinstance(text, bool) and text >= 0 else None
    if isinstance(text, str) and len(text) <= _MOST_TEXT:
        found = _nanoseconds(text.strip())
    duration = None if found is None else _timedelta(found)
    if duration is None:
        raise _refused(key, f"{text!r} is no duration such as '48H'"[:300])
    return duration


def parse_dataset(dataset: Mapping[str, Any], dataset_meta: Mapping[str, Any] | None) -> DatasetConfig:
    """Read the server's ``metadata.dataset``, with gordo-core's defaults for what is missing.

    Args:
        dataset: the dataset configuration.
        dataset_meta: ``build_metadata.dataset.dataset_meta``; where it lists the tags that the model was built with,
            every tag has to be among them.

    Raises:
        Rejected: ``BAD_METADATA`` for the whole model, naming the key.
    """
    kind = dataset.get("type")
    if kind is not None and (not isinstance(kind, str) or kind.rpartition(".")[2] not in _TYPES):
        raise _refused("type", f"{kind!r} is no data set of time series that gordo-core resamples")
    defaults = _defaults(dataset)
    tags = _tags(dataset, "tag_list" if "tag_list" in dataset else "tags", defaults)
    if not tags:
        raise _refused("tag_list", "is empty")
    targets = _tags(dataset, "target_tag_list", defaults) or tags
    text = _row_filter(dataset.get("row_filter"))
    filtered = row_filter.parse(text).tags if text else ()
    additional = _tags(dataset, "additional_tags", defaults) if filtered else []
    _same_fields([*tags, *targets, *additional])
    names, target_names = _names(tags), _names(targets)
    resolution = parse_resolution(dataset.get("resolution", "10T"))
    config = DatasetConfig(
        tag_list=names,
        target_tag_list=target_names,
        resolution=resolution,
        aggregation=_one_of(dataset, "aggregation_methods", "mean", AGGREGATIONS),
        interpolation_method=_one_of(dataset, "interpolation_method", "linear_interpolation", _INTERPOLATIONS),
        interpolation_limit=_limit(dataset.get("interpolation_limit", "48H"), resolution),
        row_filter=text,
        filter_tags=tuple(tag for tag in filtered if tag not in {*names, *target_names}),
    )
    built_with = _built_with(dataset_meta)
    if built_with and (unknown := [tag for tag in config.tags if tag not in built_with]):
        raise _refused("tag_loading_metadata.tags", f"the model was built without {describe_tags(unknown)}")
    return config


def assets(dataset: Mapping[str, Any], dataset_meta: Mapping[str, Any] | None) -> dict[str, str]:
    """The asset, or else the facility, of every tag that has one: what the model was built with before what it asks."""
    found: dict[str, str] = {}
    try:
        defaults = _defaults(dataset)
        listed = [
            tag for key in ("tag_list", "target_tag_list", "additional_tags") for tag in _tags(dataset, key, defaults)
        ]
    except Rejected:
        listed = []
    for tag in [*_built_with(dataset_meta).values(), *listed]:
        asset = next((tag[key] for key in ("asset", "facility") if isinstance(tag.get(key), str) and tag[key]), None)
        if asset is not None and isinstance(tag.get("name"), str):
            found.setdefault(tag["name"], asset)
    return found


def _defaults(dataset: Mapping[str, Any]) -> dict[str, Any]:
    asset, fields = dataset.get("asset"), dataset.get("default_tag")
    if asset is not None and fields is not None:
        raise _refused("default_tag", "stands beside asset")
    if asset is not None:
        return {"asset": asset}
    if fields is not None and not isinstance(fields, Mapping):
        raise _refused("default_tag", "is no object")
    return dict(fields or {})


def _tags(dataset: Mapping[str, Any], key: str, defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tags of a list, with all their fields."""
    entries = dataset.get(key)
    if entries is None:
        return []
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise _refused(key, "is no list")
    return [_tag(entry, key, defaults) for entry in entries]


def _tag(entry: object, key: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    fields = {**defaults, "name": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, Mapping) or not isinstance(fields.get("name"), str) or not fields["name"]:
        raise _refused(key, f"a tag is a name, or an object with a name, not {entry!r:.200}")
    return {**defaults, **fields}


def _same_fields(tags: Sequence[dict[str, Any]]) -> None:
    seen: dict[str, dict[str, Any]] = {}
    for tag in tags:
        if seen.setdefault(tag["name"], tag) != tag:
            raise _refused("tag_list", f"tag {tag['name']!r} is written in two ways, with different fields")


def _names(tags: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(tag["name"] for tag in tags)


def _row_filter(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value if value.strip() else ""
        case list():
            return row_filter.join(value) if value else ""
        case _:
            raise row_filter.rejected("is neither a text nor a list of texts")


def _one_of(dataset: Mapping[str, Any], key: str, default: str, known: Mapping[str, object] | frozenset[str]) -> str:
    value = dataset.get(key, default)
    if isinstance(value, str) and value in known:
        return value
    raise _refused(key, f"{value!r:.200} is none of {', '.join(sorted(known))}")


def _limit(value: object, resolution: timedelta) -> timedelta | None:
    if value is None:
        return None
    limit = parse_duration(value)
    if limit < resolution:
        raise _refused("interpolation_limit", f"{value!r} is shorter than the resolution")
    return limit


def _built_with(dataset_meta: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """The tags that the model was built with, with their fields; empty where the metadata does not say."""
    loading = (dataset_meta or {}).get("tag_loading_metadata")
    tags = loading.get("tags") if isinstance(loading, Mapping) else None
    if not isinstance(tags, Mapping):
        return {}
    return {name: {"name": name, **fields} for name, fields in _objects(tags)}


def _objects(tags: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, fields in tags.items():
        yield name, fields if isinstance(fields, Mapping) else {}
