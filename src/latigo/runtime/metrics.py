"""A Prometheus registry of one's own, and how it is told."""

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder


def new_registry() -> CollectorRegistry:
    """An empty registry but for what the process tells of itself: memory, CPU, open files, collections."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's; spares a second series for each counter
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """The state of all metrics, and its content type: OpenMetrics for those who accept it, else Prometheus text."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
