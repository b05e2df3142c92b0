"""Registering models, which Latigo does by itself: no model server has a way to do it but to build the model."""

from collections.abc import Mapping
from typing import Any

from latigo.domain.errors import Reason, Rejected
from latigo.domain.model import ModelRef
from latigo.providers.protocols import ModelInformationProvider, ModelRoster


class RosterRegistration:
    """The part of a `ModelExecutionProvider` that is the same for every model server.

    Args:
        catalogue: of the model server.
        roster: models that were registered or unregistered by hand.
    """

    def __init__(self, catalogue: ModelInformationProvider, roster: ModelRoster) -> None:
        self._roster = roster
        self._model_exists = catalogue.model_exists

    async def register_model(self, model_data: Mapping[str, Any]) -> ModelRef:
        """Put a model of the server, ``{"project": ..., "name": ...}``, on the roster."""
        match model_data:
            case {"project": str(project), "name": str(name), **rest} if project and name and not rest:
                ref = ModelRef(project, name)
            case _:
                raise Rejected("a model is registered with the keys project and name", reason=Reason.BAD_METADATA)
        if not await self._model_exists(ref):
            raise Rejected(f"the server has no {ref}", reason=Reason.MODEL_GONE, whole_model=True)
        await self._roster.add(ref, model_data)
        return ref

    async def unregister_model(self, name: ModelRef) -> None:
        """Stop predicting the model. Nothing is deleted, here or on the server."""
        await self._roster.remove(name)

    async def is_registered(self, name: ModelRef) -> bool | None:
        """Return what was decided by hand; None if nothing was."""
        return (await self._roster.entries()).get(name)
