"""``[models]``: the model server."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from latigo.settings.sections.base import of_https_only
from latigo.settings.sections.login import BearerLogin
from latigo.settings.values import Globs, HttpUrl, PathName, Positive, Projects, Secret, Secrets


class GordoModels(BearerLogin):
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
    token: Secret | None = Field(
        default=None, description="Bearer token sent with every request.", examples=["a-bearer-token"]
    )
    headers: Secrets = Field(
        default_factory=dict,
        description="Further headers sent with every request.",
        examples=[{"X-Api-Key": "an-api-key"}],
    )
    ca_file: PathName | None = Field(
        default=None, description="Authorities to trust instead of the system's.", examples=["/etc/ssl/plant-ca.pem"]
    )
    connect_timeout: Positive = Field(default=timedelta(seconds=5), description="Time limit to connect.")
    list_timeout: Positive = Field(
        default=timedelta(seconds=60), description="Time limit to read a list of models or the metadata of one."
    )
    predict_timeout: Positive = Field(default=timedelta(seconds=300), description="Time limit of one prediction.")

    @model_validator(mode="after")
    def _has_one_token(self) -> Self:
        if self.token is not None and self.credential is not None:
            raise ValueError("give either token, or credential and scope")
        return self

    _ca_file_of_https_only = field_validator("ca_file")(of_https_only)
