"""axe-core over every view, in both languages and both themes: no serious or critical fault."""

from pathlib import Path

import pytest
from browsers import Browsers, sign_in
from playwright.sync_api import Page, expect
from real_desk import CENTRE, Robot, now_us

from core.model import HelmetReport, RidingLog, Worn

AXE = (Path(__file__).parent / "vendor/axe-core/axe.min.js").read_text(encoding="utf-8")
FULL = {
    "fleet": "#duty tbody tr",
    "history": "tbody tr",
    "handover": ".brief li",
    "stats": ".bars tr",
    "channels": ".channel",
}
"""What each view shows once it has what it asked for."""


def faults(page: Page) -> list[str]:
    page.evaluate(AXE + "\nnull")
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{each['impact']} {each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(
    ("lang", "theme", "width"),
    [("zh", "dark", 1440), ("en", "light", 1440), ("zh", "light", 390), ("en", "dark", 390)],
)
def test_no_view_has_a_serious_fault_of_accessibility(
    make_desk, robot: Robot, browsers: Browsers, lang: str, theme: str, width: int
) -> None:
    desk = make_desk(robot=robot)
    begin_s = now_us() // 10**6 - 14_400
    shift = [RidingLog("SF-000002", (begin_s + k) * 10**6, "4" * 60) for k in range(0, 14_400, 60)]
    desk.report([], shift)
    page = browsers.open(
        desk.url, lang=lang, reduced_motion="reduce", viewport={"width": width, "height": 900}
    )
    page.evaluate(f"localStorage.setItem('helmetwatch.theme', '{theme}')")
    page.reload()
    expect(page.locator("#password")).to_be_visible()
    assert faults(page) == []
    page.fill("#name", "wang")
    page.fill("#password", desk.passwords["wang"])
    page.click("form .primary")
    page.mouse.move(0, 0)  # Rows hold still under the mouse, which on a phone would stand in the list.
    desk.report(
        [HelmetReport("SF-000002", now_us(), now_us(), Worn.YES, 9, 5.0, CENTRE[0] + 0.004, CENTRE[1], 5.0)]
    )
    t_us = now_us()
    desk.crash(severity=4, late=True, signal_lost=True, impacts_us=[t_us, t_us + 10**6])
    desk.crash(severity=2)
    expect(page.locator(".row")).to_have_count(2)
    assert faults(page) == []
    page.locator(".row .acknowledge").first.click()
    expect(page.locator(".row[data-state=acknowledged]")).to_have_count(1)
    page.locator(".row-open").first.click()
    for part in ("#nearby li", ".delivery", ".steps li", ".entries li"):
        expect(page.locator(part).first).to_be_visible()
    page.evaluate("document.querySelector('.evidence').open = true")
    assert faults(page) == []
    for view in FULL:
        page.evaluate(f"location.hash = 'view={view}'")
        expect(page.locator(f"#{view}")).to_be_visible()
        expect(page.locator(f"#{view} {FULL[view]}").first).to_be_visible()
        assert faults(page) == [], view
    page.keyboard.press("?")
    expect(page.locator("dialog.keys")).to_be_visible()
    assert faults(page) == []


@pytest.mark.parametrize(("lang", "theme"), [("zh", "dark"), ("en", "light")])
def test_no_dialog_has_a_serious_fault_of_accessibility(
    make_desk, robot: Robot, browsers: Browsers, lang: str, theme: str
) -> None:
    desk = make_desk(robot=robot)
    page = browsers.open(desk.url, lang=lang, reduced_motion="reduce")
    page.evaluate(f"localStorage.setItem('helmetwatch.theme', '{theme}')")
    page.reload()
    sign_in(page, "wang", desk.passwords["wang"])
    now = now_us()
    desk.report([HelmetReport("SF-000002", now, now, Worn.YES, 9, 5.0, *CENTRE, 5.0, True, ["gain"])])
    for _ in range(11):
        desk.crash(severity=2)

    def look(opened: str, shown: str, *, close: bool = True) -> None:
        page.locator(opened).first.click()
        expect(page.locator(shown).first).to_be_visible()
        assert faults(page) == [], opened
        if close:
            page.keyboard.press("Escape")
            expect(page.locator("dialog")).to_have_count(0)

    look(".narrow-button", ".narrow select", close=False)
    look(".take-all", "dialog .primary")
    page.locator(".row-open").first.click()
    page.click('[data-act="acknowledge"]')
    look('[data-act="resolve"]', "dialog .dispatched", close=False)
    look("dialog .primary", "dialog .fault:not(:empty)", close=False)
    page.click('dialog [value="road_bump"]')
    page.click("dialog .primary")
    look('[data-act="reopen"]', "dialog textarea")
    page.click('.tab[data-view="fleet"]')
    look("[data-details]", "dialog .observe-acts")
    page.click('.tab[data-view="channels"]')
    look("#drill .primary", "dialog .primary")
    look("#silences [name=preview]", "#silences .fault", close=False)
