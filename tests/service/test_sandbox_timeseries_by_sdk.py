"""The official client of the Timeseries API works with the emulator: paths and envelopes are the vendor's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from latigo.sandbox.timeseries import FaultKind, SandboxTimeseries, open_sandbox_timeseries
from tests.support.omnia_sdk import exercise

R1 = {"name": "1903.R1", "facility": "1903", "unit": "m", "description": "level"}
R2 = {"name": "1903.R2", "facility": "1903"}
DAY = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z"}


@pytest.fixture
async def server() -> AsyncIterator[SandboxTimeseries]:
    async with open_sandbox_timeseries() as running:
        yield running


def point(time: str, value: float, status: int = 192) -> dict[str, Any]:
    return {"time": f"2026-01-01T{time}Z", "value": value, "status": status}


def items(result: Any) -> Any:
    assert "answer" in result, result
    return result["answer"]["data"]["items"]


def points(result: Any) -> list[tuple[str, Any]]:
    (item,) = items(result)
    return [(each["time"], each["value"]) for each in item["datapoints"]]


async def test_series_are_created_found_changed_and_deleted(server: SandboxTimeseries) -> None:
    results = await exercise(
        server.url,
        [
            ("post_timeseries", [R1], {}),
            ("post_timeseries", [R1], {}),
            ("get_or_add_timeseries", [[R1, R2]], {}),
            ("get_timeseries", [], {"name": "1903.R1"}),
            ("search_timeseries", [], {"name": "*R*", "limit": 10, "facility": "gra"}),
            ("search_timeseries", [], {"query": "1903.R"}),
            ("patch_timeseries", ["@0", {"facility": "1904"}], {}),
            ("get_timeseries_by_id", ["@0"], {}),
            ("get_facilities", [], {}),
            ("delete_timeseries_by_id", ["@0"], {}),
            ("get_timeseries_by_id", ["@0"], {}),
            ("post_timeseries", [{"name": "x", "facility": "nowhere"}], {}),
        ],
    )

    created, again, both, found, searched, queried, patched, fetched, facilities, deleted, gone, refused = results
    assert (items(created)[0]["name"], items(created)[0]["source"]) == ("1903.R1", "IOC")
    assert again["status"] == 409
    assert again["message"] == "Attempt to store timeseries '1903.R1' from '1903' which already exists"
    assert [each["name"] for each in items(both)] == ["1903.R1", "1903.R2"]
    assert items(both)[0]["id"] == items(created)[0]["id"]
    assert [each["name"] for each in items(found)] == ["1903.R1"]
    assert [each["name"] for each in items(searched)] == [each["name"] for each in items(queried)]
    assert [each["name"] for each in items(searched)] == ["1903.R1", "1903.R2"]
    assert items(patched)[0]["facility"] == items(fetched)[0]["facility"] == "1904"
    assert {each["name"]: each["count"] for each in items(facilities)} == {"1904": 1, "1903": 1}
    assert deleted["answer"]["statusCode"] == 200
    assert (gone["status"], refused["status"], refused["message"]) == (404, 400, "Facility not found.")


async def test_points_are_written_and_read(server: SandboxTimeseries) -> None:
    written = [point("00:00:01.5", 1.5), point("00:00:02", 2.5, 64), point("00:10:00", 4.0)]
    results = await exercise(
        server.url,
        [
            ("post_timeseries", [R1], {}),
            ("post_timeseries", [R2], {}),
            ("write_data", ["@0", {"datapoints": written}], {}),
            ("write_multiple", [{"items": [{"id": "@1", "datapoints": [point("00:00:01", 9.0)]}]}], {}),
            ("get_datapoints", ["@0"], {**DAY, "status": [192, 64], "federationSource": "TSDB"}),
            ("get_datapoints", ["@0"], {**DAY, "status": [192]}),
            ("get_multi_datapoints", [[{"id": "@0", **DAY, "statusFilter": [192]}, {"id": "@1", **DAY}]], {}),
            ("get_aggregates", ["@0", ["avg", "max"]], {**DAY, "processingInterval": "5m"}),
            ("get_latest_datapoint", ["@0"], {"beforeTime": "2026-01-01T00:10:00Z"}),
            ("get_latest_multi_datapoint", [[{"id": "@0"}, {"id": "@1"}]], {}),
            ("get_first_datapoint", ["@0"], {"afterTime": "2026-01-01T00:00:02Z"}),
            ("delete_data", ["@0"], {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:10:00Z"}),
            ("get_datapoints", ["@0"], DAY),
            ("get_datapoints", ["@0"], {**DAY, "accept": "application/protobuf"}),
            ("get_multi_datapoints", [[{"id": "@0", **DAY}] * 101], {}),
        ],
    )

    both, good, many, means, latest, newest, first, _, left, _, too_many = results[4:]
    assert points(both) == [
        ("2026-01-01T00:00:01.5000000Z", 1.5),
        ("2026-01-01T00:00:02.0000000Z", 2.5),
        ("2026-01-01T00:10:00.0000000Z", 4.0),
    ]
    assert [value for _, value in points(good)] == [1.5, 4.0]
    assert [len(each["datapoints"]) for each in items(many)] == [2, 1]
    assert [(each["time"][11:19], each["avg"], each["max"]) for each in items(means)[0]["datapoints"]] == [
        ("00:00:00", 2.0, 2.5),
        ("00:10:00", 4.0, 4.0),
    ]
    assert points(latest) == [("2026-01-01T00:00:02.0000000Z", 2.5)]
    assert [each["datapoints"][0]["value"] for each in items(newest)] == [4.0, 9.0]
    assert points(first) == [("2026-01-01T00:00:02.0000000Z", 2.5)]
    assert [value for _, value in points(left)] == [4.0]
    assert too_many["status"] == 400


async def test_pages_go_on_where_they_ended(server: SandboxTimeseries) -> None:
    server.controls.page_size = 2
    many = [{"name": f"1903.R{number}", "facility": "1903"} for number in range(5)]
    written = [point(f"00:00:{second:02d}", second) for second in range(10)]
    first = await exercise(
        server.url,
        [
            ("get_or_add_timeseries", [many], {}),
            ("get_timeseries", [], {"facility": "1903"}),
            ("write_data", ["@0", {"datapoints": written}], {}),
            ("get_datapoints", ["@0"], {**DAY, "limit": 4}),
        ],
    )
    listed, read = first[1]["answer"], first[3]["answer"]
    rest = await exercise(
        server.url,
        [
            ("get_or_add_timeseries", [many], {}),
            ("get_timeseries", [], {"facility": "1903", "continuationToken": listed["continuationToken"]}),
            ("get_datapoints", ["@0"], {**DAY, "limit": 4, "continuationToken": read["continuationToken"]}),
            ("get_datapoints", ["@0"], {**DAY, "limit": 100}),
        ],
    )

    assert [each["name"] for each in items(first[1])] == ["1903.R0", "1903.R1"]
    assert [each["name"] for each in items(rest[1])] == ["1903.R2", "1903.R3"]
    assert [value for _, value in points(first[3])] == [0, 1, 2, 3]
    assert [value for _, value in points(rest[2])] == [4, 5, 6, 7]
    assert "continuationToken" not in rest[3]["answer"]


async def test_errors_have_what_the_client_reads(server: SandboxTimeseries) -> None:
    limit = server.controls.fault(FaultKind.GATEWAY, status=429, retry_after=5)
    backend = server.controls.fault(FaultKind.EMPTY, status=503, times=3, skip=1)
    results = await exercise(server.url, [("get_timeseries", [], {"name": "x"}), ("get_timeseries", [], {"name": "x"})])

    assert items(results[0]) == []
    assert (results[1]["error"], results[1]["status"]) == ("TimeseriesRequestFailedException", 503)
    assert (limit.met, backend.met) == (1, 3)
