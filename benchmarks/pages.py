"""The pages in a browser: how soon they are there with 9000 models, what a step of scrolling costs, and what is sent.

The system's Chromium, headless and without a graphics card, which is the slowest that an operator can have. Times are
by the clock, and the best of several where the machine may be busy; of the worst steps of several walks, the best.
"""

import shutil
from collections.abc import Sequence

from playwright.async_api import Browser, Page, async_playwright, expect

from benchmarks.report import Row

ROUNDS = 5
STEPS = 100
#: Milliseconds.
OVERVIEW_LIMIT = 300.0
GRID_LIMIT = 1500.0
STEP_LIMIT = 16.0
#: Kilobytes that are sent for a first paint, compressed, without the library of charts.
SENT_LIMIT = 40.0
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
_STATUS = """async () => {
  const began = performance.now();
  await (await fetch("api/v1/status")).arrayBuffer();
  return performance.now() - began;
}"""
#: Resolves once there is a grid, with the milliseconds since navigation.
_GRID = """async () => {
  while (!window.latigoGrid?.shape) await new Promise((done) => setTimeout(done, 5));
  return performance.now();
}"""
#: Returns the milliseconds of each step, of which a frame has one, as when a person scrolls.
_SCROLL = """async (steps) => {
  const times = [];
  for (let step = 0; step < steps; step += 1) {
    latigoGrid.node.scrollTop = step * 120;
    await new Promise(requestAnimationFrame);
    times.push(latigoGrid.draw());
  }
  return times;
}"""
_SENT = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .filter(({ name, entryType }) => entryType === "navigation" || (name.includes("/static/") && !name.includes("uPlot")))
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0) / 1e3"""


async def measure_pages(address: str) -> list[Row]:
    """Return the rows of a server of 9000 models; none where there is no browser."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        return []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        try:
            return [
                await _overview(browser, address),
                await _grid(browser, address),
                *await _steps(browser, address),
                await _sent(browser, address),
            ]
        finally:
            await browser.close()


async def _page(browser: Browser, url: str) -> Page:
    page = await browser.new_page(viewport={"width": 1400, "height": 900})
    await page.goto(url)
    return page


def _row(what: str, measured: float, limit: float, unit: str) -> Row:
    return Row(what, f"{measured:.0f} {unit}", f"<= {limit:g} {unit}", measured / limit, at_most=1)


async def _overview(browser: Browser, address: str) -> Row:
    page = await _page(browser, f"{address}settings")
    await page.keyboard.press("p")  # while a page is live, the server has an answer at hand
    times: list[float] = []
    for _ in range(ROUNDS):
        await page.wait_for_timeout(5100)  # for so long an answer is shared
        times.append(await page.evaluate(_STATUS))
    await page.close()
    return _row("page of 9000 models, overview's status asked for anew", min(times), OVERVIEW_LIMIT, "ms")


async def _grid(browser: Browser, address: str) -> Row:
    times: list[float] = []
    for _ in range(ROUNDS):
        page = await _page(browser, f"{address}models?range=7d")
        times.append(await page.evaluate(_GRID))
        await page.close()
    return _row("page of 9000 models, heat map of 7 d ready after navigation", min(times), GRID_LIMIT, "ms")


async def _steps(browser: Browser, address: str) -> Sequence[Row]:
    rows = []
    for zoom in (3, 8, 16):
        page = await _page(browser, f"{address}models?range=7d&zoom={zoom}")
        await page.evaluate(_GRID)
        await page.evaluate(_SCROLL, STEPS)
        worst = min([max(await page.evaluate(_SCROLL, STEPS)) for _ in range(ROUNDS)])
        rows.append(
            _row(f"heat map of 9000 models, worst of {STEPS} scroll steps at {zoom} px", worst, STEP_LIMIT, "ms")
        )
        await page.close()
    return rows


async def _sent(browser: Browser, address: str) -> Row:
    sizes = []
    for path in ("", "models", "models?view=table", "anomalies", "failures", "backfills", "queue", "settings"):
        page = await _page(browser, address + path)
        await expect(page.locator("main > *").first).to_be_visible()
        await expect(page.locator("[aria-busy=true]")).to_have_count(0)
        sizes.append(await page.evaluate(_SENT))
        await page.close()
    return _row("largest first paint of a screen, sent", max(sizes), SENT_LIMIT, "kB")
