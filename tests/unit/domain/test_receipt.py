"""The compact form of receipts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.receipt import STAGES, Carrier, Inputs, Receipt, Score

_COUNTS = st.integers(0, 2**62)
_NAMES = st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1, max_size=40)


@st.composite
def inputs(draw: st.DrawFn) -> Inputs:
    tags = draw(st.integers(1, 30))
    by_tag = st.lists(_COUNTS, min_size=tags, max_size=tags).map(tuple)
    return Inputs(draw(by_tag), draw(by_tag), draw(_COUNTS), draw(_COUNTS), draw(st.none() | _COUNTS))


_CARRIERS = st.lists(st.builds(Carrier, st.integers(0, 65535), st.integers(0, 100)), max_size=3).map(tuple)
RECEIPTS = st.builds(
    Receipt,
    stages=st.fixed_dictionaries(dict.fromkeys(STAGES, _COUNTS)),
    elapsed=_COUNTS,
    inputs=st.none() | inputs(),
    sinks=st.lists(_NAMES, max_size=4).map(tuple),
    score=st.none() | st.builds(Score, st.floats(allow_nan=False), st.none() | _COUNTS, _CARRIERS),
)


@given(RECEIPTS)
def test_what_is_read_back_is_what_was_kept(receipt: Receipt) -> None:
    assert Receipt.from_bytes(receipt.to_bytes()) == receipt


@given(RECEIPTS, st.data())
def test_a_receipt_that_is_cut_off_is_an_error_or_lacks_sinks_and_never_has_another_number(
    receipt: Receipt, data: st.DataObject
) -> None:
    whole = receipt.to_bytes()
    part = whole[: data.draw(st.integers(1, len(whole)))]

    try:
        rest = Receipt.from_bytes(part)
    except ValueError:
        return

    assert rest is not None
    assert (rest.stages, rest.elapsed, rest.inputs, rest.score) == (
        receipt.stages,
        receipt.elapsed,
        receipt.inputs,
        receipt.score,
    )


@pytest.mark.parametrize("data", [b"", b"\x03", b"\x7fanything"])
def test_nothing_and_a_form_that_is_not_known_are_no_receipt(data: bytes) -> None:
    assert Receipt.from_bytes(data) is None


def test_a_usual_receipt_of_twenty_tags_takes_about_a_hundred_octets() -> None:
    usual = Receipt(
        stages={"claim": 4, "read": 180, "frame": 2, "predict": 950, "write": 12},
        elapsed=1200,
        inputs=Inputs((80,) * 20, (3,) * 20, 3, 0, 55),
        sinks=("sink/postgres",),
        score=Score(np.pi, 0, (Carrier(3, 60), Carrier(11, 20), Carrier(0, 9))),
    )

    assert len(usual.to_bytes()) <= 100


def test_a_program_that_does_not_know_carriers_reads_what_has_none() -> None:
    assert Receipt(score=Score(1.0, 2)).to_bytes()[0] == 1
    assert Receipt(score=Score(1.0, 2, (Carrier(0, 100),))).to_bytes()[0] == 2
