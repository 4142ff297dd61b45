"""Reading the page: both languages, text from outside, AA contrast, and a phone."""

import re

import pytest
from browsers import Browsers
from playwright.sync_api import expect
from real_desk import RealDesk, now_us


def test_the_language_is_switched_everywhere_and_remembered(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator(".row .acknowledge")).to_have_text("认领 Acknowledge")
    page.click("#language")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator(".row")).to_contain_text("Head strike number 1")
    expect(page.locator("#banner")).to_contain_text("1 alert waiting")
    chinese = re.compile("[一-鿿]")
    names = {"王芳", "张三", "中文"}
    texts = page.evaluate("document.getElementById('app').innerText.split('\\n')")
    left = [text for text in texts if chinese.search(re.sub("|".join(names), "", text))]
    assert left == [], "words that were not translated"
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator(".row")).to_contain_text("Head strike number 1")


def test_text_from_outside_never_becomes_markup(make_desk, browsers: Browsers) -> None:
    evil = "<img src=x onerror=window.hacked=1>"
    desk = make_desk(riders=f"SF-000009,{evil},+861,\n")
    page = browsers.signed_in(desk)
    desk.crash(helmet="SF-000009", reason_zh=evil, features={evil: 1.0})
    page.locator(".row-open").click()
    expect(page.locator(".incident-why")).to_contain_text(evil)
    expect(page.locator(".rider")).to_have_text(evil)
    page.click(".evidence summary")
    expect(page.locator(".evidence")).to_contain_text(evil)
    assert page.locator("#app img").count() == 0
    assert page.evaluate("window.hacked") is None


CONTRAST = """
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (node) => {
    if (!node) return [255, 255, 255, 1];
    const own = rgba(getComputedStyle(node).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(node.parentElement));
  };
  const light = (c) => { const l = c.slice(0, 3).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
    if (!text || !node.checkVisibility({ opacityProperty: true })) continue;
    const style = getComputedStyle(node), below = ground(node), ink = rgba(style.color);
    for (let up = node; up; up = up.parentElement) ink[3] *= getComputedStyle(up).opacity;
    const [a, b] = [light(over(ink, below)), light(below)].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return faint;
}
"""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_word_has_the_contrast_that_wcag_aa_asks_for(
    desk: RealDesk, browsers: Browsers, theme: str
) -> None:
    page = browsers.open(desk.url, at="filter=all", reduced_motion="reduce")
    page.evaluate(f"localStorage.setItem('helmetwatch.theme', '{theme}')")
    page.reload()
    expect(page.locator("#password")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    page.fill("#name", "wang")
    page.fill("#password", desk.passwords["wang"])
    page.click("form .primary")
    for severity in (1, 2, 3, 4):
        found = desk.crash(severity=severity, late=severity == 2, signal_lost=severity == 3)
    expect(page.locator(".row")).to_have_count(4)
    page.locator(".row .acknowledge").nth(1).click()
    expect(page.locator('.row[data-state="acknowledged"]')).to_have_count(1)
    desk.post("events", [{"helmet": found.helmet, "type": "ok", "t_us": now_us(), "received_us": now_us()}])
    expect(page.locator(".row.final")).to_have_count(3)
    for severity in (1, 2, 3, 4):
        page.mouse.move(5, 5)
        worst = desk.crash(severity=severity)
        page.locator(f'.row[data-id="{worst.incident}"] .row-open').click()
        expect(page.locator("#incident .entries")).to_be_visible()
        assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_phone_shows_everything_without_scrolling_sideways(
    desk: RealDesk, browsers: Browsers, lang: str
) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "lang": lang}
    page = browsers.signed_in(desk, **phone)
    desk.crash(reason_zh="很长" * 120, reason_en="W" * 300, late=True, signal_lost=True)
    page.locator(".row-open").tap()
    expect(page.locator("#incident .plot")).to_be_visible()
    for view in ("incident", "list", "fleet", "history", "handover", "stats", "channels"):
        if view == "list":
            page.locator(".back").tap()
        if view not in ("list", "incident"):
            page.locator(f'.tab[data-view="{view}"]').tap()
        expect(page.locator(f'.desk[data-view="{view}"]')).to_be_visible()
        wide = page.evaluate(
            """[...document.querySelectorAll("#app *")].filter((node) => node.checkVisibility()
               && !node.closest(".filters, .tabs, .map, .plot, .scroll, .scroll-x") && node.getBoundingClientRect().right > 391).map((node) => node.className)"""
        )
        assert wide == []
