"""The worked examples of how gordo-core makes X and y, and 150 random cases, with its own answers."""

import json
from pathlib import Path

import pytest

from tests.support.gordo_dataset import Case, assert_same

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "gordo_dataset_cases.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_x_and_y_are_what_gordo_core_makes(case: Case) -> None:
    assert_same(case)
