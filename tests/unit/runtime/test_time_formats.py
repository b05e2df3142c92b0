"""Formats of times: which ones are refused, and which one is proposed for a cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.runtime.time_formats import TimeFormat, suggest_format


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "neither a format"),
        ("iso", "neither a format"),
        ("%d.%m %H:%M", "one year"),
        ("%H:%M:%S", "one year"),
        ("%Y %y-%m-%d", "one year"),
        ("%Y-%m", "the day of one year"),
        ("%Y-%d", "the day of one year"),
        ("%Y-%j-%d-%m", "the day of one year"),
        ("%Y-%j %m", "no other day"),
        ("%Y-%m-%b-%d", "one month"),
        ("%Y-%m-%d %I:%M", "%I and %p"),
        ("%Y-%m-%d %H:%M %p", "%I and %p"),
        ("%Y-%m-%d %H %I %p", "one hour"),
        ("%Y-%m-%d %M", "an hour"),
        ("%Y-%m-%d %H:%S", "minutes"),
        ("%Y-%m-%d %H:%M.%f", "seconds"),
        ("%Y-%m-%d %z", "offset"),
        ("%d.%m.%Y %d", "the day twice"),
        ("%s %z", "seconds since 1970"),
        ("%d.%m.%Y %Q", "directive %Q"),
        ("%d.%m.%Y %", "single %"),
    ],
)
def test_a_format_that_names_no_moment_is_refused(text: str, problem: str):
    with pytest.raises(ValueError, match=problem):
        TimeFormat.of(text)


@given(st.text(alphabet="%YymdHIMSfpzZjsbBaATFR-./: \n\\()[]ü", max_size=12))
def test_any_text_is_a_format_or_refused(text: str):
    try:
        form = TimeFormat.of(text)
    except ValueError:
        return
    assert not form.matches("")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["01.03.2026 00:00"], "%d.%m.%Y %H:%M"),
        (["1.3.2026 0:00:00"], "%d.%m.%Y %H:%M:%S"),
        (["01.03.26 00.00"], "%d.%m.%y %H.%M"),
        (["3/1/2026 12:00:00 AM"], "%m/%d/%Y %I:%M:%S %p or %d/%m/%Y %I:%M:%S %p"),
        (["01/26/2026 02:05:00 PM"], "%m/%d/%Y %I:%M:%S %p"),
        (["01/03/2026"], "%m/%d/%Y or %d/%m/%Y"),
        (["01/03/2026", "13/03/2026"], "%d/%m/%Y"),
        (["01-03-2026 10:00"], "%m-%d-%Y %H:%M or %d-%m-%Y %H:%M"),
        (["2026/03/01 00:00:00.000"], "%Y/%m/%d %H:%M:%S.%f"),
        (["2026/03/01 00:00:00 +0100"], "%Y/%m/%d %H:%M:%S %z"),
        (["01.03.2026 00:00:00.000+01:00"], "%d.%m.%Y %H:%M:%S.%f%z"),
        (["01-Mar-2026 00:00:00"], "%d-%b-%Y %H:%M:%S"),
        (["01-MAR-26 00:00"], "%d-%b-%y %H:%M"),
        (["Mar 1, 2026 10:30"], "%b %d, %Y %H:%M"),
        (["March 1, 2026 10:30 PM"], "%B %d, %Y %I:%M %p"),
        (["Sun Mar  1 00:00:00 2026"], "%a %b %d %H:%M:%S %Y"),
        (["20260301"], "%Y%m%d"),
        (["20260301120000"], "%Y%m%d%H%M%S"),
        (["46082.5", "46083"], "excel"),
        (["46082,5"], "excel"),
        (["noon"], None),
        (["Bad"], None),
        (["01.03.2026 00:00", "noon"], None),
        ([" ", ""], None),
        ([], None),
        (["%d.%m.%Y"], None),
    ],
)
def test_a_format_is_proposed_for_common_cells(cells: list[str], expected: str | None):
    assert suggest_format(cells) == expected


@given(st.text(max_size=40))
def test_any_cell_has_a_proposal_that_is_a_format_or_none(cell: str):
    proposal = suggest_format([cell])
    for text in proposal.split(" or ") if proposal and proposal != "excel" else []:
        assert TimeFormat.of(text).matches(" ".join(cell.split()))
