"""A Prometheus registry, and its exposition."""

from collections.abc import Awaitable, Callable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder


def new_registry() -> CollectorRegistry:
    """Return a registry that holds only the metrics of the process: memory, CPU, open files, garbage collections."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's; spares a second series for each counter
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """Return all metrics and their content type: OpenMetrics where ``accept`` has it, else Prometheus text."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def metrics_of(registry: CollectorRegistry) -> Callable[[str], Awaitable[tuple[bytes, str]]]:
    """Return what answers requests for the metrics of this process alone."""

    async def metrics(accept: str) -> tuple[bytes, str]:
        return exposition(registry, accept)

    return metrics
