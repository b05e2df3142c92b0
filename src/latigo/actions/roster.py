"""Predict a model although the settings do not include it, or stop predicting it although they do.

The roster itself is the record: it keeps who decided, and when.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from latigo.domain.errors import Reason, Rejected
from latigo.domain.model import ModelRef
from latigo.reports.names import KnownNames, not_on_server, require_project

if TYPE_CHECKING:
    from latigo.providers.protocols import ModelExecutionProvider, ModelInformationProvider


class ModelServer(Protocol):
    """Lists models, and runs them."""

    @property
    def catalogue(self) -> "ModelInformationProvider":
        """Its lists of models."""

    @property
    def execution(self) -> "ModelExecutionProvider":
        """Its models, and Latigo's roster of them."""


class ModelStates(Protocol):
    """Keeps the state of models; the part of `ModelLedger` that is needed here."""

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        """Set the state of models; return the names that changed."""


async def register(server: ModelServer, known: KnownNames, ref: ModelRef) -> None:
    """Predict a model of the server; a scheduler does so once it has read its metadata.

    Raises:
        UnknownName: the server does not have it.
        LatigoError: the server cannot be asked.
    """
    await require_project(server.catalogue, ref.project, known)
    try:
        await server.execution.register_model({"project": ref.project, "name": ref.name})
    except Rejected as error:
        if error.reason is not Reason.MODEL_GONE:
            raise
        raise await not_on_server(server.catalogue, ref, known) from error


async def unregister(server: ModelServer, states: ModelStates, known: KnownNames, ref: ModelRef) -> None:
    """Stop predicting a model. Its coverage and predictions stay.

    Raises:
        UnknownName: neither the ledger nor the server knows it.
        LatigoError: the ledger does not know it, and the server cannot be asked.
    """
    if ref not in known.models:
        await require_project(server.catalogue, ref.project, known)
        if not await server.catalogue.model_exists(ref):
            raise await not_on_server(server.catalogue, ref, known)
    await server.execution.unregister_model(ref)
    # At once, not when the next list is read: what is planned for it is dropped.
    await states.set_state(ref.project, [ref.name], "unregistered")
