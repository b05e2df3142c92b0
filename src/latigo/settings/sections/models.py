"""``[models]``: the model server."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from latigo.settings.sections.login import TokenServer
from latigo.settings.values import Globs, HttpUrl, Positive, Projects


class GordoModels(TokenServer):
    """A Gordo server."""

    kind: Literal["gordo"] = Field(default="gordo", description="Kind of the model server.")
    url: HttpUrl = Field(default="http://localhost:5555", description="URL of the server.")
    projects: Projects = Field(
        default=(), description="Projects whose models are predicted; with none, only models registered by hand."
    )
    include: Globs = Field(
        default=("*",), description="Patterns on project/model; models that match none of them are left out."
    )
    exclude: Globs = Field(
        default=(), description="Patterns on project/model that are left out; stronger than include."
    )
    refresh: Positive = Field(
        default=timedelta(minutes=5), description="How often the lists of models and revisions are read."
    )
    list_timeout: Positive = Field(
        default=timedelta(seconds=60), description="Time limit to read a list of models or the metadata of one."
    )
    predict_timeout: Positive = Field(default=timedelta(seconds=300), description="Time limit of one prediction.")
