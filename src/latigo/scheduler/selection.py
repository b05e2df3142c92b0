"""Selection of the models to predict: patterns of the settings, and Latigo's own roster. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from latigo.domain.model import ModelRef
from latigo.providers.protocols import ProjectModels

#: Models that were registered (True) or unregistered (False) by hand, see `ModelRoster.entries`.
Roster = Mapping[ModelRef, bool]


@dataclass(frozen=True, slots=True)
class SelectedModels:
    """Models of one project after selection; with ``error`` set, the project could not be listed."""

    project: str
    revision: str = ""
    models: tuple[str, ...] = ()  #: to be predicted
    left_out: tuple[str, ...] = ()  #: listed by the server, and not selected
    error: Exception | None = None

    @property
    def count(self) -> int:
        """Number of models that the server lists."""
        return len(self.models) + len(self.left_out)


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection of the settings; the roster is stronger.

    Args:
        projects: those whose models are predicted; models of others only if they are registered by hand.
        include: glob patterns on ``project/model``; one of them has to match.
        exclude: glob patterns on ``project/model``; none of them may match.
    """

    projects: tuple[str, ...] = ()
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()

    def projects_to_list(self, roster: Roster) -> Sequence[str]:
        """Return the projects of the settings, then those that have a model registered by hand."""
        by_hand = {ref.project for ref, registered in roster.items() if registered}
        return list(dict.fromkeys((*self.projects, *sorted(by_hand))))

    def selects(self, ref: ModelRef, roster: Roster) -> bool:
        """Return whether the model is to be predicted."""
        return roster.get(ref, self._matches(ref))

    def apply(self, listing: ProjectModels, roster: Roster) -> SelectedModels:
        """Divide the models of a project into selected ones and those left out."""
        models: list[str] = []
        left_out: list[str] = []
        for name in listing.models:
            (models if self.selects(ModelRef(listing.project, name), roster) else left_out).append(name)
        return SelectedModels(listing.project, listing.revision, tuple(models), tuple(left_out), listing.error)

    def _matches(self, ref: ModelRef) -> bool:
        text = str(ref)
        return (
            ref.project in self.projects
            and any(fnmatchcase(text, pattern) for pattern in self.include)
            and not any(fnmatchcase(text, pattern) for pattern in self.exclude)
        )
