"""Maps: whose tiles they are, in which datum they are drawn, and coordinates that Chinese map services understand."""

import pytest
from browsers import Browsers
from playwright.sync_api import Page, Route, expect
from real_desk import CENTRE, RealDesk, now_us

from core.model import HelmetReport, Worn

KNOWN = [
    ((31.1774276, 121.5272106), (31.17530398364597, 121.531541859215)),
    ((22.543847, 113.912316), (22.540796131694766, 113.9171764808363)),
    ((39.911954, 116.377817), (39.91334545536069, 116.38404722455657)),
]
"""Shanghai, Shenzhen, Beijing: the test points of github.com/googollee/eviltransform, WGS-84 and GCJ-02."""

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000" + "1f15c489"
    "0000000a49444154789c6300010000050001" + "0d0a2db40000000049454e44ae426082"
)


def convert(page: Page, lat_deg: float, lon_deg: float) -> list[float]:
    found: list[float] = page.evaluate(
        "async ([lat, lon]) => (await import('/static/gcj02.js')).toGcj02(lat, lon)", [lat_deg, lon_deg]
    )
    return found


def test_gcj_02_agrees_with_the_published_points_and_leaves_other_countries_alone(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.open(desk.url)
    for wgs84, gcj02 in KNOWN:
        assert convert(page, *wgs84) == pytest.approx(gcj02, abs=1e-9)
    for elsewhere in ((48.85, 2.35), (-27.4698, 153.0251), (0.0, 0.0)):
        assert convert(page, *elsewhere) == list(elsewhere)


def test_an_incident_gives_its_place_in_both_datums_to_copy(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk, permissions=["clipboard-read", "clipboard-write"])
    desk.crash()
    page.locator(".row-open").click()
    expect(page.locator(".place-words")).to_contain_text("坐标为 WGS-84")
    expect(page.locator(".coordinates")).to_have_text(f"{CENTRE[0]:.6f}, {CENTRE[1]:.6f}")
    page.click("#copy-gcj02")
    expect(page.locator("#toasts")).to_contain_text("GCJ-02 坐标已复制")
    lat_deg, lon_deg = convert(page, *CENTRE)
    assert page.evaluate("navigator.clipboard.readText()") == f"{lat_deg:.6f}, {lon_deg:.6f}"


@pytest.mark.parametrize(
    ("given", "datum", "line"),
    [
        ({"tiles_datum": "gcj02", "tiles_attribution": "© 某地图 <b>"}, "gcj02", "© 某地图 <b>"),
        ({"tiles_url": "https://tile.openstreetmap.org/{z}/{x}/{y}.png"}, "wgs84", "© OpenStreetMap"),
    ],
)
def test_tiles_are_credited_and_marks_lie_where_these_tiles_draw_them(
    make_desk, browsers: Browsers, given: dict[str, str], datum: str, line: str
) -> None:
    desk = make_desk(web={"tiles_url": "https://tiles.example.org/{z}/{x}/{y}.png"} | given)
    page = browsers.open(desk.url)

    def tile(route: Route) -> None:
        assert route.request.headers.get("referer", "").rstrip("/") == desk.url.rstrip("/")
        route.fulfill(body=PIXEL, content_type="image/png")

    browsers.known |= {"tiles.example.org", "tile.openstreetmap.org"}
    page.route("https://*/**", tile)
    page.fill("#name", "wang")
    page.fill("#password", desk.passwords["wang"])
    page.click("form .primary")
    desk.crash()
    with page.expect_response("https://*/**"):
        page.locator(".row-open").click()
    expect(page.locator(".place-card .attribution")).to_contain_text(line)
    expect(page.locator(".place-words")).to_contain_text(
        "GCJ-02 显示" if datum == "gcj02" else "坐标为 WGS-84"
    )
    shown = page.evaluate("async () => (await import('/static/map.js')).onMap(22.543847, 113.912316)")
    assert shown == pytest.approx(KNOWN[1][1 if datum == "gcj02" else 0], abs=1e-9)


def test_an_alert_without_a_place_shows_where_its_helmet_was_last_heard_of_and_how_long_ago(
    desk: RealDesk, browsers: Browsers
) -> None:
    page = browsers.signed_in(desk)
    desk.crash(position=None)
    page.locator(".row-open").click()
    expect(page.locator(".place-words")).to_contain_text("位置未知")
    expect(page.locator(".place-card .map")).to_be_hidden()
    heard_us = now_us() - 200_000_000
    last = HelmetReport(
        "SF-000001", heard_us, heard_us, Worn.YES, 80, 4.0, CENTRE[0] + 0.01, CENTRE[1], 5.0, False
    )
    desk.report([last])
    page.reload()
    expect(page.locator(".last-place")).to_contain_text("头盔最后已知位置，3 分 2")
    expect(page.locator(".place-words")).not_to_contain_text("定位早于撞击")
    expect(page.locator(".coordinates")).to_have_text(f"{CENTRE[0] + 0.01:.6f}, {CENTRE[1]:.6f}")
    expect(page.locator(".place-card .map")).to_be_visible()
    page.click('[data-act="acknowledge"]')
    expect(page.locator(".timeline")).to_contain_text("认领")
    expect(page.locator(".last-place")).to_be_visible()
    page.click("#language")
    expect(page.locator(".last-place")).to_contain_text("last known place of the helmet, 3 min 2")
