"""Reach every system that the settings name, and report what is wrong; changes nothing."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import NamedTuple

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import LatigoError, Unavailable
from latigo.domain.model import ModelRef
from latigo.ledger.model_store import PostgresRoster
from latigo.ledger.protocol import DOWNSTREAM
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.postgres.database import Database
from latigo.postgres.embedded import has_database
from latigo.postgres.revisions import SchemaComparison, compare_schema, newest_revision
from latigo.postgres.schema import current_revision
from latigo.providers.bad_readings import BadReadings
from latigo.providers.gordo import open_gordo
from latigo.providers.metadata_api import open_metadata_api
from latigo.providers.protocols import ModelRoster
from latigo.providers.routed import Routing
from latigo.reports.trouble import read_trouble
from latigo.runtime.clock import SystemClock
from latigo.runtime.redaction import redact
from latigo.scheduler.discovery import checked
from latigo.scheduler.selection import Selection
from latigo.settings import EmbeddedLedger, EventHubQueue, GordoDiscovery, PostgresSink, Settings, TimeseriesSink
from latigo.wiring.discovery import open_discovery
from latigo.wiring.ledger import connect_to, ledger_server, user_at_host
from latigo.wiring.plugins import extra
from latigo.wiring.roster import NoRoster
from latigo.wiring.sampling import describe_sample, describe_unknown, evenly, sample
from latigo.wiring.sinks import open_store
from latigo.wiring.sources import Shared, open_numbered, open_source, require_different_circuits, routing_of

#: Time that an event hub gets to answer.
QUEUE_LIMIT = timedelta(seconds=20)
_PROJECTS = _MODELS = 3  #: whose tags are looked up in the source of readings
_LOOKED_UP = 50  #: tags


class SystemCheck(NamedTuple):
    """Result of reaching one system."""

    system: str
    answer: str
    error: LatigoError | None = None  #: None: it works
    details: Sequence[str] = ()  #: what was found in it, a line each

    @classmethod
    def failure(cls, system: str, error: LatigoError) -> "SystemCheck":
        """Return the result of an attempt that failed."""
        return cls(system, str(error), error)


async def check_systems(settings: Settings) -> list[SystemCheck]:
    """Reach every system, each for itself: one that is unavailable hides no other."""
    async with AsyncExitStack() as opened:
        database: Database | None = None
        try:
            database, answer = await _ledger(settings, opened)
            ledger = SystemCheck("ledger", answer)
        except LatigoError as error:
            ledger = SystemCheck.failure("ledger", error)
        named, discovery = await _discover(settings)
        sensors, queue, projects, metadata, *sinks = await asyncio.gather(
            _sources(settings, named),
            _try("task_queue", _queue(settings)),
            _projects(settings, database, named),
            _metadata(settings),
            *(
                _try(
                    circuit_name(System.SINK, sink.sink_name),
                    _sink(settings, number, database, named, to_be_created=ledger.error is None),
                )
                for number, sink in enumerate(settings.predictions)
            ),
        )
        sink_checks = [check for checks in sinks for check in checks]
        return [ledger, *sensors, *queue, *discovery, *projects, *metadata, *sink_checks]


async def _discover(settings: Settings) -> tuple[Sequence[str], Sequence[SystemCheck]]:
    """Return the projects to predict, and the result of reaching what names them, where that is not the settings."""
    if isinstance(settings.models.discover, GordoDiscovery):
        return settings.models.projects, []
    projects: list[str] = []

    async def read() -> str:
        async with open_discovery(settings, SystemClock()) as discovery:
            if discovery is None:
                return ""
            answer = await discovery.ping()
            projects.extend(named.project for named in checked(await discovery.get_projects()))
        return f"{settings.models.discover.kind}, {answer}"

    checks = await _try("discovery", read())
    return projects, checks


async def _metadata(settings: Settings) -> Sequence[SystemCheck]:
    """Reach the Metadata API where descriptions are posted to it."""
    if not any(isinstance(sink, TimeseriesSink) and sink.metadata for sink in settings.predictions):
        return []

    async def reach() -> str:
        async with open_metadata_api(settings.metadata_api, SystemClock()) as api:
            return await api.ping()

    return await _try("metadata_api", reach())


async def _try(system: str, work: Awaitable[str]) -> list[SystemCheck]:
    try:
        return [SystemCheck(system, redact(await work))]
    except LatigoError as error:
        return [SystemCheck.failure(system, error)]
    except Exception as error:  # noqa: BLE001 - a bug of one system, which may be a plug-in, hides no other
        return [SystemCheck.failure(system, LatigoError(f"{type(error).__name__}: {error}"))]


async def _ledger(settings: Settings, opened: AsyncExitStack) -> tuple[Database | None, str]:
    """Open the ledger as it is; None where it does not exist yet."""
    ledger = settings.ledger
    if isinstance(ledger, EmbeddedLedger) and not has_database(ledger.data_dir):
        return None, f"embedded, does not exist yet: latigo serve creates it in {ledger.data_dir}"
    url, _ = await opened.enter_async_context(ledger_server(settings))
    revision = await current_revision(url, downstream=DOWNSTREAM, connect_timeout=ledger.connect_timeout)
    newest = newest_revision()
    if revision is None:
        return None, "has no schema yet: latigo serve or latigo migrate creates it"
    match compare_schema(revision, newest):
        case SchemaComparison.OLDER:
            schema = f"schema {revision}: latigo serve or latigo migrate migrates it to {newest}"
        case SchemaComparison.SAME:
            schema = "schema up to date"
        case SchemaComparison.NEWER:
            schema = f"schema {revision} of a newer Latigo, with which this one works"
    database = await opened.enter_async_context(connect_to(url, settings))
    skew = await PostgresSchedulerLedger(database).clock_skew(SystemClock().now())
    if trouble := await read_trouble(database):
        raise Unavailable(f"takes no writes: {trouble}", downstream=DOWNSTREAM, alarm=True)
    return database, f"{schema}, clock {skew.total_seconds():+.1f} s"


async def _sources(settings: Settings, projects: Sequence[str]) -> list[SystemCheck]:
    """Reach every source of readings, each for itself."""
    tags, routing = asyncio.create_task(_needed_tags(settings, projects)), routing_of(settings)
    circuits: list[str] = []
    try:
        groups = await asyncio.gather(
            *(_source(settings, number, tags, routing, circuits) for number in range(len(settings.sources)))
        )
    finally:
        tags.cancel()
    checks = [check for group in groups for check in group]
    try:
        require_different_circuits(circuits)
    except LatigoError as error:
        checks.append(SystemCheck.failure("sensors", error))
    return checks


async def _source(
    settings: Settings, number: int, tags: Awaitable[Sequence[str]], routing: Routing, circuits: list[str]
) -> list[SystemCheck]:
    """Reach a source, and look into it: at tags that models need of it, else at any. Add its circuit to the others."""
    section, several = settings.sources[number], len(settings.sources) > 1
    system = circuit_name(System.SENSORS, section.source_name) if several else "sensors"
    details: list[str] = []

    async def look() -> str:
        clock = SystemClock()
        bad = BadReadings(clock)
        async with AsyncExitStack() as opened:
            context = open_source(section, clock, Shared(bad))
            source = await open_numbered(opened, "sensors", number, len(settings.sources), context)
            circuits.append(source.downstream)
            answer = f"{source.downstream}, {await source.ping()}"
            of_models = await tags
            needed = routing.own(number, of_models)
            unknown = [tag for tag in needed if not await source.sensor_exists(tag)]
            known = [tag for tag in needed if tag not in unknown]
            if several and of_models and not needed:
                details.append(f"none of {len(of_models)} tags of models is read from it (sensors[{number}].tags)")
            if not known:
                listed = await source.get_sensor_list()
                known = routing.own(number, listed)
                if listed and not known:
                    details.append(f"none of its {len(listed)} tags is read from it (sensors[{number}].tags)")
            found = await sample(source, evenly(known), clock.now(), settings.read_budget)
            details.extend(describe_sample(found, bad.counts(), clock.now()))
            if unknown:
                details.append(describe_unknown(unknown, len(needed)))
            if needed and len(unknown) == len(needed):
                raise LatigoError(f"{answer}, but none of the tags that models need")
        return answer

    return [check._replace(details=[redact(line) for line in details]) for check in await _try(system, look())]


async def _needed_tags(settings: Settings, projects: Sequence[str]) -> list[str]:
    """Return the tags of a few models, as far as the model server answers: it is checked by itself."""
    tags: dict[str, None] = {}
    with suppress(LatigoError):
        async with open_gordo(settings.models, NoRoster()) as gordo:
            for listed in await gordo.catalogue.get_model_list(projects[:_PROJECTS]):
                for name in evenly(listed.models, _MODELS):
                    with suppress(LatigoError):
                        spec = await gordo.catalogue.get_model_spec(ModelRef(listed.project, name), listed.revision)
                        tags |= dict.fromkeys(spec.dataset.tags)
    return list(tags)[:_LOOKED_UP]


async def _queue(settings: Settings) -> str:
    if not isinstance(settings.task_queue, EventHubQueue):
        return "within this process"
    with extra("eventhub", "task_queue.kind"):
        from latigo.task_queue.eventhub.connection import open_hub  # noqa: PLC0415 - an extra

    async with open_hub(settings.task_queue, SystemClock()) as hub:
        client = hub.producer()
        try:
            return f"{hub.channel}, {len(await hub.partition_ids(client, QUEUE_LIMIT))} partitions"
        finally:
            await hub.close(client)


async def _projects(settings: Settings, database: Database | None, named: Sequence[str]) -> list[SystemCheck]:
    """Reach the model server; without the ledger, what was registered by hand is not known."""
    roster: ModelRoster = NoRoster() if database is None else PostgresRoster(database, user_at_host())
    models = settings.models
    try:
        projects = Selection(tuple(named)).projects_to_list(await roster.entries())
    except LatigoError as error:
        return [SystemCheck.failure("models", error)]
    if not projects:
        source = "models.projects" if isinstance(models.discover, GordoDiscovery) else "models.discover"
        return [SystemCheck.failure("models", LatigoError(f"{source} names no project"))]
    try:
        async with open_gordo(models, roster) as gordo:
            servers = await gordo.catalogue.servers()
            checks = await asyncio.gather(
                *(_try(circuit_name(System.MODELS, project), gordo.catalogue.ping(project)) for project in projects),
                *(_try(name, server.ping(projects[0])) for name, server in servers.items()),
            )
    except LatigoError as error:
        return [SystemCheck.failure("models", error)]
    return [check for group in checks for check in group]


async def _sink(
    settings: Settings,
    number: int,
    database: Database | None,
    projects: Sequence[str],
    *,
    to_be_created: bool,
) -> str:
    """Read from a sink; of every project, since each may have a store of its own."""
    chosen = settings.predictions[number]
    if isinstance(chosen, PostgresSink) and database is None and to_be_created:
        return "is created together with the ledger"
    async with AsyncExitStack() as opened:
        context = open_store(chosen, database)
        store = await open_numbered(opened, "predictions", number, len(settings.predictions), context)
        try:
            return await store.ping(projects)
        except NotImplementedError:
            return "cannot be read back, so it was not tried"
