"""Endpoints: what this Latigo is, what it uses and how that is, and with which settings it works."""

import asyncio
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from importlib import metadata
from typing import Any

from latigo import __version__
from latigo.domain.circuits import System, circuit_name
from latigo.postgres.revisions import newest_revision
from latigo.reports.base import Report
from latigo.reports.circuits import CircuitStatus, read_open_circuits
from latigo.reports.limits import LimitStatus, read_executors, read_limits
from latigo.reports.names import read_names
from latigo.settings import Settings
from latigo.settings.origins import Value
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, NoChoice
from latigo.web.api.queue import configured_limits

#: Packages whose versions decide what Latigo can do.
_PACKAGES = ("aiohttp", "asyncpg", "numpy", "orjson", "pyarrow", "pydantic", "structlog", "typer")
_SERVER = "SELECT current_setting('server_version') AS version, (SELECT version_num FROM alembic_version) AS revision"


class PackageVersion(Report):
    """A package that is installed here."""

    name: str
    version: str
    licence: str


class ExecutorVersion(Report):
    """Executors of one version."""

    version: str
    executors: int


class SystemInUse(Report):
    """A system that the settings name."""

    part: str  #: ledger, task_queue, models, sensors or predictions
    name: str
    kind: str
    note: str  #: what else is to be known of it
    circuit: str  #: name of its circuit; empty: it has none
    unavailable: CircuitStatus | None  #: why it is not used for now; None: it is


class About(Report):
    """What this Latigo is, and what it uses."""

    at: datetime
    version: str
    python: str
    platform: str
    ledger_server: str  #: version of PostgreSQL
    ledger_revision: str  #: of the schema
    newest_revision: str  #: that this version knows
    executors: Sequence[ExecutorVersion]
    systems: Sequence[SystemInUse]
    packages: Sequence[PackageVersion]


async def _about(context: Context, _asked: NoChoice) -> About:
    row = await context.database.row(_SERVER)
    circuits = {each.downstream: each for each in await read_open_circuits(context.database)}
    known = await read_names(context.database, context.settings.models.projects)
    versions = Counter(each.version for each in await read_executors(context.database))
    return About(
        at=context.now(),
        version=__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        ledger_server=f"PostgreSQL {row['version']}" if row else "",
        ledger_revision=row["revision"] if row else "",
        newest_revision=newest_revision(),
        executors=[ExecutorVersion(version=version, executors=count) for version, count in sorted(versions.items())],
        systems=[
            system.model_copy(update={"unavailable": circuits.get(system.circuit)})
            for system in _systems(context.settings, sorted(known.projects))
        ],
        packages=list(_packages()),
    )


def _systems(settings: Settings, projects: Sequence[str]) -> Iterator[SystemInUse]:
    """Yield what the settings name, without what is known of it."""

    def system(part: str, name: str, kind: str, note: str = "", circuit: str = "") -> SystemInUse:
        return SystemInUse(part=part, name=name, kind=kind, note=note, circuit=circuit, unavailable=None)

    yield system("ledger", "ledger", settings.ledger.kind)
    yield system("task_queue", "task queue", settings.task_queue.kind)
    for project in projects:
        yield system("models", project, "gordo", circuit=circuit_name(System.MODELS, project))
    for source in settings.sources:
        tags = ", ".join(source.tags) if source.tags else "all other tags"
        circuit = circuit_name(System.SENSORS, source.source_name)
        yield system("sensors", source.source_name, source.kind, tags, circuit)
    for sink in settings.predictions:
        note = "required" if sink.required else "not required"
        yield system("predictions", sink.sink_name, sink.kind, note, circuit_name(System.SINK, sink.sink_name))


def _packages() -> Iterator[PackageVersion]:
    for name in _PACKAGES:
        try:
            found = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        named = next((found[key] for key in ("License-Expression", "License") if key in found), "")
        licence = named.partition("\n")[0]
        yield PackageVersion(name=name, version=found["Version"], licence=licence[:100])


ABOUT = Endpoint(
    path="/about",
    summary="What this Latigo is, the systems that it uses, and which of them are unavailable.",
    question=NoChoice,
    answer=About,
    handle=_about,
    shared_for=timedelta(seconds=5),
)


class Setting(Report):
    """One key of the settings."""

    key: str
    value: Any  #: as the configuration file would have it, secrets masked
    default: Any  #: None: there is none, or it is that of another kind of system
    changed: bool  #: it was given, or is not the default
    source: str  #: default, file, environment, secret file, or program: set by what has started it
    where: str  #: the file with its line, or the name of the variable
    live: LimitStatus | None  #: what holds instead, as `latigo limits` has set it; None: it changes with a restart


class OverrideInUse(Report):
    """One table of the overrides."""

    match: str
    models: int  #: that it matches
    changes: dict[str, Any]


class SettingsReport(Report):
    """The settings of this process."""

    at: datetime
    settings: Sequence[Setting]  #: those that are no default first
    overrides: Sequence[OverrideInUse]


async def _settings(context: Context, _asked: NoChoice) -> SettingsReport:
    settings = context.settings
    limits = (await read_limits(context.database, configured_limits(settings))).limits
    known = await read_names(context.database)
    names = [str(ref) for ref in known.models]
    return await asyncio.to_thread(_report, settings, {each.key: each for each in limits}, names, context.now())


def _report(settings: Settings, limits: dict[str, LimitStatus], names: Sequence[str], now: datetime) -> SettingsReport:
    rows = [
        Setting(
            key=each.key,
            value=each.value,
            default=each.default,
            changed=_is_changed(each),
            source="program" if _is_changed(each) and each.origin.source == "default" else each.origin.source,
            where=each.origin.where,
            live=limits.get(each.key),
        )
        for each in settings.values()
    ]
    rows.sort(key=lambda row: not row.changed and (row.live is None or row.live.changed_at is None))
    overrides = [
        OverrideInUse(
            match=str(table.pop("match")), models=sum(fnmatchcase(name, rule.match) for name in names), changes=table
        )
        for rule, table in zip(settings.override, settings.masked()["override"], strict=True)
    ]
    return SettingsReport(at=now, settings=rows, overrides=overrides)


def _is_changed(value: Value) -> bool:
    """Return whether it was given, or differs from the default of the same key."""
    return value.origin.source != "default" or (value.default is not None and value.value != value.default)


SETTINGS = Endpoint(
    path="/settings",
    summary="The settings of the process that answers: secrets masked, and where each value comes from.",
    question=NoChoice,
    answer=SettingsReport,
    handle=_settings,
    limit=timedelta(seconds=5),
    shared_for=timedelta(seconds=5),
)

ENDPOINTS = (ABOUT, SETTINGS)
