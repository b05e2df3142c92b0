"""What the ledger keeps of messages."""

from latigo.ledger.shared import MAX_DETAIL, kept

BEGINNING, END = "b" * MAX_DETAIL, "e" * MAX_DETAIL


def test_of_a_long_message_the_beginning_is_kept_or_the_end_where_that_says_more():
    assert kept(BEGINNING + END) == BEGINNING
    assert kept(BEGINNING + END, end=True) == END
    assert kept("short") == kept("short", end=True) == "short"
