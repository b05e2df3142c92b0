"""What is said of one cell of the grid."""

from datetime import datetime, timedelta

from latigo.domain.model import ModelRef
from latigo.postgres.database import Database
from latigo.reports.base import Report
from latigo.reports.explain import made_by, read_explanation
from latigo.reports.grid import read_ledger, to_image
from latigo.reports.grid_cells import Axis, State
from latigo.reports.story import sentences

_SENTENCES = 3


class CellReport(Report):
    """One slot of one model."""

    project: str
    model: str
    start: datetime  #: of the slot
    end: datetime
    state: str  #: as a grid shows it
    code: int
    cause: str  #: why predictions are lacking, as far as it is known
    text: str  #: the same in words, at most three sentences
    task: int | None  #: that predicted it, as far as receipts are kept
    revision: str | None
    settled_at: datetime | None


async def read_cell(database: Database, ref: ModelRef, at: datetime, history: timedelta) -> CellReport:
    """Return what is said of the slot of a model that contains a moment.

    Raises:
        UnknownName: the ledger does not know the model.
    """
    moment = await read_explanation(database, ref, at, history)
    axis = Axis(moment.slot_start, moment.slot_end - moment.slot_start, 1)
    image = to_image(await read_ledger(database, axis, model=ref))
    state = State(int(image.cells()[0, 0])) if len(image.rows) else State.NOT_DESIRED
    receipt = made_by(moment) if state != State.NOT_DESIRED else None
    return CellReport(
        project=ref.project,
        model=ref.name,
        start=moment.slot_start,
        end=moment.slot_end,
        state=state.word,
        code=state,
        cause=image.causes.text(state, 0) if len(image.rows) else "",
        text=" ".join(sentences(moment)[:_SENTENCES]),
        task=receipt.task if receipt else None,
        revision=receipt.revision if receipt else None,
        settled_at=receipt.settled_at if receipt else None,
    )
