"""Keys of a plug-in, shared by sensors and predictions."""

from typing import Any

from pydantic import Field

from latigo.settings.sections.base import Section
from latigo.settings.values import Secrets


class PluginOptions(Section):
    """Arguments of the factory of a plug-in."""

    options: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="Keyword arguments of the factory, or fields of the pydantic model that it takes.",
        examples=[{"region": "north"}],
    )
    secrets: Secrets = Field(
        default_factory=dict,
        description="Further ones, never shown.",
        examples=[{"password": "a-password"}],
    )
