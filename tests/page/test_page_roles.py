"""What an operator sees of what is for supervisors: nothing to press, and a sentence that says why."""

import re
from pathlib import Path

import pytest
from browsers import Browsers
from playwright.sync_api import Page, expect
from real_desk import RealDesk, Robot
from test_page_views import go, helmet

from web.accounts import add_account

SAID = {"zh": "仅限主管", "en": "a supervisor"}


def operator(desk: RealDesk, browsers: Browsers, **options: object) -> Page:
    """陈六, who is an operator."""
    desk.passwords = desk.passwords | {"chen": add_account(Path(desk.config.alerts.path), "chen", "陈六")}
    return browsers.signed_in(desk, "chen", **options)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_an_operator_finds_sentences_where_a_supervisor_has_buttons(
    make_desk, robot: Robot, browsers: Browsers, lang: str
) -> None:
    desk = make_desk(robot=robot)
    desk.report([helmet(1)])
    page = operator(desk, browsers, lang=lang)
    expect(page.locator(".person")).to_contain_text({"zh": "值班员", "en": "operator"}[lang])
    go(page, "channels")
    expect(page.locator("#channels [data-test]")).to_be_disabled()
    for part in ("#drill", "#silences", "#registers"):
        expect(page.locator(f"{part} .for-supervisors")).to_contain_text(SAID[lang])
        expect(page.locator(f"{part} form input, {part} form button")).to_have_count(0)
    expect(page.locator("#audit")).to_have_count(0)
    go(page, "history")
    expect(page.locator("a.csv")).to_have_count(0)
    expect(page.locator("button.csv")).to_be_disabled()
    expect(page.locator("button.csv")).to_contain_text({"zh": "仅限主管", "en": "supervisors only"}[lang])
    go(page, "fleet")
    page.click('[data-details="SF-000001"]')
    expect(page.locator("dialog.helmet .for-supervisors")).to_contain_text(SAID[lang])
    expect(page.locator("dialog.helmet [name=observe]")).to_have_count(0)


def test_an_operator_takes_an_alert_to_its_end_and_makes_its_pack(desk: RealDesk, browsers: Browsers) -> None:
    page = operator(desk, browsers)
    desk.crash()
    page.locator(".row .acknowledge").click()
    expect(page.locator(".row")).to_have_attribute("data-state", "acknowledged")
    page.locator(".row-open").click()
    with page.expect_download() as download:
        page.locator("[data-pack=json]").click()
    assert download.value.suggested_filename.startswith("incident-")


def test_a_supervisor_reads_who_took_what_out_and_who_was_refused(desk: RealDesk, browsers: Browsers) -> None:
    chen = operator(desk, browsers)
    refused = chen.evaluate("fetch('/api/v1/alerts.csv').then((answer) => answer.status)")
    assert refused == 403
    page = browsers.signed_in(desk)
    go(page, "history")
    with page.expect_download():
        page.click("a.csv")
    go(page, "channels")
    lines = page.locator("#audit li")
    expect(lines.first).to_contain_text(re.compile("历史记录 CSV 王芳 127.0.0.1"))
    expect(page.locator('#audit li[data-what="refused"]')).to_contain_text("陈六")
    expect(page.locator('#audit li[data-what="refused"]')).to_contain_text("GET /api/v1/alerts.csv")
