"""What goes out next. Pure: needs in, tasks to be out."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from latigo.domain.lane_share import LaneShare
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Need, Planned

SMALLEST_OUTSTANDING = 64
LARGEST_OUTSTANDING = 2000
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def most_outstanding(configured: int, settled_in_two_minutes: int) -> int:
    """How many tasks may be out: as configured, else two minutes of measured throughput within bounds."""
    if configured:
        return configured
    return max(SMALLEST_OUTSTANDING, min(settled_in_two_minutes, LARGEST_OUTSTANDING))


@dataclass
class Agenda:
    """What there is to do, in order, taken from the front as room becomes free.

    Read from the ledger once and used up bit by bit: with thousands of needs and room for a few, reading them again for
    every free place would cost more than the work. What is overtaken by events falls out when it is planned.
    """

    live: deque[Need] = field(default_factory=deque)
    back: deque[Need] = field(default_factory=deque)

    @classmethod
    def of(cls, needs: Iterable[Need]) -> "Agenda":
        """Put needs in order: live by the oldest covered end, backfill by the newest hole; projects take turns."""
        needs = list(needs)
        live = sorted((n for n in needs if n.live), key=lambda n: (n.covered_end or _LONG_AGO, n.ref))
        back = sorted((n for n in needs if n.back), key=lambda n: (-_end(n.back).timestamp(), n.ref))
        return cls(deque(in_turns(live)), deque(in_turns(back)))

    def __bool__(self) -> bool:
        return bool(self.live or self.back)

    def drop(self, unwanted: Callable[[Need], bool]) -> None:
        """Forget needs that must not go out now."""
        self.live = deque(need for need in self.live if not unwanted(need))
        self.back = deque(need for need in self.back if not unwanted(need))

    def take(self, room: int, room_for_backfill: int, share: LaneShare) -> list[Planned]:
        """The next tasks, at most ``room`` and among them at most ``room_for_backfill`` of backfill."""
        taken: list[Planned] = []
        while len(taken) < room:
            is_live = share.choose(live=bool(self.live), backfill=bool(self.back) and room_for_backfill > 0)
            if is_live is None:
                break
            if is_live:
                need = self.live.popleft()
                taken.append(_planned(need, need.live, Lane.LIVE))
            else:
                need = self.back.popleft()
                taken.append(_planned(need, need.back, Lane.BACKFILL))
                room_for_backfill -= 1
        return taken

    def take_probe(self, project: str) -> Planned | None:
        """One task of a project, to see whether what it needs is back; taken out of the agenda."""
        for queue, lane in ((self.live, Lane.LIVE), (self.back, Lane.BACKFILL)):
            for need in queue:
                if need.ref.project == project:
                    queue.remove(need)
                    window = need.live if lane is Lane.LIVE else need.back
                    return _planned(need, window, lane, probe=True)
        return None


def _end(window: Window | None) -> datetime:
    return window.end if window else _LONG_AGO


def _planned(need: Need, window: Window | None, lane: Lane, *, probe: bool = False) -> Planned:
    if window is None:
        raise ValueError(f"{need.ref} needs nothing in the {lane} lane")
    return Planned(need.model_id, need.epoch, window, lane, probe=probe)


def in_turns(needs: Sequence[Need]) -> list[Need]:
    """Projects one after the other, each keeping its own order, so that none stands behind all of another."""
    queues: dict[str, deque[Need]] = {}
    for need in needs:
        queues.setdefault(need.ref.project, deque()).append(need)
    ordered: list[Need] = []
    while queues:
        for project in list(queues):
            ordered.append(queues[project].popleft())
            if not queues[project]:
                del queues[project]
    return ordered


@dataclass(frozen=True, slots=True)
class Blockade:
    """Which projects must wait for an open circuit, and which of these may send a probe now.

    Projects that share a downstream may all probe it; one that does ends the turn of the others.
    """

    blocked: frozenset[str] = frozenset()
    probes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: circuits to probe, by project


def blockade(
    projects: Iterable[str],
    open_circuits: Mapping[str, bool],
    downstreams: Callable[[str], Iterable[str]],
    probing: frozenset[str],
) -> Blockade:
    """Say who must wait.

    ``open_circuits`` has every open circuit and whether a probe is due; ``probing`` the projects that have a probe out.
    """
    waits_for = {
        project: needed
        for project in sorted(projects)
        if (needed := tuple(name for name in downstreams(project) if name in open_circuits))
    }
    asked = {name for project in probing for name in waits_for.get(project, ())}
    probes = {
        project: needed
        for project, needed in waits_for.items()
        if all(open_circuits[name] for name in needed) and asked.isdisjoint(needed)
    }
    return Blockade(frozenset(waits_for), probes)
