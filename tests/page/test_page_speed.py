"""A storm of ten thousand open alerts: the page shows it, and goes on working, with the nodes of a few hundred.

How fast that is on a machine is measured by `helmetwatch bench page`: a test shares its machine with others.
"""

from dataclasses import asdict, replace

from browsers import Browsers
from playwright.sync_api import expect
from real_desk import RealDesk, finding

OPEN = 10_000
NODES = 9_000
"""Far fewer than one for each alert: rows beyond the first hundred of a group are made when asked for."""
HANGS_MS = 2_000
"""A task that long is a page that hangs, on any machine."""

WATCH = """
window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((task) => task.duration)))
  .observe({ type: "longtask", buffered: true });
"""


def test_ten_thousand_open_alerts_leave_the_page_usable(desk: RealDesk, browsers: Browsers) -> None:
    for start in range(1, OPEN, 500):
        each = [replace(finding(n), trace=None, severity=1 + n % 3) for n in range(start, start + 500)]
        desk.post("detections", [asdict(found) for found in each])
    page = browsers.open(desk.url)
    page.context.add_init_script(WATCH)
    page.reload()
    page.fill("#name", "wang")
    page.fill("#password", desk.passwords["wang"])
    page.click("form .primary")
    # Ten thousand alerts are some megabytes: a machine that does other things too may take its time.
    expect(page.locator("#banner")).to_have_attribute("data-count", str(OPEN), timeout=60_000)
    page.wait_for_selector("#app[data-feed=live]")
    assert page.evaluate("document.querySelectorAll('#app *').length") < NODES
    page.keyboard.press("u")
    expect(page.locator("#incident .entries").first).to_be_visible()
    newest = desk.crash(incident="f" * 32, severity=4)
    expect(page.locator("#banner")).to_have_attribute("data-count", str(OPEN + 1))
    page.keyboard.press("n")
    expect(page.locator(".row").first).to_have_attribute("data-id", newest.incident)
    page.click('[data-filter="now"]')
    page.click('.tab[data-view="handover"]')
    expect(page.locator("#handover .brief li").first).to_be_visible()
    page.click('.tab[data-view="fleet"]')
    expect(page.locator('[data-ride="alert"] b')).to_have_text(str(OPEN + 1))
    assert page.evaluate("document.querySelectorAll('#app *').length") < NODES
    assert max(page.evaluate("tasks"), default=0) < HANGS_MS
