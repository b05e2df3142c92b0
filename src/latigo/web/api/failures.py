"""Endpoints: failures, and what is done about them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from latigo.actions.dismissing import DismissalCount, Failing, count_dismissed, dismiss
from latigo.actions.retry import Retried, RetryCount, Unparked, count_retried, retry
from latigo.domain.errors import Misused
from latigo.reports.base import Report
from latigo.reports.choices import CAUSES, DISMISSED, RETRIED, FailureGrouping, FailureOrder, FailureState
from latigo.reports.failures import (
    Failure,
    FailureFilter,
    FailureGroup,
    count_dismissed_failures,
    read_failure_groups,
    read_failures,
)
from latigo.runtime.times import parse_time
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Digest, Endpoint, Name, Patterns, Question, Why
from latigo.web.api.paging import Page, Paged
from latigo.web.api.times import When


class FailuresQuestion(Paged):
    """Which failures."""

    project: Patterns = ()
    model: Patterns = ()
    sensor: Name | None = None
    reason: Annotated[str | None, Field(json_schema_extra={"enum": [*CAUSES, None]})] = None
    state: FailureState | None = None
    dismissed: bool = False
    order: FailureOrder = "name"

    @property
    def wanted(self) -> FailureFilter:
        """The filter of the report."""
        names = self.project or None, self.model or None
        return FailureFilter(*names, self.reason, self.sensor, self.state, self.dismissed)


class Failures(Page[Failure]):
    """Failures."""

    dismissed: int  #: failures like these that are dismissed, and not listed


class FailureGroups(Page[FailureGroup]):
    """Groups of failures."""

    dismissed: int  #: failures like these that are dismissed, and in no group


async def _checked(context: Context, asked: FailuresQuestion) -> int:
    """Check the names; return how many failures like these are dismissed."""
    if asked.reason is not None and asked.reason not in CAUSES:
        raise Misused(f"reason: there is no cause {asked.reason}; known: {', '.join(CAUSES)}")
    await context.require_all(asked.project, asked.model)
    await context.require(None, sensor=asked.sensor)
    return 0 if asked.dismissed else await count_dismissed_failures(context.database, asked.wanted)


async def _failures(context: Context, asked: FailuresQuestion) -> Failures:
    dismissed = await _checked(context, asked)
    rows = await read_failures(context.database, asked.wanted, order=asked.order, most=asked.limit, skip=asked.skip)
    return Failures(**dict(asked.page(rows, context.now())), dismissed=dismissed)


FAILURES = Endpoint(
    path="/failures",
    summary="What has failed, with its cause.",
    question=FailuresQuestion,
    answer=Failures,
    handle=_failures,
    limit=timedelta(seconds=5),
    largest=10_000_000,
)


class GroupsQuestion(FailuresQuestion):
    """Which failures, and what those of a group have in common."""

    by: FailureGrouping = "cause"


async def _groups(context: Context, asked: GroupsQuestion) -> FailureGroups:
    dismissed = await _checked(context, asked)
    rows = await read_failure_groups(context.database, asked.by, asked.wanted, most=asked.limit, skip=asked.skip)
    return FailureGroups(**dict(asked.page(rows, context.now())), dismissed=dismissed)


GROUPS = Endpoint(
    path="/failures/groups",
    summary="Failures by cause, sensor or project: what Latigo does about them, and what a person can do.",
    question=GroupsQuestion,
    answer=FailureGroups,
    handle=_groups,
    limit=timedelta(seconds=5),
)


class Selector(Question):
    """Failures that something is done about; what is left out matches all."""

    project: Name | None = None
    model: Name | None = None
    reason: Name | None = None
    sensor: Name | None = None
    everything: Annotated[bool, Field(description="Needed where nothing else is named.")] = False

    def named(self, known: Sequence[str]) -> Failing:
        """Return the selection of the action.

        Raises:
            Misused: nothing is named, or a reason that is none of the known.
        """
        if self.names_nothing and not self.everything:
            raise Misused("selector: name a project, model, sensor or reason, or everything")
        if self.reason is not None and self.reason not in known:
            raise Misused(f"selector.reason: there is no cause {self.reason}; known: {', '.join(known)}")
        return Failing(self.project, self.model, self.reason, self.sensor)

    @property
    def names_nothing(self) -> bool:
        """True if it would be everything."""
        return (self.project, self.model, self.reason, self.sensor) == (None,) * 4


class RetrySelector(Selector):
    """Failures that are tried again: of some models, and of some time."""

    names: Annotated[
        tuple[Name, ...],
        Field(max_length=20_000, description="PROJECT or PROJECT/MODEL; * and ? stand for any characters."),
    ] = ()
    since: Annotated[When | None, Field(alias="from", description="Only whole slots from here on.")] = None
    until: Annotated[When | None, Field(alias="to", description="Only whole slots up to here.")] = None

    def retried(self, now: datetime) -> Retried:
        """Return the selection of the action.

        Raises:
            Misused: nothing is named, a reason that is none of the known, or an empty range.
        """
        named = self.named(RETRIED)
        start, end = (None if text is None else parse_time(text, now) for text in (self.since, self.until))
        if start and end and start >= end:
            raise Misused("selector.from, to: the end should be after the begin")
        return Retried(*named, self.names, start, end)

    @property
    def names_nothing(self) -> bool:
        return super().names_nothing and not self.names and self.since is None and self.until is None


class RetryQuestion(Question):
    """What is tried again."""

    selector: RetrySelector
    dry_run: bool = False
    expect: Digest = ""
    reason: Why = ""


class RetryAnswer(Report):
    """What a retry has changed, or would."""

    dry_run: bool
    count: RetryCount  #: before it
    unparked: Sequence[Unparked] = ()
    woken: int = 0  #: tasks that waited for another attempt
    rechecked: int = 0  #: models with slots that lack readings


async def _retry(context: Context, asked: RetryQuestion) -> RetryAnswer:
    wanted = asked.selector.retried(context.now())
    await context.require(wanted.project, wanted.model, wanted.sensor)
    count = await count_retried(context.database, wanted)
    if asked.dry_run:
        return RetryAnswer(dry_run=True, count=count)
    done = await retry(context.database, context.who, wanted, why=asked.reason, expect=asked.expect)
    return RetryAnswer(dry_run=False, count=count, **done._asdict())


RETRY = Endpoint(
    method="POST",
    path="/retry",
    summary="Try again what is parked or waits for another attempt.",
    question=RetryQuestion,
    answer=RetryAnswer,
    handle=_retry,
    limit=timedelta(seconds=30),
    largest=10_000_000,
    examples=(
        {"selector": {"reason": "unknown_sensor"}, "dry_run": True},
        {"selector": {"names": ["plant-a/pump-*"], "from": "-6h"}, "dry_run": True},
    ),
)


class DismissQuestion(Question):
    """Which failures are no alarm any more, until their model has another revision."""

    selector: Selector
    undo: bool = False
    dry_run: bool = False
    expect: Digest = ""
    reason: Why = ""


class DismissAnswer(Report):
    """How much is dismissed, or no longer."""

    dry_run: bool
    count: DismissalCount


async def _dismiss(context: Context, asked: DismissQuestion) -> DismissAnswer:
    wanted = asked.selector.named(DISMISSED)
    if not (asked.reason or asked.undo or asked.dry_run):
        raise Misused("reason: say why, for those who meet the failure next")
    await context.require(wanted.project, wanted.model, wanted.sensor)
    if asked.dry_run:
        return DismissAnswer(dry_run=True, count=await count_dismissed(context.database, wanted, undo=asked.undo))
    count = await dismiss(context.database, context.who, wanted, asked.reason, expect=asked.expect, undo=asked.undo)
    return DismissAnswer(dry_run=False, count=count)


DISMISS = Endpoint(
    method="POST",
    path="/dismiss",
    summary="Take failures out of the alarms, until their model has another revision.",
    question=DismissQuestion,
    answer=DismissAnswer,
    handle=_dismiss,
    limit=timedelta(seconds=30),
)

ENDPOINTS = (FAILURES, GROUPS, RETRY, DISMISS)
