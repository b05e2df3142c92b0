"""The official client of the Timeseries API, in an environment of its own; see ``tests/omnia_sdk``."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.lacking import lacking

_SCRIPT = Path(__file__).parents[1] / "omnia_sdk" / "exercise.py"
_WITHIN_S = 600.0

Command = tuple[str, Sequence[Any], dict[str, Any]]


def sdk_python() -> Path:
    """Its interpreter; where it is absent the test is skipped, and fails in CI."""
    home = os.environ.get("OMNIA_SDK_HOME")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latigo" / "omnia-sdk"
    environment = (Path(home) if home else cache) / "venv"
    if not (environment / ".ready").exists():
        lacking(f"the official client is not installed in {environment} (tests/omnia_sdk/setup.sh)")
    return environment / "bin" / "python"


async def exercise(url: str, commands: Sequence[Command]) -> list[Any]:
    """Let the client make these calls, one after the other; return their results."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        str(sdk_python()), str(_SCRIPT), url, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            output, log = await process.communicate(json.dumps(commands).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, log.decode()[-4000:]
    results: list[Any] = json.loads(output)
    return results
