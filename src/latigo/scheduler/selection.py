"""Selection of the models to predict: patterns of the settings, and Latigo's own roster. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from latigo.domain.model import DiscoveredProject, ModelRef
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
    missing: tuple[str, ...] = ()  #: named by discovery, and not listed by the server
    unbuilt: tuple[str, ...] | None = None  #: to be predicted, expected and not listed by the server; None: not known
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
        only: names of the models of a project, where not all of them are to be predicted.
    """

    projects: tuple[str, ...] = ()
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def naming(self, named: Sequence[DiscoveredProject]) -> "Selection":
        """Return a selection of these projects and models, by the same patterns."""
        only = {each.project: frozenset(each.models) for each in named if each.models is not None}
        return replace(self, projects=tuple(each.project for each in named), only=only)

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
        missing = (
            () if listing.error else sorted(self.only.get(listing.project, frozenset()).difference(listing.models))
        )
        unbuilt = None
        if listing.expected is not None:
            expected = sorted(set(listing.expected).difference(listing.models))
            unbuilt = tuple(name for name in expected if self.selects(ModelRef(listing.project, name), roster))
        return SelectedModels(
            listing.project, listing.revision, tuple(models), tuple(left_out), tuple(missing), unbuilt, listing.error
        )

    def _matches(self, ref: ModelRef) -> bool:
        text = str(ref)
        return (
            ref.project in self.projects
            and ref.name in self.only.get(ref.project, (ref.name,))
            and any(fnmatchcase(text, pattern) for pattern in self.include)
            and not any(fnmatchcase(text, pattern) for pattern in self.exclude)
        )
