"""Messages that contradict the ledger: signs that it was restored from a backup, or shares its queue. Pure."""

from dataclasses import dataclass

from latigo.domain.model import ModelRef
from latigo.domain.task import LedgerIdentity, Task
from latigo.domain.windows import Window
from latigo.ledger.protocol import Mismatch, MismatchKind


@dataclass(frozen=True, slots=True)
class KnownTask:
    """The task of a number, as it is in the ledger."""

    ref: ModelRef
    window: Window
    epoch: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows about a message."""

    ledger: LedgerIdentity
    newest_id: int  #: the highest number that a task ever had
    task: KnownTask | None  #: None: the task is done, or never existed
    model_epoch: int | None  #: None: the model is unknown


def mismatch_of(task: Task, known: Known) -> Mismatch | None:
    """Return why the ledger cannot have sent a task as this message has it; None if it can.

    A number without a task is no sign by itself: tasks are deleted when they are done, and so is their history later.
    """
    name = f"task {task.id} of {task.ref} {task.window}, epoch {task.epoch}"
    sender, ours = task.ledger, known.ledger
    if sender is not None and sender.id != ours.id:
        return Mismatch(MismatchKind.OTHER_LEDGER, f"{name} is of ledger {sender.id}, and this one is {ours.id}")
    if sender is not None and sender.incarnation > ours.incarnation:
        detail = f"{name} is of incarnation {sender.incarnation}, and the ledger is in {ours.incarnation}"
        return Mismatch(MismatchKind.LATER_INCARNATION, detail)
    if sender is not None and sender.incarnation < ours.incarnation:
        return None
    if task.id > known.newest_id:
        detail = f"{name} was never planned: the newest task is {known.newest_id}"
        return Mismatch(MismatchKind.BEYOND_SEQUENCE, detail)
    if known.task is not None and (known.task.ref, known.task.window) != (task.ref, task.window):
        detail = f"{name} is the task of {known.task.ref} {known.task.window} in the ledger"
        return Mismatch(MismatchKind.OTHER_TASK, detail)
    # Without its incarnation, a message may be older than a restore that has been dealt with: its task has to be there.
    newest_epoch = known.task.epoch if known.task else known.model_epoch if sender else None
    if newest_epoch is not None and task.epoch > newest_epoch:
        return Mismatch(MismatchKind.LATER_EPOCH, f"{name} is ahead of the ledger, which knows epoch {newest_epoch}")
    return None
