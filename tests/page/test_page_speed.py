"""A storm of ten thousand open alerts: the page is painted within a second and never stands still for long."""

from dataclasses import asdict, replace

from browsers import Browsers
from playwright.sync_api import expect
from real_desk import RealDesk, finding

OPEN = 10_000
LONGEST_MS = 200
PAINT_MS = 1000

WATCH = """
window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((task) => task.duration)))
  .observe({ type: "longtask", buffered: true });
"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def test_ten_thousand_open_alerts_leave_the_page_quick(desk: RealDesk, browsers: Browsers) -> None:
    for start in range(1, OPEN, 500):
        each = [replace(finding(n), trace=None, severity=1 + n % 3) for n in range(start, start + 500)]
        desk.post("detections", [asdict(found) for found in each])
    page = browsers.signed_in(desk)
    page.context.add_init_script(WATCH)
    page.reload()
    expect(page.locator("#banner")).to_have_attribute("data-count", str(OPEN))
    paint_ms = page.evaluate(PAINT)
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
    longest_ms = max(page.evaluate("tasks"), default=0)
    assert paint_ms < PAINT_MS
    assert longest_ms < LONGEST_MS
