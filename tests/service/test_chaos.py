"""A short campaign of `make chaos`, and the networks that it cuts."""

import asyncio
import random
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
import psutil
import pytest

from chaos.campaign import run
from chaos.formulas import PROJECT
from chaos.judge import read_beginnings, read_facts
from chaos.namespaces import are_permitted, open_namespaces
from chaos.network import SOUND, Condition, Link, Network, Way, open_proxies
from chaos.plan import Action
from chaos.processes import ROOT
from chaos.sinks import create_influx_database, read_influx, read_postgres
from chaos.world import Size
from latigo.domain.windows import floor_to_slot
from tests.support.influxd import InfluxDatabase, InfluxServers, require_influxd, write_lines
from tests.support.process import STARTS_WITHIN
from tests.support.waiting import eventually

SEED = 8
SECONDS = 25.0
#: Its steps kill InfluxDB, cut an executor off from it, freeze the other one and its way to the ledger, and deploy.
INFLUX_SEED, INFLUX_SECONDS = 9, 20.0
SMALL = Size(schedulers=2, executors=2, models=4, horizon=timedelta(minutes=1))
CUT = Way(cut=True)
LINK, OTHER = Link("client", "server"), Link("other", "server")


@pytest.mark.parametrize("queue", ["eventhub", "postgres"])
async def test_nothing_is_lost_doubled_or_wrong_in_a_short_campaign(queue: str):
    said: list[str] = []

    with tempfile.TemporaryDirectory(prefix="latigo-chaos-") as folder:  # PostgreSQL of another user can reach it
        outcome = await run(Path(folder), replace(SMALL, queue=queue), seed=SEED, seconds=SECONDS, say=said.append)

    assert outcome.faults() == [], "\n".join(said)
    assert {Action.KILL, Action.STOP, Action.FREEZE, Action.DEPLOY} <= set(outcome.steps)
    assert outcome.verdict.slots >= SMALL.models  # many more where processes start in seconds
    assert outcome.verdict.values > 0
    assert outcome.verdict.repaired == 0  # the sink refuses what an overtaken executor writes


async def test_nothing_is_lost_doubled_or_wrong_in_influxdb_when_it_is_killed_and_frozen_with_the_others():
    require_influxd()
    said: list[str] = []
    size = replace(SMALL, queue="postgres", sink="influx")

    with tempfile.TemporaryDirectory(prefix="latigo-chaos-") as folder:
        outcome = await run(Path(folder), size, seed=INFLUX_SEED, seconds=INFLUX_SECONDS, say=said.append)

    assert outcome.faults() == [], "\n".join(said)
    assert [line for line in said if f"{Action.KILL}  influx" in line]
    assert outcome.verdict.values > 0


async def test_the_judge_reads_the_project_of_the_campaign_only_and_what_is_stored_twice(ledger_url: str):
    slot = timedelta(seconds=10)
    moment = floor_to_slot(datetime.now(UTC), slot)
    connection = await asyncpg.connect(ledger_url)
    await connection.execute("SELECT ensure_prediction_day($1::date)", moment)
    for project, tags in (("another", ["a"]), (PROJECT, ["b", "b"])):
        await connection.execute(STORED, project, moment, slot, tags)
    await connection.close()

    facts = await read_facts(ledger_url, sink=partial(read_postgres, ledger_url))
    begins = await read_beginnings(ledger_url, timedelta(hours=1), slot)

    label = int(moment.timestamp())
    assert {name: (each.since, each.rows, each.repeated) for name, each in facts.items()} == {
        "pump-00": (label, {label: ("1", {("model-output", "b"): 1.0})}, [label])
    }
    assert begins["pump-00"] < label - 1800  # whatever the ledger says: it should have an hour of past


#: A model and a row of it, with a value for each of its tags.
STORED = """
WITH model AS (
    INSERT INTO model (project, name, revision, since, slot, delay, fold, first_seen)
    VALUES ($1, 'pump-00', '1', $2, $3, '0', $3, $2)
),
series AS (INSERT INTO prediction_series (project, model) VALUES ($1, 'pump-00') RETURNING id),
columns AS (
    INSERT INTO prediction_columns (series_id, revision, column_groups, tags, digest, used_until)
    SELECT id, '1', array_fill('model-output'::text, ARRAY[cardinality($4::text[])]), $4, sha256($1::text::bytea), $2
    FROM series RETURNING id, series_id
)
INSERT INTO prediction (series_id, time, columns_id, values)
SELECT series_id, $2, id, array_fill(1.0::float8, ARRAY[cardinality($4::text[])]) FROM columns
"""


async def test_the_judge_reads_points_of_influxdb_by_model_and_sees_those_of_other_tags(influx_servers: InfluxServers):
    with tempfile.TemporaryDirectory(prefix="latigo-chaos-") as folder:
        socket = Path(folder) / "influx.socket"
        server = influx_servers.start(
            {"INFLUXDB_HTTP_UNIX_SOCKET_ENABLED": "true", "INFLUXDB_HTTP_BIND_SOCKET": str(socket)}
        )
        await create_influx_database(socket)
        await write_lines(InfluxDatabase(server.url, "predictions"), POINTS)

        first = await read_influx(socket, ["pump-00"])
        everything = await read_influx(socket, None)

    assert sorted(first) == [
        ("pump-00", 100, ("model-output", "a"), 1.5, None),
        ("pump-00", 100, ("model-output", "a"), 2.0, None),
        ("pump-00", 105, ("total-score", ""), 3.0, None),
    ]
    assert {value.model for value in everything} == {"pump-00", "pump-001"}


POINTS = [
    "model-output,machine=pump-00,project=campaign,sensor_name=a sensor_value=1.5 100000000000",
    "model-output,machine=pump-00,project=campaign,sensor_name=a,revision=1 sensor_value=2 100000000000",
    "total-score,machine=pump-00,project=campaign,sensor_name=total-score sensor_value=3 105000000000",
    "model-output,machine=pump-001,project=campaign,sensor_name=a sensor_value=1.5 100000000000",
]


async def test_a_campaign_that_is_killed_leaves_no_process_behind():
    with tempfile.TemporaryDirectory(prefix="latigo-chaos-") as folder:
        campaign = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CAMPAIGN, folder),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert campaign.stdout
        async with asyncio.timeout(2 * STARTS_WITHIN):
            assert await campaign.stdout.readline(), "it has taken a step"
        assert processes_in(folder)
        campaign.kill()
        await campaign.wait()

        await eventually(lambda: not processes_in(folder), what="no process of the campaign is left")


CAMPAIGN = f"""
import asyncio, pathlib, sys
from chaos.campaign import run
from chaos.world import Size
def say(step):
    print(step, flush=True)
asyncio.run(run(pathlib.Path(sys.argv[1]), Size(1, 1, 1), seed={SEED}, seconds=600, say=say))
"""


def processes_in(folder: str) -> list[psutil.Process]:
    """All processes that work in a folder of this campaign, or below; without the campaign itself."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd().startswith(folder):
                found.append(process)
    return found


# -- networks --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def proxies() -> AsyncIterator[Network]:
    async with open_proxies(["server"], [LINK, OTHER], random.Random(1)) as network:
        yield network


@asynccontextmanager
async def namespaces() -> AsyncIterator[Network]:
    if not are_permitted():
        pytest.skip("network namespaces need root, ip, nsenter and /dev/net/tun")
    async with open_namespaces(["client", "other", "server"], random.Random(1)) as network:
        yield network


#: Echoes every line, and writes all that it has received to a file.
ECHO = """
import socketserver, sys
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            with open(sys.argv[3], "ab") as received:
                received.write(line)
            self.wfile.write(line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
server = Server((sys.argv[1], int(sys.argv[2])), Echo)
print("ready", flush=True)
server.serve_forever()
"""
#: Sends every line of its input, and prints every line that comes back.
TALK = """
import shutil, socket, sys, threading
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection, connection.makefile("rwb", 0) as file:
    def copy():
        for line in file:
            sys.stdout.buffer.write(line); sys.stdout.flush()
    threading.Thread(target=copy, daemon=True).start()
    for line in sys.stdin.buffer:
        file.write(line)
"""


class Talk:
    """A server, and two clients that are connected to it."""

    def __init__(self, received: Path, clients: dict[Link, asyncio.subprocess.Process]) -> None:
        self._received = received
        self._clients = clients
        self._heard: dict[Link, bytes] = dict.fromkeys(clients, b"")
        self._listening = [asyncio.create_task(self._listen(link)) for link in clients]

    def send(self, link: Link, line: bytes) -> None:
        stdin = self._clients[link].stdin
        assert stdin
        stdin.write(line + b"\n")

    async def arrives(self, line: bytes) -> None:
        await eventually(lambda: line in self.received(), what=f"{line!r} arrives")

    async def returns(self, link: Link, line: bytes) -> None:
        await eventually(lambda: self.heard(link, line), what=f"{line!r} returns")

    async def exchanges(self, link: Link, line: bytes) -> None:
        self.send(link, line)
        await self.returns(link, line)

    def heard(self, link: Link, line: bytes) -> bool:
        return line in self._heard[link]

    def received(self) -> bytes:
        return self._received.read_bytes() if self._received.exists() else b""

    def close(self) -> None:
        for task in self._listening:
            task.cancel()

    async def _listen(self, link: Link) -> None:
        stdout = self._clients[link].stdout
        assert stdout
        while line := await stdout.readline():
            self._heard[link] += line


@asynccontextmanager
async def talking(network: Network, folder: Path) -> AsyncIterator[Talk]:
    pipe, processes = asyncio.subprocess.PIPE, []

    async def start(party: str, program: str, where: tuple[str, int], *more: str) -> asyncio.subprocess.Process:
        command = network.command(party, [sys.executable, "-c", program, where[0], str(where[1]), *more])
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
        processes.append(process)
        return process

    try:
        server = await start("server", ECHO, network.listens_at("server"), str(folder / "received"))
        assert server.stdout
        async with asyncio.timeout(STARTS_WITHIN):
            assert await server.stdout.readline() == b"ready\n"
        clients = {link: await start(link.client, TALK, network.reaches_at(link)) for link in (LINK, OTHER)}
        talk = Talk(folder / "received", clients)
        try:
            yield talk
        finally:
            talk.close()
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture(params=[proxies, namespaces])
async def network(request: pytest.FixtureRequest) -> AsyncIterator[Network]:
    opened: Callable[[], AbstractAsyncContextManager[Network]] = request.param
    async with opened() as network:
        yield network


async def test_a_link_that_is_cut_on_the_way_there_carries_no_requests_until_it_is_sound(
    network: Network, tmp_path: Path
):
    async with talking(network, tmp_path) as talk:
        await talk.exchanges(LINK, b"connected")
        network.put(LINK, Condition(there=CUT))
        talk.send(LINK, b"held")
        await talk.exchanges(OTHER, b"passes")

        assert b"held" not in talk.received()
        network.put(LINK, SOUND)
        await talk.returns(LINK, b"held")


async def test_a_link_that_is_cut_on_the_way_back_carries_requests_and_no_responses(network: Network, tmp_path: Path):
    async with talking(network, tmp_path) as talk:
        await talk.exchanges(LINK, b"connected")
        network.put(LINK, Condition(back=CUT))
        talk.send(LINK, b"held")
        await talk.arrives(b"held")
        await talk.exchanges(OTHER, b"passes")

        assert not talk.heard(LINK, b"held")
        network.put(LINK, SOUND)
        await talk.returns(LINK, b"held")


async def test_a_slow_link_carries_everything_in_the_end(network: Network, tmp_path: Path):
    async with talking(network, tmp_path) as talk:
        network.put(LINK, Condition(Way(delay=0.05), Way(delay=0.05)))
        await talk.exchanges(LINK, b"slow")


async def test_a_campaign_changes_no_network_but_its_own():
    def devices() -> bytes:
        return subprocess.run(["ip", "-oneline", "address"], check=True, capture_output=True).stdout

    if not are_permitted():
        pytest.skip("network namespaces need root, ip, nsenter and /dev/net/tun")
    before = devices()
    async with open_namespaces(["client", "server"], random.Random(1)):
        assert devices() == before
    assert devices() == before
