"""Parts that a stranger's machine may not have."""

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip the test, named by what it lacks; in CI nothing may be lacking, and it fails."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
