"""The machinery of the API over HTTP: questions, answers that are shared, tokens, and what is refused."""

import asyncio
import csv
import gzip
import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from latigo.domain.errors import LatigoError, Misused, SelectionChanged, Unavailable, UnknownName
from latigo.reports.base import Listing, Report
from latigo.runtime.clock import SystemClock
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Octets, Question
from latigo.web.api.paging import Page, Paged
from latigo.web.api.sharing import Rendered, SharedAnswers
from latigo.web.problems import error_of, problem_of
from tests.support.web import OPERATOR, READER, context_without_ledger, serving_api


class Row(Report):
    name: str
    at: datetime
    tags: Sequence[str] = ()
    lag: timedelta | None = None


class RowsQuestion(Paged):
    project: tuple[str, ...] = ()
    good: bool = False


class Act(Question):
    id: int
    dry_run: bool = True  # so that no key is looked up: there is no ledger here


class Acted(Report):
    who: str
    id: int


PLAIN = {"Accept-Encoding": "identity"}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Answers:
    """What is answered, and how often it was worked out."""

    def __init__(self) -> None:
        self.rows = [Row(name=f"row-{n}", at=NOON) for n in range(250)]
        self.made = 0
        self.asked: list[RowsQuestion] = []

    async def list(self, _context: Context, asked: RowsQuestion) -> Page[Row]:
        self.made += 1
        self.asked.append(asked)
        rows = Listing(self.rows[asked.skip : asked.skip + asked.limit], len(self.rows))
        return asked.page(rows, datetime.now(UTC))

    async def octets(self, _context: Context, _asked: Question) -> Octets:
        return Octets(bytes(100))

    async def act(self, context: Context, asked: Act) -> Acted:
        return Acted(who=context.who, id=asked.id)

    @property
    def endpoints(self) -> Sequence[Endpoint[Any, Any]]:
        short = timedelta(seconds=60)
        return [
            Endpoint(
                path="/rows",
                summary="Rows.",
                question=RowsQuestion,
                answer=Page[Row],
                handle=self.list,
                limit=short,
                shared_for=timedelta(0),
                largest=50_000,
            ),
            Endpoint(path="/octets", summary="Octets.", question=Question, answer=Octets, handle=self.octets),
            Endpoint(
                method="POST", path="/things/{id}/act", summary="Act.", question=Act, answer=Acted, handle=self.act
            ),
        ]


@pytest.fixture
async def answers() -> Answers:
    return Answers()


@pytest.fixture
async def client(answers: Answers) -> AsyncIterator[ClientSession]:
    async with (
        serving_api(context_without_ledger(), answers.endpoints, base_path="/latigo") as server,
        ClientSession(server.url, timeout=ClientTimeout(60), auto_decompress=False, headers=PLAIN) as session,
    ):
        yield session


async def test_a_list_is_read_page_by_page_until_its_end(client: ClientSession):
    names, cursor, pages = [], "", 0
    while cursor is not None:
        async with client.get("/api/v1/rows", params={"limit": "100", "cursor": cursor}) as answer:
            page = await answer.json()
        names += [row["name"] for row in page["items"]]
        cursor, pages = page["next"], pages + 1

    assert names == [f"row-{n}" for n in range(250)]
    assert (pages, page["total"]) == (3, 250)


@pytest.mark.parametrize("cursor", ["x", "!!!!", "MTAwLjAwMDAwMDAw", "é"])
async def test_a_cursor_that_no_page_has_given_is_refused(client: ClientSession, cursor: str):
    async with client.get("/api/v1/rows", params={"cursor": cursor}) as answer:
        assert (answer.status, (await answer.json())["type"]) == (400, "misused")


async def test_a_cursor_is_of_one_list_only(client: ClientSession):
    async with client.get("/api/v1/rows", params={"project": "a"}) as answer:
        cursor = (await answer.json())["next"]
    async with client.get("/api/v1/rows", params={"project": "b", "cursor": cursor}) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "limit: "),
        ("limit=1001", "limit: "),
        ("limit=ten", "limit: "),
        ("other=1", "other: "),
        ("good=maybe", "good: "),
        ("good=1&good=0", "good: "),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_the_name_of_its_key(client: ClientSession, query: str, says: str):
    async with client.get(f"/api/v1/rows?{query}") as answer:
        problem = await answer.json()

    assert (answer.status, answer.content_type, problem["type"]) == (400, "application/problem+json", "misused")
    assert problem["errors"][0].startswith(says)


async def test_a_key_of_several_values_is_repeated(client: ClientSession, answers: Answers):
    async with client.get("/api/v1/rows?project=a&project=b&good=true") as answer:
        assert answer.status == 200
    assert (answers.asked[0].project, answers.asked[0].good) == (("a", "b"), True)


async def test_a_nul_character_is_refused(client: ClientSession):
    async with client.get("/api/v1/rows?project=a%00") as answer:
        assert answer.status == 400


async def test_all_who_ask_the_same_meanwhile_share_one_answer_and_the_next_gets_a_new_one():
    shared, begun, going = SharedAnswers(SystemClock()), asyncio.Event(), asyncio.Event()
    made: list[int] = []

    async def make() -> Rendered:
        made.append(len(made))
        if len(made) > 1:
            begun.set()
        await going.wait()
        return Rendered(b"%d" % len(made), "text/plain", b"")

    asking = [asyncio.create_task(shared.get("a", timedelta(0), make)) for _ in range(5)]
    other = asyncio.create_task(shared.get("b", timedelta(0), make))
    await begun.wait()
    asking.pop().cancel()
    going.set()
    got = {each.content for each in await asyncio.gather(*asking)}
    await other
    again = await shared.get("a", timedelta(0), make)

    assert (got, again.content, len(made)) == ({b"2"}, b"3", 3)


async def test_an_answer_is_kept_for_its_time_and_until_something_was_changed():
    shared = SharedAnswers(SystemClock())
    made: list[int] = []

    async def make() -> Rendered:
        made.append(1)
        return Rendered(b"", "text/plain", b"")

    for _ in range(3):
        await shared.get("a", timedelta(days=1), make)
    shared.forget()
    await shared.get("a", timedelta(days=1), make)

    assert len(made) == 2


async def test_what_was_being_made_when_something_was_changed_is_not_an_answer_afterwards():
    shared, begun, going = SharedAnswers(SystemClock()), asyncio.Event(), asyncio.Event()

    async def make() -> Rendered:
        seen = b"after" if begun.is_set() else b"before"
        begun.set()
        await going.wait()
        return Rendered(seen, "text/plain", b"")

    early = asyncio.create_task(shared.get("a", timedelta(days=1), make))
    await begun.wait()
    shared.forget()
    meanwhile = asyncio.create_task(shared.get("a", timedelta(days=1), make))
    await asyncio.sleep(0)
    going.set()
    await early
    later = await shared.get("a", timedelta(days=1), make)

    assert ((await meanwhile).content, later.content) == (b"after", b"after")


async def test_a_failure_is_shared_and_not_kept():
    shared = SharedAnswers(SystemClock())
    made: list[int] = []

    async def make() -> Rendered:
        made.append(1)
        raise Unavailable("no", downstream="ledger")

    for _ in range(2):
        with pytest.raises(Unavailable):
            await shared.get("a", timedelta(days=1), make)
    assert len(made) == 2


async def test_the_same_answer_is_not_sent_again(client: ClientSession, answers: Answers):
    async with client.get("/api/v1/rows?limit=5") as answer:
        tag = answer.headers["ETag"]
    async with client.get("/api/v1/rows?limit=5", headers={"If-None-Match": f'"other", {tag}'}) as again:
        assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
    answers.rows[0] = Row(name="another", at=NOON)
    async with client.get("/api/v1/rows?limit=5", headers={"If-None-Match": tag}) as changed:
        assert changed.status == 200
        assert changed.headers["ETag"] != tag
    assert tag.startswith('W/"')


async def test_a_large_answer_is_compressed_for_those_who_accept_it(client: ClientSession):
    async with client.get("/api/v1/rows") as plain:
        whole = await plain.json()
        assert "Content-Encoding" not in plain.headers
    async with client.get("/api/v1/rows", headers={"Accept-Encoding": "br, gzip;q=0.5"}) as small:
        content = await small.read()
        assert small.headers["Content-Encoding"] == "gzip"
    async with client.get("/api/v1/rows?limit=1", headers={"Accept-Encoding": "gzip"}) as tiny:
        assert "Content-Encoding" not in tiny.headers
    assert b"row-99" in gzip.decompress(content)
    assert len(content) < len(str(whole)) / 4


async def test_a_list_is_a_table_for_those_who_accept_one(client: ClientSession, answers: Answers):
    answers.rows = [Row(name='=HYPERLINK("x")', at=NOON, tags=["a", "b"], lag=timedelta(seconds=90))]
    async with client.get("/api/v1/rows", headers={"Accept": "text/csv"}) as answer:
        table = list(csv.reader(io.StringIO(await answer.text())))

    assert answer.content_type == "text/csv"
    assert table == [
        ["name", "at", "tags", "lag"],
        ['\'=HYPERLINK("x")', "2026-01-01T12:00:00Z", '["a", "b"]', "90.0"],
    ]


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("rows", "text/html", 406),
        ("rows", "text/html, */*;q=0.1", 200),
        ("octets", "text/csv", 406),
        ("octets", "application/*", 200),
    ],
)
async def test_an_answer_is_of_a_type_that_is_accepted(client: ClientSession, path: str, accept: str, status: int):
    async with client.get(f"/api/v1/{path}", headers={"Accept": accept}) as answer:
        assert answer.status == status


async def test_an_answer_that_is_too_large_is_refused(client: ClientSession, answers: Answers):
    answers.rows = [Row(name="x" * 60_000, at=NOON)]
    async with client.get("/api/v1/rows") as answer:
        assert (answer.status, (await answer.json())["type"]) == (400, "too-large")


@pytest.mark.parametrize(
    ("token", "status", "kind"),
    [
        ("", 401, "no-token"),
        ("Bearer nonsense", 401, "no-token"),
        (f"Basic {OPERATOR}", 401, "no-token"),
        (f"Bearer {READER}", 403, "may-not-act"),
    ],
)
async def test_acting_needs_a_token_that_may(client: ClientSession, token: str, status: int, kind: str):
    headers = {"Authorization": token} if token else {}
    async with client.post("/api/v1/things/7/act", json={}, headers=headers) as answer:
        assert (answer.status, (await answer.json())["type"]) == (status, kind)
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_who_acts_is_the_name_of_the_token(client: ClientSession):
    headers = {"Authorization": f"bearer {OPERATOR}"}
    async with client.post("/latigo/api/v1/things/7/act", json={}, headers=headers) as answer:
        assert (answer.status, await answer.json()) == (200, {"who": "anna", "id": 7})


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"id": 8}', "application/json", 400),
        (b'{"other": 1}', "application/json", 400),
        (b'{"dry_run": "\\u0000"}', "application/json", 400),
        (b'{"other": ' + b"[" * 900 + b"]" * 900 + b"}", "application/json", 400),
    ],
)
async def test_a_body_that_is_no_question_is_refused(client: ClientSession, content: bytes, media: str, status: int):
    headers = {"Authorization": f"Bearer {OPERATOR}", "Content-Type": media}
    async with client.post("/api/v1/things/7/act", data=content, headers=headers) as answer:
        assert answer.status == status


async def test_systems_that_hang_leave_the_ledger_its_turns_and_questions_leave_actions_theirs(answers: Answers):
    class Numbered(Question):
        number: int

    taken = asyncio.Semaphore(0)

    async def hang(_context: Context, _asked: Numbered) -> Acted:
        taken.release()
        await asyncio.Event().wait()
        raise AssertionError

    long = timedelta(days=1)
    hanging = [
        Endpoint(
            path=f"/{path}", summary=".", question=Numbered, answer=Acted, handle=hang, limit=long, asks_others=asks
        )
        for path, asks in (("others", True), ("ledger", False))
    ]
    async with (
        serving_api(context_without_ledger(), [*answers.endpoints, *hanging]) as server,
        ClientSession(server.url, timeout=ClientTimeout(60)) as session,
    ):

        async def ask(path: str) -> None:
            await asyncio.gather(*(session.get(f"/api/v1/{path}?number={n}") for n in range(9)))

        async with asyncio.TaskGroup() as group:
            asking = group.create_task(ask("others"))
            await taken.acquire()
            for n in range(3):
                async with session.get(f"/api/v1/rows?project={n}") as answer:
                    assert answer.status == 200
            reading = group.create_task(ask("ledger"))
            await taken.acquire()
            for n in range(3):
                headers = {"Authorization": f"Bearer {OPERATOR}"}
                async with session.post(f"/api/v1/things/{n}/act", json={}, headers=headers) as answer:
                    assert answer.status == 200
            asking.cancel()
            reading.cancel()


async def test_reading_may_need_a_token_as_well(answers: Answers):
    async with (
        serving_api(context_without_ledger(), answers.endpoints, required=True) as server,
        ClientSession(server.url) as session,
    ):
        for path in ("rows", "openapi.json", "events"):
            async with session.get(f"/api/v1/{path}") as answer:
                assert answer.status == 401
        async with session.get("/api/v1/rows", headers={"Authorization": f"Bearer {READER}"}) as answer:
            assert answer.status == 200
        async with session.get("/livez") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "error", [UnknownName("no"), SelectionChanged("no"), Misused("no"), LatigoError("no")], ids=repr
)
def test_an_error_is_the_same_one_after_it_was_sent(error: LatigoError):
    again = error_of(problem_of(error), "latigo")
    assert (type(again), str(again)) == (type(error), "no")


def test_what_is_unavailable_says_when_to_ask_again():
    error = Unavailable("busy", downstream="ledger", retry_after=timedelta(seconds=7))
    problem = problem_of(error)
    assert (problem.status, problem.retry_after_s) == (503, 7.0)
    assert isinstance(error_of(problem, "latigo"), Unavailable)
