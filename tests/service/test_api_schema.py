"""The API against its own document, with requests that nobody thought of: schemathesis, over a small ledger."""

import asyncio
import sys
from pathlib import Path

import pytest

from latigo.settings import Settings
from latigo.wiring.ledger import connect_to
from tests.support.postgres import fresh_database
from tests.support.web import OPERATOR, context_of, fill_ledger, serving_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = 30
#: Seconds that it may look for something; less when it has tried all that it knows.
LOOKS_FOR = 30
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
)
#: Further keys of them; 413 is the answer to a body of a megabyte.
MORE = {"negative_data_rejection": 'expected-statuses = [400, 401, 403, 404, 406, 409, 413, 415, 422, "5xx"]\n'}
#: Reads sensors.
FROM_A_SOURCE = "/readings/|/verify$"
#: Does not end; calls a model server; metrics of a process.
NOT_HERE = r"/events$|/server$|/(un)?register$|/metrics$"


async def test_no_request_gets_an_answer_that_is_not_in_the_document(
    postgres_server: str, ledger_template: str, tmp_path: Path
):
    (tmp_path / "schemathesis.toml").write_text(  # the option --checks would hold for every operation
        "[checks]\nenabled = false\n"
        + "".join(f"[checks.{check}]\nenabled = true\n{MORE.get(check, '')}" for check in CHECKS)
        + "[[operations]]  # of a model that there is, a process without a source of readings answers 503\n"
        f'include-path-regex = "{FROM_A_SOURCE}"\n'
        "checks.not_a_server_error.enabled = false\n"
    )
    async with (
        fresh_database(postgres_server, template=ledger_template) as url,
        connect_to(url, Settings()) as database,
    ):
        await fill_ledger(database, MODELS)
        async with serving_api(context_of(database)) as server:
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}api/v1/openapi.json"),
                *("--phases", "coverage,fuzzing", "--max-examples", "5", "--seed", "1", "--no-color"),
                *("--exclude-path-regex", NOT_HERE, "--warnings", "off"),
                *("--generation-database", "none", "--max-time", str(LOOKS_FOR), "--request-timeout", "120"),
                *("-H", f"Authorization: Bearer {OPERATOR}"),
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await program.communicate()

    assert program.returncode == 0, report(output.decode())


def report(output: str) -> str:
    """Return the lines of a report that are no page of octets."""
    return "\n".join(line[:300] for line in output.splitlines())[-20_000:]
