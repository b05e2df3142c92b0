"""What changes while a page is open: it is shown without a reload, in its place, and not while it is paused."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.support.browser import Visitor, breaches, eventually_true
from tests.support.populated import TOKEN, Populated

Visit = Callable[[str], Visitor]
MODEL = "unit-0004-turbine"
#: The slots before the newest one that is due are lost, and then predicted: as the executor settles them.
_LOSE = f"""
UPDATE coverage c SET covered = covered - tstzmultirange(tstzrange(due - 3 * slot, due - 2 * slot))
FROM (SELECT *, date_bin(slot, now() - delay, 'epoch') AS due FROM model WHERE name = '{MODEL}') m
WHERE c.model_id = m.id
"""
_SETTLE = f"""
WITH one AS (SELECT *, date_bin(slot, now() - delay, 'epoch') AS due FROM model WHERE name = '{MODEL}'),
settled AS (
    UPDATE coverage c SET covered = covered + tstzmultirange(tstzrange(due - 3 * slot, due - 2 * slot))
    FROM one WHERE c.model_id = one.id RETURNING one.*
)
INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, rows, covered,
                          planned_at, claimed_at, settled_at)
SELECT 1, id, revision, 1, tstzrange(due - 3 * slot, due - 2 * slot), 'live', 'stored', 0, 1, 3, '30 minutes', now(),
       now(), now() FROM settled
"""
#: The state of the cell that the statements above are about: the fourth from the end is in progress or not due.
_STATES = f"""() => {{
  const {{ shape, cells }} = latigoGrid, row = shape.names.indexOf("{MODEL}");
  return [...cells.subarray(row * shape.columns, (row + 1) * shape.columns)].join("");
}}"""
#: An executor that has stopped a while ago, and is not forgotten yet.
_FROZEN = """
INSERT INTO executor (id, version, envelope_low, envelope_high, concurrency, started_at, seen_at)
VALUES ('frozen', '0.1.0', 1, 2, 8, now() - interval '1 hour', now() - interval '35 seconds')
"""
_MISSING, _COVERED = "6", "1"


def states(page: Page) -> str:
    """The states of the model's cells, a digit each."""
    return str(page.evaluate(_STATES))


def test_a_cell_changes_when_its_slot_is_predicted(visit: Visit, small: Populated) -> None:
    small.run(_LOSE)
    page = visit(small.url).page("/models?range=6h&zoom=16&order=name")
    page.evaluate("window.stays = true")
    rows = page.evaluate("latigoGrid.shape.names")
    before = states(page)
    assert _MISSING in before
    expect(page.locator(".mark")).to_contain_text("live")

    # Only an event makes a page ask for them. A server on a busy machine makes grids anew a tenth of its time.
    with page.expect_request(re.compile("/grid/rows"), timeout=180_000):
        small.run(_SETTLE)

    eventually_true(page, f"(before) => ({_STATES})() !== before", before)
    after = states(page)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [(_MISSING, _COVERED)]
    assert page.evaluate("window.stays") is True
    assert page.evaluate("latigoGrid.shape.names") == rows
    drawn = page.evaluate(
        """() => {
          const { canvas, cell } = latigoGrid;
          return new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size;
        }"""
    )
    assert drawn > 3


def test_nothing_changes_while_live_updates_are_paused(visit: Visit, small: Populated) -> None:
    small.run(_SETTLE)
    page = visit(small.url).page("/models?range=6h&zoom=16&order=name")
    page.keyboard.press("p")
    expect(page.locator(".mark")).to_contain_text("paused")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    before = states(page)

    small.run(_LOSE)
    other = visit(small.url).page("/models?range=6h&order=name")  # sees it as soon as the server does
    eventually_true(other, f"(before) => ({_STATES})() !== before", before)

    assert states(page) == before
    assert asked == []
    page.keyboard.press("p")
    eventually_true(page, f"(before) => ({_STATES})() !== before", before)


def test_an_executor_that_is_not_seen_any_more_stands_out(visit: Visit, small: Populated) -> None:
    small.run(_FROZEN)
    page = visit(small.url).page("/queue")
    row = page.locator(".executors tbody tr", has_text="frozen")
    expect(row).to_contain_text(re.compile(r"▲ not seen for \d+ (s|min)"))
    expect(page.locator(".executors tbody tr", has_not_text="frozen")).to_contain_text(
        re.compile(r"\d s ago|\d ms ago")
    )


def test_what_is_wrong_is_followed_by_keys_to_its_action_and_back(visit: Visit, small: Populated) -> None:
    visitor = visit(small.url)
    visitor.offline = True  # the first request has no token
    page = visitor.page("/")
    for name, role in (("Failures →", "link"), ("Release…", "button")):
        wanted = page.locator("main").get_by_role(role, name=name).first  # type: ignore[arg-type]  # a role
        expect(wanted).to_be_visible()
        for _ in range(60):
            if wanted.evaluate("(node) => node === document.activeElement"):
                break
            page.keyboard.press("Tab")
        expect(wanted).to_be_focused()
        page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Token needed").get_by_label("Token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Release: Every attempt has failed?")
    expect(dialog.get_by_label("Why")).to_be_focused()
    expect(dialog).to_contain_text(re.compile(r"\d+ models?\. Tried again: \d+ parked windows?"))
    assert breaches(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Release…").first).to_be_focused()


def test_a_stream_that_ends_is_opened_again(visit: Visit, small: Populated) -> None:
    visitor = visit(small.url)
    page = visitor.page("/models?range=6h")
    expect(page.locator(".mark")).to_contain_text("live")
    visitor.offline = True
    page.context.set_offline(True)
    page.evaluate("latigoGrid.node.dataset.stays = 1")
    expect(page.get_by_role("alert")).to_contain_text("Latigo cannot be reached")
    expect(page.locator(".verdict")).to_contain_text(re.compile("Unknown.*Last known at"))
    expect(page.locator(".panel.models.stale")).to_have_count(1)
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".panel.stale")).to_have_count(0)
    expect(page.locator(".mark")).to_contain_text(re.compile("live|polling"))
    assert page.evaluate("latigoGrid.node.dataset.stays") == "1"
