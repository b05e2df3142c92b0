"""Every answer of the API about a ledger of 9000 models: within its size, and as the document says."""

import gzip
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from aiohttp import ClientSession, ClientTimeout

from latigo.postgres.database import Database
from latigo.settings import Settings
from latigo.web.api.endpoint import PREFIX, Endpoint
from latigo.web.api.registry import ENDPOINTS
from latigo.wiring.ledger import connect_to
from tests.support.postgres import fresh_database
from tests.support.web import context_of, fill_ledger, serving_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = 9000
#: What stands in the path of an endpoint.
PARTS = {"project": "plant-1", "model": "model-1", "id": "1", "task": "1"}
#: What an endpoint has to be asked; by default nothing, and lists their largest page.
ASKED = {
    "/models/{project}/{model}/explain": {"at": "-1h"},
    "/search": {"q": "mod 1", "limit": "100"},
    "/cell": {"project": "plant-1", "model": "model-1"},
}
#: Octets that fewer than the limit of all have to do, since a page asks for them all the time.
SMALL = {"/status": 200_000, "/search": 50_000, "/models/{project}/{model}": 200_000}
#: Calls the model server, or a source.
NOT_HERE = {"/models/{project}/{model}/server", "/predictions/{project}/{model}", "/readings/{project}/{model}"}
#: Are about an answer of /grid.
OF_A_GRID = {"/grid/cells", "/grid/rows", "/grid/summary"}
READ = [endpoint for endpoint in ENDPOINTS if not endpoint.acts and endpoint.path not in NOT_HERE | OF_A_GRID]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def month(postgres_server: str, ledger_template: str) -> AsyncIterator[Database]:
    """A ledger of 9000 models after a month."""
    async with fresh_database(postgres_server, template=ledger_template) as url, connect_to(url, Settings()) as opened:
        await fill_ledger(opened, MODELS)
        async with opened.connection() as connection:
            await connection.execute(
                "INSERT INTO request (id, kind, who, at, selector, state, low, high) OVERRIDING SYSTEM VALUE"
                " VALUES (1, 'fill', 'anna', now(), '{}', 'active', now() - interval '1 day', now());"
                "INSERT INTO request_model (request_id, model_id, wanted, slots)"
                " SELECT 1, id, tstzmultirange(tstzrange(now() - interval '1 day', now())), 48 FROM model"
            )
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(month: Database) -> AsyncIterator[ClientSession]:
    """Asks it."""
    async with (
        serving_api(context_of(month)) as server,
        ClientSession(server.url, timeout=ClientTimeout(120)) as session,
    ):
        yield session


@pytest.mark.parametrize("endpoint", READ, ids=lambda endpoint: endpoint.path)
async def test_every_answer_is_within_its_size(client: ClientSession, endpoint: Endpoint[Any, Any]):
    asked = ASKED.get(endpoint.path, {})
    if "limit" in endpoint.question.model_fields:
        largest = next(each.le for each in endpoint.question.model_fields["limit"].metadata if hasattr(each, "le"))
        asked = {"limit": str(largest), **asked}
    path = endpoint.path.format_map(PARTS)
    async with client.get(f"{PREFIX}{path}", params=asked, headers={"Accept-Encoding": "identity"}) as answer:
        content = await answer.read()

    assert answer.status == 200, content[:500]
    assert len(content) <= SMALL.get(endpoint.path, endpoint.largest)
    assert endpoint.answer.model_validate_json(content)


async def test_a_grid_of_every_model_is_small_when_compressed(client: ClientSession):
    async with client.get(f"{PREFIX}/grid", params={"from": "-7d"}) as answer:
        grid = await answer.json()
    sent = {}
    for path in sorted(OF_A_GRID - {"/grid/rows"}):
        asked, headers = {"version": grid["version"]}, {"Accept-Encoding": "gzip"}
        async with client.get(f"{PREFIX}{path}", params=asked, headers=headers, auto_decompress=False) as answer:
            sent[path] = await answer.read()

    assert grid["rows"] == len(grid["names"]) == MODELS
    assert len(gzip.decompress(sent["/grid/cells"])) == MODELS * grid["columns"]
    assert len(sent["/grid/cells"]) <= 250_000
    assert len(sent["/grid/summary"]) <= 60_000


async def test_every_model_is_on_exactly_one_page(client: ClientSession):
    names: list[str] = []
    cursor = ""
    while cursor is not None:
        async with client.get(f"{PREFIX}/models", params={"limit": "1000", "cursor": cursor}) as answer:
            page = await answer.json()
        names += [f"{model['project']}/{model['model']}" for model in page["items"]]
        cursor = page["next"]

    assert len(names) == len(set(names)) == MODELS
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ({"project": "plant-3"}, 900),
        ({"project": "plant-*"}, 9000),
        ({"q": "8999"}, 1),
        ({"q": "LANT-9 model-89"}, 12),  # 89, 899, and ten of 8900 to 8999
        ({"q": "%"}, 0),
        ({"model": "model-1_0"}, None),
    ],
)
async def test_models_are_found_by_names_patterns_and_parts(
    client: ClientSession, q: dict[str, str], found: int | None
):
    async with client.get(f"{PREFIX}/models", params={"limit": "1", **q}) as answer:
        page = await answer.json()
    assert (answer.status, page.get("total")) == ((200, found) if found is not None else (404, None))


async def test_the_whole_name_is_found_first(client: ClientSession):
    async with client.get(f"{PREFIX}/search", params={"q": "model-12"}) as answer:
        found = (await answer.json())["items"]

    assert found[0]["label"] == "plant-2/model-12"
    assert found[0]["href"] == "models/plant-2/model-12"
    assert len(found) == 20


@pytest.mark.parametrize("name", ["<b>", "'; --", "a" * 200, "\u202eabc", "%00", "../..", "a/b"])
async def test_hostile_names_are_only_unknown(client: ClientSession, name: str):
    for path in (f"/models/{quote(name, safe='')}/x", f"/models?project={quote(name, safe='')}"):
        async with client.get(f"{PREFIX}{path}") as answer:
            problem = await answer.json()
        assert answer.status in {400, 404}
        assert answer.content_type == "application/problem+json"
        assert problem["status"] == answer.status
