"""A roster for commands that do not open the ledger."""

from collections.abc import Mapping
from typing import Any

from latigo.domain.errors import Reason, Rejected
from latigo.domain.model import ModelRef


class NoRoster:
    """An empty roster that takes nothing."""

    async def add(self, name: ModelRef, data: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol's
        raise Rejected(f"{name} cannot be registered without the ledger", reason=Reason.BAD_METADATA)

    async def remove(self, name: ModelRef) -> None:
        raise Rejected(f"{name} cannot be unregistered without the ledger", reason=Reason.BAD_METADATA)

    async def entries(self) -> Mapping[ModelRef, bool]:
        return {}
