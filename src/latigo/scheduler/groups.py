"""Groups of models that need the same downstreams: what an open circuit blocks, and what can probe it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from latigo.ledger.protocol import SchedulerLedger


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

    def __iter__(self) -> Iterator[Group]:
        yield from {*(Group(project, self.sources) for project in self.projects), *self.by_model.values()}

    def of(self, model_id: int, project: str) -> Group:
        """Return the group of a model."""
        return self.by_model.get(model_id) or Group(project, self.sources)

    def models(self, groups: Iterable[Group]) -> list[int] | None:
        """Return the models of some groups, by id. None: these groups are whole projects."""
        wanted = frozenset(groups)
        return [id_ for id_, group in self.by_model.items() if group in wanted] if self.by_model else None


class Sources:
    """The sources of readings, and which of them models need.

    Args:
        names: of the circuits of all sources.
        of: returns those of a model's tags.
    """

    def __init__(self, names: Iterable[str], of: Callable[[Sequence[str]], Iterable[str]]) -> None:
        self._names = tuple(sorted(names))
        self._of = of
        self._known: dict[int, tuple[int, Group]] = {}  #: with the epoch, by the model's id

    async def groups(self, ledger: SchedulerLedger, projects: Iterable[str], open_circuits: Iterable[str]) -> Groups:
        """Return the groups of all models, divided by their sources only while a source is unavailable.

        With one source, every model needs it. With several, a model's tags are read when they have changed.
        """
        if len(self._names) > 1 and not set(self._names).isdisjoint(open_circuits):
            await self._read(ledger)
            by_model = {id_: group for id_, (_, group) in self._known.items()}
            return Groups(list(projects), self._names, by_model)
        return Groups(list(projects), self._names)

    async def _read(self, ledger: SchedulerLedger) -> None:
        for model in await ledger.changed_tags({id_: epoch for id_, (epoch, _) in self._known.items()}):
            group = Group(model.project, tuple(sorted(set(self._of(model.tags)))))
            self._known[model.model_id] = model.epoch, group
