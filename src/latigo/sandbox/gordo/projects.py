"""The projects of a server: models in revisions that are published and deleted."""

from collections.abc import Mapping, Sequence
from copy import copy
from random import Random

from latigo.sandbox.gordo.body import Refused, message, page
from latigo.sandbox.gordo.definition import ModelDefinition, ProjectDefinition


class Project:
    """The models of a project, by revision."""

    def __init__(self, definition: ProjectDefinition) -> None:
        self.name = definition.project
        self.latest = definition.revision
        self.expected = sorted(model.name for model in definition.models)
        self._behind: str | None = None
        self._chance = Random(1)  # noqa: S311 - which process answers is no secret
        self.revisions = {
            revision: {model.name: model for model in models}
            for revision, models in ({definition.revision: definition.models} | dict(definition.others)).items()
        }

    def publish(self, revision: str, models: Sequence[ModelDefinition] | None = None) -> None:
        """Make a revision the latest, with the models of the previous one unless others are given.

        Real Gordo serves a new revision at once but calls it the latest only after a restart; here the restart is
        included.
        """
        if not revision.isdigit():
            raise ValueError(f"a revision is written in digits, not {revision!r}")
        kept = self.revisions[self.latest] if models is None else {model.name: model for model in models}
        self.revisions[revision] = dict(kept)
        self.latest = revision

    def disagree(self, behind: str | None) -> None:
        """Let half of the requests meet a process that has nothing newer than a revision, until None is given.

        So it is while processes of one server restart one after another, or see folders of their own.
        """
        if behind is not None and behind not in self.revisions:
            raise ValueError(f"there is no revision {behind!r}")
        self._behind = behind

    def of_one_process(self) -> "Project":
        """Return the project as the process that answers the next request has it."""
        if self._behind is None:
            return self
        return self._until(self._behind) if self._chance.random() < 0.5 else self

    def _until(self, revision: str) -> "Project":
        older = copy(self)
        older.latest = revision
        older.revisions = {name: models for name, models in self.revisions.items() if int(name) <= int(revision)}
        return older

    def forget(self, revision: str) -> None:
        """Remove a revision other than the latest."""
        if revision == self.latest:
            raise ValueError("the latest revision stays")
        del self.revisions[revision]

    def remove(self, model: str, revision: str | None = None) -> None:
        """Remove a model, by default from the latest revision."""
        del self.revisions[self.latest if revision is None else revision][model]


def find_revision(project: Project | None, revision: str) -> Mapping[str, ModelDefinition]:
    """Return the models of a revision, which Gordo checks before anything else of a request.

    Raises:
        Refused: there is no such project or revision.
    """
    if project is None:
        raise Refused(page(404))
    if not revision.isdigit():
        raise Refused(message(410, "Revision should only contains numbers.", "error"))
    if revision not in project.revisions:
        raise Refused(message(410, f"Revision '{revision}' not found.", "error"))
    return project.revisions[revision]


def find_model(models: Mapping[str, ModelDefinition], name: str, complaint: str) -> ModelDefinition:
    """Return a model by its name.

    Raises:
        Refused: 404 with ``complaint``: there is none.
    """
    model = models.get(name)
    if model is None:
        raise Refused(page(404, f"{complaint}'{name}'"))
    return model
