"""Status of the service: a snapshot of the ledger, and the verdict that follows from it.

Command line, API and gauges all read `assess`, so that they cannot disagree.
"""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from latigo.domain.circuits import System, circuit_name
from latigo.domain.health import State
from latigo.domain.windows import iso
from latigo.postgres.database import Database
from latigo.reports.advice import parked_because
from latigo.reports.base import Report
from latigo.reports.outages import RECENT, group_outages, some_of
from latigo.reports.snapshot import NAMED, RATE_SECONDS, SQL, Snapshot, read_snapshot
from latigo.reports.status_parts import ExecutorStatus, Planner, ProjectStatus, QueueOutage
from latigo.reports.trouble import read_trouble
from latigo.runtime.units import counted

if TYPE_CHECKING:
    from latigo.settings import ObjectiveSettings

NO_PLANNER = "no scheduler holds the lease to plan"
NO_EXECUTOR = "no executor is running"
ALL_DRAINED = "every executor is drained, so nothing is started (latigo executors resume NAME)"
BACKFILL_WAITS = "backfill is paused (latigo limits --resume-backfill)"
#: Failures that hold back no task.
_DELAYS_NOTHING = frozenset(
    {"discovery_failing", "discovery_quarantined", "list_outdated", "metadata_not_posted", "sink_lacks"}
)
#: Models that do not fall silent together by chance.
_MANY = 5


class Cause(Report):
    """Why the service is not healthy: one entry for a cause, however many projects and models it touches."""

    kind: str
    state: State  #: recovering, or needs attention
    text: str
    projects: Sequence[str] = ()  #: that it touches; none for all of them
    since: datetime | None = None
    next_try: datetime | None = None  #: when Latigo tries again by itself, where it does so at a time
    href: str = ""  #: the page that has more, relative to the base of all


#: The page of each kind of cause.
_PAGES = {
    "parked": "failures?state=parked",
    "unstored": "failures",
    "silent_sensors": "failures?state=silent",
    "no_scheduler": "queue",
    "no_executor": "queue",
    "executors_drained": "queue",
    "queue_unreachable": "queue",
    "queue_recreated": "queue",
    "unavailable": "queue",
    "sink_lacks": "backfills",
    "repairs": "backfills",
    "stale": "models?order=behind",
    "list_quarantined": "settings?tab=lists",
    "discovery_quarantined": "settings?tab=lists",
    "discovery_failing": "settings?tab=lists",
    "not_listed": "settings?tab=lists",
    "list_outdated": "settings?tab=lists",
}


class Status(Snapshot):
    """A snapshot, and what follows from it."""

    limited_by: str
    alarms: Sequence[str]  #: the causes that are failures, whether or not they pass by themselves
    stale_models: int
    healthy: bool
    state: State
    causes: Sequence[Cause]  #: those that need attention first
    headline: str = ""  #: the verdict in a sentence


async def read_status(database: Database, version: str, objective: "ObjectiveSettings | None" = None) -> Status:
    """Read the ledger and assess what it holds; without an objective, by that of a configuration without one."""
    if objective is None:
        from latigo.settings import ObjectiveSettings  # noqa: PLC0415 - a command that asks over HTTP needs none

        objective = ObjectiveSettings()
    return assess(await read_snapshot(database, version, objective), await read_trouble(database))


def assess(snapshot: Snapshot, trouble: str = "") -> Status:
    """Add what follows from a snapshot, and from the reason why the ledger takes no writes, if any. Pure."""
    failures = _failures(snapshot, trouble)
    causes = [
        _with_page(snapshot, cause)
        for cause in sorted(
            (*failures, *_delays(snapshot, failures)), key=lambda cause: cause.state is State.RECOVERING
        )
    ]
    state = causes[0].state if causes else State.HEALTHY
    return Status(
        **{**dict(snapshot), "projects": _judged(snapshot, causes)},
        headline=_headline(snapshot, state, causes),
        limited_by=limited_by(snapshot, trouble),
        alarms=[failure.text for failure in failures],
        stale_models=sum(project.stale for project in snapshot.projects),
        healthy=state is State.HEALTHY,
        state=state,
        causes=causes,
    )


def _headline(snapshot: Snapshot, state: State, causes: Sequence[Cause]) -> str:
    if causes:
        return f"{state.words.capitalize()}: {causes[0].text}"
    fresh, models = snapshot.freshness.fresh, sum(project.active for project in snapshot.projects)
    return f"Healthy: {fresh} of {counted(models, 'model')} are fresh" if models else "Healthy: no model is known yet"


def _with_page(snapshot: Snapshot, cause: Cause) -> Cause:
    """Return a cause with the page that has more about it, and the next time that Latigo tries by itself."""
    probes = [
        circuit.probe_at
        for circuit in snapshot.circuits
        if circuit.probe_at is not None and circuit.opened_at == cause.since
    ]
    next_try = min(probes) if cause.kind == "unavailable" and probes else None
    return cause.model_copy(update={"href": _PAGES.get(cause.kind, ""), "next_try": next_try})


def _judged(snapshot: Snapshot, causes: Sequence[Cause]) -> list[ProjectStatus]:
    """Return the projects, each with its own verdict, and why its model server is not used."""
    states = {
        project: cause.state for cause in reversed(causes) for project in cause.projects
    }  # the first is the worst
    circuits = {circuit.downstream: circuit.reason for circuit in snapshot.circuits}
    stuck: Counter[str] = Counter()
    for failure in snapshot.failures:
        stuck[failure.project] += failure.stuck
    return [
        project.model_copy(
            update={
                "state": states.get(project.project, State.HEALTHY),
                "stuck": stuck[project.project],
                "circuit": circuits.get(circuit_name(System.MODELS, project.project), ""),
                "behind_s": None if project.oldest is None else (snapshot.now - project.oldest).total_seconds(),
            }
        )
        for project in snapshot.projects
    ]


def limited_by(snapshot: Snapshot, trouble: str = "") -> str:
    """Return what keeps the service from being faster. Pure."""
    if obstacle := _obstacle(snapshot, trouble):
        return obstacle
    if not snapshot.outstanding.outstanding:
        waits = snapshot.backlog.slots or snapshot.requests.active or snapshot.repairs.models
        if waits and _backfill_paused(snapshot):
            return BACKFILL_WAITS
        if snapshot.backlog.slots:  # which was counted earlier
            return "nothing: no task is out, and what is left of the backlog is planned within seconds"
        return "nothing: there is nothing to do now"
    if any(executor.in_flight >= executor.concurrency for executor in snapshot.executors):
        limits = sum(executor.working_limit for executor in snapshot.executors)
        tasks = sum(executor.concurrency for executor in snapshot.executors)
        if limits < tasks:
            return f"{System.MODELS}: the model server takes {limits} calls at once, and executors have {tasks} tasks"
        return f"executor.concurrency: executors have {tasks} tasks at once, and the model server takes as many calls"
    return "nothing: work is under way"


def _obstacle(snapshot: Snapshot, trouble: str) -> str:
    """Return what keeps the service from working; empty if nothing does."""
    if trouble:
        return f"the ledger: {trouble}"
    if stopped := _stopped(snapshot.planner, snapshot.executors):
        return stopped
    if snapshot.queue_outages:
        return "waiting for the task queue"
    if snapshot.circuits:
        return f"waiting for {some_of([circuit.downstream for circuit in snapshot.circuits])}"
    return ""


async def read_stopped(database: Database) -> str:
    """Return why nothing that is planned is started, whatever it needs; empty if something is."""
    async with database.snapshot() as connection:
        planner = await connection.fetchrow(SQL["planner"])
        executors = await connection.fetch(SQL["executors"])
    return _stopped(Planner(**planner) if planner else None, [ExecutorStatus(**row) for row in executors])


def _stopped(planner: Planner | None, executors: Sequence[ExecutorStatus]) -> str:
    if planner is None:
        return NO_PLANNER
    if not executors:
        return NO_EXECUTOR
    return ALL_DRAINED if _all_drained(executors) else ""


def _failures(snapshot: Snapshot, trouble: str) -> list[Cause]:
    """Return what does not work. Pure.

    Among it are sinks that are unavailable although not required, since what they miss, they never get; and models that
    cannot be used, which settings or roster can leave out.
    """
    failures = []
    if trouble:  # and so neither scheduler nor executor can report to it
        failures.append(_attention("ledger_failing", f"the ledger takes no writes: {trouble}"))
    if snapshot.planner is None and not trouble:
        failures.append(_attention("no_scheduler", NO_PLANNER))
    if not snapshot.executors and not trouble:
        failures.append(_attention("no_executor", NO_EXECUTOR))
    if _all_drained(snapshot.executors):
        since = max(executor.drained_at for executor in snapshot.executors if executor.drained_at)
        failures.append(_attention("executors_drained", ALL_DRAINED, since=since))
    if snapshot.queue_outages:
        text, since = describe_queue_outages(snapshot.queue_outages), min(each.since for each in snapshot.queue_outages)
        failures.append(_attention("queue_unreachable", text, since=since))
    for channel in sorted({partition.channel for partition in snapshot.queue.partitions if partition.hub_recreated}):
        text = f"{channel} was recreated: run latigo queue reset, which forgets its checkpoints"
        failures.append(_attention("queue_recreated", text))
    if restored := [found for found in snapshot.queue.mismatched if found.shows_restore]:
        text = (
            f"{restored[0].what} that this ledger has never sent: {restored[0].example}. If it was restored"
            " from a backup, or a standby took over that had not received everything, run latigo ledger restored;"
            " otherwise another Latigo may share it"
        )
        failures.append(_attention("ledger_restored", text, since=min(found.first_at for found in restored)))
    for outage in group_outages(snapshot):
        passes = not outage.alarm and _is_recent(snapshot, outage.since)
        state = State.RECOVERING if passes else State.NEEDS_ATTENTION
        failures.append(
            Cause(kind=outage.kind, state=state, text=outage.text, projects=outage.projects, since=outage.since)
        )
    failures += _discovery(snapshot)
    failures += _quarantined(snapshot)
    failures += _outdated(snapshot)
    failures += _parked(snapshot)
    failures += _unstored(snapshot)
    failures += _unposted_metadata(snapshot)
    failures += _lacking_sinks(snapshot)
    return failures


def _backfill_paused(snapshot: Snapshot) -> bool:
    return any(limit.is_pause for limit in snapshot.limits)


def _all_drained(executors: Sequence[ExecutorStatus]) -> bool:
    return bool(executors) and all(executor.drained_at for executor in executors)


def describe_queue_outages(outages: Sequence[QueueOutage]) -> str:
    """Return for whom the task queue is unreachable, and why; of at least one outage. Pure."""
    roles = " and ".join(counted(outage.processes, outage.role) for outage in outages)
    return f"the task queue is unreachable for {roles}: {min(outages, key=lambda outage: outage.since).reason}"


def _attention(kind: str, text: str, projects: Sequence[str] = (), since: datetime | None = None) -> Cause:
    return Cause(kind=kind, state=State.NEEDS_ATTENTION, text=text, projects=projects, since=since)


def _discovery(snapshot: Snapshot) -> list[Cause]:
    """Return why the list of projects is not the newest: what names them is unavailable, or its list is quarantined."""
    trouble = snapshot.discovery
    if trouble is None:
        return []
    if trouble.quarantined_since is not None:
        text = (
            f"the list of projects by models.discover ({trouble.source}) lacks too many of the known models and is"
            " quarantined for an hour; the last one holds (latigo models accept-loss)"
        )
        return [_attention("discovery_quarantined", text, since=trouble.quarantined_since)]
    text = f"models.discover ({trouble.source}) does not name the projects, and its last list holds: {trouble.error}"
    passes = not trouble.alarm and _is_recent(snapshot, trouble.failing_since)
    state = State.RECOVERING if passes else State.NEEDS_ATTENTION
    return [Cause(kind="discovery_failing", state=state, text=text, since=trouble.failing_since)]


def _unposted_metadata(snapshot: Snapshot) -> list[Cause]:
    unposted = snapshot.unposted_metadata
    if not unposted.models:
        return []
    text = f"{counted(unposted.models, 'model')} could not be described to the Metadata API so far: {unposted.error}"
    state = State.RECOVERING if _is_recent(snapshot, unposted.since) else State.NEEDS_ATTENTION
    return [Cause(kind="metadata_not_posted", state=state, text=text, since=unposted.since)]


def _lacking_sinks(snapshot: Snapshot) -> list[Cause]:
    causes = []
    for sink in snapshot.sinks:
        if not sink.slots:
            continue
        number = f"{counted(sink.slots, 'slot')} of {counted(sink.models, 'model')}"
        text = f"{sink.sink} lacks {number} that are covered without it"
        if sink.request is None:
            text += f" (latigo backfill --sink {sink.name} --dry-run)"
            causes.append(_attention("sink_lacks", text, since=sink.since))
        elif sink.request_paused:
            text += f": request {sink.request} copies it, and is paused (latigo backfills resume {sink.request})"
            causes.append(_attention("sink_lacks", text, since=sink.since))
        else:
            text += f": request {sink.request} copies what other sinks have, and predicts the rest"
            if _backfill_paused(snapshot):
                text += f", when it is resumed: {BACKFILL_WAITS}"
            causes.append(Cause(kind="sink_lacks", state=State.RECOVERING, text=text, since=sink.since))
    return causes


def _is_recent(snapshot: Snapshot, since: datetime | None) -> bool:
    return since is not None and snapshot.now - since < RECENT


def _quarantined(snapshot: Snapshot) -> list[Cause]:
    since = {project.project: project.doubted_since for project in snapshot.projects if project.doubted_since}
    projects = list(since)
    match projects:
        case []:
            return []
        case [project]:
            text = f"{project}: its model list has lost too many models at once and is quarantined"
        case _:
            text = f"{some_of(projects)}: model lists that have lost too many models at once are quarantined"
    command = f"latigo models accept-loss {projects[0] if len(projects) == 1 else 'PROJECT'}"
    return [_attention("list_quarantined", f"{text} ({command})", projects, min(since.values()))]


def _outdated(snapshot: Snapshot) -> list[Cause]:
    """Return a cause for each project whose server lists an older revision than before."""
    return [
        Cause(
            kind="list_outdated",
            state=State.RECOVERING if _is_recent(snapshot, project.outdated_since) else State.NEEDS_ATTENTION,
            text=f"{project.project}: the model server lists revision {project.outdated_revision}, which is older than"
            f" {project.revision}: not all of its processes have the newer one, or it was withdrawn",
            projects=[project.project],
            since=project.outdated_since,
        )
        for project in snapshot.projects
        if project.outdated_since is not None
    ]


def _parked(snapshot: Snapshot) -> list[Cause]:
    """Return one cause for each reason for which models are parked with their newest slot."""
    causes = []
    for reason in sorted({failure.reason for failure in snapshot.failures if failure.stuck}):
        alike = [failure for failure in snapshot.failures if failure.stuck and failure.reason == reason]
        projects = sorted(failure.project for failure in alike)
        selector = f"--project {projects[0]} --reason {reason}" if len(projects) == 1 else f"--reason {reason}"
        sensors, number = {failure.sensor for failure in alike}, sum(failure.stuck for failure in alike)
        because = parked_because(reason, sensors.pop() if len(sensors) == 1 else None)
        text = (
            f"{counted(number, 'model')} of {some_of(projects)} {'gets' if number == 1 else 'get'} no predictions:"
            f" {because} (latigo failures {selector})"
        )
        causes.append(_attention("parked", text, projects, min(failure.since for failure in alike)))
    return causes


def _unstored(snapshot: Snapshot) -> list[Cause]:
    """Return one cause for each way in which newest slots lack predictions that their readings allow."""
    causes = []
    for example in sorted({models.example for models in snapshot.unstored}):
        alike = [models for models in snapshot.unstored if models.example == example]
        projects, number = sorted({models.project for models in alike}), sum(models.models for models in alike)
        if len(alike) == 1:
            names, selector = list(alike[0].names), f"--project {projects[0]} --reason {alike[0].reason}"
        else:
            names = [f"{models.project}/{name}" for models in alike for name in models.names][:NAMED]
            selector = f"--reason {alike[0].reason}"
        others = " and others" if number > len(names) else ""
        text = (
            f"{some_of(projects)}: models that lack predictions in their newest slot, {example}:"
            f" {number}, {', '.join(names)}{others} (latigo failures {selector})"
        )
        causes.append(_attention("unstored", text, projects))
    return causes


def _delays(snapshot: Snapshot, failures: Sequence[Cause]) -> list[Cause]:
    """Return what is late or missing although nothing that is known to have failed explains it. Pure."""
    explained = {project for cause in failures if cause.kind == "unavailable" for project in cause.projects}
    if not any(not cause.projects for cause in failures if cause.kind not in _DELAYS_NOTHING):
        left = [project for project in snapshot.projects if project.project not in explained]
    else:
        left = []
    return [*_stale(snapshot, left), *_undescribed(left), *_silent(snapshot), *_repairs(snapshot)]


def _stale(snapshot: Snapshot, projects: Sequence[ProjectStatus]) -> list[Cause]:
    """Return the cause for models that are late; it needs attention while the backlog does not fall."""
    names = [project.project for project in projects if project.late]
    if not names:
        return []
    rates, number = snapshot.rates, sum(project.late for project in projects)
    late = f"{counted(number, 'model')} in {some_of(names)} {'is' if number == 1 else 'are'} late"
    started = min((executor.started_at for executor in snapshot.executors), default=snapshot.now)
    worked = (snapshot.now - started).total_seconds() > RATE_SECONDS
    achieved, needed = rates.recent_slots_per_second, rates.needed_slots_per_second
    if worked and snapshot.backlog.slots and achieved < needed:
        text = f"{late}, and the backlog does not fall: {achieved:.2g} slots/s covered lately, {needed:.2g} needed"
        return [_attention("stale", text, names)]
    text = f"{late}: {snapshot.backlog.slots} slots are left, which Latigo catches up with"
    return [Cause(kind="stale", state=State.RECOVERING, text=text, projects=names)]


def _undescribed(projects: Sequence[ProjectStatus]) -> list[Cause]:
    names = [project.project for project in projects if project.undescribed]
    if not names:
        return []
    number = sum(project.undescribed for project in projects)
    text = f"{counted(number, 'model')} in {some_of(names)} without metadata, which is read again"
    return [Cause(kind="undescribed", state=State.RECOVERING, text=text, projects=names)]


def _silent(snapshot: Snapshot) -> list[Cause]:
    """Return the cause for models without readings; if no model has any, it is rather the source that fails."""
    silent, models = snapshot.silent_sensors, sum(project.silent for project in snapshot.projects)
    if not models:
        return []
    active = sum(project.active for project in snapshot.projects)
    everything = models == active >= _MANY
    waiting = f"{'all ' if everything else ''}{counted(models, 'model')} {'waits' if models == 1 else 'wait'}"
    text = f"{waiting} for readings"  # of sensors that are known when the newest slots are tried again
    if silent:
        text = f"{waiting} for {counted(snapshot.silent_sensor_count, 'silent sensor')}"
        text += f" ({some_of([sensor.tag for sensor in silent], snapshot.silent_sensor_count)})"
    if everything:
        text += ": latigo check looks into the source"
    projects = [project.project for project in snapshot.projects if project.silent]
    since = min((sensor.since for sensor in silent), default=None)
    state = State.NEEDS_ATTENTION if everything else State.RECOVERING
    return [Cause(kind="silent_sensors", state=state, text=text, projects=projects, since=since)]


def _repairs(snapshot: Snapshot) -> list[Cause]:
    repairs = snapshot.repairs
    if not repairs.models:
        return []
    slots, models = counted(math.ceil(repairs.slots), "slot"), counted(repairs.models, "model")
    text = f"{slots} of {models} in {some_of(repairs.projects)} may hold rows of an older write: predicted again"
    if _backfill_paused(snapshot):
        text += f" when backfill is resumed: {BACKFILL_WAITS}"
    elif repairs.due_at is not None and repairs.due_at > snapshot.now:
        text += f", the first from {iso(repairs.due_at.replace(microsecond=0))} on"
    return [Cause(kind="repairs", state=State.RECOVERING, text=text, projects=repairs.projects)]
