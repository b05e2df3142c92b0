"""The scores of many receipts at once are those of each receipt by itself."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.receipt import STAGES, Carrier, Inputs, Receipt, Score
from latigo.reports.receipt_scores import decode_scores

_COUNTS = st.integers(0, 300) | st.integers(0, 2**62)
_inputs = st.integers(1, 20).flatmap(
    lambda tags: st.builds(
        Inputs,
        *(st.lists(_COUNTS, min_size=tags, max_size=tags).map(tuple) for _ in range(2)),
        _COUNTS,
        _COUNTS,
        st.none() | _COUNTS,
    )
)
_carriers = st.lists(st.builds(Carrier, st.integers(0, 65535), st.integers(0, 100)), max_size=3).map(tuple)
_receipts = st.builds(
    Receipt,
    stages=st.fixed_dictionaries(dict.fromkeys(STAGES, _COUNTS)),
    elapsed=_COUNTS,
    inputs=st.none() | _inputs,
    sinks=st.lists(st.sampled_from(["sink/postgres", "sink/influx"]), max_size=2).map(tuple),
    score=st.none() | st.builds(Score, st.floats(allow_nan=False), st.none() | _COUNTS, _carriers),
).map(Receipt.to_bytes)
_cut = st.tuples(_receipts, st.integers(0, 60)).map(lambda drawn: drawn[0][: drawn[1]])


@given(st.lists(_receipts | _cut | st.sampled_from([b"", b"\x03later"]), max_size=12))
def test_all_at_once_is_one_by_one(receipts: list[bytes]) -> None:
    scores = decode_scores(b"".join(receipts), np.array([len(each) for each in receipts], np.int64))

    for number, octets in enumerate(receipts):
        try:
            receipt = Receipt.from_bytes(octets)
        except ValueError:
            continue  # cut off: nothing is said of it
        score = receipt.score if receipt else None
        if score is None:
            assert np.isnan(scores.highest[number])
        else:
            assert scores.highest[number] == score.highest
            assert scores.over[number] == (-1 if score.over is None else score.over)
            pairs = zip(scores.carriers[number], scores.percents[number], strict=True)
            assert [pair for pair in pairs if pair[0] >= 0] == list(score.carriers)


def test_more_receipts_than_are_read_at_once_keep_their_order() -> None:
    kinds = [Receipt(score=Score(float(number), number, (Carrier(number, 1),))).to_bytes() for number in range(200)]
    numbers = [number % 200 for number in range(25_003)]
    octets = [kinds[number] for number in numbers]

    scores = decode_scores(b"".join(octets), np.array([len(each) for each in octets], np.int64))

    assert scores.highest.tolist() == scores.over.tolist() == scores.carriers[:, 0].tolist() == numbers
