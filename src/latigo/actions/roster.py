"""Predict a model although the settings do not include it, or stop predicting it although they do.

The roster itself is the record: it keeps who decided, and when.
"""

from collections.abc import Sequence
from typing import Protocol

from latigo.domain.model import ModelRef
from latigo.providers.protocols import ModelExecutionProvider


class ModelStates(Protocol):
    """Keeps the state of models; the part of `ModelLedger` that is needed here."""

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        """Set the state of models; return the names that changed."""


async def register(models: ModelExecutionProvider, ref: ModelRef) -> None:
    """Predict a model of the server; a scheduler does so once it has read its metadata.

    Raises:
        Rejected: the server does not have it.
    """
    await models.register_model({"project": ref.project, "name": ref.name})


async def unregister(models: ModelExecutionProvider, states: ModelStates, ref: ModelRef) -> None:
    """Stop predicting a model. Its coverage and predictions stay."""
    await models.unregister_model(ref)
    # At once, not when the next list is read: what is planned for it is dropped.
    await states.set_state(ref.project, [ref.name], "unregistered")
