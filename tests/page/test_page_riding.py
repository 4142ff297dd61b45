"""Wear rates and the duty list on the page: a column, a figure and a list that say what they rest on."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from browsers import Browsers, expect_order
from playwright.sync_api import expect
from real_desk import CENTRE, RealDesk, now_us

from core.model import HelmetReport, RidingLog, Worn

MINUTE = 60


@pytest.fixture
def evening(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts the desk where it is after six in the evening now: the day has to hold a shift."""
    east = (18 - datetime.now(UTC).hour + 11) % 24 - 11
    monkeypatch.setenv("TZ", f"Etc/GMT{-east:+d}")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def names(*numbers: int) -> list[str]:
    return [f"SF-{number:06d}" for number in numbers]


def helmet(number: int) -> HelmetReport:
    now = now_us()
    place = (CENTRE[0] + number / 500, CENTRE[1])
    return HelmetReport(f"SF-{number:06d}", now, now, Worn.YES, 80, 5.0, *place, 5.0)


def rode(number: int, states: str) -> list[RidingLog]:
    """What a helmet did until now."""
    first = now_us() // 1_000_000 - len(states)
    name = f"SF-{number:06d}"
    return [RidingLog(name, (first + k) * 1_000_000, states[k : k + 60]) for k in range(0, len(states), 60)]


def shift(desk: RealDesk) -> None:
    """Five riders: over four hours, near it, half an hour bare of an hour, hardly known, and not known."""
    desk.report(
        [helmet(k) for k in range(1, 6)],
        [
            *rode(1, "4" * (100 * MINUTE) + "2" * (10 * MINUTE) + "4" * (145 * MINUTE)),
            *rode(2, "4" * (230 * MINUTE) + "1" * (5 * MINUTE)),
            *rode(3, "4" * (30 * MINUTE) + "3" * (30 * MINUTE)),
            *rode(4, "3" * (2 * MINUTE)),
        ],
    )


WORDS = {
    "zh": {
        "low": "50 % 1.0 小时",
        "total": re.compile(r"今日佩戴率 9\d % 已知骑行 8\.9 小时 · 另有 10 分 未知"),
        "summary": "1 人超过 4 小时 · 1 人超过 3 小时 45 分",
        "over": ["张三", "4 小时 05 分 · 请休息", "骑行中", "10 分"],
        "near": ["李四", "3 小时 50 分 · 快到 4 小时", "停了 5 分", "–"],
    },
    "en": {
        "low": "50 % 1.0 h",
        "total": re.compile(r"Wear rate today 9\d % of 8\.9 h known · 10 min unknown"),
        "summary": "1 over 4 h · 1 over 3 h 45",
        "over": ["张三", "4 h 05 min · rest now", "riding", "10 min"],
        "near": ["李四", "3 h 50 min · near 4 h", "paused 5 min", "–"],
    },
}


@pytest.mark.usefixtures("evening")
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_column_figure_and_list_say_the_same_in_both_languages(
    make_desk: Callable[..., RealDesk], browsers: Browsers, lang: str
) -> None:
    desk, words = make_desk(), WORDS[lang]
    shift(desk)
    page = browsers.signed_in(desk, lang=lang)
    page.click('.tab[data-view="fleet"]')
    cell = lambda number: page.locator(f'[data-helmet="SF-{number:06d}"] [data-cell="wear_rate"]')  # noqa: E731
    expect(cell(3)).to_have_text(words["low"])
    expect(cell(3)).to_have_class(re.compile("bad-words"))
    expect(cell(1)).to_contain_text("100 %")
    # Two minutes are too few to blame anybody, and nothing is not zero.
    expect(cell(4)).to_contain_text("0 %")
    expect(cell(4)).not_to_have_class(re.compile("bad-words"))
    expect(cell(5)).to_have_text("–")
    expect(page.locator(".fleet-rate")).to_have_text(words["total"])
    expect(page.locator('[data-trouble="low_rate"] .count')).to_have_text("1")
    expect(page.locator("#duty summary")).to_contain_text(words["summary"])
    for number, key in ((1, "over"), (2, "near")):
        for text in words[key]:
            expect(page.locator(f'[data-duty="SF-{number:06d}"]')).to_contain_text(text)
    expect_order(page.locator("#duty tbody tr"), "data-duty", names(1, 2, 3))


@pytest.mark.usefixtures("evening")
def test_it_sorts_filters_leads_to_the_helmet_and_saves_a_table(
    make_desk: Callable[..., RealDesk], browsers: Browsers
) -> None:
    desk = make_desk()
    shift(desk)
    page = browsers.signed_in(desk)
    page.click('.tab[data-view="fleet"]')
    rows = page.locator("#helmets tbody tr")
    expect(page.locator("#duty tbody tr")).to_have_count(3)
    page.click('[data-sort="wear_rate"]')
    expect(page.locator("th[aria-sort=ascending]")).to_have_count(1)
    expect_order(rows, "data-helmet", names(4, 3, 1, 2, 5))
    page.click('[data-sort="wear_rate"]')
    expect(page.locator("th[aria-sort=descending]")).to_have_count(1)
    # What is unknown comes last either way.
    expect_order(rows, "data-helmet", names(1, 2, 3, 4, 5))
    page.click('[data-trouble="low_rate"]')
    expect(rows).to_have_count(1)
    page.locator('[data-duty="SF-000001"] .link').click()
    dialog = page.locator("dialog.helmet")
    expect(dialog.locator(".riding")).to_contain_text("100 %")
    expect(dialog.locator(".riding")).to_contain_text("4 小时 05 分")
    page.keyboard.press("Escape")
    with page.expect_download() as saved:
        page.click("#helmets .csv")
    text = saved.value.path().read_text(encoding="utf-8-sig")
    assert text.startswith("day,helmet,rider") and "SF-000003" in text


@pytest.mark.usefixtures("evening")
def test_a_page_that_is_open_hears_of_new_riding_by_itself(desk: RealDesk, browsers: Browsers) -> None:
    page = browsers.signed_in(desk)
    desk.report([helmet(1)])
    page.clock.install()
    page.click('.tab[data-view="fleet"]')
    cell = page.locator('[data-helmet="SF-000001"] [data-cell="wear_rate"]')
    expect(cell).to_have_text("–")
    desk.report([helmet(1)], rode(1, "4" * 30))
    page.clock.fast_forward(21_000)
    desk.report([helmet(1)])
    expect(cell).to_contain_text("100 %")
