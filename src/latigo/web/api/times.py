"""Times in a question: ISO 8601, ``now``, or relative to now."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from latigo.runtime.times import parse_time

_ANY = datetime(2000, 1, 1, tzinfo=UTC)


def _check(text: str) -> str:
    parse_time(text, _ANY)
    return text


#: Read by `latigo.runtime.times.parse_time` when the question is answered.
When = Annotated[
    str,
    Field(max_length=60, description="ISO 8601 (UTC where it has no offset), now, or relative such as -7d."),
    AfterValidator(_check),
]
