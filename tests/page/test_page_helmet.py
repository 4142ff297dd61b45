"""One helmet on the page: faults of its sensors in words, and keeping every sample of it for a while."""

from dataclasses import replace

from browsers import Browsers
from playwright.sync_api import expect
from real_desk import CENTRE, RealDesk, now_us

from core.model import HelmetReport, Worn
from detectors.health import FAULTS


def helmet(number: int, faults: list[str]) -> HelmetReport:
    now = now_us()
    made = HelmetReport(f"SF-{number:06d}", now, now, Worn.YES, 80, 5.0, *CENTRE, 5.0)
    return replace(made, faults=faults)


def test_the_fleet_table_says_which_sensors_are_faulty_in_words(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    desk.report([helmet(1, []), helmet(2, ["stuck_axis", "gyro_dead"]), helmet(3, ["unheard_of"])])
    page.click('.tab[data-view="fleet"]')
    expect(page.locator('[data-trouble="faulty"] .count')).to_have_text("2")
    page.click('[data-trouble="faulty"]')
    expect(page.locator("#helmets tbody tr")).to_have_count(2)
    expect(page.locator('[data-helmet="SF-000002"]')).to_contain_text("一个轴不动、陀螺仪无信号")
    # A fault this page has no words for is shown by its name rather than hidden.
    expect(page.locator('[data-helmet="SF-000003"]')).to_contain_text("unheard_of")
    words = page.evaluate("async () => Object.keys((await import('/static/words.js')).WORDS)")
    assert {f"fault.{name}" for name in FAULTS} <= set(words)


def test_a_helmet_is_put_under_observation_and_everybody_sees_it_until_it_is_ended(
    desk: RealDesk, browsers: Browsers
) -> None:
    page, other = browsers.signed_in(desk), browsers.signed_in(desk, "li")
    desk.report([helmet(1, []), helmet(2, ["frozen"])])
    for each in (page, other):
        each.click('.tab[data-view="fleet"]')
    page.click('[data-details="SF-000002"]')
    dialog = page.locator("dialog.helmet")
    expect(dialog).to_contain_text("加速度读数冻结")
    expect(dialog).to_contain_text("是谁要求的会记录下来")
    dialog.locator("[name=observe]").click()
    expect(dialog.locator(".observed")).to_contain_text("观察中，还有 1 小时 59 分（王芳）")
    expect(other.locator('[data-helmet="SF-000002"]')).to_contain_text("观察中")
    expect(other.locator('[data-trouble="observed"] .count')).to_have_text("1")
    dialog.locator("[name=unobserve]").click()
    expect(dialog.locator(".entries")).to_contain_text("王芳 结束观察")
    expect(other.locator('[data-trouble="observed"] .count')).to_have_text("0")
    dialog.locator("[name=samples]").click()
    expect(page.locator("#toasts")).to_contain_text("没有")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
