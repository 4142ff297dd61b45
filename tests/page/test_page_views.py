"""The other views: history, hand-over, statistics, fleet health, nearby help, channel tests and drills."""

import re
from dataclasses import asdict, replace
from pathlib import Path

from browsers import Browsers, expect_order
from playwright.sync_api import Page, expect
from real_desk import CENTRE, RealDesk, Robot, finding, now_us

from core.model import HelmetReport, Position, Worn


def go(page: Page, view: str) -> None:
    page.click(f'.tab[data-view="{view}"]')
    expect(page.locator(f"#{view} h1, #{view} .fleet-head").first).to_be_visible()


def end(page: Page, number: int, reason: str) -> None:
    """Takes and resolves an alert the way the page does."""
    for act, body in (("acknowledge", "{}"), ("resolve", f'{{"reason": "{reason}", "note": "n"}}')):
        status = page.evaluate(
            "([url, body]) => fetch(url, {method: 'POST', headers: {'Content-Type': 'application/json'}, body}).then((r) => r.status)",
            [f"/api/v1/alerts/{number:032x}/{act}", body],
        )
        assert status == 200


def test_history_is_filtered_by_the_address_and_pages_back_to_the_first_alert(
    desk: RealDesk, browsers: Browsers
) -> None:
    desk.post(
        "detections", [asdict(replace(finding(n), trace=None, severity=1 + n % 2)) for n in range(1, 121)]
    )
    page = browsers.signed_in(desk)
    go(page, "history")
    rows = page.locator("#history tbody tr")
    expect(rows).to_have_count(50)
    page.click("#history .more")
    expect(rows).to_have_count(100)
    page.click("#history .more")
    expect(rows).to_have_count(120)
    expect(page.locator("#history")).to_contain_text("共 120 起")
    numbers = rows.evaluate_all("rows => rows.map((row) => parseInt(row.dataset.id, 16))")
    assert numbers == list(range(120, 0, -1))
    page.select_option("#history [name=severity]", "2")
    expect(page).to_have_url(re.compile(r"#view=history&severity=2$"))
    page.click("#history .more")
    expect(rows).to_have_count(60)
    page.fill("#history [name=rider]", "李四")
    page.locator("#history [name=rider]").press("Enter")
    expect(page.locator("#history")).to_contain_text("没有符合条件的报警")
    page.go_back()
    expect(rows).to_have_count(50)
    page.reload()
    expect(page.locator("#history [name=severity]")).to_have_value("2")
    rows.first.locator("a").click()
    expect(page.locator(".incident-why")).to_contain_text("第 119 号")
    page.go_back()
    expect(rows.first).to_be_visible()


def test_the_days_of_history_are_those_of_the_browsers_own_time_zone(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    with page.expect_request("**/alerts?*") as asked:
        page.evaluate("location.hash = 'view=history&from=2026-03-01&to=2026-03-02'")
    # Midnight in Shanghai, and the whole of the last day.
    assert "from_us=1772294400000000" in asked.value.url
    assert "to_us=1772467200000000" in asked.value.url


def test_the_hand_over_shows_what_nobody_has_and_what_each_person_has(
    desk: RealDesk, browsers: Browsers
) -> None:
    page, li = browsers.signed_in(desk), browsers.signed_in(desk, "li")
    for _ in range(3):
        desk.crash()
    end(page, 1, "road_bump")
    li.locator(f'.row[data-id="{2:032x}"] .acknowledge').click()
    go(page, "handover")
    expect(page.locator('[data-part="hand_untaken"]')).to_contain_text("无人认领（1）")
    expect(page.locator('[data-part="hand_old"]')).to_contain_text("（0）")
    expect(page.locator("#handover h3")).to_have_text("李明 (1)")
    expect(page.locator("#handover table")).to_contain_text("路面颠簸")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy-handover")
    expect(page.locator("#toasts")).to_contain_text("交接文字已复制")
    text = page.evaluate("navigator.clipboard.readText()")
    assert "无人认领（1）" in text
    assert "+8613800000001 李明: 头部撞击第 2 号" in text


def test_what_somebody_took_and_left_alone_stands_out_at_the_hand_over(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    page.locator(".row .acknowledge").click()
    expect(page.locator(".row")).to_have_attribute("data-state", "acknowledged")
    go(page, "handover")
    expect(page.locator('[data-part="hand_old"]')).to_contain_text("（0）")
    # The page learns the time from the desk's next beat, and nothing else happens.
    desk.clock.ahead_s = 660
    expect(page.locator('[data-part="hand_old"]')).to_contain_text("（1）")
    expect(page.locator('[data-part="hand_old"]')).to_contain_text("张三")


def test_statistics_show_their_numbers_with_n_and_leave_drills_out(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    for _ in range(5):
        desk.crash()
    for number, reason in enumerate(["injured", "unhurt", "helmet_dropped", "other"], start=1):
        end(page, number, reason)
    go(page, "stats")
    stat = lambda name: page.locator(f'[data-stat="{name}"]')  # noqa: E731
    expect(stat("acknowledge")).to_contain_text("n = 4")
    expect(stat("acknowledge").locator(".headline")).to_contain_text("100.0 %")
    expect(stat("ends")).to_contain_text("n = 4")
    expect(stat("false").locator(".headline")).to_contain_text("33.3 %")
    expect(stat("false").locator(".headline")).to_contain_text("3 起中 1 起误报")
    expect(stat("detectors").locator("tbody tr")).to_have_count(1)
    expect(stat("detectors").locator("tbody tr")).to_contain_text("33.3 %")
    page.click(".stats .filter >> text=7 天")
    expect(page).to_have_url(re.compile("view=stats&days=7$"))


def helmet(number: int, **changes: object) -> HelmetReport:
    place = {"lat_deg": CENTRE[0] + number / 500, "lon_deg": CENTRE[1]}
    given = {
        "t_us": now_us(),
        "received_us": now_us(),
        "worn": Worn.YES,
        "battery_pct": 80,
        "speed_mps": 6.0,
        "accuracy_m": 5.0,
    }
    return HelmetReport(f"SF-{number:06d}", **(given | place | changes))  # type: ignore[arg-type]


def test_the_fleet_table_finds_sorts_and_shows_on_the_map(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    go(page, "fleet")
    hours_ago = now_us() - 2 * 3600 * 10**6
    desk.report(
        [
            helmet(1, battery_pct=50),
            helmet(2, battery_pct=7),
            helmet(3, battery_pct=None),
            helmet(4, worn=Worn.NO),
            helmet(5, received_us=hours_ago),
            helmet(6, battery_pct=19),
        ]
    )
    rows = page.locator("#helmets tbody tr")
    expect(rows).to_have_count(6)
    count = lambda name: page.locator(f'[data-trouble="{name}"] .count')  # noqa: E731
    for name, n in {"all": "6", "offline": "1", "low": "2", "not_worn": "1", "silent": "1"}.items():
        expect(count(name)).to_have_text(n)
    page.click('[data-sort="battery_col"]')
    expect(page.locator('th:has([data-sort="battery_col"])')).to_have_attribute("aria-sort", "ascending")
    order = lambda *numbers: expect_order(rows, "data-helmet", [f"SF-{k:06d}" for k in numbers])  # noqa: E731
    order(2, 6, 1, 4, 5, 3)
    expect(page.locator('[data-sort="battery_col"]')).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    order(4, 5, 1, 6, 2, 3)  # what is unknown comes last either way
    page.click('[data-trouble="low"]')
    expect(rows).to_have_count(2)
    expect(page).to_have_url(re.compile("view=fleet&sort=battery_col&down=1&show=low$"))
    page.click("#helmets .link >> text=SF-000002")
    expect(page.locator(".leaflet-popup")).to_contain_text("SF-000002")


def test_help_nearby_is_asked_for_once_and_everybody_sees_who_is_going(
    desk: RealDesk, browsers: Browsers
) -> None:
    wang, li = browsers.signed_in(desk), browsers.signed_in(desk, "li", lang="en")
    desk.report([replace(helmet(2), lat_deg=CENTRE[0] + 0.004)])
    desk.crash()
    for page in (wang, li):
        page.locator(".row-open").click()
        expect(page.locator("#nearby li")).to_have_count(3)
    expect(wang.locator("#nearby .distance")).to_contain_text(["440", "1.1", "2.1"])
    rider = lambda page: page.locator("#nearby li").first  # noqa: E731
    expect(rider(wang)).to_contain_text("李四")
    rider(wang).locator('[data-say="asked"]').click()
    expect(rider(li)).to_contain_text("asked for help")
    rider(li).locator('[data-say="going"]').click()
    expect(rider(wang)).to_contain_text("正赶去")
    expect(wang.locator(".timeline")).to_contain_text("正赶去: 急救骑手 李四")
    expect(wang.locator("#nearby li").last.locator("button")).to_have_count(0)


def test_without_a_place_the_panel_says_that_nobody_can_be_looked_for(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash(position=None, helmet="SF-000077")
    page.locator(".row-open").click()
    expect(page.locator("#nearby")).to_contain_text("位置未知")
    desk.crash(position=Position(0.0, 0.0, None, None))
    page.locator(".row-open").first.click()
    expect(page.locator("#nearby li")).to_have_count(1)


def test_a_channel_is_tested_from_the_page_and_its_own_words_are_shown(
    make_desk, robot: Robot, browsers: Browsers
) -> None:
    page = browsers.signed_in(make_desk(robot=robot))
    go(page, "channels")
    page.click('[data-test="group"]')
    expect(page.locator(".channel-result .delivery")).to_have_attribute("data-state", "delivered")
    assert "TEST" in str(robot.told[0])
    expect(page.locator(".channel")).to_contain_text("正常")
    robot.code = 310000
    page.click('[data-test="group"]')
    expect(page.locator(".channel-result")).to_contain_text("310000")
    expect(page.locator(".channel")).to_contain_text("最近一次失败")


def test_a_drill_is_marked_test_everywhere_and_shows_what_came_of_each_channel(
    make_desk, robot: Robot, browsers: Browsers
) -> None:
    desk = make_desk(robot=robot)
    page = browsers.signed_in(desk)
    go(page, "channels")
    page.select_option("#drill select", "4")
    page.click("#drill .primary")
    page.click("dialog .primary")
    page.click("#drill a")
    for place in (".row", ".incident-late", "#banner"):
        expect(page.locator(place)).to_contain_text("测试 TEST")
    expect(page).to_have_title(re.compile("测试 TEST"))
    expect(page.locator('.delivery[data-state="delivered"]').first).to_contain_text("group")
    assert "TEST" in str(robot.told[0])
    go(page, "history")
    expect(page.locator("#history tbody")).to_contain_text("测试 TEST")
    page.select_option("#history [name=test]", "false")
    expect(page.locator("#history tbody tr")).to_have_count(0)
    go(page, "handover")
    expect(page.locator("#handover")).to_contain_text("测试 TEST")
    go(page, "stats")
    expect(page.locator("#stats")).to_contain_text("另有 1 次演练")


def test_the_page_says_who_is_told_next_and_the_whole_plan(
    make_desk, robot: Robot, browsers: Browsers
) -> None:
    desk = make_desk(robot=robot)
    page = browsers.signed_in(desk)
    desk.crash()
    for place in (".row .escalation", "#incident .escalation"):
        if place.startswith("#"):
            page.locator(".row-open").click()
        expect(page.locator(place)).to_have_text(re.compile(r"^\d+ 秒后通知 group$"))
    page.locator('[data-act="acknowledge"]').click()
    expect(page.locator(".escalation")).to_have_count(0)
    go(page, "channels")
    expect(page.locator("#plan tr").first).to_contain_text("立即 group")
    expect(page.locator("#plan tr").first).to_contain_text("5 分 00 秒后 group")


def test_a_desk_that_tells_nobody_says_so(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    go(page, "channels")
    expect(page.locator(".channels")).to_contain_text("没有配置任何通知渠道")
    expect(page.locator("#plan")).to_contain_text("不通知任何人！")


def test_an_incident_pack_is_downloaded_and_found_genuine_until_it_is_changed(
    desk: RealDesk, browsers: Browsers, tmp_path: Path
) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    page.locator(".row-open").click()
    saved = {}
    for form in ("json", "pdf"):
        with page.expect_download(timeout=30_000) as download:
            page.click(f'[data-pack="{form}"]')
        saved[form] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[form])
    assert saved["pdf"].read_bytes().startswith(b"%PDF")
    go(page, "history")
    page.set_input_files("[name=pack]", saved["json"])
    expect(page.locator("#toasts")).to_contain_text("未被改动")
    text = saved["json"].read_text(encoding="utf-8")
    assert "张三" in text
    changed = tmp_path / "changed.json"
    changed.write_text(text.replace("张三", "张四"), encoding="utf-8")
    page.set_input_files("[name=pack]", changed)
    expect(page.locator("#toasts")).to_contain_text("不是本报警台出具的，或已被改动")
