"""A shift at the desk: sign in, hear of an alert, take it, call, resolve it, and see what colleagues do."""

import re
from dataclasses import asdict, replace

from browsers import Browsers, sign_in
from playwright.sync_api import Page, expect
from real_desk import RealDesk, now_us

from core.model import Stage

COUNT_TONES = """
window.tones = [];
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (at) { window.tones.push(this.frequency.value); return start.call(this, at); };
null;
"""


def row(page: Page, number: int):
    return page.locator(f'.row[data-id="{number:032x}"]')


def ids(page: Page) -> list[str]:
    return page.locator(".row").evaluate_all("rows => rows.map((row) => row.dataset.id)")


def test_a_wrong_password_is_told_and_a_right_one_opens_the_desk(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.open(desk.url)
    page.click("form .primary")
    expect(page.locator(".fault")).to_have_text("请填写用户名和密码。")
    page.fill("#name", "wang")
    page.fill("#password", "wrong")
    page.click("form .primary")
    expect(page.locator(".fault")).to_have_text("用户名或密码不对。")
    sign_in(page, "wang", desk.passwords["wang"])
    expect(page.locator(".person")).to_contain_text("王芳")
    expect(page.locator("#banner")).to_contain_text("没有待认领的报警")
    page.click("#sign-out")
    expect(page.locator("#password")).to_be_visible()
    page.reload()
    expect(page.locator("#password")).to_be_visible()


def test_a_session_that_ends_elsewhere_brings_the_sign_in_form_and_says_so(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    other = page.context.new_page()
    browsers.watch(other)
    other.goto(desk.url)
    other.click("#sign-out")
    expect(page.locator(".fault")).to_contain_text("登录已过期")


def with_sound(desk: RealDesk, browsers: Browsers) -> Page:
    """A page of somebody who has signed in, with its sound on and its tones counted."""
    page = browsers.open(desk.url)
    page.evaluate(COUNT_TONES)
    sign_in(page, "wang", desk.passwords["wang"])
    expect(page.locator("#app")).to_have_attribute("data-sound", "on")
    return page


def test_a_new_alert_appears_by_itself_is_counted_and_sounds_until_taken(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = with_sound(desk, browsers)
    page.evaluate("tones.length = 0")
    desk.crash(severity=3)
    expect(page.locator("#banner")).to_have_attribute("data-count", "1")
    expect(page.locator("#banner")).to_contain_text("1 起报警无人认领")
    expect(row(page, 1)).to_contain_text("张三")
    expect(row(page, 1)).to_contain_text("≥ 严重")
    expect(row(page, 1)).to_contain_text("头部撞击第 1 号")
    expect(page.locator("#announce")).to_contain_text("张三")
    page.wait_for_function("() => tones.length >= 6 && tones.every((hertz) => hertz === 880)")
    page.wait_for_function("() => document.title === '●●● 有报警 ●●●'")
    page.wait_for_function("() => document.title.startsWith('【1 起无人认领】')")
    desk.crash(severity=4)
    page.wait_for_function("() => tones.includes(980)")
    for number in (1, 2):
        row(page, number).locator(".acknowledge").click()
        expect(row(page, number)).to_have_attribute("data-state", "acknowledged")
    expect(page.locator("#banner")).to_have_attribute("data-count", "0")
    expect(page).to_have_title("头盔守望")


def test_who_has_an_alert_keeps_it_when_it_turns_out_worse_and_hears_of_it(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = with_sound(desk, browsers)
    first = desk.crash(severity=3)
    row(page, 1).locator(".acknowledge").click()
    expect(row(page, 1)).to_have_attribute("data-state", "acknowledged")
    page.evaluate("tones.length = 0")
    desk.post("detections", [asdict(replace(first, version=2, severity=4))])
    expect(row(page, 1)).to_contain_text("危急")
    expect(page.locator("#announce")).to_contain_text("加重为≥ 危急：张三")
    page.wait_for_function("() => tones.filter((hertz) => hertz === 980).length === 3")
    expect(row(page, 1)).to_have_attribute("data-state", "acknowledged")
    expect(page.locator("#banner")).to_have_attribute("data-count", "0")


def test_a_page_that_may_not_sound_says_so_until_someone_clicks_and_muting_is_visible(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    page.reload()
    expect(page.locator(".sound")).to_contain_text("声音未开启")
    page.click("#sound")
    expect(page.locator(".sound")).to_contain_text("声音已开")
    page.keyboard.press("m")
    expect(page.locator(".sound")).to_contain_text("已静音")
    page.keyboard.press("m")
    expect(page.locator(".sound")).to_contain_text("声音已开")


def test_an_alert_taken_in_one_browser_is_seen_in_another_and_cannot_be_taken_twice(
    desk: RealDesk, browsers: Browsers
) -> None:
    wang, li = browsers.signed_in(desk, "wang"), browsers.signed_in(desk, "li", at="filter=all")
    desk.crash()
    expect(row(li, 1)).to_be_visible()
    # The feed of this browser is held, so that it does not know yet what happens meanwhile.
    li.route("**/acknowledge", lambda route: (take(wang), route.continue_()))

    def take(page: Page) -> None:
        row(page, 1).locator(".acknowledge").click()
        expect(row(page, 1)).to_have_attribute("data-state", "acknowledged")

    row(li, 1).locator(".acknowledge").click()
    expect(li.locator("#toasts")).to_contain_text("王芳 已经认领了")
    expect(row(li, 1)).to_contain_text("王芳")
    expect(li.locator("#banner")).to_have_attribute("data-count", "0")
    li.click('[data-filter="mine"]')
    expect(row(li, 1)).to_have_count(0)
    wang.click('[data-filter="mine"]')
    expect(row(wang, 1)).to_be_visible()


def test_what_a_colleague_has_is_taken_over_by_asking_once_and_both_see_who_has_it(
    desk: RealDesk, browsers: Browsers
) -> None:
    wang, li = browsers.signed_in(desk, "wang"), browsers.signed_in(desk, "li", at="filter=all")
    desk.crash()
    row(wang, 1).locator(".acknowledge").click()
    expect(row(li, 1)).to_have_attribute("data-state", "acknowledged")
    row(li, 1).locator(".row-open").click()
    li.click('[data-act="take_over"]')
    expect(li.locator("dialog")).to_contain_text("王芳 正在处理。由您接手吗？")
    li.click("dialog .primary")
    expect(li.locator("#toasts")).to_contain_text("已由您认领")
    expect(li.locator(".incident-state .owner")).to_have_text("李明")
    expect(li.locator(".timeline")).to_contain_text("原认领人：王芳")
    # Nobody takes over what is theirs.
    expect(li.locator('[data-act="take_over"]')).to_be_hidden()
    wang.mouse.move(5, 5)
    expect(row(wang, 1)).to_have_count(0)


def test_resolving_needs_a_reason_and_other_needs_a_note_and_what_is_closed_can_open_again(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    row(page, 1).locator(".row-open").click()
    page.click('[data-act="acknowledge"]')
    page.click('[data-act="resolve"]')
    page.click("dialog .primary")
    expect(page.locator("dialog .fault")).to_have_text("请选一个结果。")
    page.click('dialog [value="other"]')
    page.click("dialog .primary")
    expect(page.locator("dialog .fault")).to_contain_text("必须写备注")
    page.fill("dialog textarea", "骑手说踩到坑了")
    page.click("dialog .primary")
    expect(page.locator("#incident")).to_have_attribute("data-state", "resolved")
    expect(page.locator(".timeline")).to_contain_text("骑手说踩到坑了")
    page.click('[data-filter="closed"]')
    expect(row(page, 1)).to_have_attribute("data-state", "resolved")
    page.click('[data-act="reopen"]')
    page.fill("dialog textarea", "电话没人接")
    page.click("dialog .primary")
    expect(page.locator("#incident")).to_have_attribute("data-state", "open")
    expect(page.locator("#banner")).to_have_attribute("data-count", "1")


def test_the_whole_of_it_works_with_the_keyboard_alone(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    desk.crash(severity=2)
    desk.crash(severity=3)
    expect(page.locator(".row")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator("#incident .incident-why")).to_contain_text("第 2 号")
    page.keyboard.press("a")
    expect(page.locator("#incident")).to_have_attribute("data-state", "acknowledged")
    page.keyboard.press("r")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("dialog .fault")).to_contain_text("是否派了人")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#incident")).to_have_attribute("data-state", "resolved")
    expect(page.locator(".incident-state")).to_contain_text("没有派人")
    page.keyboard.press("u")
    expect(page.locator("#incident .incident-why")).to_contain_text("第 1 号")
    page.keyboard.press("Escape")
    expect(page.locator("#incident")).not_to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("dialog.keys")).to_be_visible()


def test_an_incident_keeps_its_times_apart_and_shows_phone_place_trace_and_why(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    t_us = now_us() - 842_000_000
    desk.crash(late=True, occurred_us=t_us, impacts_us=[t_us, t_us + 900_000], received_us=t_us + 840_000_000)
    row(page, 1).locator(".row-open").click()
    expect(page.locator(".note.late")).to_contain_text(re.compile(r"14 分 \d\d 秒前发生，\d+ 秒前才送达"))
    expect(page.locator(".incident-rider .phone")).to_have_attribute("href", "tel:+8613800000001")
    expect(page.locator(".times tr")).to_have_count(8)
    expect(page.locator(".times tr").nth(2)).to_contain_text("+14 分 00 秒")
    expect(page.locator(".times")).to_contain_text("UTC+8")
    expect(page.locator(".plot")).to_have_attribute("aria-label", "加速度: 峰值 12.0 g")
    expect(page.locator(".place-card")).to_contain_text("WGS-84")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click(".place-card button")
    expect(page.locator("#toasts")).to_contain_text("已复制")
    assert page.evaluate("navigator.clipboard.readText()") == "22.543100, 114.057900"
    expect(page.locator(".incident-late")).to_contain_text("2 次撞击")
    page.click(".evidence summary")
    expect(page.locator(".evidence")).to_contain_text("peak_g")


def test_a_pending_alert_counts_down_and_the_rider_takes_it_back(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk, at="filter=all")
    found = desk.crash(stage=Stage.FAST)
    expect(row(page, 1).locator(".countdown")).to_have_text(re.compile(r"骑手可取消 \d\d 秒"))
    expect(page.locator("#banner")).to_have_attribute("data-count", "1")
    event = {"helmet": found.helmet, "type": "ok", "t_us": now_us(), "received_us": now_us()}
    desk.post("events", [event])
    expect(row(page, 1)).to_have_attribute("data-state", "cancelled")
    expect(page.locator("#banner")).to_have_attribute("data-count", "0")
    desk.post(
        "detections", [asdict(replace(found, version=2, impacts_us=[found.occurred_us, now_us() + 10**6]))]
    )
    expect(row(page, 1)).to_have_attribute("data-state", "open")
    expect(page.locator("#banner")).to_have_attribute("data-count", "1")


AGAIN_AND_AGAIN = """
async ([name, password]) => {
  const found = async (selector) => {
    while (!document.querySelector(selector)) await new Promise((done) => setTimeout(done, 50));
    return document.querySelector(selector);
  };
  for (let times = 0; times < 5; times += 1) {
    (await found("#sign-out")).click();
    (await found("#name")).value = name;
    (await found("#password")).value = password;
    (await found("form .primary")).click();
    (await found('.tab[data-view="fleet"]')).click();
    await found("#app[data-feed=live] #fleet .leaflet-container");
    (await found('.tab[data-view="alerts"]')).click();
    (await found(".row-open")).click();
    await found("#incident .leaflet-container");
  }
}
"""


def test_a_page_that_signs_in_again_and_again_keeps_nothing_of_the_times_before(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    # By the page's own means: what a test clicks on is kept by the debugger.
    page.evaluate(AGAIN_AND_AGAIN, ["wang", desk.passwords["wang"]])
    browser = page.context.new_cdp_session(page)

    def alive(name: str, module: str) -> int:
        expression = f"import('/static/{module}.js').then((module) => module.{name}.prototype)"
        found = browser.send("Runtime.evaluate", {"expression": expression, "awaitPromise": True})
        kept = browser.send("Runtime.queryObjects", {"prototypeObjectId": found["result"]["objectId"]})
        count = {
            "objectId": kept["objects"]["objectId"],
            "functionDeclaration": "function () { return this.length; }",
            "returnByValue": True,
        }
        found = browser.send("Runtime.callFunctionOn", count)
        browser.send("Runtime.releaseObject", {"objectId": kept["objects"]["objectId"]})
        return int(found["result"]["value"])

    for name, module in (
        ("Queue", "queue"),
        ("Incident", "incident"),
        ("FleetMap", "fleet"),
        ("Store", "store"),
    ):
        # What is on the page, what signing in by hand left with the debugger, and one that the browser still holds; six
        # have been there. Timers of seconds may still run.
        for _ in range(60):
            if alive(name, module) <= 3:
                break
            page.wait_for_timeout(250)
        assert alive(name, module) <= 3, name


def test_a_page_whose_feed_never_came_sounds_that_it_hears_nothing(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.open(desk.url)
    page.evaluate(COUNT_TONES)
    page.clock.install()
    page.route("**/api/v1/feed", lambda route: route.abort())
    page.fill("#name", "wang")
    page.fill("#password", desk.passwords["wang"])
    page.click("form .primary")
    expect(page.locator("#health")).to_contain_text("连不上，正在重试")
    assert 400 not in page.evaluate("tones")
    page.clock.run_for(11_000)
    page.wait_for_function("() => tones.includes(400) && tones.includes(300)")
