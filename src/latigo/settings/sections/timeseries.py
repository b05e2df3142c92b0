"""Keys of the Omnia Timeseries API, shared by sensors and predictions."""

from pydantic import Field

from latigo.settings.sections.login import TokenServer
from latigo.settings.values import HttpUrl, Text


class TimeseriesServer(TokenServer):
    """Address, login and limits of the API."""

    url: HttpUrl = Field(
        default="http://localhost:8095/plant/timeseries/v1.7",
        description="Base URL with the version, such as https://HOST/plant/timeseries/v1.7.",
    )
    facility: Text | None = Field(
        default=None,
        description="Code of the plant; without it, that of a model's first tag, whose name must then be unique.",
        examples=["1903"],
    )
    max_requests: int = Field(default=4, ge=1, le=64, description="Requests in flight at once, of this process.")
