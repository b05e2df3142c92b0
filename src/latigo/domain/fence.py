"""The order of writers of predictions, so that a sink can refuse one that was overtaken."""

from typing import NamedTuple


class Fence(NamedTuple):
    """One claim on a task, ordered as a tuple: of two writers of the same point, the greater one is the newer.

    Revision and attempt have no part in it: a pinned revision may be older, and an attempt is a claim of its own.
    """

    incarnation: int  #: of the ledger; rises when it is restored, since a restored one hands out the same ids again
    epoch: int  #: of the model
    task_id: int
    claim: int  #: number of the claim on the task
