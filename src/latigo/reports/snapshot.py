"""Snapshot of the service: what the ledger knows of it at one moment."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from latigo.domain.lateness import delay_for
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Report
from latigo.reports.freshness import Freshness, freshness_of, read_counted
from latigo.reports.receipts import StageStatus, read_stages
from latigo.reports.status_parts import (
    BacklogTotals,
    BadReadingsOfTag,
    ChangedLimit,
    DiscoveryTrouble,
    ExecutorStatus,
    LackingSink,
    MismatchedMessages,
    OpenCircuit,
    OpenRequests,
    OutstandingTasks,
    ParkedModels,
    PartitionLag,
    Pause,
    PendingRepairs,
    Planner,
    ProjectStatus,
    QueueOutage,
    QueueStatus,
    Rates,
    RefusedMessages,
    SilentSensor,
    SlotExceptions,
    SourceLateness,
    StaleModel,
    UnbuiltModel,
    UnpostedMetadata,
    UnstoredModels,
)

if TYPE_CHECKING:
    from latigo.settings import ObjectiveSettings

SQL = load_statements("latigo.reports", "status.sql")

#: Stale models, and silent sensors, that a status names; the rest is counted.
NAMED = 10
#: Share of newest slots whose readings should have arrived when they are due.
COMPLETE = 0.99
#: Period of the rates, in seconds.
RATE_SECONDS = 300.0


class Snapshot(Report):
    """The service at one moment, as recorded in the ledger."""

    version: str
    now: datetime
    planner: Planner | None
    executors: Sequence[ExecutorStatus]
    projects: Sequence[ProjectStatus]
    backlog: BacklogTotals
    outstanding: OutstandingTasks
    queue: QueueStatus
    rates: Rates
    circuits: Sequence[OpenCircuit]
    exceptions: Sequence[SlotExceptions]
    failures: Sequence[ParkedModels]
    stale: Sequence[StaleModel]  #: the late ones that are furthest behind
    unstored: Sequence[UnstoredModels] = ()
    silent_sensors: Sequence[SilentSensor] = ()  #: those that most models wait for
    silent_sensor_count: int = 0  #: all of them
    queue_outages: Sequence[QueueOutage] = ()
    bad_readings: Sequence[BadReadingsOfTag] = ()  #: found in the last day; those of most readings
    bad_reading_kinds: int = 0  #: places, tags and faults, all of them
    repairs: PendingRepairs = PendingRepairs(models=0, slots=0)
    pauses: Sequence[Pause] = ()  #: the newest
    pause_count: int = 0  #: all of them
    limits: Sequence[ChangedLimit] = ()
    requests: OpenRequests = OpenRequests()
    dismissed_models: int = 0  #: with failures that are no alarm
    discovery: DiscoveryTrouble | None = None
    unposted_metadata: UnpostedMetadata = UnpostedMetadata(models=0)
    not_built: Sequence[UnbuiltModel] = ()  #: those that are expected for longest
    not_built_count: int = 0  #: all of them
    sinks: Sequence[LackingSink] = ()
    lateness: Sequence[SourceLateness] = ()
    freshness: Freshness = Freshness()
    stages: Sequence[StageStatus] = ()  #: of the windows that were settled in the last five minutes


async def read_snapshot(database: Database, version: str, objective: "ObjectiveSettings") -> Snapshot:
    """Read everything about the service that the ledger knows, as of one moment; sums over all slots may be older."""
    async with database.snapshot() as connection:
        now = await connection.fetchval(SQL["now"])
        planner = await connection.fetchrow(SQL["planner"])
        executors = await connection.fetch(SQL["executors"])
        projects = await connection.fetch(SQL["projects"])
        freshness = await connection.fetch(SQL["freshness"], objective.fresh_within, NAMED)
        counted = await read_counted(connection, objective, now)
        failures = await connection.fetch(SQL["failures_by_cause"])
        unstored = await connection.fetch(SQL["unstored"], NAMED)
        summed_at = await connection.fetchval(SQL["summed_at"])
        totals = await connection.fetch(SQL["slot_totals"] if summed_at else SQL["slot_totals_now"])
        rates = await connection.fetchrow(SQL["rates"], now)
        speed = await connection.fetchrow(SQL["speed"], now)
        outstanding = await connection.fetchrow(SQL["outstanding"])
        partitions = [PartitionLag(**row) for row in await connection.fetch(SQL["queue"])]
        refused = await connection.fetch(SQL["refused"])
        mismatches = await connection.fetch(SQL["mismatches"])
        circuits = await connection.fetch(SQL["circuits"])
        silent = await connection.fetch(SQL["silent_sensors"], NAMED)
        bad = await connection.fetch(SQL["bad_readings"], NAMED)
        outages = await connection.fetch(SQL["queue_outages"])
        repairs = await connection.fetchrow(SQL["repairs"])
        pauses = await connection.fetch(SQL["pauses"], NAMED)
        limits = await connection.fetch(SQL["changed_limits"])
        requests = await connection.fetchrow(SQL["requests"])
        dismissed = await connection.fetchrow(SQL["dismissed"])
        discovery = await connection.fetchrow(SQL["discovery"])
        unposted = await connection.fetchrow(SQL["unposted_metadata"])
        not_built = await connection.fetch(SQL["not_built"], NAMED)
        sinks = await connection.fetch(SQL["sinks"])
        lateness = await connection.fetch(SQL["lateness"])
        stages = await read_stages(connection, now)
    backlog = [row for row in totals if row["kind"] == "backlog"]
    rate = _rates(rates, speed, sum(row["slots_per_second"] for row in freshness))
    return Snapshot(
        version=version,
        now=now,
        planner=Planner(**planner) if planner else None,
        executors=[ExecutorStatus(**row) for row in executors],
        projects=_projects(projects, freshness, backlog),
        backlog=_backlog(backlog, rate, speed, summed_at, blocked=bool(circuits)),
        outstanding=OutstandingTasks(**outstanding),
        queue=QueueStatus(
            lag=sum(partition.lag for partition in partitions),
            partitions=partitions,
            refused=[RefusedMessages(**row) for row in refused],
            mismatched=[MismatchedMessages(**row) for row in mismatches],
        ),
        rates=rate,
        circuits=[
            OpenCircuit(
                downstream=row["downstream"],
                reason=row["reason"],
                alarm=row["alarm"],
                opened_at=row["opened_at"],
                pause_s=row["pause"].total_seconds(),
                probe_at=row["probe_at"],
            )
            for row in circuits
        ],
        exceptions=[
            SlotExceptions(project=row["project"], state=row["kind"], models=row["models"], slots=row["slots"])
            for row in totals
            if row["kind"] != "backlog"
        ],
        failures=[ParkedModels(**row) for row in failures],
        stale=_stalest(freshness),
        unstored=[UnstoredModels(**row) for row in unstored],
        silent_sensors=[
            SilentSensor(tag=row["tag"], since=row["since"], models=row["models"], projects=row["projects"])
            for row in silent
        ],
        silent_sensor_count=silent[0]["sensors"] if silent else 0,
        bad_readings=[BadReadingsOfTag(**{name: row[name] for name in BadReadingsOfTag.model_fields}) for row in bad],
        bad_reading_kinds=bad[0]["kinds"] if bad else 0,
        queue_outages=[QueueOutage(**row) for row in outages],
        repairs=PendingRepairs(**repairs),
        pauses=[Pause(**{name: row[name] for name in Pause.model_fields}) for row in pauses],
        pause_count=pauses[0]["pauses"] if pauses else 0,
        limits=[ChangedLimit(**row) for row in limits],
        requests=OpenRequests(**requests),
        dismissed_models=dismissed["models"],
        discovery=DiscoveryTrouble(**discovery) if discovery else None,
        unposted_metadata=UnpostedMetadata(**unposted),
        not_built=[UnbuiltModel(**{name: row[name] for name in UnbuiltModel.model_fields}) for row in not_built],
        not_built_count=not_built[0]["models"] if not_built else 0,
        sinks=[LackingSink(**row) for row in sinks],
        lateness=_lateness(lateness),
        stages=stages,
        freshness=freshness_of(
            counted,
            objective,
            fresh=sum(row["fresh"] for row in freshness),
            stale=sum(row["stale"] for row in freshness),
        ),
    )


def _rates(rates: Mapping[str, Any], speed: Mapping[str, Any], needed: float) -> Rates:
    return Rates(
        needed_slots_per_second=needed,
        covered_slots_per_second=rates["covered_slots"] / RATE_SECONDS,
        rows_per_second=rates["rows"] / RATE_SECONDS,
        tasks_per_second=rates["settled"] / RATE_SECONDS,
        recent_slots_per_second=rates["covered_slots"] / max(rates["busy_seconds"], 1.0),
        possible_slots_per_second=speed["at_once"] / speed["live"] if speed["live"] and speed["at_once"] else None,
    )


def _backlog(
    backlog: Sequence[Mapping[str, Any]],
    rates: Rates,
    speed: Mapping[str, Any],
    as_of: datetime | None,
    *,
    blocked: bool,
) -> BacklogTotals:
    slots, calls = (round(sum(row[what] for row in backlog)) for what in ("slots", "calls"))
    seconds, possible = None, rates.possible_slots_per_second
    if calls and not blocked and possible and possible > rates.needed_slots_per_second:
        left = 1 - rates.needed_slots_per_second / possible  # live work goes first
        seconds = calls * speed["backlog"] / (speed["at_once"] * left)
    return BacklogTotals(slots=slots, calls=calls, as_of=as_of, seconds=seconds)


def _projects(
    listed: Sequence[Mapping[str, Any]], freshness: Sequence[Mapping[str, Any]], backlog: Sequence[Mapping[str, Any]]
) -> list[ProjectStatus]:
    lists, fresh = {row["name"]: row for row in listed}, {row["project"]: row for row in freshness}
    slots = {row["project"]: row["slots"] for row in backlog}
    return [
        _project(name, lists.get(name), fresh.get(name), slots.get(name, 0))
        for name in sorted(lists.keys() | fresh.keys())
    ]


def _project(
    name: str, listed: Mapping[str, Any] | None, fresh: Mapping[str, Any] | None, backlog_slots: float
) -> ProjectStatus:
    counts = ("active", "paused", "unusable", "missing", "retired", "silent", "parked", "stale", "fresh", "late")
    counted: dict[str, Any] = {key: fresh[key] if fresh else 0 for key in counts}
    return ProjectStatus(
        project=name,
        revision=listed["revision"] if listed else "",
        listed_at=listed["listed_at"] if listed else None,
        error=listed["error"] if listed else "",
        doubted_since=listed["doubted_since"] if listed else None,
        undescribed=max((listed["models"] if listed else 0) - (fresh["known"] if fresh else 0), 0),
        oldest=fresh["oldest"] if fresh else None,
        backlog_slots=backlog_slots,
        not_built=listed["not_built"] if listed else 0,
        outdated_since=listed["outdated_since"] if listed else None,
        outdated_revision=listed["outdated_revision"] if listed else "",
        **counted,
    )


def _lateness(rows: Sequence[Mapping[str, Any]]) -> list[SourceLateness]:
    sources: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        sources.setdefault(row["source"], []).append(row)
    return [
        SourceLateness(
            source=source,
            slots=(slots := sum(row["slots"] for row in alike)),
            complete_share=sum(row["complete"] for row in alike) / slots,
            delay=delay_for({row["bound"]: row["slots"] for row in alike}, COMPLETE) or timedelta(0),
        )
        for source, alike in sources.items()
    ]


def _stalest(freshness: Sequence[Mapping[str, Any]]) -> list[StaleModel]:
    """Return the late models of all projects that are furthest behind."""
    stale = [
        StaleModel(project=row["project"], model=model, looked_until=looked_until, due=due)
        for row in freshness
        for model, looked_until, due in row["latest"] or ()
    ]
    return sorted(stale, key=lambda model: model.looked_until)[:NAMED]
