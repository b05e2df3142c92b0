"""Conversion of the server's ``/metadata`` document to what Latigo keeps of it. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from latigo.dataset.config import assets, parse_dataset
from latigo.domain.errors import Reason, Rejected
from latigo.domain.model import ModelRef, ModelSpec
from latigo.runtime.redaction import excerpt, shown

_MOST_OFFSET = 1_000_000
_BUILD = "metadata.metadata.build_metadata"
_ANOMALY = re.compile(r"gordo(_components)?\.(machine\.)?model\.anomaly\.")
#: Where classes live that are certainly no anomaly detectors; of others only the server knows.
_PLAIN = re.compile(r"(sklearn|keras|tensorflow|gordo(_components)?\.(machine\.)?model\.models)\.")
_KERAS = re.compile(r"(^|\.)keras\.|(^|\.)Keras\w+$")
_LONGEST_WORD = 1000  #: characters of what may name a class
#: Characters that no database stores as text, or that UTF-8 cannot encode.
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


def model_spec(document: Mapping[str, Any], *, ref: ModelRef, revision: str) -> ModelSpec:
    """Return what a task needs of a model's metadata.

    Args:
        document: the answer of ``/metadata``.
        ref: the model.
        revision: the revision of the request.

    Raises:
        Rejected: ``BAD_METADATA`` for the whole model, naming the key.
    """
    metadata = _mapping(document, "metadata")
    dataset = {key: value for key, value in _mapping(metadata, "metadata.dataset").items() if key != "data_provider"}
    build = _mapping(_mapping(metadata, "metadata.metadata"), "metadata.metadata.build_metadata", optional=True)
    built_model = _mapping(build, f"{_BUILD}.model", optional=True)
    built_dataset = _mapping(build, f"{_BUILD}.dataset", optional=True)
    dataset_meta = _mapping(built_dataset, f"{_BUILD}.dataset.dataset_meta", optional=True)
    config = parse_dataset(dataset, dataset_meta)
    _refuse_duplicates("tag_list", config.tag_list)
    _refuse_duplicates("target_tag_list", config.target_tag_list)
    model_assets = assets(dataset, dataset_meta)
    _refuse_unstorable("a tag", config.tags)
    _refuse_unstorable("an asset", [text for pair in model_assets.items() for text in pair])
    return ModelSpec(
        ref=ref,
        revision=revision,
        dataset=config,
        model_offset=_offset(built_model),
        anomaly=_anomaly(metadata.get("model"), _mapping(built_model, f"{_BUILD}.model.model_meta", optional=True)),
        accepts_nan=any(_KERAS.search(word) for word in _words(metadata.get("model")) if len(word) <= _LONGEST_WORD),
        assets=model_assets,
        trained=_trained(dataset),
    )


def _bad(message: str) -> Rejected:
    return Rejected(message, reason=Reason.BAD_METADATA, whole_model=True)


def _mapping(parent: Mapping[str, Any], path: str, *, optional: bool = False) -> Mapping[str, Any]:
    value = parent.get(path.rpartition(".")[2])
    if value is None and optional:
        return {}
    if not isinstance(value, Mapping):
        raise _bad(f"{path} is {'missing' if value is None else 'not an object'}")
    return value


def _offset(model: Mapping[str, Any]) -> int:
    offset = model.get("model_offset", 0)
    if not isinstance(offset, int) or isinstance(offset, bool) or not 0 <= offset <= _MOST_OFFSET:
        raise _bad(f"{_BUILD}.model.model_offset is {shown(offset, 40)}, not a number of rows")
    return offset


def _anomaly(model: Any, model_meta: Mapping[str, Any]) -> bool | None:
    """Return whether ``anomaly/prediction`` will answer; None where the metadata does not show it. No path does."""
    kind = next(iter(model), "") if isinstance(model, Mapping) else model
    if not isinstance(kind, str):
        return None
    if _ANOMALY.match(kind):
        return True if model_meta.get("feature-thresholds") else None
    return False if _PLAIN.match(kind) else None


def _trained(dataset: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return begin and end of the training data in ISO 8601; None where the metadata does not have both."""
    try:
        begin, end = (datetime.fromisoformat(str(dataset[key])) for key in ("train_start_date", "train_end_date"))
    except (KeyError, ValueError):
        return None
    return begin.isoformat(), end.isoformat()


def _words(definition: Any) -> Iterator[str]:
    """Yield every key and text of a model's definition, at any depth."""
    waiting = [definition]
    while waiting:
        match waiting.pop():
            case str(word):
                yield word
            case Mapping() as parts:
                waiting += [*parts.keys(), *parts.values()]
            case list(parts):
                waiting += parts


def _refuse_duplicates(key: str, tags: tuple[str, ...]) -> None:
    """Refuse two columns of one name, which would be one series in every sink."""
    twins = [tag for tag, times in Counter(tags).items() if times > 1]
    if twins:
        places = [str(i + 1) for i, tag in enumerate(tags) if tag == twins[0]]
        raise _bad(f"metadata.dataset.{key}: entries {' and '.join(places)} are both {twins[0]!r}")


def _refuse_unstorable(what: str, texts: Iterable[str]) -> None:
    """Refuse text that sources, sinks and the ledger cannot store."""
    if odd := [text for text in texts if _NO_TEXT.search(text)]:
        raise _bad(f"metadata.dataset: {what} contains invalid text: {excerpt(repr(odd[0]), 200)}")
