"""Keys of the Omnia Timeseries API, shared by sensors and predictions."""

from datetime import timedelta
from typing import Self

from pydantic import Field, field_validator, model_validator

from latigo.settings.sections.base import of_https_only
from latigo.settings.sections.login import BearerLogin
from latigo.settings.values import HttpUrl, PathName, Positive, Secret, Secrets, Text


class TimeseriesServer(BearerLogin):
    """Address, login and limits of the API."""

    url: HttpUrl = Field(
        default="http://localhost:8095/plant/timeseries/v1.7",
        description="Base URL with the version, such as https://HOST/plant/timeseries/v1.7.",
    )
    token: Secret | None = Field(
        default=None, description="Bearer token, instead of credential and scope.", examples=["a-bearer-token"]
    )
    headers: Secrets = Field(
        default_factory=dict,
        description="Further headers sent with every request, such as a subscription key.",
        examples=[{"Ocp-Apim-Subscription-Key": "a-key"}],
    )
    facility: Text | None = Field(
        default=None,
        description="Code of the plant; without it, that of a model's first tag, whose name must then be unique.",
        examples=["1903"],
    )
    max_requests: int = Field(default=4, ge=1, le=64, description="Requests in flight at once, of this process.")
    ca_file: PathName | None = Field(
        default=None, description="Authorities to trust instead of the system's.", examples=["/etc/ssl/plant-ca.pem"]
    )
    connect_timeout: Positive = Field(default=timedelta(seconds=5), description="Time limit to connect.")

    @model_validator(mode="after")
    def _has_one_token(self) -> Self:
        if self.token is not None and self.credential is not None:
            raise ValueError("give either token, or credential and scope")
        return self

    _ca_file_of_https_only = field_validator("ca_file")(of_https_only)
