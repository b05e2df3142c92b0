"""Parts of questions that many endpoints have."""

import pytest
from pydantic import ValidationError

from latigo.web.api.requests import ChangeQuestion


def test_a_reason_is_put_on_one_line():
    assert ChangeQuestion(id=1, reason=" the pump\n was\treplaced ").reason == "the pump was replaced"


def test_a_reason_that_is_too_long_is_measured_in_characters():
    with pytest.raises(ValidationError, match="at most 1000 characters"):
        ChangeQuestion(id=1, reason="x" * 1001)
