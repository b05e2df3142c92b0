"""Keys of a login to Microsoft Entra ID, the same wherever one is needed."""

from typing import Self

from pydantic import Field, model_validator

from latigo.runtime.azure import Identity, IdentityKind
from latigo.settings.sections.base import Section
from latigo.settings.values import PathName, Secret, Text


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
