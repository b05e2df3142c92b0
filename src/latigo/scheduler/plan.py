"""Choice of the tasks to plan next. Pure: needs in, planned tasks out."""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import zip_longest
from operator import attrgetter

from latigo.domain.lane_share import LaneShare
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Need, Planned
from latigo.runtime.collector import collector_paused
from latigo.scheduler.groups import Group

_NEVER_COVERED = datetime.min.replace(tzinfo=UTC)


class LastRuns:
    """The last run of each model, by a number that rises with each; models take turns by it."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # no more than there are models
        self._count = 0

    def of(self, model_id: int) -> int:
        """Return the number of a model's last run; 0: it had none."""
        return self._numbers.get(model_id, 0)

    def record(self, planned: Iterable[Planned]) -> None:
        """Record the runs among tasks that were planned, in their order."""
        for model_id in dict.fromkeys(task.model_id for task in planned if begins_run(task)):
            self._count += 1
            self._numbers[model_id] = self._count


@dataclass
class Agenda:
    """The needs of all models in the order in which they are planned.

    It is read from the ledger once and consumed bit by bit: with thousands of needs and room for a few tasks, reading
    it for each of them would cost more than the work. Needs that have been met meanwhile are dropped when planned.
    """

    lanes: dict[Lane, deque[Need]] = field(default_factory=dict)  #: live first; no lane is empty
    _taken: dict[tuple[int, Lane], Need] = field(default_factory=dict)  # by the last call

    @classmethod
    def of(cls, needs: Iterable[Need], last_runs: LastRuns | None = None) -> "Agenda":
        """Sort needs: live by the oldest covered end, others by the newest window; projects take turns.

        Every other wave of live windows is the other way around: the models that were called last, which their servers
        still have in memory, come first then. Models take turns with their runs: first those that had none yet, then
        those whose last one is longest ago. By the newest window alone, a model whose gap is old would wait for all the
        runs of those with newer ones.
        """
        last_runs = last_runs or LastRuns()
        lanes: dict[Lane, dict[str, list[Need]]] = {lane: {} for lane in Lane}
        with collector_paused():
            for need in needs:
                for lane in need.lanes:
                    lanes[lane].setdefault(need.project, []).append(need)
            return cls({lane: deque(_in_turns(lane, lacking, last_runs)) for lane, lacking in lanes.items() if lacking})

    def __len__(self) -> int:
        return sum(map(len, self.lanes.values()))

    def drop(self, blocked: Callable[[Need], bool]) -> None:
        """Remove needs that must not be planned now, one by one (see `taken_out`)."""
        for needs in self.lanes.values():
            for _ in range(len(needs)):
                need = needs.popleft()
                if not blocked(need):
                    needs.append(need)
        self.lanes = {lane: needs for lane, needs in self.lanes.items() if needs}

    def clear(self) -> None:
        """Remove all needs, one by one (see `taken_out`)."""
        self.drop(lambda _: True)

    def take(
        self,
        room: int,
        room_in_background: int,
        share: LaneShare,
        room_of_requests: Mapping[int, int] | None = None,
        run: float = 1.0,
    ) -> list[Planned]:
        """Take the next tasks: at most ``room``, and at most ``room_in_background`` in other lanes than live.

        ``room_of_requests`` has how many there may be for each request that is limited. A task that is the first of a
        ``run`` of so many, on average, takes as much room.
        """
        self._taken.clear()
        with self._limited(room_of_requests or {}):
            return self._take_all(room, room_in_background, share, run)

    def put_back(self, planned: Sequence[Planned]) -> None:
        """Put tasks that were taken last, and for which there was no room, before all others of their lanes."""
        for task in reversed(planned):
            self.lanes.setdefault(task.lane, deque()).appendleft(self._taken[task.model_id, task.lane])

    @contextmanager
    def _limited(self, room_of_requests: Mapping[int, int]) -> Iterator[None]:
        """Keep back for a while what requests have no room for; it comes after the others then."""
        left, now, later = dict(room_of_requests), deque[Need](), deque[Need]()
        for need in self.lanes.pop(Lane.MANUAL, ()):
            room = math.inf if need.request is None else left.get(need.request, math.inf)
            if need.request in left:
                left[need.request] -= 1
            (now if room > 0 else later).append(need)
        self._put(Lane.MANUAL, now)
        yield
        self._put(Lane.MANUAL, later)

    def _put(self, lane: Lane, needs: deque[Need]) -> None:
        if needs:
            self.lanes.setdefault(lane, deque()).extend(needs)

    def _take_all(self, room: float, room_in_background: float, share: LaneShare, run: float) -> list[Planned]:
        taken: list[Planned] = []
        while room > 0:
            lane = share.choose([lane for lane in self.lanes if lane.is_live or room_in_background > 0])
            if lane is None:
                break
            taken.append(self._take(lane, self.lanes[lane][0]))
            tasks = run if begins_run(taken[-1]) else 1
            share.spend(tasks - 1)
            room -= tasks
            room_in_background -= 0 if lane.is_live else tasks
        return taken

    def take_probe(self, belongs: Callable[[Need], bool]) -> Planned | None:
        """Take one task of a group, live if there is one, to probe the downstreams that it needs."""
        for lane, needs in self.lanes.items():
            for need in needs:
                if belongs(need):
                    return replace(self._take(lane, need), probe=True)
        return None

    def _take(self, lane: Lane, need: Need) -> Planned:
        needs = self.lanes[lane]
        needs.remove(need)
        self._taken[need.model_id, lane] = need
        if not needs:
            del self.lanes[lane]
        request = need.request if lane is Lane.MANUAL else None
        return Planned(need.model_id, need.epoch, need.window(lane), lane, request=request)


def _in_turns(lane: Lane, by_project: Mapping[str, Sequence[Need]], last_runs: LastRuns) -> list[Need]:
    """Return needs in order, where projects take turns, so that none waits for all needs of another.

    Those of each project are sorted by themselves: sorting lets no other thread run.
    """
    queues = {project: _ordered(lane, needs, last_runs) for project, needs in by_project.items()}
    projects = [first.project for first in _ordered(lane, [queue[0] for queue in queues.values()], last_runs)]
    turns = zip_longest(*(queues[project] for project in projects))
    return [need for turn in turns for need in turn if need is not None]


def _ordered(lane: Lane, needs: Iterable[Need], last_runs: LastRuns) -> list[Need]:
    if lane.is_live:
        forth: list[Need] = []
        back: list[Need] = []
        for need in sorted(needs, key=attrgetter("project", "name")):
            (back if _is_reversed(need.window(lane)) else forth).append(need)
        return sorted([*forth, *reversed(back)], key=lambda need: need.covered_end or _NEVER_COVERED)
    newest_first = sorted(needs, key=lambda need: (-need.window(lane).end.timestamp(), *need.ref))
    return sorted(newest_first, key=lambda need: last_runs.of(need.model_id))


def _is_reversed(window: Window) -> bool:
    """Return whether a window is of every other wave, where each is as long as this one."""
    return window.end.timestamp() // (window.end - window.start).total_seconds() % 2 == 1


def begins_run(task: Planned) -> bool:
    """Return whether a task may be the first of several windows of a model: of backfill, or that one request wants."""
    return task.lane is Lane.BACKFILL or (task.lane is Lane.MANUAL and task.request is not None)


def in_runs(
    planned: Sequence[Planned],
    continued: Mapping[tuple[int, Lane], Sequence[Window]],
    room: int,
    room_in_background: int,
    room_of_requests: Mapping[int, int] | None = None,
) -> list[Planned]:
    """Return planned tasks, each that begins a run with the windows that continue it, as far as there is room."""
    tasks = [task for task in planned if task.lane.is_live]
    left = min(room - len(tasks), room_in_background)
    firsts = Counter(task.request for task in planned if task.request is not None)
    further = {request: most - firsts[request] for request, most in (room_of_requests or {}).items()}
    for first in planned:
        if not first.lane.is_live:
            windows = continued.get((first.model_id, first.lane), ()) if begins_run(first) else ()
            if first.request is not None and first.request in further:
                windows = windows[: max(further[first.request], 0)]
                further[first.request] -= len(windows)
            run = [replace(first, window=window) for window in (first.window, *windows)[: max(left, 0)]]
            tasks += run
            left -= len(run)
    return tasks


@dataclass(frozen=True, slots=True)
class Blockade:
    """Groups of models that are blocked by open circuits, and those of them that may send a probe now.

    Groups that share a downstream may all probe it; as soon as one does, the others may not.
    """

    blocked: frozenset[Group] = frozenset()
    probes: Mapping[Group, tuple[str, ...]] = field(default_factory=dict)  #: circuits to probe, by group


def blockade_of(
    groups: Iterable[Group],
    open_circuits: Mapping[str, bool],
    downstreams: Callable[[str], Iterable[str]],
    probing: frozenset[Group],
) -> Blockade:
    """Return which groups have to wait, and which of them may probe.

    Args:
        groups: all of them.
        open_circuits: for each open circuit, whether a probe is due.
        downstreams: what all models of a project need, besides their sources of readings.
        probing: groups with an outstanding probe.
    """
    waits_for = {
        group: needed
        for group in sorted(groups)
        if (needed := tuple(n for n in (*downstreams(group.project), *group.sources) if n in open_circuits))
    }
    probed = {name for group in probing for name in waits_for.get(group, ())}
    probes = {
        group: needed
        for group, needed in waits_for.items()
        if all(open_circuits[name] for name in needed) and probed.isdisjoint(needed)
    }
    return Blockade(frozenset(waits_for), probes)
