"""Metrics of several processes as one exposition; pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

#: Of these, what is largest counts; everything else is added up.
_LARGEST: Final = ("_info", "_lag_seconds", "process_start_time_seconds")
_ONLY_RISING: Final = frozenset({"counter", "histogram", "summary"})

_Labels = tuple[tuple[str, str], ...]


class _Merged:
    """What encoders take for a registry."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def merge(expositions: Sequence[str], *, only_rising: bool = False) -> Sequence[Metric]:
    """Return the metrics of several expositions in Prometheus' text format, in the order of their names.

    Args:
        expositions: one of each process.
        only_rising: counters and histograms alone: what remains of a process that has ended.

    Raises:
        ValueError: one of them is no exposition.
    """
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, _Labels], float]] = {}
    for text in expositions:
        for family in text_string_to_metric_families(text):
            if only_rising and family.type not in _ONLY_RISING:
                continue
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            found = values.setdefault(family.name, {})
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                found[key] = _joined(sample.name, found.get(key), sample.value)
    for name, samples in values.items():
        for (sample_name, labels), value in samples.items():
            families[name].add_sample(sample_name, dict(labels), value)
    return [families[name] for name in sorted(families)]


def encoded(metrics: Iterable[Metric], accept: str = "") -> tuple[bytes, str]:
    """Return metrics and their content type: OpenMetrics where ``accept`` has it, else Prometheus text."""
    encode, content_type = choose_encoder(accept)
    return encode(_Merged(metrics)), content_type


def _joined(name: str, before: float | None, value: float) -> float:
    if before is None:
        return value
    return max(before, value) if name.endswith(_LARGEST) else before + value


def as_text(metrics: Iterable[Metric]) -> str:
    """Return metrics in Prometheus' text format."""
    return encoded(metrics)[0].decode()
