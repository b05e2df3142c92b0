"""Freshness against the objective: share, error budget, burn rate, and what stale time is put down to."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from latigo.domain.freshness import FRESH, KEPT, PERIOD, Cause, Group, Service, period_of, stale_models, time_between
from latigo.ledger.freshness_store import read_groups
from latigo.postgres.statements import load_statements
from latigo.reports.base import Report

if TYPE_CHECKING:
    from latigo.settings import ObjectiveSettings

SQL = load_statements("latigo.reports", "freshness.sql")

HOUR, SIX_HOURS = timedelta(hours=1), timedelta(hours=6)
UNPLANNED = Service(plans=False)  #: no scheduler plans


class StaleTime(Report):
    """Time of all models that were stale for one cause, in minutes."""

    cause: Cause
    hour: float  #: of the last hour
    six_hours: float  #: of the last six
    month: float  #: of the last 30 days


class Achieved(Report):
    """What was achieved of the objective, and why not all of it. None: nothing was counted in that time."""

    share: float | None = None  #: of the time of all models in the last 30 days, in which they were fresh
    budget_left: float | None = None  #: part of the stale time that the objective allows; negative: exceeded
    burn_hour: float | None = None  #: stale time of the last hour, in multiples of what the objective allows
    burn_six_hours: float | None = None
    burn_month: float | None = None
    causes: Sequence[StaleTime] = ()  #: those of most time first, the last hour before the rest
    stale_by_cause: Mapping[str, int] = {}  #: models that are stale now, as they were counted last


class ProjectFreshness(Achieved):
    """Freshness of one project."""

    project: str


class Freshness(Achieved):
    """Freshness of all models."""

    fresh_within_s: float | None = None  #: the objective; None: delay and two slots of each model
    target: float = 0.99  #: share in which models should be fresh
    fresh: int = 0  #: models that are now
    stale: int = 0
    counted_until: datetime | None = None  #: by the scheduler that plans; later time counts as `latigo`
    projects: Sequence[ProjectFreshness] = ()


class Spent(NamedTuple):
    """Time of all models in the last hour, six hours and 30 days."""

    hour: timedelta = timedelta(0)
    six_hours: timedelta = timedelta(0)
    month: timedelta = timedelta(0)

    def plus(self, other: "Spent") -> "Spent":
        """Return the sums."""
        return Spent(*(mine + others for mine, others in zip(self, other, strict=True)))


Counters = Mapping[tuple[str, str], Spent]
"""By project, and fresh or a cause."""


class Counted(NamedTuple):
    """What the ledger has of freshness."""

    counters: Counters
    until: datetime | None = None  #: when it was counted last; None: never
    stale: Mapping[str, Mapping[str, int]] = MappingProxyType({})  #: models that were stale then, by project and cause


async def read_counted(connection: Any, objective: "ObjectiveSettings", now: datetime) -> Counted:
    """Return what was counted of freshness.

    What no scheduler has counted for longer than a period is added as it will be counted when one is there again.
    """
    tally = await connection.fetchrow(SQL["tally"])
    until = tally["counted_until"]
    rows = await connection.fetch(SQL["counters"], period_of(now - HOUR), period_of(now - SIX_HOURS))
    counters = {(row["project"], row["outcome"]): Spent(row["hour"], row["six_hours"], row["month"]) for row in rows}
    if until is None or now - until <= PERIOD:
        return Counted(counters, until, tally["stale"])
    groups = await read_groups(connection, objective.fresh_within)
    return Counted(add_uncounted(counters, groups, until, now), until, stale_models(groups, UNPLANNED))


def add_uncounted(counters: Counters, groups: Iterable[Group], counted_until: datetime, now: datetime) -> Counters:
    """Add the time since it was counted last, in which no scheduler has planned. Pure."""
    added: dict[tuple[str, str], Spent] = defaultdict(Spent, counters)
    known = tuple(groups)
    for field, length in (("hour", HOUR), ("six_hours", SIX_HOURS), ("month", KEPT)):
        start = max(counted_until, period_of(now - length))
        for key, time in time_between(known, UNPLANNED, start, now).items():
            added[key] = added[key].plus(Spent(**{field: time}))
    return added


def freshness_of(counted: Counted, objective: "ObjectiveSettings", *, fresh: int, stale: int) -> Freshness:
    """Return the freshness of all models. Pure."""
    by_project: dict[str, dict[str, Spent]] = defaultdict(dict)
    total: dict[str, Spent] = defaultdict(Spent)
    for (project, outcome), spent in counted.counters.items():
        by_project[project][outcome] = spent
        total[outcome] = total[outcome].plus(spent)
    stale_by_cause: Counter[str] = Counter()
    for of_project in counted.stale.values():
        stale_by_cause.update(of_project)
    within = objective.fresh_within
    return Freshness(
        **_achieved(total, objective.share),
        fresh_within_s=None if within is None else within.total_seconds(),
        target=objective.share,
        fresh=fresh,
        stale=stale,
        counted_until=counted.until,
        stale_by_cause=dict(stale_by_cause.most_common()),
        projects=[
            ProjectFreshness(
                **_achieved(spent, objective.share),
                project=project,
                stale_by_cause=dict(Counter(counted.stale.get(project, {})).most_common()),
            )
            for project, spent in sorted(by_project.items())
        ],
    )


def _achieved(spent: Mapping[str, Spent], target: float) -> dict[str, Any]:
    """Return the fields of `Achieved`."""
    stale = [_stale_share(spent, window) for window in range(3)]
    allowed = 1 - target
    burn = [None if share is None else share / allowed for share in stale]
    return {
        "share": None if stale[2] is None else 1 - stale[2],
        "budget_left": None if burn[2] is None else 1 - burn[2],
        "burn_hour": burn[0],
        "burn_six_hours": burn[1],
        "burn_month": burn[2],
        "causes": _causes(spent),
    }


def _stale_share(spent: Mapping[str, Spent], window: int) -> float | None:
    total = sum((time[window] for time in spent.values()), timedelta(0))
    fresh = spent.get(FRESH, Spent())[window]
    return (total - fresh) / total if total else None


def _causes(spent: Mapping[str, Spent]) -> list[StaleTime]:
    """Return the causes, those of most stale time first."""
    minute = timedelta(minutes=1)
    times = [
        StaleTime(cause=cause, hour=time.hour / minute, six_hours=time.six_hours / minute, month=time.month / minute)
        for cause in Cause
        if any(time := spent.get(cause, Spent()))
    ]
    return sorted(times, key=lambda time: (-time.hour, -time.six_hours, -time.month))
