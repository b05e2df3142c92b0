"""When models are predicted, and when again.

``[schedule]``, ``[backfill]``, ``[late_data]``, ``[objective]``, ``[planner]`` and ``[[override]]``.
"""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from latigo.settings.sections.base import Section
from latigo.settings.values import Duration, Glob, Interval, Positive, SweepAge

_RECOMPUTED = timedelta(days=7)
#: No task is longer: its readings and predictions are held in memory, and are handled in pieces without long pauses.
LONGEST_WINDOW = timedelta(days=7)


class ScheduleSettings(Section):
    """``[schedule]``."""

    interval: Interval = Field(
        default=timedelta(minutes=30),
        description="Length of a slot; rounded up to a multiple of the model's resolution that divides a day.",
    )
    delay: Duration = Field(
        default=timedelta(minutes=5),
        description="Time after the end of a slot until it is due, so that its readings have arrived.",
    )
    max_window: Positive = Field(
        default=timedelta(days=1),
        description="Longest window folded into one task; at least one slot. More than 7d is lowered to that.",
    )

    @property
    def longest_window(self) -> timedelta:
        """``max_window``, as far as it is allowed."""
        return min(self.max_window, LONGEST_WINDOW)


class BackfillSettings(Section):
    """``[backfill]``."""

    horizon: Duration = Field(
        default=timedelta(days=7), description='How far back a newly seen model is covered; "0" for none.'
    )
    max_catch_up: Positive = Field(
        default=timedelta(days=30), description="Older gaps expire; they are recorded and counted."
    )
    min_share: float = Field(
        default=0.05, ge=0, lt=1, description="Share of task starts that backfill gets even while live work is late."
    )


class LateDataSettings(Section):
    """``[late_data]``."""

    sweep: bool = Field(
        default=False,
        description="Read covered slots again later, and predict those again whose readings have changed.",
    )
    after: Annotated[tuple[SweepAge, ...], Field(min_length=1, max_length=5)] = Field(
        default=(timedelta(hours=6), timedelta(hours=24)),
        description="How long after its end a slot is read again, in ascending order. Sweeps begin at most every half"
        " of the first.",
    )
    tolerance: float = Field(
        default=1e-6,
        ge=1e-6,
        le=1,
        description="How much the mean of a tag in a slot may change, as a share of itself, without a new prediction.",
    )

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.after)):
            raise ValueError("after is not in ascending order")
        return self

    @property
    def ages(self) -> tuple[timedelta, ...]:
        """The ages at which slots are read again; none if they are not."""
        return self.after if self.sweep else ()


class ObjectiveSettings(Section):
    """``[objective]``."""

    fresh_within: Positive | None = Field(
        default=None,
        description="Age that the newest predictions of a model may have before it is stale. By default, the model's"
        " delay and two of its slots.",
        examples=["2h"],
    )
    share: float = Field(
        default=0.99,
        gt=0,
        lt=1,
        description="Share of the time of all models, over 30 days, in which they should not be stale.",
    )


class PlannerSettings(Section):
    """``[planner]``."""

    lease: Positive = Field(
        default=timedelta(seconds=15), description="How long a scheduler may plan before it has to renew its term."
    )
    renew: Positive = Field(default=timedelta(seconds=5), description="How often it renews its term.")
    max_clock_difference: Positive = Field(
        default=timedelta(seconds=30),
        description="Planning stops while the clocks of process and database are further apart.",
    )


class Override(Section):
    """One ``[[override]]``."""

    match: Glob = Field(description="Pattern on project/model.", examples=["plant-a/slow-*"])
    interval: Interval | None = Field(default=None, description="Instead of schedule.interval.", examples=["1h"])
    delay: Duration | None = Field(default=None, description="Instead of schedule.delay.", examples=["3h"])
    horizon: Duration | None = Field(default=None, description="Instead of backfill.horizon.", examples=["1d"])
    enabled: bool | None = Field(default=None, description="false stops predicting them.", examples=[False])
    on_revision: Literal["keep", "recompute"] | None = Field(
        default=None,
        description="When they get a new revision: keep what was predicted, which is the default, or recompute the last"
        " of it.",
        examples=["recompute"],
    )
    recompute: Positive | None = Field(
        default=None,
        description="How much of what was predicted is predicted again and overwritten where on_revision is recompute;"
        " 7d unless it is given.",
        examples=["7d"],
    )

    @model_validator(mode="after")
    def _sets_something(self) -> Self:
        if self.model_fields_set <= {"match"}:
            raise ValueError("sets nothing: give interval, delay, horizon, enabled or on_revision")
        if self.recompute is not None and self.on_revision != "recompute":
            raise ValueError('recompute has no effect without on_revision = "recompute"')
        return self

    @property
    def recomputed(self) -> timedelta | None:
        """How much is predicted again in a new revision; None: nothing."""
        return (self.recompute or _RECOMPUTED) if self.on_revision == "recompute" else None
