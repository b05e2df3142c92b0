"""What the tests of this folder share."""

from collections.abc import Iterator
from functools import cache

import pytest

from latigo.web import pages
from latigo.web.api import openapi


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    """Make once what each application makes of its own code, and a process has only one of: these have hundreds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openapi, "_schemas", cache(openapi._schemas))
        patch.setattr(pages, "first_modules", cache(pages.first_modules))
        yield
