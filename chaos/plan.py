"""What happens in a campaign, and when: drawn from a seed before it begins, so that it can be repeated. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from chaos.gordo_program import TROUBLES
from chaos.network import SOUND, Condition, Link, Way

#: Mean seconds between two steps.
EVERY_S = 1.5
#: Seconds that a party or link is left alone after it has been restored.
_RECOVERS_S = 3.0
#: A system that cannot compare writers: it keeps what was written last.
_UNFENCED, _LEDGER = "influx", "postgres"
#: Leases that an executor is frozen for: the next one, of a newer revision, has written by then.
_OVERTAKEN = (2.0, 4.0)
#: Seconds after it wakes up in which an executor may write to such a system, and cannot learn that it was overtaken.
_UNAWARE_S = (1.0, 3.0)
_CUT = Condition(Way(cut=True), Way(cut=True))


class Action(StrEnum):
    """The kinds of steps."""

    KILL = "SIGKILL"
    STOP = "SIGTERM"
    FREEZE = "SIGSTOP"
    DEPLOY = "new revision"
    TROUBLE = "Gordo misbehaves"
    CUT_ONE_WAY = "link cut one way"
    CUT = "link cut both ways"
    SLOW = "link slowed"
    LOSSY = "link lossy"


@dataclass(frozen=True)
class Step:
    """One step: at so many seconds, something happens to a party or link, and lasts."""

    at: float
    action: Action
    target: str = ""
    lasting: float = 0.0
    detail: str = ""
    link: Link | None = None
    condition: Condition = SOUND

    def __str__(self) -> str:
        words = (f"{self.at:6.1f} s", self.action, self.target or str(self.link or ""), self.detail)
        return "  ".join([word for word in words if word] + ([f"for {self.lasting:.1f} s"] if self.lasting else []))


@dataclass(frozen=True)
class Shape:
    """The parties of a campaign, and how long claims of executors last."""

    schedulers: Sequence[str]
    executors: Sequence[str]
    systems: Sequence[str]
    links: Sequence[Link]
    lease: float  #: seconds

    @property
    def parties(self) -> Sequence[str]:
        """All of them."""
        return (*self.schedulers, *self.executors, *self.systems)


_WEIGHTS: Mapping[Action, int] = {
    Action.KILL: 5,
    Action.STOP: 3,
    Action.FREEZE: 5,
    Action.DEPLOY: 3,
    Action.TROUBLE: 2,
    Action.CUT_ONE_WAY: 3,
    Action.CUT: 2,
    Action.SLOW: 1,
    Action.LOSSY: 1,
}


def plan(seed: int, seconds: float, shape: Shape) -> Sequence[Step]:
    """Return the steps of a campaign of this length, in their order; all are over at its end."""
    return sorted(_steps(Random(seed), seconds, shape), key=lambda step: step.at)


def _steps(chance: Random, seconds: float, shape: Shape) -> Iterator[Step]:
    busy: dict[object, float] = {}
    at = chance.expovariate(1 / EVERY_S)
    actions = [action for action in _WEIGHTS if shape.links or not action.startswith("link")]
    while at < seconds:
        (action,) = chance.choices(actions, [_WEIGHTS[action] for action in actions])
        step = _step(chance, at, action, shape)
        about = step.link or (step.target, step.action is Action.TROUBLE)
        if busy.get(about, 0.0) <= at and at + step.lasting <= seconds:
            busy[about] = at + step.lasting + _RECOVERS_S
            yield step
            if action is Action.FREEZE and step.target in shape.executors and chance.random() < 0.5:
                # What it had in flight is then of a revision that another process has replaced when it wakes up.
                yield Step(at + chance.uniform(0.1, shape.lease / 2), Action.DEPLOY)
                ledger = Link(step.target, _LEDGER)
                lasting = step.lasting + chance.uniform(*_UNAWARE_S) if _UNFENCED in shape.systems else 0.0
                if lasting and ledger in shape.links and busy.get(ledger, 0.0) <= at and at + lasting <= seconds:
                    busy[ledger] = at + lasting + _RECOVERS_S
                    yield Step(at, Action.CUT, "", lasting, "", ledger, _CUT)
            if step.link and step.link.server == _UNFENCED:
                # What does not arrive now may arrive when it is of an older revision.
                yield Step(at + chance.uniform(0.1, shape.lease / 2), Action.DEPLOY)
        at += chance.expovariate(1 / EVERY_S)


def _step(chance: Random, at: float, action: Action, shape: Shape) -> Step:
    match action:
        case Action.KILL | Action.STOP:
            return Step(at, action, _victim(chance, shape), chance.uniform(0.1, 4.0))
        case Action.FREEZE:
            victim = _victim(chance, shape)
            longer_than_lease = victim not in shape.systems
            leases = _OVERTAKEN if _UNFENCED in shape.systems else (1.2, 3.0)
            lasting = chance.uniform(*leases) * shape.lease if longer_than_lease else chance.uniform(1.0, 5.0)
            return Step(at, action, victim, lasting)
        case Action.DEPLOY:
            return Step(at, action)
        case Action.TROUBLE:
            return Step(at, action, "gordo", chance.uniform(1.0, 8.0), chance.choice(sorted(TROUBLES)))
        case _:
            return _fault_of_link(chance, at, action, shape)


def _victim(chance: Random, shape: Shape) -> str:
    """Return a party; an executor in every second case, since most happens there."""
    return chance.choice(shape.executors if chance.random() < 0.5 else (*shape.schedulers, *shape.systems))


def _fault_of_link(chance: Random, at: float, action: Action, shape: Shape) -> Step:
    link, lasting = chance.choice(shape.links), chance.uniform(1.0, 3.0 * shape.lease)
    if link.server == _UNFENCED:
        lasting += shape.lease
    cut, detail = Way(cut=True), ""
    match action:
        case Action.CUT_ONE_WAY:
            there = chance.random() < 0.5
            condition = Condition(there=cut) if there else Condition(back=cut)
            detail = "requests" if there else "responses"
        case Action.CUT:
            condition = _CUT
        case Action.SLOW:
            slow = Way(delay=chance.uniform(0.05, 0.5))
            condition = Condition(slow, slow)
        case _:
            lossy = Way(loss=chance.uniform(0.05, 0.3))
            condition = Condition(lossy, lossy)
    return Step(at, action, "", lasting, detail, link, condition)
