"""Groups of models that need the same downstreams: what an open circuit blocks, and what can probe it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from latigo.ledger.protocol import MANY_NEEDS, ModelTags, SchedulerLedger
from latigo.runtime.off_loop import off_loop, taken_out


class Group(NamedTuple):
    """The models of a project whose tags are read from the same sources."""

    project: str
    sources: tuple[str, ...]  #: names of their circuits, sorted


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of all models; where none is apart from the rest of its project, each project is one."""

    projects: Sequence[str]
    sources: tuple[str, ...]  #: of every model that is in no group of its own
    by_model: Mapping[int, Group] = field(default_factory=dict)  #: by the model's id
    _members: Mapping[Group, Sequence[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        members: dict[Group, list[int]] = {}
        for id_, group in self.by_model.items():
            members.setdefault(group, []).append(id_)
        object.__setattr__(self, "_members", members)

    def __iter__(self) -> Iterator[Group]:
        yield from {*(Group(project, self.sources) for project in self.projects), *self._members}

    def of(self, model_id: int, project: str) -> Group:
        """Return the group of a model."""
        return self.by_model.get(model_id) or Group(project, self.sources)

    def models(self, groups: Iterable[Group]) -> list[int] | None:
        """Return the models of some groups, by id. None: these groups are whole projects."""
        if not self.by_model:
            return None
        return [id_ for group in frozenset(groups) for id_ in self._members.get(group, ())]


class Sources:
    """The sources of readings, and which of them models need.

    Args:
        names: of the circuits of all sources.
        of: returns those of a model's tags.
    """

    def __init__(self, names: Iterable[str], of: Callable[[Sequence[str]], Iterable[str]]) -> None:
        self._names = tuple(sorted(names))
        self._of = of
        self._epochs: dict[int, int] = {}  #: that are known, by the model's id
        self._groups = Groups((), self._names)  #: of all models that are known

    async def groups(self, ledger: SchedulerLedger, projects: Iterable[str], open_circuits: Iterable[str]) -> Groups:
        """Return the groups of all models, divided by their sources only while a source is unavailable.

        With one source, every model needs it. With several, a model's tags are read when they have changed.
        """
        if len(self._names) > 1 and not set(self._names).isdisjoint(open_circuits):
            changed, named = await ledger.changed_tags(self._epochs), list(projects)
            if changed or named != self._groups.projects:
                models = len(self._epochs) + len(changed)
                self._groups = await off_loop(models, MANY_NEEDS, lambda: self._with(changed, named))
            return self._groups
        return Groups(list(projects), self._names)

    def _with(self, changed: list[ModelTags], projects: Sequence[str]) -> Groups:
        by_model = dict(self._groups.by_model)
        for model in taken_out(changed):
            self._epochs[model.model_id] = model.epoch
            by_model[model.model_id] = Group(model.project, tuple(sorted(set(self._of(model.tags)))))
        return Groups(projects, self._names, by_model)
