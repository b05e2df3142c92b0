"""Keys of a login to Microsoft Entra ID, the same wherever one is needed."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, Tag, field_validator, model_validator

from latigo.runtime.azure import Identity, IdentityKind
from latigo.settings.keys import ONE, SEVERAL
from latigo.settings.sections.base import ONE_OR_SEVERAL, Section, of_https_only
from latigo.settings.values import Headers, HeaderSecret, HttpUrl, HttpUrls, PathName, Positive, Secret, Text

#: One URL, or those of several servers.
ServerUrls = Annotated[Annotated[HttpUrl, Tag(ONE)] | Annotated[HttpUrls, Tag(SEVERAL)], ONE_OR_SEVERAL]


class EntraIdentity(Section):
    """Who logs in."""

    credential: IdentityKind | None = Field(
        default=None,
        description="How to log in to Microsoft Entra ID; default tries what the environment offers.",
        examples=["workload_identity"],
    )
    tenant_id: Text | None = Field(
        default=None, description="For client_secret and client_certificate.", examples=["a-tenant-id"]
    )
    client_id: Text | None = Field(
        default=None,
        description="For client_secret, and for an identity that is not the only one.",
        examples=["a-client-id"],
    )
    client_secret: Secret | None = Field(default=None, description="For client_secret.", examples=["a-secret"])
    certificate_file: PathName | None = Field(
        default=None, description="For client_certificate, PEM or PKCS12.", examples=["/etc/latigo/client.pem"]
    )

    @property
    def identity(self) -> Identity:
        """The identity that logs in."""
        return Identity(
            kind=self.credential or "default",
            tenant_id=self.tenant_id or "",
            client_id=self.client_id or "",
            client_secret=self.client_secret.get_secret_value() if self.client_secret else "",
            certificate_path=str(self.certificate_file or ""),
        )

    @model_validator(mode="after")
    def _has_all_parts(self) -> Self:
        if self.credential == "client_secret" and not (self.tenant_id and self.client_id and self.client_secret):
            raise ValueError('credential = "client_secret" needs tenant_id, client_id and client_secret')
        if self.credential == "client_certificate" and not (
            self.tenant_id and self.client_id and self.certificate_file
        ):
            raise ValueError('credential = "client_certificate" needs tenant_id, client_id and certificate_file')
        return self


class BearerLogin(EntraIdentity):
    """A login whose token goes into the header of every request."""

    scope: Text | None = Field(
        default=None,
        description="What the token of credential is for.",
        examples=["api://gordo-gateway/.default"],
    )

    @model_validator(mode="after")
    def _has_a_scope(self) -> Self:
        if (self.credential is None) != (self.scope is None):
            raise ValueError("credential and scope go together")
        return self


class TokenServer(BearerLogin):
    """A server that is reached over HTTP with a token: a fixed one, or one of a login."""

    url: ServerUrls = Field(description="URL of the server.")
    token: HeaderSecret | None = Field(
        default=None,
        description="Bearer token sent with every request, instead of credential and scope.",
        examples=["a-bearer-token"],
    )
    headers: Headers = Field(
        default_factory=dict,
        description="Further headers sent with every request, such as a subscription key.",
        examples=[{"X-Api-Key": "an-api-key"}],
    )
    ca_file: PathName | None = Field(
        default=None, description="Authorities to trust instead of the system's.", examples=["/etc/ssl/plant-ca.pem"]
    )
    connect_timeout: Positive = Field(default=timedelta(seconds=5), description="Time limit to connect.")

    _ca_file_of_https_only = field_validator("ca_file")(of_https_only)

    @property
    def has_fixed_headers(self) -> bool:
        """Whether `fixed_headers` has any."""
        return bool(self.headers) or self.token is not None

    def fixed_headers(self) -> dict[str, str]:
        """Return the headers of every request, the fixed token among them, by what secrets are now."""
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        return headers

    @model_validator(mode="after")
    def _has_one_token(self) -> Self:
        if self.token is not None and self.credential is not None:
            raise ValueError("give either token, or credential and scope")
        return self
