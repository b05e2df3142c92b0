"""The provider against a real HTTP server that answers with recorded traffic, or worse."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from latigo.domain.errors import (
    ConfigurationError,
    Failed,
    NoData,
    NotThere,
    Reason,
    Rejected,
    RevisionGone,
    TimedOut,
    TooLarge,
    Unavailable,
)
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Frame
from latigo.domain.windows import Window, from_ns
from latigo.providers.gordo import Gordo, SizeLimits, open_gordo
from latigo.providers.gordo.client import GordoClient
from latigo.providers.gordo.metadata import model_spec
from latigo.providers.gordo.responses import Response
from latigo.providers.protocols import Execution
from latigo.scheduler.selection import Selection
from latigo.settings import GordoModels, load_settings
from tests.support.gordo_replay import (
    LATEST,
    OLD,
    PARQUET,
    PROJECT,
    DictRoster,
    Pair,
    Replay,
    Reply,
    gordo_json,
    html,
    pairs,
    recorded,
    replaying,
    request_frames,
)
from tests.support.waiting import eventually

SOON = {"list_timeout": timedelta(seconds=0.2), "predict_timeout": timedelta(seconds=2)}
ANOMALY = "pca-linear/anomaly/prediction"
PLAIN = "pca-linear/prediction"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
DOWNSTREAM = f"gordo/{PROJECT}"
POSTED = [pair for pair in pairs().values() if pair.method == "POST"]
#: Recorded answers without the times that we always send, or in another order than we ever send.
TIMELESS = {"parquet-no-index", "parquet-without-pandas-metadata"}
UNSORTED = {"rows-unsorted-parquet"}


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    async with replaying() as server:
        yield server


@asynccontextmanager
async def opened(replay: Replay, **options: Any) -> AsyncIterator[Gordo]:
    roster, sizes = options.pop("roster", DictRoster()), options.pop("sizes", None)
    async with open_gordo(GordoModels(url=replay.url, **options), roster, sizes=sizes) as models:
        yield models


@pytest.fixture
async def models(replay: Replay) -> AsyncIterator[Gordo]:
    async with opened(replay) as result:
        yield result


@cache
def spec_of(model: str) -> ModelSpec:
    name = "retired-old-revision" if model == "retired" else model
    document = json.loads(recorded(f"metadata-{name}").body)
    return model_spec(document, ref=ModelRef(PROJECT, model), revision=document["revision"])


@cache
def frames_of(model: str) -> dict[str, Frame]:
    """X and y as they were recorded for a model, or ones of its columns."""
    for name in (f"anomaly-{model}-json", "err-no-thresholds"):
        if name in pairs() and pairs()[name].model == model:
            return pairs()[name].frames()
    spec = spec_of(model)
    times = next(iter(pairs()["anomaly-pca-linear-json"].frames().values())).times
    return {
        name: Frame(times, tags, np.ones((len(times), len(tags))))
        for name, tags in (("X", spec.dataset.tag_list), ("y", spec.dataset.target_tag_list))
    }


async def execute(models: Gordo, spec: ModelSpec, x: Frame, y: Frame) -> Execution:
    return await models.execution.execute_model(
        spec, Window(from_ns(int(x.times[0])), from_ns(int(x.times[-1]) + 1)), x, y
    )


async def execute_pca(models: Gordo, spec: ModelSpec | None = None) -> Execution:
    frames = frames_of("pca-linear")
    return await execute(models, spec or spec_of("pca-linear"), frames["X"], frames["y"])


# Every recorded answer


@pytest.mark.parametrize(
    "pair",
    [p for p in POSTED if p.content_type == PARQUET and p.id not in TIMELESS | UNSORTED],
    ids=lambda pair: pair.id,
)
async def test_a_recorded_parquet_answer_to_the_recorded_frames_becomes_predictions(
    pair: Pair, replay: Replay, models: Gordo
) -> None:
    anomaly = "anomaly" in pair.path
    revision = pair.query.get("revision", LATEST)
    frames = pair.frames()
    x, y = frames["X"], frames.get("y", frames_of(pair.model)["y"])
    spec = replace(spec_of(pair.model), revision=revision, anomaly=anomaly)
    replay.on("POST", pair.path, pair.reply)

    execution = await execute(models, spec, x, y)

    (requested,) = replay.received
    sent = request_frames(requested.headers["Content-Type"], requested.body)
    assert requested.query == {"format": "parquet", "revision": revision}
    assert sent.keys() == ({"X", "y"} if anomaly else {"X"})
    np.testing.assert_array_equal(sent["X"].values, x.values)
    assert sent["X"].columns == x.columns
    assert execution.anomaly is anomaly
    assert execution.predictions.times.tolist() == x.times[spec.model_offset :].tolist()
    assert execution.predictions.revision == revision


@pytest.mark.parametrize(
    "pair", [p for p in POSTED if p.reply.status == 200 and p.content_type != PARQUET], ids=lambda pair: pair.id
)
async def test_json_is_no_answer_to_a_request_for_parquet(pair: Pair, replay: Replay, models: Gordo) -> None:
    replay.on("POST", ANOMALY, pair.reply)

    with pytest.raises(Unavailable, match="not Gordo's answer") as raised:
        await execute_pca(models)

    assert raised.value.downstream == DOWNSTREAM


@pytest.mark.parametrize("name", sorted(TIMELESS))
async def test_an_answer_without_times_is_no_answer(name: str, replay: Replay, models: Gordo) -> None:
    replay.on("POST", ANOMALY, recorded(name))

    with pytest.raises(Unavailable, match="not Gordo's answer"):
        await execute_pca(models)


@pytest.mark.parametrize("name", [*sorted(UNSORTED), "anomaly-targets-parquet"])
async def test_rows_or_columns_that_the_metadata_does_not_promise_are_the_models_own_affair(
    name: str, replay: Replay, models: Gordo
) -> None:
    replay.on("POST", ANOMALY, recorded(name))

    with pytest.raises(Rejected) as refused:
        await execute_pca(models)

    assert refused.value.reason is Reason.COLUMNS_REFUSED


def refused_with(status: int) -> list[Pair]:
    return [pair for pair in POSTED if pair.reply.status == status]


@pytest.mark.parametrize("pair", refused_with(400), ids=lambda pair: pair.id)
async def test_400_distinguishes_columns_from_values_by_its_message(pair: Pair, replay: Replay, models: Gordo) -> None:
    replay.on("POST", PLAIN, pair.reply)
    said = json.loads(pair.reply.body) if pair.content_type == "application/json" else {}

    with pytest.raises((Rejected, Failed)) as error:
        await execute_pca(models, replace(spec_of("pca-linear"), anomaly=False))

    if not said:
        assert isinstance(error.value, Failed)
    else:
        assert isinstance(error.value, Rejected)
        assert error.value.reason is (Reason.VALUES_REFUSED if "error" in said else Reason.COLUMNS_REFUSED)
        assert error.value.whole_model is ("message" in said)
        assert " ".join((said.get("error") or said["message"]).split())[:100] in str(error.value)
    assert replay.paths == [f"POST {PROJECT}/{PLAIN}"]


@pytest.mark.parametrize("pair", refused_with(404), ids=lambda pair: pair.id)
@pytest.mark.parametrize("listed", [True, False])
async def test_404_for_a_model_means_what_the_list_of_its_revision_says(
    pair: Pair, listed: bool, replay: Replay, models: Gordo
) -> None:
    revision = pair.reply.headers["revision"]
    replay.on("POST", ANOMALY, pair.reply)
    replay.lists(*(["pca-linear"] if listed else []), "other", revision=revision)

    with pytest.raises(NotThere if listed else Rejected) as error:
        await execute_pca(models, replace(spec_of("pca-linear"), revision=revision))

    assert replay.received[-1].path == f"{PROJECT}/models"
    assert replay.received[-1].query == {"revision": revision}
    if isinstance(error.value, Rejected):
        assert error.value.reason is Reason.MODEL_GONE
        assert error.value.whole_model


@pytest.mark.parametrize("pair", refused_with(410), ids=lambda pair: pair.id)
async def test_410_is_a_revision_that_is_gone(pair: Pair, replay: Replay, models: Gordo) -> None:
    replay.on("POST", ANOMALY, pair.reply)

    with pytest.raises(RevisionGone, match="Revision"):
        await execute_pca(models)


@pytest.mark.parametrize("pair", refused_with(422), ids=lambda pair: pair.id)
async def test_422_is_no_anomaly_model_and_the_same_body_goes_to_prediction(
    pair: Pair, replay: Replay, models: Gordo
) -> None:
    replay.on("POST", ANOMALY, pair.reply)
    replay.on("POST", PLAIN, recorded("prediction-pca-linear-parquet"))

    execution = await execute_pca(models)

    assert not execution.anomaly
    assert replay.paths == [f"POST {PROJECT}/{ANOMALY}", f"POST {PROJECT}/{PLAIN}"]
    assert replay.received[0].body == replay.received[1].body


async def test_422_is_remembered_for_that_model_and_revision_only(replay: Replay, models: Gordo) -> None:
    replay.on("POST", ANOMALY, recorded("err-not-anomaly-model"))
    replay.on("POST", PLAIN, recorded("prediction-pca-linear-parquet"))
    await execute_pca(models)
    replay.received.clear()

    with capture_logs() as logs:
        again = await execute_pca(models)
        with pytest.raises(Unavailable):  # the recorded answers are of the latest revision
            await execute_pca(models, replace(spec_of("pca-linear"), revision=OLD))

    assert not again.anomaly
    assert replay.paths == [f"POST {PROJECT}/{PLAIN}", f"POST {PROJECT}/{ANOMALY}"]
    assert request_frames(replay.received[0].headers["Content-Type"], replay.received[0].body).keys() == {"X"}
    assert logs == []


async def test_422_of_a_name_refuses_the_model(replay: Replay, models: Gordo) -> None:
    replay.on("POST", ANOMALY, recorded("metadata-bad-name"))

    with pytest.raises(Rejected) as refused:
        await execute_pca(models)

    assert refused.value.reason is Reason.COLUMNS_REFUSED
    assert refused.value.whole_model


@pytest.mark.parametrize("pair", refused_with(500), ids=lambda pair: pair.id)
async def test_500_of_an_anomaly_is_explained_by_prediction(pair: Pair, replay: Replay, models: Gordo) -> None:
    replay.on("POST", ANOMALY, pair.reply)
    replay.on("POST", PLAIN, recorded("lstm-5-rows-prediction"))

    with pytest.raises(Rejected, match="lookback_window must be < size of X") as refused:
        await execute_pca(models)

    assert refused.value.reason is Reason.VALUES_REFUSED
    assert not refused.value.whole_model
    assert replay.paths == [f"POST {PROJECT}/{ANOMALY}", f"POST {PROJECT}/{PLAIN}"]
    assert request_frames(replay.received[1].headers["Content-Type"], replay.received[1].body).keys() == {"X"}


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (recorded("prediction-pca-linear-parquet"), Failed),
        (recorded("nan-in-x-linear-parquet"), Failed),
        (recorded("err-unknown-revision"), RevisionGone),
        (html(503), Unavailable),
        (gordo_json({"error": "Something unexpected happened; check your input data"}, status=400), Failed),
    ],
    ids=["takes-x", "500-too", "revision-gone", "unavailable", "no-reason"],
)
async def test_500_without_a_reason_is_tried_again(
    second: Reply, error: type[Exception], replay: Replay, models: Gordo
) -> None:
    replay.on("POST", ANOMALY, recorded("nan-in-x-linear-parquet"))
    replay.on("POST", PLAIN, second)

    with pytest.raises(error):
        await execute_pca(models)

    assert len(replay.received) == 2


async def test_500_of_prediction_is_tried_again_without_asking_twice(replay: Replay, models: Gordo) -> None:
    replay.on("POST", PLAIN, recorded("nan-in-x-linear-parquet"))

    with pytest.raises(Failed):
        await execute_pca(models, replace(spec_of("pca-linear"), anomaly=False))

    assert len(replay.received) == 1


async def test_infinite_targets_explain_a_500_where_prediction_takes_x(replay: Replay, models: Gordo) -> None:
    frames = frames_of("ff-hourglass")
    values = frames["y"].values.copy()
    values[0, 2] = np.inf
    replay.on("POST", "ff-hourglass/anomaly/prediction", recorded("nan-in-x-linear-parquet"))
    replay.on("POST", "ff-hourglass/prediction", recorded("prediction-pca-linear-parquet"))

    with pytest.raises(Rejected, match=r"values of y are infinite: '1902\.A\.TT-003\.PV'"):
        await execute(models, spec_of("ff-hourglass"), frames["X"], replace(frames["y"], values=values))


async def test_frames_that_gordo_cannot_take_are_not_sent(replay: Replay, models: Gordo) -> None:
    with pytest.raises(NoData):
        await execute_pca(models, replace(spec_of("pca-linear"), model_offset=5))

    assert replay.received == []


# Answers of others

REVISION = {"revision": LATEST}


@pytest.mark.parametrize(
    ("reply", "alarm", "wait"),
    [
        (html(429, Retry_After="7"), False, timedelta(seconds=7)),
        (html(502), False, None),
        (html(503, Retry_After="30"), False, timedelta(seconds=30)),
        (html(504), False, None),
        (Reply(503, {**REVISION, "content-type": "text/html"}), False, None),
        (html(401), True, None),
        (html(403), True, None),
        (html(302, Location="https://login.example.com/"), True, None),
        (html(200), False, None),
        (html(404), False, None),
        (html(400), False, None),
        (html(422), False, None),
        (html(500), False, None),
        (html(410), False, None),
        (Reply(200, {**REVISION, "content-type": PARQUET}, b"no parquet"), False, None),
        (Reply(200, {**REVISION, "content-type": "text/html"}, b"<html>"), False, None),
        (Reply(200, REVISION), False, None),
        (recorded("revision-old-parquet"), False, None),
        (Reply(200, {"content-type": PARQUET}, recorded("anomaly-pca-linear-parquet").body), False, None),
    ],
)
@pytest.mark.parametrize("path", ["list", "metadata", "prediction"])
async def test_whatever_is_not_gordos_answer_is_an_outage_on_every_path(
    path: str, reply: Reply, alarm: bool, wait: timedelta | None, replay: Replay, models: Gordo
) -> None:
    replay.on("GET", "revisions", reply)
    replay.on("GET", "pca-linear/metadata", reply)
    replay.on("POST", ANOMALY, reply)
    pending: dict[str, Callable[[], Awaitable[object]]] = {
        "list": lambda: models.catalogue.model_exists(ModelRef(PROJECT, "pca-linear")),
        "metadata": lambda: models.catalogue.get_model_spec(ModelRef(PROJECT, "pca-linear"), LATEST),
        "prediction": lambda: execute_pca(models),
    }

    with pytest.raises(Unavailable) as raised:
        await pending[path]()

    assert not isinstance(raised.value, TimedOut)
    assert raised.value.downstream == DOWNSTREAM
    assert raised.value.alarm is alarm
    assert raised.value.retry_after == wait
    assert len(replay.received) == 1


async def test_a_list_that_gordo_did_not_sign_is_not_gordos(replay: Replay, models: Gordo) -> None:
    replay.lists("pump-1")
    latest = json.dumps({"latest": LATEST}).encode()
    replay.on("GET", "revisions", Reply(200, {"content-type": "application/json"}, latest))

    with pytest.raises(Unavailable, match="not Gordo's answer"):
        await models.catalogue.model_exists(ModelRef(PROJECT, "pump-1"))


async def test_413_asks_for_less(replay: Replay, models: Gordo) -> None:
    replay.on("POST", ANOMALY, html(413))

    with pytest.raises(TooLarge):
        await execute_pca(models)


async def test_a_status_that_gordo_has_no_use_for_is_tried_again(replay: Replay, models: Gordo) -> None:
    replay.on("POST", ANOMALY, Reply(418, REVISION))

    with pytest.raises(Failed, match="418"):
        await execute_pca(models)


# The wire


async def test_a_server_that_does_not_answer_in_time_is_not_asked_again(replay: Replay) -> None:
    replay.on("POST", ANOMALY, Reply(hang=True))
    async with opened(replay, **SOON) as models:
        with pytest.raises(TimedOut, match="no answer within 2 s") as late:
            await execute_pca(models)

    assert late.value.downstream == DOWNSTREAM
    assert len(replay.received) == 1


async def test_lists_have_a_time_limit_too(replay: Replay) -> None:
    replay.on("GET", "revisions", Reply(hang=True))
    async with opened(replay, **SOON) as models:
        (project,) = await models.catalogue.get_model_list([PROJECT])

    assert isinstance(project.error, TimedOut)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with open_gordo(GordoModels(url=url), DictRoster()) as models:
            with pytest.raises(Unavailable) as raised:
                await execute_pca(models)

    assert not isinstance(raised.value, TimedOut)
    assert raised.value.downstream == DOWNSTREAM


async def test_a_connection_that_does_not_come_about_is_an_outage_and_no_time_out() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        callers = [socket.socket() for _ in range(4)]  # they are not accepted, so that the next one has to wait
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}"
        section = GordoModels(url=url, connect_timeout=timedelta(seconds=0.2))
        async with open_gordo(section, DictRoster()) as models:
            with pytest.raises(Unavailable, match="no connection in time") as raised:
                await execute_pca(models)
        for caller in callers:
            caller.close()

    assert not isinstance(raised.value, TimedOut)


@pytest.mark.parametrize("cut", [0, 1000])
async def test_an_answer_that_is_cut_short_is_an_outage(cut: int, replay: Replay, models: Gordo) -> None:
    replay.on("POST", ANOMALY, replace(recorded("anomaly-pca-linear-parquet"), cut=cut))

    with pytest.raises(Unavailable):
        await execute_pca(models)

    assert len(replay.received) == 1


@pytest.mark.parametrize("chunked", [False, True], ids=["with-length", "without-length"])
async def test_a_prediction_larger_than_the_limit_asks_for_less(chunked: bool, replay: Replay) -> None:
    replay.on("POST", ANOMALY, replace(recorded("anomaly-pca-linear-parquet"), chunked=chunked))
    async with opened(replay, sizes=SizeLimits(prediction=10_000)) as models:
        with pytest.raises(TooLarge, match="10000 bytes"):
            await execute_pca(models)


async def test_a_list_larger_than_the_limit_is_an_outage_and_metadata_is_refused(replay: Replay) -> None:
    replay.lists(*(f"model-{i:04}" for i in range(1000)))
    replay.on("GET", "pca-linear/metadata", recorded("metadata-pca-linear"))
    async with opened(replay, sizes=SizeLimits(document=10_000)) as models:
        with pytest.raises(Unavailable, match="10000 bytes"):
            await models.catalogue.model_exists(ModelRef(PROJECT, "pca-linear"))
        with pytest.raises(Rejected, match="10000 bytes"):
            await models.catalogue.get_model_spec(ModelRef(PROJECT, "pca-linear"), LATEST)


async def test_an_unexpected_huge_page_is_not_read_whole(replay: Replay) -> None:
    replay.on("POST", ANOMALY, html(200, "<p>" + "x" * 20_000_000))
    async with opened(replay, sizes=SizeLimits(prediction=1_000_000)) as models:
        with pytest.raises(Unavailable, match="not Gordo's answer"):
            await execute_pca(models)


async def test_connections_are_used_again_and_one_that_went_stale_is_replaced_once() -> None:
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request a connection, and hang up when the next one comes."""
        nonlocal served
        while (await _read_request(reader)) and served < 2:
            served += 1
            _write(writer, recorded("anomaly-pca-linear-parquet"))
            await writer.drain()
            if await _read_request(reader):
                writer.close()
                return
        writer.close()

    async with _listening(serve) as url, open_gordo(GordoModels(url=url), DictRoster()) as models:
        first = await execute_pca(models)
        second = await execute_pca(models)  # hung up on the pooled connection, answered on a new one
        assert len(first.predictions) == len(second.predictions) == 4
        assert served == 2

        with pytest.raises(Unavailable):  # hung up on the pooled connection, and on the new one
            await execute_pca(models)


async def test_a_new_connection_that_is_hung_up_on_is_not_tried_again() -> None:
    requested = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requested
        requested += bool(await _read_request(reader))
        writer.close()

    async with _listening(serve) as url, open_gordo(GordoModels(url=url), DictRoster()) as models:
        with pytest.raises(Unavailable):
            await execute_pca(models)

    assert requested == 1


async def test_idle_connections_are_closed_before_a_server_could_close_them_during_a_request() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        _write(writer, recorded("anomaly-pca-linear-parquet"))
        await writer.drain()
        await reader.read()
        closed.set()
        writer.close()

    async with _listening(serve) as url, open_gordo(GordoModels(url=url), DictRoster()) as models:
        await execute_pca(models)
        async with asyncio.timeout(10):  # aiohttp's own default is 15 s
            await closed.wait()

    assert closed.is_set()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = next(int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length"))
    return head + await reader.readexactly(length)


def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} OK", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + reply.body)


@asynccontextmanager
async def _listening(serve: Serve) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


async def test_token_and_headers_are_sent_and_never_shown(replay: Replay) -> None:
    replay.on("POST", ANOMALY, html(401))
    secrets: dict[str, Any] = {"headers": {"X-Api-Key": "key-of-hunter"}, "token": "token-of-hunter"}
    async with opened(replay, **secrets) as models:
        with capture_logs() as logs, pytest.raises(Unavailable) as refused:
            await execute_pca(models)

    assert replay.received[0].headers["Authorization"] == "Bearer token-of-hunter"
    assert replay.received[0].headers["X-Api-Key"] == "key-of-hunter"
    assert "hunter" not in f"{refused.value} {refused.value!r} {refused.value.__cause__!r} {logs}"


async def test_names_are_quoted_so_that_they_stay_one_part_of_the_path(replay: Replay) -> None:
    odd = ModelRef("plant ø", "a/b%2f..?#")
    replay.on("GET", "a%2Fb%252f..%3F%23/metadata", recorded("metadata-pca-linear"), project="plant%20%C3%B8")
    async with opened(replay) as models:
        spec = await models.catalogue.get_model_spec(odd, LATEST)

    assert spec.ref == odd


async def test_no_more_than_eight_lists_are_read_at_a_time(replay: Replay) -> None:
    projects = [f"plant-{i}" for i in range(12)]
    for project in projects:
        replay.on("GET", "revisions", Reply(hang=True), project=project)
    async with opened(replay) as models:
        reading = asyncio.create_task(models.catalogue.get_model_list(projects))
        await eventually(lambda: len(replay.received) >= 8)
        for _ in range(20):
            await models_turn()
        assert len(replay.received) == 8

        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def models_turn() -> None:
    """Let everything that is ready run once."""
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_a_large_frame_is_sent_as_parquet(replay: Replay, models: Gordo) -> None:
    spec = spec_of("pca-linear")
    times = 600 * 10**9 * np.arange(30_000)
    x = Frame(times, spec.dataset.tag_list, np.random.default_rng(7).random((len(times), 4)))
    y = replace(x, values=x.values + 1)
    replay.on("POST", ANOMALY, recorded("anomaly-pca-linear-parquet"))

    with pytest.raises(Rejected, match="answered 4 rows"):
        await execute(models, spec, x, y)

    sent = request_frames(replay.received[0].headers["Content-Type"], replay.received[0].body)
    np.testing.assert_array_equal(sent["X"].values, x.values)
    np.testing.assert_array_equal(sent["y"].values, y.values)


# Lists


async def test_the_list_is_that_of_the_newest_revision_sorted(replay: Replay, models: Gordo) -> None:
    replay.on("GET", "revisions", recorded("revisions"))
    replay.on("GET", "models", recorded("models"))

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert listing.error is None
    assert (listing.project, listing.revision) == (PROJECT, LATEST)
    assert list(listing.models) == sorted(json.loads(recorded("models").body)["models"])
    assert replay.paths == [f"GET {PROJECT}/{path}" for path in ("revisions", "models", "expected-models")]
    assert replay.received[1].query == {"revision": LATEST}


async def test_a_process_that_does_not_have_the_latest_revision_yet_is_not_asked_alone(
    replay: Replay, models: Gordo
) -> None:
    replay.lists("pump-1")
    behind = gordo_json({"error": f"Revision '{LATEST}' not found."}, status=410)
    names = gordo_json({"models": ["pump-1"], "revision": LATEST}, revision=LATEST)
    replay.on("GET", "models", behind, behind, names)

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert (listing.error, listing.models) == (None, ("pump-1",))


async def test_the_models_of_a_revision_that_no_process_has_cannot_be_listed(replay: Replay, models: Gordo) -> None:
    replay.lists("pump-1")
    replay.on("GET", "models", gordo_json({"error": f"Revision '{LATEST}' not found."}, status=410))

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert isinstance(listing.error, Unavailable)
    assert listing.error.alarm


@pytest.mark.parametrize(
    ("answer", "expected"),
    [({"expected-models": ["pump-2", ".hidden", 7, "pump-1"]}, ("pump-1", "pump-2")), ({"expected-models": 3}, None)],
)
async def test_expected_models_are_those_whose_names_can_be_used(
    answer: dict[str, Any], expected: tuple[str, ...] | None, replay: Replay, models: Gordo
) -> None:
    replay.lists("pump-1")
    replay.on("GET", "expected-models", gordo_json(answer, revision=LATEST))

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert (listing.models, listing.expected) == (("pump-1",), expected)


async def test_a_server_that_does_not_report_what_it_expects_is_listed_all_the_same(
    replay: Replay, models: Gordo
) -> None:
    replay.lists("pump-1")
    replay.on("GET", "expected-models", html(404))

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert (listing.error, listing.models, listing.expected) == (None, ("pump-1",), None)


async def test_names_that_gordo_lists_and_cannot_serve_are_left_out(replay: Replay, models: Gordo) -> None:
    replay.lists("pump-1", "_bad", ".hidden", "", "a/b", "new\nline", "x" * 300, "-ok", "0", "with space", "b\udcff")

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert listing.models == ("-ok", "0", "pump-1", "with space")


async def test_an_empty_list_is_a_list(replay: Replay, models: Gordo) -> None:
    replay.lists()

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert (listing.models, listing.error) == ((), None)


async def test_a_project_that_cannot_be_reached_does_not_stop_the_others(replay: Replay) -> None:
    replay.lists("pump-1")
    replay.on("GET", "revisions", html(503), project="plant-b")
    async with opened(replay) as models:
        raised, there = await models.catalogue.get_model_list(["plant-b", PROJECT])

    assert isinstance(raised.error, Unavailable)
    assert raised.error.downstream == "gordo/plant-b"
    assert there.models == ("pump-1",)


async def test_a_bug_that_one_projects_list_wakes_does_not_stop_the_others(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay.lists("pump-1")
    replay.lists("fan-1", project="plant-b")
    get = GordoClient.get

    async def broken(self: GordoClient, project: str, *path: str, **options: Any) -> Response:
        if project == "plant-b":
            raise KeyError("a bug of ours")
        return await get(self, project, *path, **options)

    monkeypatch.setattr(GordoClient, "get", broken)
    async with opened(replay) as models:
        odd, there = await models.catalogue.get_model_list(["plant-b", PROJECT])

    assert isinstance(odd.error, KeyError)
    assert there.models == ("pump-1",)


async def test_a_newest_revision_that_is_not_there_is_an_outage_of_the_project(replay: Replay, models: Gordo) -> None:
    replay.lists("pump-1")
    replay.on("GET", "models", recorded("models-unknown-revision"))

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert isinstance(listing.error, Unavailable)
    assert listing.error.alarm


@pytest.mark.parametrize("status", [404, 405, 500])
@pytest.mark.parametrize("path", ["revisions", "models"])
async def test_a_list_that_gordo_refuses_is_an_outage(path: str, status: int, replay: Replay, models: Gordo) -> None:
    replay.lists("pump-1")
    replay.on("GET", path, Reply(status, {**REVISION, "content-type": "text/html"}))

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert isinstance(listing.error, Unavailable)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("revisions", {}),
        ("revisions", {"latest": 17}),
        ("revisions", {"latest": "newest"}),
        ("models", {"models": "a"}),
    ],
)
async def test_a_list_that_says_something_else_is_an_outage(
    path: str, body: dict[str, object], replay: Replay, models: Gordo
) -> None:
    replay.lists("pump-1")
    replay.on("GET", path, gordo_json(body))

    (listing,) = await models.catalogue.get_model_list([PROJECT])

    assert isinstance(listing.error, Unavailable)


async def test_a_model_exists_if_its_project_lists_it(replay: Replay, models: Gordo) -> None:
    replay.lists("pump-1")

    assert await models.catalogue.model_exists(ModelRef(PROJECT, "pump-1"))
    assert not await models.catalogue.model_exists(ModelRef(PROJECT, "pump-2"))


async def test_ping_returns_what_is_there_or_raises_what_is_wrong(replay: Replay, models: Gordo) -> None:
    replay.lists("pump-1", "pump-2", "fan-1")
    replay.on("GET", "revisions", html(401), project="plant-b")

    for part in models:
        assert await part.ping(PROJECT) == f"revision {LATEST}, 3 models"
        with pytest.raises(Unavailable) as refused:
            await part.ping("plant-b")
        assert refused.value.alarm

    assert {request.method for request in replay.received} == {"GET"}


@pytest.mark.parametrize("url", ["localhost:5555", "ftp://host", "", "http://"])
def test_a_url_that_cannot_be_used_refuses_to_open(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"models\.url"):
        load_settings(None, {"LATIGO_MODELS__URL": url})


@pytest.mark.parametrize("project", ["", "a/b", "..", "a\0b", "b\udcff"])
def test_a_project_that_cannot_be_asked_for_refuses_to_open(project: str) -> None:
    with pytest.raises(ConfigurationError, match=r"models\.projects"):
        load_settings(None, {"LATIGO_MODELS__PROJECTS": json.dumps([project])})


# Metadata and roster


async def test_the_spec_is_read_from_the_revision_that_was_asked_for(replay: Replay, models: Gordo) -> None:
    replay.on("GET", "retired/metadata", recorded("metadata-retired-old-revision"))

    spec = await models.catalogue.get_model_spec(ModelRef(PROJECT, "retired"), OLD)

    assert replay.received[0].query == {"revision": OLD}
    assert (spec.revision, spec.dataset.tag_list) == (OLD, ("1902.R.TT-001.PV", "1902.R.TT-002.PV"))


@pytest.mark.parametrize(
    ("name", "listed", "error", "reason"),
    [
        ("metadata-unknown-model", ["other"], Rejected, Reason.MODEL_GONE),
        ("metadata-unknown-model", [], Unavailable, None),  # the whole directory is gone, not this model
        ("metadata-unknown-model", ["pump"], Failed, None),
        ("metadata-bad-name", ["pump"], Rejected, Reason.BAD_METADATA),
        ("models-unknown-revision", ["pump"], RevisionGone, None),
        ("err-json-string", ["pump"], Failed, None),
        ("server-version", ["pump"], Rejected, Reason.BAD_METADATA),
    ],
)
async def test_metadata_that_cannot_be_had_says_why(
    name: str, listed: list[str], error: type[Exception], reason: Reason | None, replay: Replay, models: Gordo
) -> None:
    replay.lists(*listed)
    replay.on("GET", "pump/metadata", recorded(name))

    with pytest.raises(error) as refused:
        await models.catalogue.get_model_spec(ModelRef(PROJECT, "pump"), LATEST)

    assert getattr(refused.value, "reason", None) is reason


async def test_registering_puts_a_model_of_the_server_on_the_roster(replay: Replay) -> None:
    replay.lists("pump-1")
    roster = DictRoster()
    by_hand = Selection()
    async with opened(replay, roster=roster) as models:
        ref = await models.execution.register_model({"project": PROJECT, "name": "pump-1"})
        (listing,) = await models.catalogue.get_model_list(by_hand.projects_to_list(roster.decided))
        selected = by_hand.apply(listing, roster.decided)
        await models.execution.unregister_model(ref)

        assert selected.models == ("pump-1",)
        assert by_hand.projects_to_list(roster.decided) == []

    assert roster.decided == {ref: False}
    assert {request.method for request in replay.received} == {"GET"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"project": PROJECT, "name": "pump-9"}, Reason.MODEL_GONE),
        ({"project": PROJECT}, Reason.BAD_METADATA),
        ({"project": PROJECT, "name": ""}, Reason.BAD_METADATA),
        ({"project": PROJECT, "name": "pump-1", "nmae": "x"}, Reason.BAD_METADATA),
        ({"project": 7, "name": "pump-1"}, Reason.BAD_METADATA),
    ],
)
async def test_what_cannot_be_registered_is_refused(
    data: dict[str, object], reason: Reason | None, replay: Replay
) -> None:
    replay.lists("pump-1")
    roster = DictRoster()
    async with opened(replay, roster=roster) as models:
        with pytest.raises(Rejected) as refused:
            await models.execution.register_model(data)

    assert refused.value.reason is reason
    assert roster.decided == {}


async def test_the_status_of_a_model_is_what_server_and_roster_know(replay: Replay) -> None:
    replay.lists("pca-linear")
    replay.on("GET", "pca-linear/metadata", recorded("metadata-pca-linear"))
    ref = ModelRef(PROJECT, "pca-linear")
    async with opened(replay, roster=DictRoster({ref: True})) as models:
        status = await models.execution.get_model_status(ref)

    assert (status.ref, status.revision, status.exists, status.registered) == (ref, LATEST, True, True)
    assert status.spec == spec_of("pca-linear")
    assert status.metadata["checksum"] == json.loads(recorded("metadata-pca-linear").body)["checksum"]
    assert "data_provider" not in status.metadata["metadata"]["dataset"]
    assert status.problem == ""


async def test_the_status_of_a_model_that_is_not_there_says_so(replay: Replay, models: Gordo) -> None:
    replay.lists("pump-1")

    status = await models.execution.get_model_status(ModelRef(PROJECT, "pump-2"))

    assert (status.exists, status.registered, status.spec, status.metadata) == (False, None, None, {})
    assert status.problem


async def test_the_status_of_a_model_with_odd_metadata_names_the_problem(replay: Replay, models: Gordo) -> None:
    document = json.loads(recorded("metadata-pca-linear").body)
    document["metadata"]["dataset"]["resolution"] = "H"
    replay.lists("pump-1")
    replay.on("GET", "pump-1/metadata", gordo_json(document))

    status = await models.execution.get_model_status(ModelRef(PROJECT, "pump-1"))

    assert status.exists
    assert status.spec is None
    assert "resolution" in status.problem
    assert status.metadata["metadata"]["name"] == "pca-linear"
