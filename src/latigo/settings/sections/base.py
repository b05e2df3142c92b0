"""Base class of every table, and the choice between kinds of a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Discriminator, ValidationInfo, model_validator

from latigo.settings.keys import ONE, SEVERAL, installed_plugins, secret_names
from latigo.settings.values import point_to_files


class Section(BaseModel):
    """One table of the configuration file: frozen, knows all its keys, never shows its secrets."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, defer_build=True
    )

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, given: Any) -> Any:
        return point_to_files(given, secret_names(cls)) if isinstance(given, Mapping) else given


def of_https_only(ca_file: Path | None, info: ValidationInfo) -> Path | None:
    """Refuse authorities for a ``url`` that is not https; for the field validator of a section with both.

    Raises:
        ValueError: they would be ignored.
    """
    given = info.data.get("url", ())
    urls = (given,) if isinstance(given, str) else given
    if ca_file is not None and any(url.startswith("http:") for url in urls):
        raise ValueError("needs an https url")
    return ca_file


def by_kind(default: str, *others: str, plugins: str = "") -> Discriminator:
    """Discriminate the alternatives of a section by kind; names of installed plug-ins count as ``python:``."""
    ours = {default, *others}

    def kind(value: Any) -> str:
        given = value.get("kind", default) if isinstance(value, Mapping) else getattr(value, "kind", default)
        name = str(given)
        if name.startswith("python:") or (plugins and name not in ours and name in installed_plugins(plugins)):
            return "python"
        return name

    return Discriminator(kind)


#: Discriminates a section that may be one table or a list of them.
ONE_OR_SEVERAL = Discriminator(lambda value: SEVERAL if isinstance(value, list | tuple) else ONE)
