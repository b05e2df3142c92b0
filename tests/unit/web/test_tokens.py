"""Tokens of the API."""

from pathlib import Path

import pytest

from latigo.runtime.secret_file import FileSecret
from latigo.web.api.tokens import Tokens
from latigo.web.problems import RefusedRequest
from tests.support.web import TOKENS


def test_a_token_changes_with_its_file(tmp_path: Path):
    file = tmp_path / "anna.token"
    file.write_text("first-of-two")
    tokens = Tokens({"anna": (FileSecret(file, 1000), True)})

    assert tokens.caller("Bearer first-of-two", acts=True).name == "anna"
    file.write_text("the-second-one")

    assert tokens.caller("Bearer the-second-one", acts=True).name == "anna"
    with pytest.raises(RefusedRequest):
        tokens.caller("Bearer first-of-two", acts=False)


def test_a_token_of_octets_that_are_no_text_is_unknown():
    tokens = Tokens(TOKENS)

    with pytest.raises(RefusedRequest, match="not one of http"):
        tokens.caller(b"Bearer \xff".decode(errors="surrogateescape"), acts=False)
