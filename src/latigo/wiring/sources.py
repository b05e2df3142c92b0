"""Opens the sources of readings that the settings name, and loads the clients of those alone."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, assert_never

from latigo.domain.errors import ConfigurationError
from latigo.providers.protocols import SensorSource
from latigo.providers.routed import RoutedSensors, Routing
from latigo.providers.simulated import Plant, PlantSensors
from latigo.runtime.clock import Clock
from latigo.settings import (
    FileSensors,
    InfluxSensors,
    PluginSensors,
    Settings,
    SimulatedSensors,
    Source,
    TimeseriesSensors,
)
from latigo.wiring.plugins import extra, open_plugin

if TYPE_CHECKING:
    from latigo.postgres.database import Database
    from latigo.providers.bad_readings import BadReadings
    from latigo.providers.timeseries import Savings
    from latigo.runtime.in_progress import InProgress

_Opened = TypeVar("_Opened")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the sources of a process share with its other parts; for a command, nothing."""

    bad: "BadReadings | None" = None  #: account of the readings that are skipped; None: a new one
    database: "Database | None" = None  #: the ledger's, where a source may keep what it has looked up
    savings: "Savings | None" = None  #: account of what a source saves by sharing requests; None: a new one
    tasks: "InProgress | None" = None  #: those in progress, which share requests


#: What the sources of a command share.
NOTHING = Shared()


@asynccontextmanager
async def open_sensors(settings: Settings, clock: Clock, shared: Shared = NOTHING) -> AsyncIterator[SensorSource]:
    """Open the source of readings: the only one, or all of them as one.

    Raises:
        ConfigurationError: a source cannot be used as it is configured, or two of them have the same circuit.
    """
    async with AsyncExitStack() as opened:
        sources = []
        for number, section in enumerate(settings.sources):
            source = open_source(section, clock, shared)
            sources.append(await open_numbered(opened, "sensors", number, len(settings.sources), source))
        require_different_circuits([source.downstream for source in sources])
        yield sources[0] if len(sources) == 1 else RoutedSensors(sources, routing_of(settings))


async def open_numbered(
    opened: AsyncExitStack, table: str, number: int, count: int, context: AbstractAsyncContextManager[_Opened]
) -> _Opened:
    """Enter the context of one table of the settings, until the stack is closed.

    Args:
        opened: the stack.
        table: section of the settings.
        number: of the table in it.
        count: of all tables in it; where there are several, an error names this one.
        context: what the table is opened with.

    Raises:
        ConfigurationError: it cannot be used as it is configured.
    """
    try:
        return await opened.enter_async_context(context)
    except ConfigurationError as error:
        if count == 1:
            raise
        text, key = str(error), f"{table}[{number}]"
        named = text.startswith(f"{table}.")
        raise ConfigurationError(f"{key}{text.removeprefix(table)}" if named else f"{key}: {text}") from None


def require_different_circuits(circuits: Sequence[str]) -> None:
    """Check the names of the circuits of all sources: a plug-in names its own.

    Raises:
        ConfigurationError: two sources have the same.
    """
    if repeated := [circuit for number, circuit in enumerate(circuits) if circuit in circuits[:number]]:
        raise ConfigurationError(f"sensors: two sources have the circuit {repeated[0]}: give them other names")


def routing_of(settings: Settings) -> Routing:
    """Return which source each tag is read from."""
    return Routing([source.tags for source in settings.sources])


@asynccontextmanager
async def open_source(section: Source, clock: Clock, shared: Shared = NOTHING) -> AsyncIterator[SensorSource]:
    """Open one source of readings."""
    match section:
        case FileSensors() as files:
            from latigo.providers.files import open_files  # noqa: PLC0415 - loads pyarrow

            async with open_files(files, clock, shared.bad) as source:
                yield source
        case InfluxSensors() as influx:
            with extra("influx", "sensors.kind"):
                from latigo.providers.influx import open_sensors as open_influx_sensors  # noqa: PLC0415 - an extra
            async with open_influx_sensors(influx, clock, shared.bad) as source:
                yield source
        case TimeseriesSensors() as timeseries:
            from latigo.providers.timeseries import open_sensors as open_timeseries  # noqa: PLC0415 - loads aiohttp

            own = (shared.bad, shared.database, shared.savings, shared.tasks)
            async with open_timeseries(timeseries, clock, *own) as source:
                yield source
        case SimulatedSensors() as simulated:
            plant = Plant(simulated.seed, period=simulated.step)
            yield PlantSensors(plant, clock.now, any_tag=True, name=simulated.source_name)
        case PluginSensors() as plugin:
            async with open_plugin(plugin.kind, "sensors.kind", plugin.options, plugin.secrets, SensorSource) as source:
                yield source
        case _:
            assert_never(section)
