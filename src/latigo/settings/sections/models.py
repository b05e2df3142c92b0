"""``[models]``: the model server, and what names the models to predict."""

import ipaddress
from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, Tag, model_validator

from latigo.settings.sections.base import Section, by_kind
from latigo.settings.sections.login import ServerUrls, TokenServer
from latigo.settings.sections.plugin import PluginOptions
from latigo.settings.values import Globs, PluginKind, Positive, Projects


class GordoDiscovery(Section):
    """The settings name the projects, and Gordo lists their models."""

    kind: Literal["gordo"] = "gordo"


class MetadataApiDiscovery(Section):
    """The Metadata API names the projects, and Gordo lists their models."""

    kind: Literal["metadata_api"] = "metadata_api"


class PluginDiscovery(PluginOptions):
    """A plug-in names the projects, and may name their models."""

    kind: PluginKind


Discovery = Annotated[
    Annotated[GordoDiscovery, Tag("gordo")]
    | Annotated[MetadataApiDiscovery, Tag("metadata_api")]
    | Annotated[PluginDiscovery, Tag("python")],
    by_kind("gordo", "metadata_api", plugins="models"),
]


class GordoModels(TokenServer):
    """A Gordo server."""

    kind: Literal["gordo"] = Field(default="gordo", description="Kind of the model server.")
    url: ServerUrls = Field(
        default="http://localhost:5555",
        description="URL of the server, or a list of those that share the models: each runs the same part of them in"
        " every wave, and the next one takes over while it does not answer.",
    )
    endpoints: Literal["url", "dns"] = Field(
        default="url",
        description="What the servers are: url for each URL, dns for each address of the host in url, such as a"
        " headless service of Kubernetes.",
    )
    projects: Projects = Field(
        default=(), description="Projects whose models are predicted; with none, only models registered by hand."
    )
    discover: Discovery = Field(
        default=GordoDiscovery(),
        description=(
            "What names the projects to predict: gordo for those of projects, metadata_api for those of"
            " [metadata_api], or a plug-in with options and secrets, as in sensors. Gordo executes them all."
        ),
    )
    include: Globs = Field(
        default=("*",), description="Patterns on project/model; models that match none of them are left out."
    )
    exclude: Globs = Field(
        default=(), description="Patterns on project/model that are left out; stronger than include."
    )
    cached_per_worker: int = Field(
        default=2,
        ge=1,
        le=100_000,
        description="Models that a worker of the server keeps in memory, Gordo's N_CACHED_MODELS: each executor goes on"
        " with the past of the models that it called last, so many of them, before another begins.",
    )
    workers_per_server: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Workers of a server, where its models are costly to load, as those of Keras are: no more of them"
        " are called at once than cached_per_worker of so many workers, by all executors together, but one by each at"
        " least. With a single URL, that holds for each project. With 0, as many as the server answers best.",
    )
    refresh: Positive = Field(
        default=timedelta(minutes=5), description="How often the lists of models and revisions are read."
    )
    list_timeout: Positive = Field(
        default=timedelta(seconds=60), description="Time limit to read a list of models or the metadata of one."
    )
    predict_timeout: Positive = Field(default=timedelta(seconds=300), description="Time limit of one prediction.")

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of all servers."""
        return (self.url,) if isinstance(self.url, str) else self.url

    @model_validator(mode="after")
    def _names_servers_once(self) -> Self:
        for same in (_address, _place):  # circuits are named by the latter
            if len(set(map(same, self.urls))) < len(self.urls):
                raise ValueError("url names a server twice")
        if self.endpoints == "dns" and (len(self.urls) > 1 or is_address(self.urls[0])):
            raise ValueError(
                'endpoints = "dns" looks up the host of url, which should be one URL with the name of a host'
            )
        return self

    @model_validator(mode="after")
    def _names_projects_once(self) -> Self:
        if self.projects and not isinstance(self.discover, GordoDiscovery):
            raise ValueError(
                f'discover.kind = "{self.discover.kind}" names the projects: leave projects empty, and choose among'
                " them with include and exclude"
            )
        return self


def _address(url: str) -> tuple[str | None, int, str]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), parts.path


def _place(url: str) -> str:
    return url.partition("://")[2]


def is_address(url: str) -> bool:
    """Return whether the host of a URL is an IP address."""
    try:
        ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return False
    return True
