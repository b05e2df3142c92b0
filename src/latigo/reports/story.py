"""The story of one moment of one model, in sentences. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from latigo.domain.outcome import Outcome
from latigo.domain.windows import iso
from latigo.reports.explain import Explanation, MomentState, OpenTask, WantedBy, made_by
from latigo.reports.receipts import InputCounts, ReceiptReport, StageTimes, TagCount
from latigo.runtime.lines import on_one_line
from latigo.runtime.units import counted

_SHOWN: Final = 5  #: tags or tasks that a sentence names; the rest is counted
_LONGEST_DETAIL: Final = 300
_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_UNITS: Final = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", _SECOND, "s"))


def sentences(moment: Explanation) -> list[str]:
    """Return what there is to say about a moment: first whether there is a prediction, then why, then what follows."""
    return [on_one_line(sentence) for sentence in (*_OPENINGS[moment.state](moment), *_also(moment))]


def lasting(duration: timedelta) -> str:
    """Return a duration as people say it, in its largest two units; its sign is not said."""
    length = abs(duration)
    if length < _SECOND:
        return f"{length // timedelta(milliseconds=1)} ms"
    if length < _MINUTE:
        seconds = length.total_seconds()
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{int(seconds)} s"
    unit, name, smaller, smaller_name = next(entry for entry in _UNITS if length >= entry[0])
    rest = length % unit // smaller
    return f"{length // unit} {name}" + (f" {rest} {smaller_name}" if rest else "")


def span(start: datetime, end: datetime) -> str:
    """Return a stretch of time; its end without the date if that is the same."""
    until = _time(end)
    return f"{_time(start)} to {until[11:] if start.date() == end.date() else until}"


def _time(time: datetime) -> str:
    return iso(time.replace(microsecond=0))


def _from_now(time: datetime, now: datetime) -> str:
    return f"in {lasting(time - now)}" if time > now else f"{lasting(now - time)} ago"


def _brief(text: str) -> str:
    """Return the last line of a message or traceback, cut, without its full stop."""
    return "".join(text.strip().splitlines()[-1:])[:_LONGEST_DETAIL].rstrip(".")


#: What a request is for, by its kind, where it may be about slots that are predicted.
_WANTS: Final = {"replace": "wants it predicted again", "sweep": "compares it with its readings of now"}


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _all(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _name(moment: Explanation) -> str:
    return f"{moment.project}/{moment.model}"


def _lacks(moment: Explanation, why: str) -> str:
    return f"{_name(moment)} has no predictions for the slot {span(moment.slot_start, moment.slot_end)}{why}."


def _backfill(moment: Explanation) -> str:
    return f"latigo backfill {_name(moment)} --from {_time(moment.slot_start)} --to {_time(moment.slot_end)}"


# --- there is a prediction --------------------------------------------------------------------------------------------


def _covered(moment: Explanation) -> Iterator[str]:
    yield f"{_name(moment)} has its predictions for the slot {span(moment.slot_start, moment.slot_end)}."
    covering = made_by(moment)
    if covering is not None:
        yield from _settled(covering, moment)
        others = [each for each in (moment.receipt, *moment.earlier) if each and each is not covering]
        if others:
            texts = [f"task {each.task} {_ended(each)}" for each in others]
            yield f"{counted(moment.receipts - 1, 'other task')} had this slot as well: {_some(texts)}."
    elif moment.slot_end < moment.now - moment.history:
        yield (
            "How they came about is not known any more: receipts are kept for"
            f" {lasting(moment.history)} (ledger.history)."
        )
    else:
        yield "There is no receipt of it: no task that this ledger remembers has covered it."


def _ended(receipt: ReceiptReport) -> str:
    detail = f" ({_brief(receipt.detail)})" if receipt.detail else ""
    return f"ended as {receipt.outcome} with {counted(receipt.rows, 'row')} at {_time(receipt.settled_at)}{detail}"


def _settled(receipt: ReceiptReport, moment: Explanation) -> Iterator[str]:
    """Report how a task with the moment was settled, and what was measured meanwhile."""
    alone = receipt.end - receipt.start <= moment.slot_end - moment.slot_start
    window = "this slot alone" if alone else f"the window {span(receipt.start, receipt.end)}"
    did = "copied" if receipt.outcome == Outcome.COPIED else "predicted"
    stored = f"{did} {window}: {counted(receipt.rows, 'row')}" if receipt.rows else f"stored no rows of {window}"
    failed = f", after {counted(receipt.attempts, 'failed attempt')}" if receipt.attempts else ""
    if receipt.starts > 1:  # a process ended with it
        failed += f", started {_times(receipt.starts)}"
    late = f"{lasting(receipt.settled_at - moment.slot_end)} after the end of the slot"
    yield (
        f"Task {receipt.task} (lane {receipt.lane}, revision {receipt.revision}) {stored}, settled at"
        f" {_time(receipt.settled_at)}, {late}{failed}."
    )
    if receipt.inputs is not None:
        yield from _inputs(receipt.inputs, receipt)
    if receipt.sinks:
        yield f"It was written to {' and '.join(receipt.sinks)} by {receipt.worker}."
    if receipt.stages is not None:
        yield _stages(receipt.stages)
    elif receipt.claimed_at is not None:
        took = lasting(receipt.settled_at - receipt.claimed_at)
        yield f"It took {took}; another version of Latigo settled it, and no more is known."
    if receipt.highest_total_anomaly is not None:
        over = receipt.rows_over_threshold
        threshold = "the model has no threshold"
        if over is not None:
            threshold = f"{counted(over, 'row') if over else 'no row'} over the model's threshold"
        yield f"The highest total anomaly in that window is {receipt.highest_total_anomaly:.4g}, with {threshold}."


def _inputs(inputs: InputCounts, receipt: ReceiptReport) -> Iterator[str]:
    tags = counted(len(inputs.tags), "tag")
    rows = f"each of the {inputs.labels} rows" if inputs.labels > 1 else "the only row"
    thin = sorted((tag for tag in inputs.tags if tag.rows < inputs.labels), key=_thinness)
    if not inputs.labels:
        yield "The window has no rows."
    elif not thin:
        yield f"Its {tags} had readings in {rows}."
    else:
        lacking = _some([f"{tag.tag} ({tag.rows} of {inputs.labels})" for tag in thin])
        yield f"{len(inputs.tags) - len(thin)} of its {tags} had readings in {rows}; thin: {lacking}."
        if inputs.filled_share:
            share = 100 * inputs.filled_share
            yield f"{f'{share:.0f} %' if share >= 1 else 'Less than 1 %'} of the cells were filled."
    if inputs.newest_reading is not None and receipt.claimed_at is not None:
        age = lasting(receipt.claimed_at - inputs.newest_reading)
        yield f"The newest reading was that of {_time(inputs.newest_reading)}, {age} old when the task was claimed."


def _thinness(tag: TagCount) -> tuple[int, str]:
    return tag.rows, tag.tag


def _stages(stages: StageTimes) -> str:
    parts = {
        "waiting for a turn": stages.waiting,
        "reading": stages.read,
        "building X and y": stages.frame,
        "the model server": stages.predict,
        "writing": stages.write,
        "settling": stages.settle,
    }
    listed = ", ".join(f"{name} {lasting(timedelta(milliseconds=ms))}" for name, ms in parts.items() if ms)
    total = lasting(timedelta(milliseconds=sum(parts.values())))
    return f"It took {total}{f': {listed}' if listed else ''}."


# --- there is none, or not all of it ----------------------------------------------------------------------------------


def _excepted(moment: Explanation) -> Iterator[str]:
    slot = moment.exception
    if slot is None:
        raise ValueError(f"{_name(moment)} is {moment.state} at {moment.at}, and the exception is missing")
    reason = f"it is {slot.state} ({_brief(slot.reason)})"
    where = f"the slot {span(moment.slot_start, moment.slot_end)}"
    match slot.state:
        case "absent":
            yield _lacks(moment, f": {reason}")
        case "short":
            yield f"{_name(moment)} lacks some rows of {where}: {reason}."
        case "provisional":
            yield f"{_name(moment)} has predictions for {where} that may still change: {reason}."
    rechecked = f"It was rechecked {_times(slot.rechecks)}" if slot.rechecks else "It was not rechecked yet"
    if slot.next_check is not None:
        due = f"at {_time(slot.next_check)}, {_from_now(slot.next_check, moment.now)}"
        yield f"{rechecked}; the next time is {'now' if slot.next_check <= moment.now else due}."
    elif moment.silent_since is not None:
        yield _silent(moment.silent_since)
    else:
        yield f"{rechecked} and is final, unless {_backfill(moment)} --replace requests it again."
    if moment.receipt is not None:
        yield from _settled(moment.receipt, moment)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _silent(since: datetime) -> str:
    return (
        f"The model has had no readings since {_time(since)}; Latigo tries its newest slot only, and this one when"
        " readings return."
    )


def _parked(moment: Explanation) -> Iterator[str]:
    yield _lacks(moment, ": it is parked")
    for each in moment.parked:
        detail = _brief(each.detail)
        unnamed = [tag for tag in each.tags if tag not in detail]
        about = f" It is about {_some(unnamed)}." if unnamed else ""
        yield f"Since {_time(each.since)}, in revision {each.revision}, as {each.reason}: {detail}.{about}"
        if each.latigo_does:
            yield f"What Latigo does: {each.latigo_does}."
            yield f"What you can do: {each.you_can_do}."


def _in_task(moment: Explanation) -> Iterator[str]:
    yield _lacks(moment, " yet: a task has it")
    yield from (_task(task, moment) for task in moment.tasks if task.has_it)
    states = {task.state for task in moment.tasks if task.has_it}
    if "planned" in states and not moment.planner:
        yield "It is not published, because no scheduler holds the lease to plan (latigo status)."
    if states & {"planned", "published"}:
        yield from _without_executors(moment)


def _task(task: OpenTask, moment: Explanation) -> str:
    now = moment.now
    about = f"Task {task.task} (lane {task.lane}, {span(task.start, task.end)})"
    probe = ", as the probe of an open circuit" if task.probe else ""
    if task.state == "claimed" and task.claimed_at and task.lease_until:
        lease = f"its lease lasts until {_time(task.lease_until)}"
        if task.lease_until <= now:
            lease = f"its lease ran out at {_time(task.lease_until)}, so another executor takes it"
        worked = f"is worked on by {task.worker} since {_time(task.claimed_at)}, {_from_now(task.claimed_at, now)}"
        return f"{about} {worked}{probe}; {lease}."
    if task.state == "waiting" and task.not_before:
        failed = f"has failed {_times(task.attempts)}" if task.attempts else "was deferred" if task.detail else ""
        if task.paused_by:
            pauses = "pause" if len(task.paused_by) == 1 else "pauses"
            return f"{about} waits for the end of the {pauses} of {_all(task.paused_by)}" + (
                f"; it {failed}: {_brief(task.detail)}." if failed else "."
            )
        if not failed:
            return f"{about} waits for its turn."
        due = "now" if task.not_before <= now else f"at {_time(task.not_before)}, {_from_now(task.not_before, now)}"
        return f"{about} {failed} and is tried again {due}: {_brief(task.detail)}."
    if task.state == "published" and task.published_at:
        nameless = not task.place or task.place.startswith("internal/")  # one process has it, under a number
        queue = "the task queue" if nameless else f"the task queue ({task.place})"
        return f"{about} is in {queue} since {_time(task.published_at)}{probe}, not claimed by an executor yet."
    return f"{about} was planned at {_time(task.planned_at)}{probe}, and is not in the task queue yet."


def _expired(moment: Explanation) -> Iterator[str]:
    yield _lacks(moment, ": it has expired, because it was missing for longer than backfill.max_catch_up")
    yield f"Latigo does not predict it by itself any more; {_backfill(moment)} requests it."


def _not_predicted(moment: Explanation) -> Iterator[str]:
    yield _lacks(moment, f": the model is {moment.model_state}")
    match moment.model_state:
        case "paused":
            return  # who paused it follows
        case "disabled":
            yield "An [[override]] in the settings has enabled = false. Without it, Latigo fills the gaps."
        case "unregistered" if moment.unregistered_by and moment.unregistered_at:
            yield (
                f"{moment.unregistered_by} took it off the roster at {_time(moment.unregistered_at)};"
                f" latigo models register {_name(moment)} puts it back."
            )
        case "unregistered":
            yield "The settings leave it out (models.projects, include, exclude or discover)."
        case "missing":
            since = f" since {_time(moment.missing_since)}" if moment.missing_since else ""
            yield (
                f"The model server has not listed it{since}. Latigo goes on when it is listed again; after a day, the"
                " model counts as retired."
            )
        case "retired":
            since = f" since {_time(moment.missing_since)}" if moment.missing_since else " any more"
            verb = "has not listed it" if moment.missing_since else "does not list it"
            yield f"The model server {verb}{since}. Its coverage is kept, and Latigo goes on when it is listed again."
        case "unusable":
            more = f"latigo models show {_name(moment)} has more"
            yield f"Its metadata in revision {moment.revision} cannot be used; {more}."


def _not_due(moment: Explanation) -> Iterator[str]:
    yield _lacks(moment, " yet: it is not due")
    delay = moment.due_at - moment.slot_end
    ends = "ends" if moment.slot_end > moment.now else "ended"
    wait = f", and Latigo waits {lasting(delay)} for late readings (schedule.delay)" if delay else ""
    due = f"{_time(moment.due_at)}, {_from_now(moment.due_at, moment.now)}"
    yield f"The slot {ends} {_from_now(moment.slot_end, moment.now)}{wait}: it is due at {due}."


def _before_beginning(moment: Explanation) -> Iterator[str]:
    yield _lacks(moment, ": it is before the beginning of what Latigo predicts by itself")
    yield (
        f"The model was first seen at {_time(moment.first_seen)} and is predicted from {_time(moment.since)} on"
        f" (backfill.horizon). {_backfill(moment)} requests it."
    )


def _missing(moment: Explanation) -> Iterator[str]:
    by_itself = moment.gap is not None or not moment.requests
    yield _lacks(moment, f" yet: it is a gap, which {'Latigo' if by_itself else 'a request'} fills")
    if moment.receipt is not None:
        yield f"The last task that had it, {moment.receipt.task}, {_ended(moment.receipt)}."
    obstacles = list(_obstacles(moment))
    yield from obstacles
    if not obstacles and (by_itself or not all(_held(request, moment) for request in moment.requests)):
        out = counted(moment.outstanding, "task")
        yield f"Nothing is in its way: the next rounds of planning take it ({out} out now)."


def _obstacles(moment: Explanation) -> Iterator[str]:
    """Report why a gap is not planned yet."""
    if not moment.planner:
        yield "It is not planned, because no scheduler holds the lease to plan (latigo status)."
    yield from _without_executors(moment)
    if moment.gap is None or not moment.gap.live:
        yield from _without_backfill(moment)
    for circuit in moment.circuits:
        yield (
            f"The circuit of {circuit.downstream} is open since {_time(circuit.opened_at)} ({_brief(circuit.reason)}):"
            " tasks that need it are not started, but for one probe at a time."
        )
    if moment.held_until is not None:
        waits = f", and waits for {moment.held_for}" if moment.held_for else ""
        yield f"The model is held until {_time(moment.held_until)}: its last task was deferred{waits}."
    if moment.gap is None:
        if moment.silent_since is not None and moment.silent_since <= moment.at:
            yield _silent(moment.silent_since)
        return
    if moment.gap.newer_slots:
        newer, are = moment.gap.newer_slots, "is" if moment.gap.newer_slots == 1 else "are"
        yield f"{counted(newer, 'newer slot')} of the model {are} missing as well, and newer ones go first."
    if moment.gap.other_out:
        out = [_task(task, moment) for task in moment.tasks if task.state != "waiting" and task.lane != "live"]
        yield " ".join(["A model has one window of history out at a time, or one run of several.", *out])


def _without_executors(moment: Explanation) -> Iterator[str]:
    if not moment.executors:
        yield "No executor is running (latigo status)."
    elif moment.drained_executors >= moment.executors:
        yield "Every executor is drained, so nothing is started: latigo executors resume NAME lets one work again."


def _without_backfill(moment: Explanation) -> Iterator[str]:
    if (pause := moment.backfill_paused) is not None:
        yield (
            f"{pause.who} paused backfill at {_time(pause.at)}{_why(pause.reason)}. Only live windows are planned until"
            " latigo limits --resume-backfill."
        )


def _why(reason: str) -> str:
    """Return what follows on who did something: why, if that is known."""
    return f": {_in_one_line(reason)}" if reason.strip() else ""


def _in_one_line(text: str) -> str:
    """Return all of what a person wrote, cut, without its full stop."""
    return " ".join(text.split())[:_LONGEST_DETAIL].rstrip(".")


def _waits_for_backfill(moment: Explanation) -> bool:
    """Return whether anything is to come of it that is not planned while backfill is paused."""
    rechecked = moment.exception is not None and moment.exception.next_check is not None
    delayed = any(task.has_it and "backfill" in task.paused_by for task in moment.tasks)
    return rechecked or delayed or bool(moment.requests) or moment.repair_due_at is not None


def _held(request: WantedBy, moment: Explanation) -> str:
    """Return what keeps a request from having the moment planned; empty: nothing, or its task is out."""
    if request.state == "paused":
        note = _brief(request.note)
        return f", but is paused{f': {note}' if note else ''}"
    is_out = any(task.has_it and task.request == request.request and task.state != "waiting" for task in moment.tasks)
    return ", but has as many tasks out as it may" if request.is_full and not is_out else ""


def _lacking(moment: Explanation) -> Iterator[str]:
    copied_to = {request.sink for request in moment.requests}
    for each in moment.sinks:
        if each.lost:
            yield f"It is lost for {each.sink}: neither another sink nor the readings had it any more."
            continue
        advice = "" if each.sink in copied_to else f": latigo backfill --sink {each.sink.partition('/')[2]} copies it"
        yield f"{each.sink} is required by now and lacks it{advice}."


def _dismissed(moment: Explanation) -> Iterator[str]:
    for each in moment.dismissed:
        yield (
            f"{each.who} dismissed {each.reason} at {_time(each.at)}{_why(each.note)}. It is no alarm while the model"
            f" has revision {each.revision}."
        )


# --- what else is true of it ------------------------------------------------------------------------------------------


def _stored_before(moment: Explanation) -> Iterator[str]:
    if moment.partial and not moment.covered:
        yield (
            "This moment itself is stored, from when slots of the model had another length; it is predicted again"
            " with the rest of its slot."
        )


def _also(moment: Explanation) -> Iterator[str]:
    yield from _stored_before(moment)
    yield from _dismissed(moment)
    if moment.model_state == "paused":
        for pause in moment.pauses:
            what, subject = ("the model", _name(moment)) if pause.of_model else ("the whole project", moment.project)
            yield (
                f"{pause.who} paused {what} at {_time(pause.at)}{_why(pause.reason)}."
                f" latigo resume {subject} goes on, with what became due meanwhile."
            )
    if moment.state not in {"in_task", "missing"}:
        yield from (f"A task has it again. {_task(task, moment)}" for task in moment.tasks if task.has_it)
    yield from _lacking(moment)
    for request in moment.requests:
        wants = f"copies it to {request.sink}" if request.kind == "copy" else _WANTS.get(request.kind, "wants it")
        made = f"Request {request.request}, made by {request.who} at {_time(request.at)}"
        yield f"{made}, {wants}{_held(request, moment)}."
    if moment.repair_due_at is not None:
        yield (
            "A write that had no answer, or of an executor whose claim had ended, may have replaced it, so it is"
            f" predicted again from {_time(moment.repair_due_at)} on."
        )
    if moment.state != "missing" and _waits_for_backfill(moment):
        yield from _without_backfill(moment)
    if moment.state == "covered":
        return
    if moment.quarantined_since is not None:
        yield (
            f"The model list of {moment.project} has lost too many models at once and is quarantined since"
            f" {_time(moment.quarantined_since)}; models that were known before are predicted as usual."
        )
    if moment.listing_error:
        yield f"The models of {moment.project} cannot be listed: {_brief(moment.listing_error)}."


_OPENINGS: Final[Mapping[MomentState, Callable[[Explanation], Iterator[str]]]] = {
    "covered": _covered,
    "parked": _parked,
    "short": _excepted,
    "provisional": _excepted,
    "absent": _excepted,
    "in_task": _in_task,
    "expired": _expired,
    "not_predicted": _not_predicted,
    "not_due": _not_due,
    "before_beginning": _before_beginning,
    "missing": _missing,
}
