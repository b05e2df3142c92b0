"""What happens on the days: a timetable of what is unavailable, and of what comes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from chaos.days.gordo import NEWER, REVISION, definitions
from chaos.days.judge import DELAY
from chaos.days.pace import Piece
from chaos.days.source import Fate
from latigo.domain.windows import Window
from latigo.sandbox.gordo import ModelDefinition

#: A slot falls due at this moment.
BEGIN = datetime(2025, 10, 20, 6, tzinfo=UTC) + DELAY
_HOUR = timedelta(hours=1)
_LATE_BY = timedelta(hours=2, minutes=20)
#: Of twenty tags, one is late.
_ONE_IN = 20
#: After a release, for every process to have read the models and to have ended what it had begun.
_TAKES_OVER = timedelta(hours=2)
_DOWN_FOR = timedelta(days=8)
#: How much faster than a day those eight pass, in which one part of the whole is unavailable.
_SPEED_DOWN = 12_000.0
#: Once it is over, the clock is slow: on a busy machine, what is due would leave no room for what is late.
_AFTERWARDS = Piece(timedelta(days=1), 60.0)


class Part(StrEnum):
    """What can be unavailable. The ledger's PostgreSQL is the queue and the sink as well."""

    SCHEDULER = "scheduler"
    EXECUTORS = "executors"
    GORDO = "gordo"
    SOURCE = "source"
    LEDGER = "ledger"


@dataclass(frozen=True)
class Absence:
    """A part is unavailable for some time; of Gordo, it may be one project only."""

    part: Part
    window: Window
    project: str | None = None

    def hits(self, project: str, moment: datetime) -> bool:
        """Return whether a project cannot be predicted at a moment for it."""
        return self.window.start <= moment < self.window.end and self.project in {None, project}


@dataclass(frozen=True)
class Release:
    """A project has a new revision, with models that are new."""

    at: datetime
    project: str
    revision: str
    more: Sequence[ModelDefinition] = ()


@dataclass(frozen=True)
class Timetable:
    """What happens, and how fast time passes."""

    name: str
    pieces: Sequence[Piece]
    projects: Mapping[str, Sequence[ModelDefinition]]
    end: datetime
    absences: Sequence[Absence] = ()
    fates: Sequence[Fate] = ()
    releases: Sequence[Release] = ()

    def works(self, project: str, moment: datetime) -> bool:
        """Return whether a project can be predicted at a moment."""
        return not any(absence.hits(project, moment) for absence in self.absences)

    def oldest_revision(self, project: str, moment: datetime) -> str:
        """Return the oldest revision that may predict a project at a moment: one that was replaced long ago may not."""
        released = [each for each in self.releases if each.project == project and each.at + _TAKES_OVER <= moment]
        return max((each.revision for each in released), key=int, default=REVISION)


def a_day(speed: float, models: int, new_models: int) -> Timetable:
    """A day on which much goes wrong, in four projects with so many models each.

    The scheduler is down for 6 h, Gordo for 2 h, a tag for 12 h and a project for 4 h; readings of 5 % of the tags are
    late; one project gets a new revision, another one new models.
    """
    projects = {f"plant-{number}": definitions(models * number, models) for number in range(4)}
    dead = projects["plant-0"][min(6, models - 1)].tags[2]
    tags = sorted({tag for each in projects.values() for model in each for tag in model.tags} - {dead})
    late = frozenset(tags[_ONE_IN // 2 :: _ONE_IN])
    return Timetable(
        name="a day",
        pieces=[Piece(25 * _HOUR, speed), _AFTERWARDS],
        projects=projects,
        end=BEGIN + 25 * _HOUR,
        absences=[
            Absence(Part.SCHEDULER, _hours(1, 7)),
            Absence(Part.GORDO, _hours(8, 10)),
            Absence(Part.GORDO, _hours(12, 16), "plant-3"),
        ],
        fates=[
            Fate(frozenset({dead}), BEGIN - DELAY + 10 * _HOUR, BEGIN - DELAY + 22 * _HOUR, None),
            # Up to the middle of a bucket: its slot is predicted from half of it, which only a sweep finds.
            Fate(late, BEGIN - DELAY + 3 * _HOUR, BEGIN + 14 * _HOUR, _LATE_BY),
        ],
        releases=[
            Release(BEGIN + 17 * _HOUR, "plant-1", NEWER),
            Release(BEGIN + 18 * _HOUR, "plant-2", NEWER, definitions(4 * models, new_models)),
        ],
    )


def eight_days_without(part: Part, speed: float, models: int) -> Timetable:
    """Two hours with everything, eight days without a part of it, and four hours to recover; in two projects."""
    down = Window(BEGIN + 2 * _HOUR, BEGIN + 2 * _HOUR + _DOWN_FOR)
    return Timetable(
        name=f"8 days without {part}",
        pieces=[
            Piece(2 * _HOUR, speed),
            Piece(_DOWN_FOR, max(speed, _SPEED_DOWN)),
            Piece(4 * _HOUR, speed),
            _AFTERWARDS,
        ],
        projects={f"plant-{number}": definitions(models * number, models) for number in range(2)},
        end=down.end + 4 * _HOUR,
        absences=[Absence(part, down)],
    )


def _hours(first: float, last: float) -> Window:
    return Window(BEGIN + first * _HOUR, BEGIN + last * _HOUR)
