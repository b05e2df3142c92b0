"""How far a task has come."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from latigo.domain.receipt import Inputs, Receipt, Score, Stage
from latigo.domain.task import Task
from latigo.executor.guard import WriteGuard
from latigo.runtime.clock import Clock


@dataclass(slots=True)
class Progress:
    """A task in progress: how far it has come, so that its end can be explained."""

    task: Task
    guard: WriteGuard
    #: Sinks that hold the whole window, so that another attempt adds nothing. A sink that lacks a row, or holds one
    #: that later readings may change, is written again: how much it holds is not remembered.
    stored_in: set[str] = field(default_factory=set)
    recorded: Mapping[datetime, bytes] | None = None  #: of a sweep, as in `latigo.ledger.protocol.Claim`
    fingerprints: Mapping[datetime, bytes] | None = None  #: of its slots, by their start; None: nothing is compared
    stage: Stage = "claim"
    calls: int = 0  #: to downstreams at the moment; several only while it reads from several sources
    call_started: float | None = None  #: monotonic time at which the first of them began
    spent: float = 0.0  #: seconds in earlier calls
    stages: dict[Stage, float] = field(default_factory=dict)  #: seconds in each; no waits for a turn
    inputs: Inputs | None = None  #: None: the readings were not read yet
    score: Score | None = None
    written_to: list[str] = field(default_factory=list)  #: sinks that took the result, in this attempt or before

    def seconds_in_calls(self, now: float) -> float:
        """Return the seconds spent in calls to downstreams until ``now``; waiting for a turn does not count."""
        return self.spent + (0.0 if self.call_started is None else now - self.call_started)

    def receipt(self, elapsed: float) -> Receipt:
        """Return what was measured so far, ``elapsed`` seconds after the claim."""
        return Receipt(
            stages={stage: round(1000 * seconds) for stage, seconds in self.stages.items()},
            elapsed=max(round(1000 * elapsed), 0),
            inputs=self.inputs,
            sinks=tuple(self.written_to),
            score=self.score,
        )

    @contextmanager
    def in_call(self, clock: Clock) -> Iterator[None]:
        """Count the time of a call; what several share is counted once."""
        if not self.calls:
            self.call_started = clock.monotonic()
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1
            if not self.calls:
                self.spent, self.call_started = self.seconds_in_calls(clock.monotonic()), None
