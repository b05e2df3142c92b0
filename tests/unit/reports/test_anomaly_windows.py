"""Windows of receipts, in whichever order the ledger sends them."""

import numpy as np

from latigo.domain.receipt import Receipt, Score
from latigo.reports.anomaly_windows import HEAD, Windows


def sent(*settled: int) -> tuple[bytes, bytes]:
    """Receipts of one model, settled at these times; each has that time as its score."""
    receipts = [Receipt(score=Score(float(time), 0)).to_bytes() for time in settled]
    heads = np.zeros(len(settled), HEAD)
    heads["settled"], heads["epoch"], heads["rows"] = settled, 1, 3
    heads["octets"] = [len(each) for each in receipts]
    return heads.tobytes(), b"".join(receipts)


def test_windows_stand_in_the_order_in_which_they_were_settled() -> None:
    windows = Windows.of([sent(30, 10), sent(20, 40)], [0, 0])

    assert windows.scores.highest.tolist() == [10, 20, 30, 40]
    assert windows.model.tolist() == [0, 1, 0, 1]
