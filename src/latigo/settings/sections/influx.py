"""Keys of an InfluxDB server, shared by sensors and predictions."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from latigo.settings.sections.base import Section, of_https_only
from latigo.settings.values import HttpUrl, InfluxName, PathName, Positive, Secret, Text, header_text


class InfluxServer(Section):
    """Address, login and connection of an InfluxDB server."""

    url: HttpUrl = Field(default="http://localhost:8086", description="URL of the server.")
    version: Literal["1", "2", "3"] = Field(
        default="1", description="Version of the server; 2 and 3 are used through their endpoints for clients of 1."
    )
    retention_policy: InfluxName | None = Field(
        default=None, description="Instead of the database's default one.", examples=["one_year"]
    )
    username: Text | None = Field(default=None, description="For version 1, with password.", examples=["latigo"])
    password: Secret | None = Field(default=None, description="Of username.", examples=["a-password"])
    token: Secret | None = Field(default=None, description="For version 2 and 3.", examples=["a-token"])
    ca_file: PathName | None = Field(
        default=None, description="Authorities to trust instead of the system's.", examples=["/etc/ssl/plant-ca.pem"]
    )
    connect_timeout: Positive = Field(default=timedelta(seconds=5), description="Time limit to connect.")

    @field_validator("url")
    @classmethod
    def _no_braces(cls, url: str) -> str:
        if "{" in url or "}" in url:
            raise ValueError("holds braces, which aioinflux replaces")
        return url

    @field_validator("username", "password", "token")
    @classmethod
    def _fits_into_a_header(cls, value: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
        header_text(text)
        if info.field_name == "username" and ":" in text:
            raise ValueError("must not hold a colon")
        return value

    _ca_file_of_https_only = field_validator("ca_file")(of_https_only)

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.token is not None and self.username is not None:
            raise ValueError("give either token, or username and password")
        return self
