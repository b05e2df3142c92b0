"""How long sources keep readings: what the settings say, or else the source."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from latigo.domain.errors import LatigoError
from latigo.providers.protocols import RetainingSource
from latigo.runtime.clock import Clock
from latigo.settings import InfluxSensors, PluginSensors, Settings
from latigo.wiring.sources import open_source, routing_of

KeptFor = Callable[[Sequence[str]], timedelta | None]


async def readings_kept_for(settings: Settings, clock: Clock, *, report: Callable[[str], None]) -> KeptFor:
    """Return how long the readings of all of some tags are kept; None: as far as is known, for ever.

    Args:
        settings: all of them.
        clock: the machine's.
        report: takes a sentence on each source that could not be asked.

    Raises:
        ConfigurationError: a source cannot be used as it is configured.
    """
    kept: list[timedelta | None] = []
    for sensors in settings.sources:
        limit = sensors.retention
        if limit is None and isinstance(sensors, InfluxSensors | PluginSensors):
            try:
                async with open_source(sensors, clock) as source:
                    limit = await source.retention() if isinstance(source, RetainingSource) else None
            except LatigoError as error:
                report(f"how long {sensors.source_name} keeps readings is not known: {error}")
        kept.append(limit)
    routing = routing_of(settings)
    return lambda tags: min(
        (limit for tag in tags if (limit := kept[routing.source_of(tag)]) is not None), default=None
    )
