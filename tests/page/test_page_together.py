"""More than one alert or one person at a time: storms, silences, filters in the address, mentions, the contact."""

import csv
import io
import json
import re
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from browsers import Browsers, expect_order, sign_in
from playwright.sync_api import Page, Route, expect
from real_desk import CENTRE, RealDesk, Robot, finding, now_us

from core.model import HelmetReport, Position, Worn

RIDERS = """\
helmet,name,phone,first_aid,city,station,contact_name,contact_phone
SF-000001,张三,+8613800000001,,深圳,南山驿站,张太太,+8613900000001
SF-000002,李四,+8613800000002,yes,广州,天河驿站,,
"""


@pytest.fixture
def cities(make_desk) -> RealDesk:
    made: RealDesk = make_desk(riders_file=RIDERS)
    return made


def test_helmets_that_fall_silent_at_once_are_one_incident_with_one_button(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    silent = [
        replace(finding(k), helmet=f"SF-{k:06d}", severity=2, signal_lost=True, trace=None)
        for k in range(100, 130)
    ]
    desk.crash()
    desk.post("detections", [asdict(found) for found in silent])
    expect(page.locator("#take-storm")).to_have_text(re.compile("全部认领：30 顶同时失联"))
    page.click("#take-storm")
    page.click("dialog .primary")
    expect(page.locator("#toasts")).to_contain_text("30 起已由您认领")
    # The one that is no part of it still waits for somebody.
    expect(page.locator("#banner")).to_have_attribute("data-count", "1")
    expect(page.locator("#take-storm")).to_be_hidden()
    # Nobody has seen what opens after that: the storm calls again, though somebody has most of it.
    desk.post(
        "detections",
        [asdict(replace(silent[0], incident=f"{k:032x}", helmet=f"SF-{k:06d}")) for k in (130, 131)],
    )
    expect(page.locator("#take-storm")).to_have_text(re.compile("全部认领：2 顶同时失联"))


def test_a_row_of_a_storm_or_of_a_silenced_helmet_names_nobody_who_is_not_called(
    make_desk, robot: Robot, browsers: Browsers
) -> None:
    desk = make_desk(robot=robot)
    page = browsers.signed_in(desk)
    calm = desk.crash(severity=2, severity_basis="kinematic", worn=Worn.NO)
    worn = desk.crash(severity=2, severity_basis="kinematic")
    step = page.locator(f'.row[data-id="{calm.incident}"] .escalation')
    expect(step).to_have_text(re.compile(r"后.*通知 group$"))
    silence = {"helmets": ["SF-000001"], "city": "", "station": "", "reason": "固件升级", "minutes": 60}
    end = page.evaluate(
        "async (asked) => (await (await import('/static/api.js')).startSilence(asked)).until_us", silence
    )
    page.reload()
    until = page.evaluate("async (us) => (await import('/static/time.js')).clock(us)", end)
    expect(step).to_have_text(f"静音维护到 {until}，不通知任何人")
    page.locator(f'.row[data-id="{calm.incident}"] .row-open').click()
    expect(page.locator("#incident .escalation")).to_have_text(f"静音维护到 {until}，不通知任何人")
    # A silence holds back no strike of a helmet that is worn, and nothing that is serious.
    expect(page.locator(f'.row[data-id="{worn.incident}"] .escalation')).to_have_text(
        re.compile(r"后.*通知 group$")
    )
    worse = desk.crash()
    page.mouse.move(5, 5)
    expect(page.locator(f'.row[data-id="{worse.incident}"] .escalation')).to_have_text(
        re.compile(r"后.*通知 group$")
    )
    silent = [
        replace(finding(k), helmet=f"SF-{k:06d}", severity=2, signal_lost=True, trace=None)
        for k in range(100, 130)
    ]
    desk.post("detections", [asdict(found) for found in silent])
    member = page.locator(f'.row[data-id="{silent[7].incident}"]')
    expect(member.locator(".escalation")).to_have_text(
        re.compile(r"^30 顶一起失联，合并通知：.*后.*通知 group$")
    )
    page.locator(f'.row[data-id="{silent[3].incident}"] .acknowledge').click()
    expect(member.locator(".escalation")).to_have_text("一起失联的已有人处理，不再通知")


def test_a_critical_drill_waits_behind_a_real_alert_that_is_less_severe(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    drill = page.evaluate("async () => (await (await import('/static/api.js')).startDrill(4)).id")
    expect(page.locator("#banner")).to_have_class(re.compile(r"\bs4\b"))
    real = desk.crash(severity=2)
    expect_order(page.locator(".row"), "data-id", [real.incident, drill])
    expect(page.locator("#banner")).to_have_class(re.compile(r"\bs2\b"))
    expect(page.locator("#banner .worst")).not_to_contain_text("TEST")
    page.keyboard.press("u")
    expect(page).to_have_url(re.compile(f"alert={real.incident}"))


def test_many_alerts_are_taken_at_once_after_asking_and_each_has_its_own_line(
    desk: RealDesk, browsers: Browsers
) -> None:
    page, other = browsers.signed_in(desk), browsers.signed_in(desk, "li")
    each = [replace(finding(k), trace=None, severity=2) for k in range(1, 13)]
    desk.post("detections", [asdict(found) for found in each])
    expect(page.locator(".take-all")).to_have_text("全部认领（12）")
    page.click(".take-all")
    expect(page.locator("dialog")).to_contain_text("一次认领 12 起")
    page.click("dialog .act:not(.primary)")
    expect(page.locator("#banner")).to_have_attribute("data-count", "12")
    page.click(".take-all")
    page.click("dialog .primary")
    expect(page.locator("#toasts")).to_contain_text("12 起已由您认领")
    expect(other.locator("#banner")).to_have_attribute("data-count", "0")
    other.click('[data-filter="all"]')
    expect(other.locator(".row[data-state=acknowledged]")).to_have_count(12)
    other.locator(".row-open").first.click()
    expect(other.locator(".timeline")).to_contain_text("一次认领 12 起")
    expect(page.locator(".take-all")).to_be_hidden()


def test_what_somebody_else_took_meanwhile_is_told(desk: RealDesk, browsers: Browsers) -> None:
    page, other = browsers.signed_in(desk), browsers.signed_in(desk, "li")
    each = [replace(finding(k), trace=None) for k in range(1, 12)]
    desk.post("detections", [asdict(found) for found in each])
    page.click(".take-all")
    expect(page.locator("dialog")).to_be_visible()
    other.locator(".row .acknowledge").first.click()
    expect(other.locator("#banner")).to_have_attribute("data-count", "10")
    page.click("dialog .primary")
    expect(page.locator("#toasts")).to_contain_text("10 起已由您认领；1 起没有：李明 已经认领了")


def test_the_filters_of_the_list_stand_in_the_address_and_leave_the_banner_alone(
    cities: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(cities)
    cities.crash(helmet="SF-000001", severity=2)
    cities.crash(helmet="SF-000002", severity=4)
    expect(page.locator(".row")).to_have_count(2)
    page.click(".narrow-button")
    page.select_option(".narrow [name=city]", "深圳")
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator(".row")).to_contain_text("张三")
    expect(page).to_have_url(re.compile(r"only\.city="))
    expect(page.locator(".outside")).to_contain_text("另有 1 起无人认领")
    expect(page.locator("#banner")).to_have_attribute("data-count", "2")
    expect(page.locator("#banner")).to_contain_text("危急")
    # The stations offered are those of the city.
    expect(page.locator(".narrow [name=station] option")).to_have_text(["不限", "南山驿站"])
    page.reload()
    expect(page.locator(".row")).to_have_count(1)
    page.click(".row-open")
    expect(page.locator(".incident-rider")).to_contain_text("深圳 · 南山驿站")
    expect(page).to_have_url(re.compile(r"only\.city="))
    page.click("#narrow-clear")
    expect(page.locator(".row")).to_have_count(2)
    page.select_option(".narrow [name=severity]", "3")
    expect(page.locator(".row")).to_contain_text("李四")


def test_history_is_filtered_by_city_and_exported_as_csv(cities: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(cities)
    cities.crash(helmet="SF-000001")
    cities.crash(helmet="SF-000002")
    page.click('.tab[data-view="history"]')
    expect(page.locator("#history tbody tr")).to_have_count(2)
    page.select_option("#history [name=city]", "广州")
    expect(page.locator("#history tbody tr")).to_have_count(1)
    with page.expect_download() as saved:
        page.click(".csv")
    rows = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text(encoding="utf-8-sig"))))
    assert [row["rider"] for row in rows] == ["李四"]


def test_what_can_be_chosen_may_be_known_late(cities: RealDesk, browsers: Browsers) -> None:
    page = browsers.open(cities.url)
    held: list[Route] = []
    late = threading.Event()
    for asked in ("places", "people", "escalation"):
        page.route(f"**/{asked}", lambda route: route.continue_() if late.is_set() else held.append(route))
    sign_in(page, "wang", cities.passwords["wang"])
    cities.crash()
    page.click('.tab[data-view="history"]')
    expect(page.locator("#history input[name=city]")).to_be_visible()
    page.click('.tab[data-view="channels"]')
    page.fill("#silences [name=helmets]", "SF-000003")
    incident = page.context.new_page()
    browsers.watch(incident)
    incident.route("**/people", lambda route: route.continue_() if late.is_set() else held.append(route))
    incident.goto(f"{cities.url}#alert={1:032x}")
    expect(incident.locator(".note-form")).to_be_visible()
    expect(incident.locator(".mention")).to_be_hidden()
    late.set()
    for route in held:
        route.continue_()
    expect(incident.locator(".mention option")).to_have_text(["@", "李明", "王芳"])
    expect(incident.locator(".mention")).to_be_visible()
    expect(page.locator("#silences select[name=city] option")).to_have_text(["不限", "广州", "深圳"])
    expect(page.locator("#silences [name=helmets]")).to_have_value("SF-000003")
    expect(page.locator("#plan tr")).to_have_count(4)
    page.click('.tab[data-view="history"]')
    expect(page.locator("#history select[name=city] option")).to_have_text(["不限", "广州", "深圳"])


def test_the_emergency_contact_is_shown_to_who_has_the_alert_and_that_is_written_down(
    cities: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(cities)
    cities.crash(helmet="SF-000001")
    page.locator(".row-open").click()
    expect(page.locator("#checklist")).not_to_contain_text("张太太")
    page.click("#open-contact")
    expect(page.locator("#toasts")).to_contain_text("先认领")
    page.click('[data-act="acknowledge"]')
    expect(page.locator("#incident")).to_have_attribute("data-state", "acknowledged")
    page.click("#open-contact")
    expect(page.locator("#checklist")).to_contain_text("张太太")
    expect(page.locator('#checklist a[href="tel:+8613900000001"]')).to_be_visible()
    expect(page.locator(".timeline")).to_contain_text("查看紧急联系人 王芳")
    cities.crash(helmet="SF-000002")
    page.locator('.row:has-text("李四") .row-open').click()
    expect(page.locator("#checklist")).to_contain_text("没有登记紧急联系人")
    expect(page.locator("#checklist")).not_to_contain_text("张太太")


def test_whoever_is_mentioned_in_a_note_is_told_until_they_have_opened_the_alert(
    desk: RealDesk, browsers: Browsers
) -> None:
    page, other = browsers.signed_in(desk), browsers.signed_in(desk, "li")
    first, second = desk.crash(), desk.crash()
    # A row that comes later waits while somebody points at the list.
    expect(page.locator(".row")).to_have_count(2)

    def mention(alert: str, words: str) -> None:
        page.locator(f'.row[data-id="{alert}"] .row-open').click()
        page.select_option(".mention", "李明")
        page.locator(".note-form input").press_sequentially(words)
        page.keyboard.press("Enter")
        expect(page.locator(".timeline")).to_contain_text(f"@李明 {words}")

    mention(first.incident, "请打 120")
    mention(second.incident, "问问站长")
    told = other.locator("#mentions li")
    expect(told).to_have_count(2)
    expect(told.first).to_contain_text("王芳 在 张三 的报警里提到您：@李明 请打 120")
    expect(page.locator("#mentions")).to_be_hidden()
    other.reload()
    expect(told).to_have_count(2)
    other.locator('.tab[data-view="handover"]').click()
    expect(other.locator('[data-part="hand_mentions"] li')).to_have_count(2)
    told.first.get_by_role("button").click()
    expect(other).to_have_url(re.compile(first.incident))
    expect(told).to_have_count(1)
    other.locator(f'.row[data-id="{second.incident}"] .row-open').click()
    expect(other.locator("#mentions")).to_be_hidden()
    other.reload()
    other.wait_for_selector("#app[data-feed=live]")
    expect(other.locator("#mentions")).to_be_hidden()


def helmets(desk: RealDesk, n: int) -> None:
    now = now_us()
    desk.report(
        [HelmetReport(f"SF-{k:06d}", now, now, Worn.YES, 80, 5.0, None, None, None) for k in range(1, n + 1)]
    )


def begin_silence(page: Page, reason: str) -> None:
    page.fill("#silences [name=reason]", reason)
    page.click("#silences [name=start]")


def test_a_silence_shows_what_it_covers_before_it_begins_and_can_be_ended(
    cities: RealDesk, browsers: Browsers
) -> None:
    page, other = browsers.signed_in(cities), browsers.signed_in(cities, "li")
    helmets(cities, 3)
    cities.crash(helmet="SF-000001")
    page.click('.tab[data-view="channels"]')
    start = page.locator("#silences [name=start]")
    expect(start).to_be_disabled()
    page.click("#silences [name=preview]")
    expect(page.locator(".silence-preview")).to_contain_text("请填头盔，或选城市、站点")
    page.select_option("#silences [name=city]", "深圳")
    page.click("#silences [name=preview]")
    expect(page.locator(".silence-preview")).to_contain_text(
        "影响 1 顶头盔（SF-000001），其中 1 起报警未结束"
    )
    expect(page.locator(".silence-preview")).to_contain_text(
        "严重、危急、佩戴中（或佩戴未知）的撞击和摔倒、求救按钮"
    )
    page.fill("#silences [name=helmets]", "SF-000003")
    # Another scope has to be looked at anew.
    expect(start).to_be_disabled()
    page.fill("#silences [name=helmets]", "")
    page.click("#silences [name=preview]")
    expect(start).to_be_enabled()
    begin_silence(page, "")
    expect(page.locator(".silence-preview")).to_have_text("请写原因。")
    begin_silence(page, "固件升级")
    expect(page.locator(".silences")).to_contain_text("固件升级")
    expect(page.locator(".silences")).to_contain_text("王芳")
    expect(page.locator('[data-fact="silenced"] b')).to_have_text("1")
    other.reload()
    expect(other.locator('[data-fact="silenced"] b')).to_have_text("1")
    page.click(".silences button")
    expect(page.locator(".silences")).to_contain_text("现在没有静音")
    expect(page.locator('[data-fact="silenced"]')).to_be_hidden()


def test_a_faulty_file_of_riders_is_told_by_its_lines_and_the_last_good_one_stays(
    cities: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(cities)
    page.click('.tab[data-view="channels"]')
    known = page.locator("#registers")
    expect(known).to_contain_text("已登记 2 名骑手、2 个站点和 AED")
    riders = Path(cities.config.alerts.riders_file)
    riders.write_text(RIDERS + "SF-000001,twice,1,,,,,\nbad helmet,name,1,,,,,\n", encoding="utf-8")
    for _ in range(40):
        known.locator("h2 button").click()
        if known.locator("li").count():
            break
        page.wait_for_timeout(500)
    expect(known).to_contain_text("新文件有错，没有启用")
    expect(known.locator("li")).to_have_text([re.compile(r"^riders\.csv:4:"), re.compile(r"^riders\.csv:5:")])
    expect(known).to_contain_text("已登记 2 名骑手")


def test_a_file_of_riders_is_looked_at_and_taken_into_use_on_the_page(
    cities: RealDesk, browsers: Browsers, tmp_path: Path
) -> None:
    page = browsers.signed_in(cities)
    page.click('.tab[data-view="channels"]')
    card, given = page.locator("#registers"), tmp_path / "given.csv"
    replace = card.locator("[name=replace]")
    used = Path(cities.config.alerts.riders_file)
    given.write_text(RIDERS + "SF-000001,twice,1,,,,,\n", encoding="utf-8")
    card.locator("[name=file]").set_input_files(given)
    card.locator("[name=preview]").click()
    expect(card.locator(".register-preview")).to_contain_text("有 1 处错误，什么都没有改")
    expect(card.locator(".faults-list")).to_contain_text("riders.csv:4: helmet SF-000001 is given twice")
    expect(replace).to_be_disabled()
    given.write_text("helmet,name,phone\nSF-000009,新人,9\n", encoding="utf-8")
    card.locator("[name=file]").set_input_files(given)
    card.locator("[name=preview]").click()
    expect(card.locator(".register-gone")).to_contain_text("将被删除（2）")
    expect(card.locator(".register-added li")).to_have_text("＋ SF-000009 新人")
    assert used.read_text(encoding="utf-8") == RIDERS
    card.locator("[name=add]").check()
    expect(replace).to_be_disabled()
    card.locator("[name=preview]").click()
    expect(card.locator(".register-preview")).to_contain_text("共 3 行：新增 1，改动 0，删除 0")
    replace.click()
    expect(card).to_contain_text("已登记 3 名骑手")
    expect(card.locator(".brief li")).to_contain_text("王芳")
    assert "SF-000009,新人" in used.read_text(encoding="utf-8")


def test_the_page_opens_with_what_needs_someone_now_and_keeps_views_that_were_given_a_name(
    cities: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(cities)
    mine, theirs, waiting = (cities.crash(helmet=f"SF-00000{1 + n % 2}", severity=3) for n in range(3))
    rows = page.locator(".row")
    expect(rows).to_have_count(3)
    expect(page.locator('[data-filter="now"]')).to_have_attribute("aria-pressed", "true")
    other = browsers.signed_in(cities, "li")
    other.locator(f'.row[data-id="{theirs.incident}"] .acknowledge').click()
    page.locator(f'.row[data-id="{mine.incident}"] .acknowledge').click()
    page.mouse.move(5, 5)
    # What I have still needs me; what a colleague has does not.
    expect_order(rows, "data-id", [waiting.incident, mine.incident])
    page.click('[data-filter="all"]')
    expect(rows).to_have_count(3)
    page.click(".narrow-button")
    page.select_option(".narrow [name=city]", "广州")
    page.fill("[name=view-name]", "广州夜班")
    page.click("#save-view")
    chip = page.locator('[data-saved="广州夜班"]')
    expect(chip).to_have_attribute("aria-pressed", "true")
    page.click("#narrow-clear")
    page.click('[data-filter="now"]')
    expect(chip).to_have_attribute("aria-pressed", "false")
    page.reload()
    chip.click()
    expect_order(rows, "data-id", [theirs.incident])
    expect(page).to_have_url(re.compile("filter=all&only.city="))
    page.click(".drop-view")
    expect(chip).to_have_count(0)
    page.reload()
    expect(rows).to_have_count(1)
    expect(chip).to_have_count(0)


def test_the_history_is_saved_as_json_without_telephone_numbers(cities: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(cities)
    made = {cities.crash(severity=2).incident for _ in range(3)}
    page.goto(f"{cities.url}#view=history&severity=2")
    with page.expect_download() as saving:
        page.click(".json")
    text = Path(saving.value.path()).read_text(encoding="utf-8")
    assert {alert["id"] for alert in json.loads(text)["alerts"]} == made
    assert "+8613800000001" not in text
    assert "张三" in text


def test_a_row_names_the_place_that_is_near_and_gives_coordinates_where_none_is(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    near = desk.crash(position=Position(CENTRE[0] + 0.0071, CENTRE[1], 5.0, 0.5))
    far = desk.crash(position=Position(CENTRE[0] - 0.1, CENTRE[1], 5.0, 0.5))
    expect(page.locator(f'.row[data-id="{near.incident}"] .place')).to_have_text("南山驿站附近 320 米")
    expect(page.locator(f'.row[data-id="{far.incident}"] .place')).to_have_text("22.4431, 114.0579")


def test_an_alert_of_somebody_whose_name_is_my_sign_in_name_is_not_mine(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    script = """async () => {
      const { Store } = await import('/static/store.js');
      const store = new Store();
      store.me = { name: "wang", display_name: "王芳" };
      return [store.isMine({ owner: "wang" }), store.isMine({ owner: "王芳" })];
    }"""
    assert page.evaluate(script) == [False, True]
