"""What the page promises: rows that keep still, clicks that count, a feed that comes back whole, a live fleet."""

import re
from dataclasses import asdict, replace

import pytest
from browsers import Browsers, sign_in
from playwright.sync_api import Page, Route, expect
from real_desk import CENTRE, RealDesk, finding, now_us

from core.model import HelmetReport, Stage, Worn

INCIDENT = "a" * 32
LIVE, LOST = '#health[data-state="live"]', '#health[data-state="lost"]'


def ids(page: Page) -> list[str]:
    return page.locator(".row").evaluate_all("rows => rows.map((row) => row.dataset.id)")


def places(page: Page) -> dict[str, object]:
    return page.locator(".row").evaluate_all(
        "rows => Object.fromEntries(rows.map((row) => [row.dataset.id, row.getBoundingClientRect().top]))"
    )


def test_rows_keep_their_places_while_the_mouse_is_over_them(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk, at="filter=all")
    desk.crash(severity=2)
    desk.crash(severity=1)
    for _ in range(10):
        desk.crash(stage=Stage.CANCELLED)
    expect(page.locator(".row")).to_have_count(2 + 8)
    expect(page.locator('[data-filter="closed"] .count')).to_have_text("10")
    page.locator(".row").first.hover()
    before = places(page)
    desk.crash(severity=4)
    expect(page.locator(".waiting")).to_contain_text("1 起新报警")
    expect(page.locator("#banner")).to_have_attribute("data-count", "3")
    desk.crash(severity=3)
    expect(page.locator(".waiting")).to_contain_text("2 起新报警")
    assert places(page) == before
    page.mouse.move(5, 5)
    expect(page.locator(".row.untaken")).to_have_count(4)
    assert [int(each, 16) for each in ids(page)][:4] == [13, 14, 1, 2]


def test_rows_keep_their_places_while_one_above_them_is_cancelled(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk, at="filter=all")
    first = desk.crash(severity=4)
    desk.crash(severity=2)
    expect(page.locator(".row")).to_have_count(2)
    page.locator(".row").last.hover()
    before = places(page)
    desk.post("detections", [asdict(replace(first, version=2, stage=Stage.CANCELLED))])
    expect(page.locator(".row").first).to_have_attribute("data-state", "cancelled")
    expect(page.locator(".row").first.locator(".acknowledge")).to_be_hidden()
    assert places(page) == before
    page.mouse.move(5, 5)
    expect(page.locator(".row").last).to_have_attribute("data-state", "cancelled")
    expect(page.locator(".row").last).not_to_have_attribute("style", re.compile("height: [0-9]"))


def test_rows_keep_their_places_while_the_keyboard_is_on_them_until_asked(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash(severity=2)
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("j")
    before = places(page)
    desk.crash(severity=4)
    expect(page.locator(".waiting")).to_be_visible()
    assert places(page) == before
    page.keyboard.press("n")
    expect(page.locator(".row")).to_have_count(2)
    assert [int(each, 16) for each in ids(page)] == [2, 1]
    expect(page.locator(f'.row[data-id="{1:032x}"] .row-open')).to_be_focused()


def test_a_click_counts_even_where_the_alert_changes_while_the_button_is_pressed(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash(incident=INCIDENT)
    for number, button in enumerate([".row .row-open", '#incident [data-act="acknowledge"]'], start=2):
        page.locator(button).hover()
        page.mouse.down()
        desk.crash(incident=INCIDENT, version=number, reason_zh=f"第 {number} 版")
        expect(page.locator(".row")).to_contain_text(f"第 {number} 版")
        page.mouse.up()
        expect(page.locator("#incident")).to_be_visible()
    expect(page.locator("#incident")).to_have_attribute("data-state", "acknowledged")


@pytest.mark.parametrize("way", ["silent", "cut", "restarted"])
def test_a_lost_feed_is_shown_within_seconds_and_comes_back_with_nothing_missing(
    desk: RealDesk, browsers: Browsers, way: str
) -> None:
    page = browsers.signed_in(desk, at="filter=all")
    taken = desk.crash()
    expect(page.locator(".row")).to_have_count(1)
    if way == "silent":
        desk.wire.hold()
    elif way == "cut":
        desk.wire.cut()
    else:
        desk.stop()
    page.wait_for_selector(LOST)
    expect(page.locator("#health")).to_contain_text(re.compile(r"数据停在 \d\d:\d\d:\d\d，正在重连"))
    expect(page.locator(".unsure-note")).to_be_visible()
    if way == "silent":
        expect(page.locator('[data-fact="heard"]')).to_have_text(re.compile(r" ([4-9]|\d\d) 秒前"))
    if way == "restarted":
        desk.start(desk.port)
    # What happens while nobody hears it: more than one change to one alert, and new ones.
    desk.post("events", [{"helmet": "SF-000001", "type": "ok", "t_us": now_us(), "received_us": now_us()}])
    for _ in range(5):
        desk.crash(helmet="SF-000002", severity=4)
    desk.wire.mend()
    page.wait_for_selector(LIVE)
    expect(page.locator("#banner")).to_have_attribute("data-count", "5")
    expect(page.locator(f'.row[data-id="{taken.incident}"]')).to_have_attribute("data-state", "cancelled")
    expect(page.locator(".row")).to_have_count(6)
    assert sorted(int(each, 16) for each in ids(page)) == [1, 2, 3, 4, 5, 6]


def test_a_minute_without_network_is_told_with_its_age_and_leaves_nothing_missing(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.open(desk.url)
    # The page's own clock, so that its minute lasts as long as the test wants.
    page.clock.install()
    page.reload()
    sign_in(page, "wang", desk.passwords["wang"])
    first = desk.crash()
    expect(page.locator(".row")).to_have_count(1)
    desk.wire.cut()
    page.wait_for_selector(LOST)
    for _ in range(12):
        page.clock.run_for(5000)
        desk.crash(severity=2)
    desk.post("detections", [asdict(replace(first, version=2, severity=4))])
    expect(page.locator('[data-fact="heard"]')).to_have_text(re.compile(r"1 分 \d\d 秒前"))
    expect(page.locator("#health")).to_contain_text(
        re.compile(r"数据停在 \d\d:\d\d:\d\d，正在重连（第 \d+ 次）")
    )
    expect(page.locator(".unsure-note")).to_be_visible()
    assert sorted(int(each, 16) for each in ids(page)) == [1]
    desk.wire.mend()
    page.clock.run_for(5000)
    page.wait_for_selector(LIVE)
    expect(page.locator("#banner")).to_have_attribute("data-count", "13")
    expect(page.locator(f'.row[data-id="{first.incident}"]')).to_have_class(re.compile(r"\bs4\b"))
    expect(page.locator(".unsure-note")).to_be_hidden()
    expect(page.locator(".row")).to_have_count(13)
    assert sorted(int(each, 16) for each in ids(page)) == list(range(1, 14))


def test_a_reconnecting_page_asks_for_what_came_after_its_last_event(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    expect(page.locator(".row")).to_have_count(1)
    seq = page.evaluate("fetch('/api/v1/alerts').then((a) => a.json()).then((a) => a.alerts[0].seq)")
    with page.expect_request("**/api/v1/feed") as asked:
        desk.wire.cut()
        desk.wire.mend()
    assert re.fullmatch(rf"{seq}-[0-9a-f]+", asked.value.headers["last-event-id"])


def test_an_answer_that_comes_late_does_not_hide_what_happened_since(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash(incident=INCIDENT)

    def overtake(route: Route) -> None:
        answer = route.fetch()
        expect(page.locator(".row")).to_have_attribute("data-state", "acknowledged")
        desk.crash(incident=INCIDENT, version=2, severity=4)
        expect(page.locator(".row")).to_have_attribute("data-state", "open")
        route.fulfill(response=answer)

    page.route("**/acknowledge", overtake)
    page.locator(".row .acknowledge").click()
    expect(page.locator("#toasts")).to_contain_text("已由您认领")
    expect(page.locator(".row")).to_have_attribute("data-state", "open")
    expect(page.locator("#banner")).to_have_attribute("data-count", "1")


def test_a_flood_of_alerts_is_shown_within_seconds(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    desk.post("detections", [asdict(replace(finding(n), trace=None)) for n in range(1, 801)])
    expect(page.locator("#banner")).to_have_attribute("data-count", "800")
    expect(page.locator(".row")).to_have_count(100)
    page.click(".more")
    expect(page.locator(".row")).to_have_count(200)
    expect(page.locator(".more")).to_have_text("再显示 100 起（还有 600 起）")


def test_a_desk_with_another_past_makes_the_page_forget_what_it_knew(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    expect(page.locator(".row")).to_have_count(1)
    page.route(
        "**/api/v1/feed",
        lambda route: route.fulfill(
            content_type="text/event-stream",
            body='event: snapshot\ndata: {"seq": 0, "now_us": 1, "alerts": [], "reset": true}\n\n',
        ),
    )
    desk.wire.cut()
    desk.wire.mend()
    expect(page.locator(".row")).to_have_count(0)


def test_the_filter_and_the_open_alert_are_in_the_address(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    desk.crash()
    page.click('[data-filter="all"]')
    page.locator(".row-open").click()
    expect(page).to_have_url(re.compile(r"#filter=all&alert=0+1$"))
    page.reload()
    expect(page.locator(".incident-why")).to_contain_text("第 1 号")
    expect(page.locator('[data-filter="all"]')).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.locator("#incident")).not_to_be_visible()


def helmet(number: int, **changes: object) -> HelmetReport:
    given = {
        "helmet": f"SF-{number:06d}",
        "t_us": now_us(),
        "received_us": now_us(),
        "worn": Worn.YES,
        "battery_pct": 80,
        "speed_mps": 6.0,
        "lat_deg": CENTRE[0] + number / 500,
        "lon_deg": CENTRE[1] - number / 500,
        "accuracy_m": 5.0,
    } | changes
    return HelmetReport(**given)  # type: ignore[arg-type]


def test_the_fleet_map_shows_helmets_riding_live_and_its_alerts_open(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    page.keyboard.press("f")
    still = [helmet(3, speed_mps=0.0), helmet(4, worn=Worn.NO), helmet(5, online=False)]
    desk.report([helmet(1), helmet(2), *still])
    count = lambda state: page.locator(f'[data-ride="{state}"] b')  # noqa: E731
    for state, expected in {"riding": "2", "stopped": "1", "not_worn": "1", "offline": "1"}.items():
        expect(count(state)).to_have_text(expected)
    expect(page.locator(".workers")).to_contain_text("1 个正常")
    expect(page.locator('[data-fact="online"] b')).to_have_text("4")
    desk.report([helmet(3), helmet(5)])
    expect(count("riding")).to_have_text("4")
    desk.crash(severity=4)
    expect(count("alert")).to_have_text("1")
    spot = page.wait_for_function(
        """() => {
          const canvas = document.querySelector(".fleet-canvas"), box = canvas.getBoundingClientRect();
          const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          for (let i = 0; i < data.length; i += 4)
            if (data[i] === 255 && data[i + 1] === 77 && data[i + 2] === 94)
              return [box.x + (i / 4) % width, box.y + Math.floor(i / 4 / width) + 3];
          return null;
        }"""
    ).json_value()
    page.mouse.click(*spot)
    expect(page.locator(".incident-why")).to_contain_text("第 1 号")


def test_an_answer_about_the_fleet_that_comes_late_hides_no_news(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.open(desk.url)

    def overtake(route: Route) -> None:
        answer = route.fetch()
        desk.report([helmet(1)])
        expect(page.locator(".workers")).to_contain_text("1 个正常")
        route.fulfill(response=answer)

    page.route("**/api/v1/fleet", overtake)
    with page.expect_response("**/api/v1/fleet"):
        sign_in(page, "wang", desk.passwords["wang"])
    page.keyboard.press("f")
    expect(page.locator('[data-ride="riding"] b')).to_have_text("1")
    expect(page.locator(".workers")).to_contain_text("1 个正常")


def test_a_desk_slow_with_its_first_event_is_given_more_time_with_each_try(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.open(desk.url)
    waited_s = page.evaluate(
        """async () => {
          const { Feed } = await import("/static/feed.js");
          let now = 0, opened = 0;
          const waited = [], sleep = setTimeout;
          performance.now = () => now;
          window.setTimeout = (work) => queueMicrotask(work);
          window.fetch = (_, { signal }) => new Promise((_, no) => {
            opened = now;
            signal.addEventListener("abort", () => { waited.push((now - opened) / 1000); no(new Error("cut off")); });
          });
          const feed = new Feed(() => null, () => null);
          feed.start();
          for (let s = 0; s < 60; s += 1) {
            now += 1000;
            feed.tick();
            await new Promise((done) => sleep(done, 1));
          }
          feed.stop();
          return waited.slice(0, 4);
        }"""
    )
    assert waited_s == [5, 9, 17, 17]
