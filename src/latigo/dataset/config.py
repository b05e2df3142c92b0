"""Parser of the dataset configuration in a model's metadata."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from latigo.dataset import row_filter
from latigo.dataset.durations import read_duration, read_frequency
from latigo.dataset.resample import AGGREGATIONS
from latigo.domain.errors import Reason, Rejected, describe_tags
from latigo.domain.model import DatasetConfig
from latigo.runtime.redaction import shown

#: Dataset classes that are resampled as described here; older versions keep them in other modules.
_TYPES: Final = frozenset({"TimeSeriesDataset", "RandomDataset"})
_INTERPOLATIONS: Final = frozenset({"linear_interpolation", "ffill"})


_MOST_SHOWN: Final = 200  #: characters
_MOST_TAGS: Final = 20_000  #: in one list; a response of a model has as many columns at most


def _rejected(key: str, problem: str) -> Rejected:
    return Rejected(f"{key}: {problem}", reason=Reason.BAD_METADATA, whole_model=True)


def _timedelta(nanoseconds: int) -> timedelta | None:
    try:
        return timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None


def parse_resolution(text: object, key: str = "resolution") -> timedelta:
    """Parse a pandas frequency of fixed length with a number: ``10T``, ``10min``, ``600S``, ``0.5H``, ``1H30T``.

    Raises:
        Rejected: it is not such a frequency, not positive, or not a whole number of microseconds.
    """
    nanoseconds = read_frequency(text) if isinstance(text, str) else None
    if not nanoseconds:
        raise _rejected(
            key, f"{shown(text, _MOST_SHOWN)} is not a fixed length of time with a number; write it as '10T' or '10min'"
        )
    resolution = _timedelta(nanoseconds)
    if resolution is None or nanoseconds % 1000:
        raise _rejected(key, f"{shown(text, _MOST_SHOWN)} is too long, or finer than a microsecond")
    return resolution


def parse_duration(text: object, key: str = "interpolation_limit") -> timedelta:
    """Parse a pandas duration: ``48H``, ``2H30T``, ``2 days``, ``1 days 00:30:00``, ``P1DT12H``, a number of ns.

    Fractions of a microsecond are cut off.

    Raises:
        Rejected: it is not a duration.
    """
    nanoseconds = text if isinstance(text, int) and not isinstance(text, bool) and text >= 0 else None
    if isinstance(text, str):
        nanoseconds = read_duration(text)
    duration = None if nanoseconds is None else _timedelta(nanoseconds)
    if duration is None:
        raise _rejected(key, f"{shown(text, _MOST_SHOWN)} is not a duration; write it as '48H'")
    return duration


def parse_dataset(dataset: Mapping[str, Any], dataset_meta: Mapping[str, Any] | None) -> DatasetConfig:
    """Parse the server's ``metadata.dataset``, with gordo-core's defaults for missing keys.

    Args:
        dataset: the dataset configuration.
        dataset_meta: ``build_metadata.dataset.dataset_meta``; if it lists the tags that the model was built with,
            every tag must be among them.

    Raises:
        Rejected: ``BAD_METADATA`` for the whole model, naming the key.
    """
    kind = dataset.get("type")
    if kind is not None and (not isinstance(kind, str) or kind.rpartition(".")[2] not in _TYPES):
        raise _rejected("type", f"{kind!r} is not a dataset of time series that gordo-core resamples")
    defaults = _defaults(dataset)
    tags = _tags(dataset, "tag_list" if "tag_list" in dataset else "tags", defaults)
    if not tags:
        raise _rejected("tag_list", "is empty")
    targets = _tags(dataset, "target_tag_list", defaults) or tags
    text = _row_filter(dataset.get("row_filter"))
    filtered = row_filter.parse(text).tags if text else ()
    additional = _tags(dataset, "additional_tags", defaults) if filtered else []
    _same_fields([*tags, *targets, *additional])
    names, target_names = _names(tags), _names(targets)
    model_tags = {*names, *target_names}
    resolution = parse_resolution(dataset.get("resolution", "10T"))
    config = DatasetConfig(
        tag_list=names,
        target_tag_list=target_names,
        resolution=resolution,
        aggregation=_one_of(dataset, "aggregation_methods", "mean", AGGREGATIONS),
        interpolation_method=_one_of(dataset, "interpolation_method", "linear_interpolation", _INTERPOLATIONS),
        interpolation_limit=_limit(dataset.get("interpolation_limit", "48H"), resolution),
        row_filter=text,
        filter_tags=tuple(tag for tag in filtered if tag not in model_tags),
    )
    built_with = _built_with(dataset_meta)
    if built_with and (unknown := [tag for tag in config.tags if tag not in built_with]):
        raise _rejected("tag_loading_metadata.tags", f"the model was built without {describe_tags(unknown)}")
    return config


def assets(dataset: Mapping[str, Any], dataset_meta: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the asset, else the facility, of every tag that has one; the tags of the build take precedence."""
    by_tag: dict[str, str] = {}
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
            by_tag.setdefault(tag["name"], asset)
    return by_tag


def _defaults(dataset: Mapping[str, Any]) -> dict[str, Any]:
    asset, fields = dataset.get("asset"), dataset.get("default_tag")
    if asset is not None and fields is not None:
        raise _rejected("default_tag", "cannot be combined with asset")
    if asset is not None:
        return {"asset": asset}
    if fields is not None and not isinstance(fields, Mapping):
        raise _rejected("default_tag", "is not an object")
    return dict(fields or {})


def _tags(dataset: Mapping[str, Any], key: str, defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tags of a list with all their fields."""
    entries = dataset.get(key)
    if entries is None:
        return []
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise _rejected(key, "is not a list")
    if len(entries) > _MOST_TAGS:
        raise _rejected(key, f"has {len(entries)} tags, more than {_MOST_TAGS}")
    return [_tag(entry, key, defaults) for entry in entries]


def _tag(entry: object, key: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    fields = {**defaults, "name": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, Mapping) or not isinstance(fields.get("name"), str) or not fields["name"]:
        raise _rejected(key, f"a tag is a name or an object with a name, not {shown(entry, _MOST_SHOWN)}")
    return {**defaults, **fields}


def _same_fields(tags: Sequence[dict[str, Any]]) -> None:
    seen: dict[str, dict[str, Any]] = {}
    for tag in tags:
        if seen.setdefault(tag["name"], tag) != tag:
            raise _rejected("tag_list", f"tag {shown(tag['name'], _MOST_SHOWN)} is listed twice, with different fields")


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
    raise _rejected(key, f"{shown(value, _MOST_SHOWN)} is not supported; supported are {', '.join(sorted(known))}")


def _limit(value: object, resolution: timedelta) -> timedelta | None:
    if value is None:
        return None
    limit = parse_duration(value)
    if limit < resolution:
        raise _rejected("interpolation_limit", f"{shown(value, _MOST_SHOWN)} is shorter than the resolution")
    return limit


def _built_with(dataset_meta: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Return the tags that the model was built with, with their fields; empty if the metadata does not list them."""
    loading = (dataset_meta or {}).get("tag_loading_metadata")
    tags = loading.get("tags") if isinstance(loading, Mapping) else None
    if not isinstance(tags, Mapping):
        return {}
    return {name: {"name": name, **fields} for name, fields in _objects(tags)}


def _objects(tags: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, fields in tags.items():
        yield name, fields if isinstance(fields, Mapping) else {}
