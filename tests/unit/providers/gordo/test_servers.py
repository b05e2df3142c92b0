"""Several Gordo servers: addresses that come and go, and which one is asked."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from latigo.domain.errors import TimedOut, Unavailable
from latigo.domain.model import ModelRef
from latigo.providers.gordo import Gordo, open_gordo
from latigo.providers.gordo.affinity import assign
from latigo.providers.gordo.client import SizeLimits, open_client
from latigo.providers.gordo.frames import RequestBody
from latigo.providers.gordo.servers import Servers
from latigo.settings import GordoModels
from tests.support.gordo_replay import DictRoster, Replay, Reply, replaying
from tests.support.ports import free_port
from tests.support.waiting import eventually

MODELS = [ModelRef("plant", f"model-{number}") for number in range(40)]


class Names:
    """Looks hosts up, as a test says."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] | OSError = addresses
        self.asked: list[tuple[str, int]] = []

    async def look_up(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        if isinstance(self.addresses, OSError):
            raise self.addresses
        return self.addresses


async def all_models() -> Sequence[ModelRef]:
    return MODELS


@pytest.fixture
async def two() -> AsyncIterator[tuple[Replay, Replay]]:
    async with replaying() as first, replaying() as second:
        for replay in (first, second):
            replay.lists("pump", project="plant")
        yield first, second


@asynccontextmanager
async def opened(*urls: str) -> AsyncIterator[Gordo]:
    async with open_gordo(GordoModels(url=urls), DictRoster()) as gordo:
        yield gordo


def name(url: str) -> str:
    return url.replace("http://", "gordo-server/")


async def test_a_single_url_has_no_circuit_of_its_own(two: tuple[Replay, Replay]) -> None:
    async with opened(two[0].url) as gordo:
        assert gordo.execution.servers(MODELS[0]) == []
        assert not gordo.execution.all_servers()
        assert await gordo.catalogue.model_exists(ModelRef("plant", "pump"))


async def test_every_url_is_a_server_that_some_models_prefer(two: tuple[Replay, Replay]) -> None:
    urls = [replay.url for replay in two]
    async with opened(*urls) as gordo:
        preferred = {model: gordo.execution.servers(model) for model in MODELS}

    assert {tuple(sorted(servers)) for servers in preferred.values()} == {tuple(sorted(map(name, urls)))}
    assert {servers[0] for servers in preferred.values()} == set(map(name, urls))


async def test_lists_are_read_from_the_next_server_when_one_does_not_answer(two: tuple[Replay, Replay]) -> None:
    first, second = two
    nothing = f"http://127.0.0.1:{free_port()}"
    async with opened(nothing, first.url) as gordo:
        assert await gordo.catalogue.model_exists(ModelRef("plant", "pump"))
    first.on("GET", "revisions", Reply(503), project="plant")
    async with opened(first.url, second.url) as gordo:
        assert await gordo.catalogue.model_exists(ModelRef("plant", "pump"))
        refused = len(first.received)
        assert await gordo.catalogue.model_exists(ModelRef("plant", "pump"))

    assert len(first.received) == refused  # the one that has answered is asked first


async def test_lists_are_unavailable_when_no_server_answers() -> None:
    async with opened(*(f"http://127.0.0.1:{free_port()}" for _ in range(2))) as gordo:
        with pytest.raises(Unavailable) as error:
            await gordo.catalogue.model_exists(ModelRef("plant", "pump"))

    assert error.value.downstream == "gordo/plant"


async def test_no_other_server_reads_a_list_for_one_that_answers_too_late(two: tuple[Replay, Replay]) -> None:
    first, second = two
    first.on("GET", "revisions", Reply(hang=True), project="plant")
    section = GordoModels.model_validate({"url": (first.url, second.url), "list_timeout": "200ms"})
    async with open_gordo(section, DictRoster()) as gordo:
        with pytest.raises(TimedOut):
            await gordo.catalogue.model_exists(ModelRef("plant", "pump"))
        asked = list(second.received)
        assert await gordo.catalogue.model_exists(ModelRef("plant", "pump"))

    assert asked == []
    assert len(first.received) == 1  # the other one is asked from then on


async def test_each_of_several_servers_can_be_asked_by_itself(two: tuple[Replay, Replay]) -> None:
    first, second = two
    second.on("GET", "revisions", Reply(503), project="plant")
    async with opened(first.url, second.url) as gordo:
        servers = await gordo.catalogue.servers()
        assert (await servers[name(first.url)].ping("plant")).endswith("1 models")
        with pytest.raises(Unavailable):
            await servers[name(second.url)].ping("plant")
    async with opened(first.url) as single:
        assert await single.catalogue.servers() == {}


async def test_a_host_is_looked_up_when_its_servers_are_asked_for_at_once() -> None:
    servers = Servers(GordoModels(url="http://gordo.example", endpoints="dns"), None, Names("10.0.0.1").look_up)

    assert list(await servers.found()) == ["gordo-server/10.0.0.1"]


async def test_shares_are_even_once_the_models_are_known() -> None:
    servers = Servers(GordoModels(url=("http://a", "http://b", "http://c", "http://d")), all_models)
    following = asyncio.create_task(servers.follow())

    def shares() -> list[int]:
        return sorted(Counter(servers.preferred(model)[0] for model in MODELS).values())

    try:
        assert max(shares()) > 11
        await eventually(lambda: max(shares()) <= 11, what="shares of at most 1.1 times the mean")
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_an_unexpected_error_is_counted_and_does_not_end_the_following(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latigo.providers.gordo.servers.LOOK_UP", timedelta(0))
    names, failures = Names("10.0.0.1", "10.0.0.2"), [UnicodeError("label too long"), ZeroDivisionError()]

    async def look_up(host: str, port: int) -> Sequence[str]:
        if len(failures) == 2:
            raise failures.pop(0)
        return await names.look_up(host, port)

    def assign_once_it_works(models: Sequence[str], servers: Sequence[str]) -> Mapping[str, str]:
        if failures:
            raise failures.pop()
        return assign(models, servers)

    monkeypatch.setattr("latigo.providers.gordo.servers.assign", assign_once_it_works)
    servers = Servers(GordoModels(url="http://gordo.example", endpoints="dns"), all_models, look_up)
    following = asyncio.create_task(servers.follow())
    try:
        await eventually(lambda: len(servers.names) == 2, what="addresses after a failed look-up")
        await eventually(lambda: servers._assigned.keys() == {str(model) for model in MODELS}, what="shares")
        assert not following.done()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert servers.faults == 2


async def test_every_address_of_a_host_is_a_server_that_is_asked_for_the_host(two: tuple[Replay, Replay]) -> None:
    port = two[0].url.rpartition(":")[2]
    names = Names("127.0.0.1")
    section = GordoModels(url=f"http://gordo.example:{port}", endpoints="dns")
    async with open_gordo(section, DictRoster(), look_up=names.look_up) as gordo:
        await eventually(gordo.execution.all_servers, what="an address")
        assert await gordo.catalogue.model_exists(ModelRef("plant", "pump"))
        assert gordo.execution.servers(MODELS[0]) == [f"gordo-server/127.0.0.1:{port}"]

    assert names.asked == [("gordo.example", int(port))]
    assert two[0].received[0].headers["Host"] == f"gordo.example:{port}"


async def test_a_call_that_waited_for_a_server_that_has_gone_goes_to_no_other(two: tuple[Replay, Replay]) -> None:
    section = GordoModels(url=tuple(replay.url for replay in two))
    async with open_client(section, SizeLimits()) as client:
        with pytest.raises(Unavailable, match="not there any more") as error:
            await client.post("plant", "pump", revision="1", body=RequestBody("x", b""), server="gordo-server/gone:1")

    assert error.value.downstream == "gordo/plant"
    assert [replay.received for replay in two] == [[], []]


async def test_addresses_are_followed_and_the_last_ones_stay_while_there_is_no_answer() -> None:
    names = Names("10.0.0.2", "10.0.0.1")
    servers = Servers(GordoModels(url="https://gordo.example/models", endpoints="dns"), None, names.look_up)
    before = servers.server()
    seen = []
    for addresses in (("10.0.0.2", "10.0.0.1"), OSError("no answer"), (), ("10.0.0.3", "fd00::1")):
        names.addresses = addresses
        await servers.look_up()
        seen.append(list(servers.names))

    first = ["gordo-server/10.0.0.1", "gordo-server/10.0.0.2"]
    assert (before.url, before.host) == ("https://gordo.example/models", "")
    assert seen == [first, first, first, ["gordo-server/10.0.0.3", "gordo-server/[fd00::1]"]]
    assert names.asked == [("gordo.example", 443)] * 4
    server = servers.server("gordo-server/[fd00::1]")
    assert (server.url, server.host) == ("https://[fd00::1]/models", "gordo.example")
