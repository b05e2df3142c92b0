"""X and y against gordo-core itself, on random cases."""

import hashlib
import json
import math
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from latigo.domain.errors import Rejected
from tests.support.gordo_dataset import GORDO_ERRORS, assert_same, made_of
from tests.support.real_gordo import gordo_home, require_gordo

pytestmark = pytest.mark.real_gordo

FOLDER = Path(__file__).parents[1] / "real_gordo"
#: The program that asks gordo-core, and what its answers depend on.
MAKERS = tuple(FOLDER / name for name in ("dataset_cases.py", "dataset_oracle.py", "requirements.lock"))
#: Each of two processes makes these, and takes about 25 s for them.
PLAIN, WIDE = 150, 600


@pytest.fixture(scope="module")
def seed() -> int:
    """The same each time, or what ``DATASET_SEED`` says; ``DATASET_SEED=fresh`` looks for what is not known yet.

    One disagreement is known (seed 213954212): where a period is shorter than a bucket and off the grid, so that a
    look-back is rounded onto its only later label, gordo-core finds nothing and we carry the value on. Latigo's own
    periods begin on the grid.
    """
    requested = os.environ.get("DATASET_SEED") or "20261123"
    return random.SystemRandom().randrange(1 << 30) if requested == "fresh" else int(requested)


@pytest.fixture(scope="module")
def cases(seed: int) -> list[dict[str, Any]]:
    """Cases with the answers of gordo-core, which are kept: it answers the same as long as it is the same."""
    python, made = require_gordo(), []
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in MAKERS)).hexdigest()[:16]
    kept = gordo_home() / "dataset-cases"
    kept.mkdir(exist_ok=True)
    outputs = [kept / f"{sources}-{PLAIN}-{WIDE}-{seed + part}.jsonl" for part in range(2)]
    for part, output in enumerate(outputs):
        if not output.exists():
            unfinished = output.with_suffix(f".{os.getpid()}")
            numbers = ["--random", str(PLAIN), "--wide", str(WIDE), "--seed", str(seed + part)]
            maker = subprocess.Popen(
                [python, "-B", "-W", "ignore", MAKERS[0], unfinished, *numbers],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            made.append((maker, unfinished, output))
    for maker, unfinished, output in made:
        try:
            _, errors = maker.communicate(timeout=900)
        finally:
            maker.kill()
        assert maker.returncode == 0, errors.decode()
        unfinished.rename(output)
    return [json.loads(line) for output in outputs for line in output.read_text("utf-8").splitlines()]


def has_infinite_readings(case: dict[str, Any]) -> bool:
    return any(value is not None and math.isinf(value) for rows in case["raw"].values() for _, value in rows)


def test_random_cases_give_what_gordo_core_makes(cases: list[dict[str, Any]], seed: int) -> None:
    sys.stdout.write(f"DATASET_SEED={seed}\n")
    assert len(cases) == 2 * (PLAIN + WIDE)
    broken = []

    for case in cases:
        if case["look_back"] and has_infinite_readings(case):
            continue  # sources return the last finite reading, and gordo-core carries an infinite one on
        if case["expected"].get("error") not in {None, *GORDO_ERRORS}:
            broken.append(case["expected"]["error"])
            continue
        try:
            assert_same(case)
        except (AssertionError, Rejected) as error:
            pytest.fail(f"DATASET_SEED={seed}: {error}\n{json.dumps(case)}")

    # gordo-core gives up on a few: more than 31 inputs to numexpr, a look-back off the grid.
    assert len(broken) < len(cases) / 50, broken
    answered = [case for case in cases if "error" not in case["expected"]]
    assert len(answered) > len(cases) / 3


def test_what_breaks_gordo_core_does_not_break_us(cases: list[dict[str, Any]]) -> None:
    broken = [case for case in cases if case["expected"].get("error") not in {None, *GORDO_ERRORS}]

    for case in broken:
        with suppress(Rejected):
            dataset = made_of(case, label_at_end=True)
            assert (len(dataset) == 0) == (dataset.emptiness is not None)
