"""Predict a model although the settings do not include it, or stop predicting it although they do.

The roster itself is the record: it keeps who decided, and when.
"""

from collections.abc import Sequence
from typing import Protocol

from latigo.domain.errors import Reason, Rejected, Unavailable
from latigo.domain.model import ModelRef
from latigo.providers.protocols import ModelExecutionProvider, ModelInformationProvider
from latigo.reports.names import KnownNames, not_on_server, project_error


class ModelServer(Protocol):
    """Lists models, and runs them."""

    @property
    def catalogue(self) -> ModelInformationProvider:
        """Its lists of models."""

    @property
    def execution(self) -> ModelExecutionProvider:
        """Its models, and Latigo's roster of them."""


class ModelStates(Protocol):
    """Keeps the state of models; the part of `ModelLedger` that is needed here."""

    async def set_state(self, project: str, names: Sequence[str], state: str) -> Sequence[str]:
        """Set the state of models; return the names that changed."""


async def register(server: ModelServer, known: KnownNames, ref: ModelRef) -> None:
    """Predict a model of the server; a scheduler does so once it has read its metadata.

    Raises:
        UnknownName: the server does not have it.
    """
    try:
        await server.execution.register_model({"project": ref.project, "name": ref.name})
    except Rejected as error:
        if error.reason is not Reason.MODEL_GONE:
            raise
        raise await not_on_server(server.catalogue, ref, known) from error
    except Unavailable as error:
        raise await project_error(server.catalogue, ref.project, known, error) from error


async def unregister(server: ModelServer, states: ModelStates, known: KnownNames, ref: ModelRef) -> None:
    """Stop predicting a model. Its coverage and predictions stay.

    Raises:
        UnknownName: neither the ledger nor the server knows it.
    """
    if ref not in known.models:
        await _require_on_server(server.catalogue, ref, known)
    await server.execution.unregister_model(ref)
    # At once, not when the next list is read: what is planned for it is dropped.
    await states.set_state(ref.project, [ref.name], "unregistered")


async def _require_on_server(catalogue: ModelInformationProvider, ref: ModelRef, known: KnownNames) -> None:
    try:
        exists = await catalogue.model_exists(ref)
    except Unavailable as error:
        raise await project_error(catalogue, ref.project, known, error) from error
    if not exists:
        raise await not_on_server(catalogue, ref, known)
