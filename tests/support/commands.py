"""Commands, run in this process as the program runs them."""

import asyncio
import contextlib
import io
import sys
from unittest import mock

from latigo.cli.main import run


async def command(*arguments: str) -> tuple[int, str, str]:
    """Run ``latigo`` in a thread: exit code, standard output, standard error. One at a time."""
    return await asyncio.to_thread(_run, arguments)


def _run(arguments: tuple[str, ...]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["latigo", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            run()
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()
