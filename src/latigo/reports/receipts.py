"""Receipts: how a window was settled, as the ledger and the executor recorded it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from latigo.domain.model import ModelRef
from latigo.domain.receipt import Carrier, Inputs, Receipt
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Listing, Report

SQL = load_statements("latigo.reports", "receipts.sql")


class TagCount(Report):
    """What one tag had for a window."""

    tag: str
    readings: int  #: of the period that was read, which begins before the window
    rows: int  #: labels of the window with readings of their own


class TagShare(Report):
    """A tag that carries much of an anomaly."""

    tag: str
    share: float  #: of the squares of ``tag-anomaly-scaled``: in rows over the threshold, or in all where none is


class InputCounts(Report):
    """The readings of a window."""

    labels: int  #: rows that the window can have
    tags: Sequence[TagCount]
    filled_share: float  #: of the cells of the window (tags times labels), those that were carried on or interpolated
    newest_reading: datetime | None  #: of any tag


class StageTimes(Report):
    """Milliseconds of a task by stage; the claim comes before all others and is not part of their total."""

    claim: int
    waiting: int  #: for a turn: of the memory for readings, of the calls of a project, of a circuit
    read: int
    frame: int
    predict: int
    write: int
    settle: int


class ReceiptReport(Report):
    """One settled window."""

    task: int
    lane: str
    revision: str
    epoch: int
    start: datetime
    end: datetime
    outcome: str
    reason: str
    detail: str
    attempts: int  #: that failed before the last one
    starts: int
    rows: int
    covered: timedelta  #: of the window; the rest are exceptions
    worker: str | None
    planned_at: datetime
    claimed_at: datetime | None
    settled_at: datetime
    stages: StageTimes | None = None  #: None, as all that follows: not measured, or recorded by an older Latigo
    inputs: InputCounts | None = None
    sinks: Sequence[str] = ()  #: that were written to, or had the result already
    highest_total_anomaly: float | None = None  #: of ``total-anomaly-scaled``
    rows_over_threshold: int | None = None  #: in which ``total-anomaly-confidence`` exceeds 1
    anomaly_carried_by: Sequence[TagShare] = ()  #: the tags that carry most of it, at most three


def receipt_report(row: Mapping[str, Any]) -> ReceiptReport:
    """Return a receipt from a row of the statement ``receipts``."""
    columns = {name: row[name] for name in ReceiptReport.model_fields if name in row}
    receipt = Receipt.from_bytes(row["receipt"])
    if receipt is None:
        return ReceiptReport(**columns)
    return ReceiptReport(
        **columns,
        stages=_stages(receipt, row["claimed_at"], row["settled_at"]),
        inputs=None if receipt.inputs is None else _inputs(receipt.inputs, row["tags"], row["end"]),
        sinks=receipt.sinks,
        highest_total_anomaly=None if receipt.score is None else receipt.score.highest,
        rows_over_threshold=None if receipt.score is None else receipt.score.over,
        anomaly_carried_by=[] if receipt.score is None else named(receipt.score.carriers, row["tags"]),
    )


async def read_receipts(
    database: Database, ref: ModelRef, outcome: str | None = None, *, most: int = 100, skip: int = 0
) -> Listing[ReceiptReport]:
    """Return the settled windows of a model, the newest first; ``outcome`` None matches all. Of the last 10 000."""
    rows = await database.fetch(SQL["receipts_of_model"], *ref, outcome, most, skip)
    return Listing([receipt_report(row) for row in rows], rows[0]["total"] if rows else skip)


class StageStatus(Report):
    """How long a stage took in the last five minutes."""

    stage: str  #: waiting, read, frame, predict, write or settle
    median_s: float
    p95_s: float
    share: float  #: of the time of all stages


async def read_stages(connection: Any, now: datetime) -> Sequence[StageStatus]:
    """Return the stages of the windows that were settled lately; none where none was."""
    times: dict[str, list[int]] = {}
    for row in await connection.fetch(SQL["measured_lately"], now):
        if (receipt := Receipt.from_bytes(row["receipt"])) is not None:
            for stage, ms in _stages(receipt, row["claimed_at"], row["settled_at"]):
                if stage != "claim":
                    times.setdefault(stage, []).append(ms)
    return stages_of(times)


def stages_of(times: Mapping[str, Sequence[int]]) -> Sequence[StageStatus]:
    """Return the summary of each stage, by its times in ms. Pure."""
    total = sum(map(sum, times.values()))
    return [
        StageStatus(
            stage=stage,
            median_s=sorted(each)[len(each) // 2] / 1000,
            p95_s=sorted(each)[min(len(each) * 95 // 100, len(each) - 1)] / 1000,
            share=sum(each) / total if total else 0.0,
        )
        for stage, each in times.items()
    ]


def named(carriers: Sequence[Carrier], tags: Sequence[str] | None) -> list[TagShare]:
    """Return carriers by the names of their tags, which are those of a model in the epoch; None: they are not known."""
    names = list(dict.fromkeys(tags or ()))
    return [TagShare(tag=names[each.tag], share=each.percent / 100) for each in carriers if each.tag < len(names)]


def _stages(receipt: Receipt, claimed_at: datetime | None, settled_at: datetime) -> StageTimes:
    times = receipt.stages
    worked = sum(ms for stage, ms in times.items() if stage != "claim")
    total = receipt.elapsed if claimed_at is None else (settled_at - claimed_at) // timedelta(milliseconds=1)
    return StageTimes(
        claim=times.get("claim", 0),
        waiting=max(receipt.elapsed - worked, 0),
        read=times.get("read", 0),
        frame=times.get("frame", 0),
        predict=times.get("predict", 0),
        write=times.get("write", 0),
        settle=max(total - receipt.elapsed, 0),
    )


def _inputs(inputs: Inputs, tags: Sequence[str] | None, end: datetime) -> InputCounts:
    names = list(dict.fromkeys(tags or ()))
    if len(names) != len(inputs.readings):  # whose tags they were is not known
        names = [f"tag {number}" for number in range(1, len(inputs.readings) + 1)]
    counts = zip(names, inputs.readings, inputs.rows, strict=True)
    cells = len(names) * inputs.labels
    return InputCounts(
        labels=inputs.labels,
        tags=[TagCount(tag=tag, readings=readings, rows=rows) for tag, readings, rows in counts],
        filled_share=inputs.filled / cells if cells else 0.0,
        newest_reading=None if inputs.newest_age is None else end - timedelta(seconds=inputs.newest_age),
    )
