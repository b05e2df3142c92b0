"""Outages by cause: one server that is down is one outage, however many circuits and model lists it stops. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from latigo.domain.circuits import System
from latigo.reports.snapshot import Snapshot
from latigo.runtime.transport_failure import is_transport_failure

#: An outage passes by itself until it has lasted for so long.
RECENT = timedelta(minutes=10)
#: Names that a line has room for; the rest is counted.
_SHOWN = 3
#: The status of a response, after what was requested.
_STATUS = re.compile(r": (\d{3})\b")
_HOST = re.compile(r"Cannot connect to host (\S+)")


class Outage(NamedTuple):
    """What is unavailable for one cause."""

    kind: Literal["unavailable", "not_listed"]
    text: str
    projects: Sequence[str]  #: none: all of them
    since: datetime | None  #: None: it was never available
    alarm: bool  #: waiting does not help


class _Symptom(NamedTuple):
    """An open circuit, or a model list that cannot be read."""

    downstream: str
    project: str  #: empty for what all projects share
    reason: str
    since: datetime | None
    alarm: bool = False
    listing: bool = False


def some_of(names: Sequence[str], count: int = 0) -> str:
    """Name the first few of ``count`` names, by default all of them, and count the rest."""
    more = max(count, len(names)) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def group_outages(snapshot: Snapshot) -> list[Outage]:
    """Return the outages that a snapshot shows, one for each cause."""
    symptoms = [
        _Symptom(circuit.downstream, _project_of(circuit.downstream), circuit.reason, circuit.opened_at, circuit.alarm)
        for circuit in snapshot.circuits
    ]
    stopped = {symptom.project for symptom in symptoms}
    symptoms += [
        _Symptom(f"{System.MODELS}/{project.project}", project.project, project.error, project.listed_at, listing=True)
        for project in snapshot.projects
        if project.error and project.project not in stopped
    ]
    groups: dict[tuple[str, ...], list[_Symptom]] = {}
    for symptom in symptoms:
        groups.setdefault(_key(symptom), []).append(symptom)
    return [_outage(group) for group in groups.values()]


def _project_of(downstream: str) -> str:
    system, _, name = downstream.partition("/")
    return name if system == System.MODELS else ""


def _key(symptom: _Symptom) -> tuple[str, ...]:
    """Return what symptoms of the same cause have in common: the server, and how it fails."""
    reason = symptom.reason
    if not symptom.project:
        host = _HOST.search(reason)
        return (host[1] if host else symptom.downstream,)
    if status := _STATUS.search(reason):
        failure = status[1]
    else:
        failure = "no response" if is_transport_failure(reason) else _without_names(reason, symptom.project)
    return System.MODELS, failure, str(symptom.alarm)


def _without_names(reason: str, project: str) -> str:
    """Blank what differs between projects with the same problem."""
    detail = reason.partition(": ")[2] or reason
    return re.sub(rf"(?<!\w){re.escape(project)}(?!\w)|\d+", "#", detail)


def _outage(group: Sequence[_Symptom]) -> Outage:
    projects = [symptom.project for symptom in group if symptom.project]
    known = [symptom.since for symptom in group if symptom.since is not None]
    # A list that was never read has no time: it is not known whether it ever worked.
    since = min(known) if len(known) == len(group) else None
    only_lists = all(symptom.listing for symptom in group)
    first, others = group[0], group[1:]
    detail = first.reason.partition(": ")[2] or first.reason
    if only_lists and others:
        text = f"the models of {len(projects)} projects ({some_of(projects)}) cannot be listed: {detail}"
    elif only_lists:
        text = f"{first.project}: its models cannot be listed: {first.reason}"
    elif others and projects:
        text = f"{System.MODELS} is unavailable for {len(projects)} projects ({some_of(projects)}): {detail}"
    elif others:
        text = f"{some_of([symptom.downstream for symptom in group])} are unavailable: {detail}"
    else:
        text = f"{first.downstream} is unavailable: {first.reason}"
    kind: Literal["unavailable", "not_listed"] = "not_listed" if only_lists else "unavailable"
    return Outage(kind, text, projects, since, any(symptom.alarm for symptom in group))
