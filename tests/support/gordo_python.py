"""Scripts that run in Gordo's own Python 3.10 environment."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.real_gordo import gordo_home

_SCRIPTS = Path(__file__).parents[1] / "real_gordo"
_WITHIN_S = 600.0


async def run_in_gordo(script: str, question: Any, *arguments: str) -> Any:
    """Run a script of ``tests/real_gordo``; JSON goes in and comes out."""
    python = gordo_home() / "venv" / "bin" / "python"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        str(python), str(_SCRIPTS / script), *arguments, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            output, log = await process.communicate(json.dumps(question).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, log.decode()[-4000:]
    return json.loads(output)
