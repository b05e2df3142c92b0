"""Models by anomaly, now and over a range: what changed, since when, which tags carry it. From receipts."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from latigo.domain.errors import Misused
from latigo.domain.windows import DAY
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.anomaly_windows import Period, Windows, figures_of
from latigo.reports.base import Names, Report, likes
from latigo.reports.receipts import TagShare

SQL = load_statements("latigo.reports", "anomalies.sql")
LONGEST: Final = 31 * DAY
MOST_MODELS: Final = 500  #: of an answer
MOST_NAMED_APART: Final = 200
#: Windows that are read for an answer, in slots: so many take about a second.
MOST_SLOTS: Final = 700_000


class Anomaly(Report):
    """How far from normal a model is. Shares are of rows over its threshold; None: not known, or it has none."""

    project: str
    model: str
    share_now: float | None  #: in the newest window
    share: float | None  #: over the range
    share_before: float | None  #: over as long a time before the range, unless that were too many windows
    change: float | None  #: of the share, from before to now in the range
    now: float  #: highest total anomaly (``total-anomaly-scaled``) of the newest window
    now_at: datetime  #: its end
    max: float  #: over the range
    max_at: datetime  #: end of the window that has it
    since: datetime | None  #: all windows from then to the newest have rows over the threshold
    since_before: bool  #: it is longer than that, maybe: since then, windows have been read
    windows: int  #: slots of the range that were predicted
    tags: Sequence[TagShare]  #: that carry most of it, the first one most; as far as receipts say it
    series: Sequence[float | None]  #: the share (without threshold: the highest anomaly) in 60 equal parts of the range


class ApartModel(Report):
    """A model that has no anomaly in its answers."""

    project: str
    model: str


class Anomalies(Report):
    """Models by anomaly, the worst first."""

    at: datetime
    start: datetime
    end: datetime
    items: Sequence[Anomaly]
    total: int  #: models with receipts of anomalies in the range
    over: int  #: of them, those over their threshold now
    without: Sequence[ApartModel]  #: their answers have no anomaly; the first 200
    without_count: int
    unscored_count: int  #: models that may have one, and were not predicted in the range


async def read_anomalies(
    database: Database,
    project: Names,
    start: datetime,
    end: datetime,
    at: datetime,
    *,
    model: Names = None,
    most: int = MOST_MODELS,
) -> Anomalies:
    """Return models by anomaly: by the share of rows over the threshold now, then over the range, then by the highest.

    Args:
        database: the ledger's.
        project: names or patterns of the projects; None: all.
        start: of the range.
        end: of the range.
        at: now.
        model: the same of models.
        most: models that are listed.

    Raises:
        Misused: the range is empty or too long, or there are too many models for it.
    """
    if not start < end:
        raise Misused("from: should be before to")
    if end - start > LONGEST:
        raise Misused(f"from: at most {LONGEST.days} days before to")
    models = await database.fetch(SQL["models"], likes(project), likes(model))
    wanted = [row for row in models if row["anomaly"] is not False]
    slots = sum((end - start) / row["slot"] for row in wanted)
    before = start - (end - start) if 2 * slots <= MOST_SLOTS else start
    if slots > MOST_SLOTS:
        shorter = (end - start) * (MOST_SLOTS / slots)
        raise Misused(
            f"{len(wanted)} models have too many windows in so long a time: name a project, or a range of at most"
            f" {max(shorter // timedelta(hours=1), 1)} h"
        )
    async with database.snapshot() as connection:
        read = await connection.fetch(SQL["receipts"], [row["id"] for row in wanted], before, end)
    by_model = {row["model_id"]: row for row in read}
    found = await asyncio.to_thread(_anomalies, wanted, by_model, Period(before, start, end))
    found.sort(key=_worst_first)
    apart = [row for row in models if row["anomaly"] is False]
    return Anomalies(
        at=at,
        start=start,
        end=end,
        items=found[:most],
        total=len(found),
        over=sum(bool(each.share_now) for each in found),
        without=[ApartModel(project=row["project"], model=row["model"]) for row in apart[:MOST_NAMED_APART]],
        without_count=len(apart),
        unscored_count=len(wanted) - len(found),
    )


def _worst_first(anomaly: Anomaly) -> tuple[float, float, float, str, str]:
    return -(anomaly.share_now or 0.0), -(anomaly.share or 0.0), -anomaly.max, anomaly.project, anomaly.model


def _anomalies(models: Sequence[Any], read: Mapping[int, Any], period: Period) -> list[Anomaly]:
    """Return the models that have receipts with an anomaly in the range."""
    by_slot: dict[timedelta, list[Any]] = {}
    for row in models:
        if row["id"] in read:
            by_slot.setdefault(row["slot"], []).append(row)
    found = []
    for slot, rows in by_slot.items():
        of_rows = [read[row["id"]] for row in rows]
        windows = Windows.of(
            [(each["heads"], each["receipts"]) for each in of_rows], [each["tags_since"] for each in of_rows]
        )
        figures_of_rows = figures_of(windows, len(rows), period, slot)
        for row, each, figures in zip(rows, of_rows, figures_of_rows, strict=True):
            if figures is not None:
                names = list(dict.fromkeys(each["tags"] or ()))
                tags = [TagShare(tag=names[tag], share=share) for tag, share in figures.pop("tags") if tag < len(names)]
                found.append(Anomaly(project=row["project"], model=row["model"], tags=tags, **figures))
    return found
