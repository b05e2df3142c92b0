"""Opens what names the projects and models to predict, where that is not the settings."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import assert_never

from latigo.domain.errors import Unavailable
from latigo.domain.model import DiscoveredProject
from latigo.providers.metadata_api import open_metadata_api
from latigo.providers.protocols import ModelDiscovery
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.settings import GordoDiscovery, MetadataApiDiscovery, PluginDiscovery, Settings
from latigo.wiring.plugins import open_plugin

_log = get_logger(__name__)


class _OpenedWhenAvailable:
    """A discovery that is opened again by the next call where it was unavailable: its last list holds meanwhile."""

    def __init__(
        self, opened: AsyncExitStack, opening: Callable[[], AbstractAsyncContextManager[ModelDiscovery]]
    ) -> None:
        self._opened = opened
        self._opening = opening
        self._discovery: ModelDiscovery | None = None

    async def open(self) -> ModelDiscovery:
        if self._discovery is None:
            self._discovery = await self._opened.enter_async_context(self._opening())
        return self._discovery

    async def ping(self) -> str:
        return await (await self.open()).ping()

    async def get_projects(self) -> Sequence[DiscoveredProject]:
        return await (await self.open()).get_projects()


@asynccontextmanager
async def open_discovery(settings: Settings, clock: Clock) -> AsyncIterator[ModelDiscovery | None]:
    """Open what names the projects; None where the settings do.

    Raises:
        ConfigurationError: it cannot be used as it is configured.
    """
    match settings.models.discover:
        case GordoDiscovery():
            yield None
        case MetadataApiDiscovery():
            async with open_metadata_api(settings.metadata_api, clock) as api:
                yield api
        case PluginDiscovery() as plugin:
            async with AsyncExitStack() as opened:
                discovery = _OpenedWhenAvailable(
                    opened,
                    lambda: open_plugin(
                        plugin.kind, "models.discover.kind", plugin.options, plugin.secrets, ModelDiscovery
                    ),
                )
                try:
                    await discovery.open()
                except Unavailable as error:
                    _log.warning("start.delayed", downstream=error.downstream, error=str(error))
                yield discovery
        case _:
            assert_never(settings.models.discover)


def source_of(settings: Settings) -> str:
    """Return a name of what names the projects: another one's last list does not hold."""
    kind = settings.models.discover.kind
    return f"{kind} {settings.metadata_api.url}" if isinstance(settings.models.discover, MetadataApiDiscovery) else kind
