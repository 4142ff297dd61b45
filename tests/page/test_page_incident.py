"""What an incident shows besides the first look: the checklist, who was told, every impact, names for the numbers."""

import re
from dataclasses import replace

from browsers import Browsers
from playwright.sync_api import Page, expect
from real_desk import RealDesk, Robot, now_us

from core.model import Worn


def open_first(page: Page) -> None:
    page.locator(".row-open").first.click()
    expect(page.locator("#incident .entries").first).to_be_visible()


def test_a_tick_on_the_checklist_is_seen_by_everybody_with_a_name_and_can_be_taken_back(
    desk: RealDesk, browsers: Browsers
) -> None:
    wang, li = browsers.signed_in(desk, "wang"), browsers.signed_in(desk, "li", lang="en")
    desk.crash()
    for page in (wang, li):
        open_first(page)
        expect(page.locator(".steps li")).to_have_count(5)
        expect(page.locator(".steps li.next")).to_have_count(1)
    wang.check("#step-rider")
    expect(li.locator("#step-rider")).to_be_checked()
    expect(li.locator(".steps li").first).to_contain_text("王芳")
    expect(li.locator(".timeline")).to_contain_text("☑ Call the rider")
    expect(wang.locator(".timeline")).to_contain_text("☑ 打电话给骑手")
    li.uncheck("#step-rider")
    expect(wang.locator("#step-rider")).not_to_be_checked()
    expect(wang.locator(".timeline")).to_contain_text("☐ 打电话给骑手")
    wang.reload()
    expect(wang.locator(".timeline")).to_contain_text("☐ 打电话给骑手")
    expect(wang.locator('.steps a[href="tel:120"]')).to_be_visible()


def test_a_tick_that_the_desk_did_not_get_is_not_shown_as_done(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    open_first(page)
    page.route("**/note", lambda route: route.abort())
    page.locator("#step-rider").click()
    expect(page.locator("#toasts")).to_contain_text("连不上")
    expect(page.locator("#step-rider")).not_to_be_checked()


def test_the_ledger_says_who_was_told_and_why_a_channel_refused(
    make_desk, robot: Robot, browsers: Browsers
) -> None:
    robot.code = 310000
    desk = make_desk(robot=robot)
    page = browsers.signed_in(desk)
    desk.crash(severity=4)
    open_first(page)
    told = page.locator(".row .told")
    expect(told).to_contain_text("✉ ✗1")
    expect(told).to_have_attribute("title", "通知记录: 1 条未送达")
    expect(page.locator(".delivery")).to_have_attribute("data-state", "refused")
    expect(page.locator(".delivery")).to_contain_text("group")
    expect(page.locator(".delivery")).to_contain_text("被拒收")
    expect(page.locator(".delivery")).to_contain_text("310000")
    failing = page.locator('[data-fact="failing"]')
    expect(failing).to_have_text(re.compile(r"^通知失败 group （310000，\d+ 秒前）$"))
    expect(failing.locator("[title]")).to_have_attribute("title", re.compile("sign not match"))
    robot.code = 0
    page.click('[data-act="acknowledge"]')
    expect(page.locator('.delivery[data-state="delivered"]')).to_contain_text("已认领")
    expect(told).to_contain_text("✉ ✗1 ✓1")
    page.reload()
    expect(told).to_contain_text("✉ ✗1 ✓1")


def test_every_impact_of_a_merged_incident_is_listed_with_its_time(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    t_us = now_us() - 60_000_000
    desk.crash(occurred_us=t_us, impacts_us=[t_us, t_us + 900_000, t_us + 40_000_000])
    open_first(page)
    expect(page.locator(".impacts h2")).to_have_text("3 次撞击，前后 40 秒")
    expect(page.locator(".impacts li")).to_have_count(3)
    expect(page.locator(".impacts li").nth(1)).to_have_text(re.compile(r"^2 .*\d\d:\d\d\.\d{3} \+0\.90 秒$"))


def test_an_sos_that_is_pressed_again_lists_presses_and_no_impacts(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    first_us = now_us() - 30_000_000
    for t_us in (first_us, first_us + 20_000_000):
        desk.post("events", [{"helmet": "SF-000001", "type": "sos", "t_us": t_us, "received_us": t_us}])
    open_first(page)
    expect(page.locator(".row")).to_contain_text("按了 2 次求救")
    expect(page.locator(".impacts h2")).to_have_text("按了 2 次求救，前后 20 秒")
    expect(page.locator(".timeline")).to_contain_text("再次求救")
    expect(page.locator("#app")).not_to_contain_text("次撞击")


def test_the_evidence_has_names_a_person_can_read_in_both_languages(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash(
        features={"peak_g": 16.0, "riding": 1.0, "worn": 2.0, "new_one": 0.5},
        points={"tilt": 2.0, "worn": -3.0},
    )
    open_first(page)
    page.click(".evidence summary")
    table = page.locator(".evidence-tables")
    for words in (
        "峰值加速度（g） peak_g",
        "头盔翻转",
        "+2",
        "-3",
        "撞击前在骑行 riding\t是",
        "佩戴中",
        "new_one",
    ):
        expect(table).to_contain_text(words, use_inner_text=True)
    page.click("#language")
    page.click(".evidence summary")
    for words in ("Peak acceleration (g)", "The helmet turned over", "yes", "worn"):
        expect(table).to_contain_text(words, use_inner_text=True)


def test_the_trace_shows_the_threshold_that_a_finding_of_its_kind_has_passed(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)

    def drawn(kind: str, features: dict[str, float]) -> list[str]:
        asked = {"kind": kind, "features": features}
        script = "async (alert) => (await import('/static/trace.js')).limits(alert).map((line) => line.text)"
        texts: list[str] = page.evaluate(script, asked)
        return texts

    assert drawn("head_strike", {"width_s": 0.02}) == ["头部撞击门限 12 g（默认）"]
    assert drawn("head_strike", {"width_s": 0.08}) == ["头部撞击门限 18 g（默认）"]
    assert drawn("fall", {"violence_g": 0.853}) == ["猛烈程度 0.85 g（摔倒从 0.6 g 起，默认）"]
    assert drawn("sos", {}) == drawn("fall", {}) == []


def test_what_the_detector_saw_is_drawn_from_the_numbers_it_had(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    bare = desk.crash()
    seen = {"tilt_deg": 84.2, "still_s": 2.04, "speed_mps": 7.0, "speed_after_mps": 0.0}
    frames = [(0, 100, 7.0, Worn.YES), (100, 200, 7.0, Worn.YES), (200, 300, 0.0, Worn.YES)]
    trace = replace(bare.trace, frames=frames)
    found = desk.crash(features=seen, points={"tilt": 0.8, "moving": -2.0, "impact": 1.0}, trace=trace)
    page.locator(f'.row[data-id="{found.incident}"] .row-open').click()
    figures = page.locator(".seen-figures li")
    expect(figures).to_have_text(["头盔转了84°", "车速25 → 0 km/h", "最后静止2.0 秒"])
    expect(page.locator(".trace .toggle")).to_have_text(["合成", "x", "y", "z", "车速"])
    page.click(".evidence summary")
    rows = page.locator(".points tbody tr")
    expect(rows).to_have_text(["直立并在动-2", "撞击有多硬+1", "头盔翻转+0.8"])
    expect(rows.first.locator(".against")).to_have_count(1)
    page.locator(f'.row[data-id="{bare.incident}"] .row-open').click()
    expect(page.locator(".trace .toggle")).to_have_count(4)
    expect(figures).to_have_count(0)
