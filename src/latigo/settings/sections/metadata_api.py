"""``[metadata_api]``: the service that knows projects, and to which predictions are described."""

from datetime import timedelta

from pydantic import Field

from latigo.settings.sections.login import TokenServer
from latigo.settings.values import HttpUrl, Positive


class MetadataApiSettings(TokenServer):
    """Address and login of the Metadata API."""

    url: HttpUrl = Field(default="http://localhost:8095/metadata", description="Base URL of the service.")
    timeout: Positive = Field(default=timedelta(seconds=30), description="Time limit of one call.")
