"""Words: each in both languages, none that the page asks for is missing, none that the desk can say is unknown."""

import re
from pathlib import Path
from typing import get_args

from browsers import Browsers
from real_desk import RealDesk

from alerts.model import Entry, Resolution, State
from alerts.outbox import Stand
from core.model import Kind, Stage, Worn
from web.wire import Help

STATIC = Path(__file__).parents[2] / "web/static"
FILLED = re.compile(r"\{(\w+)\}")
ASKED = re.compile(r"""\b(?:t|both|known)\(\s*"([^"]+)"|\b[a-z_]+: \(\) => t\("([^"]+)"\)""")
CODES = {
    "state": [each.value for each in State],
    "type": [each.value for each in Entry],
    "reason": [each.value for each in Resolution],
    "delivery": [each.value for each in Stand],
    "kind": [each.value for each in Kind],
    "stage": [each.value for each in Stage],
    "worn": [str(each.value) for each in Worn],
    "severity": ["1", "2", "3", "4"],
    "quality": ["A", "B", "C", "D"],
    "help": list(get_args(Help.__annotations__["status"])),
    "helper": ["rider", "station", "aed"],
    "because": [
        *("countdown", "confirmed", "sos", "drill", "ok", "detector"),
        *("impact", "severity", "returned", "untouched", "person"),
    ],
    "basis": ["kinematic", "lower_bound", "context"],
}
"""What comes from the desk as a code, by group."""


def words(desk: RealDesk, browsers: Browsers) -> dict[str, list[str]]:
    page = browsers.open(desk.url)
    found: dict[str, list[str]] = page.evaluate("async () => (await import('/static/words.js')).WORDS")
    return found


def test_every_word_is_there_in_both_languages_with_the_same_blanks(
    desk: RealDesk, browsers: Browsers
) -> None:
    for key, pair in words(desk, browsers).items():
        assert len(pair) == 2, key
        assert all(text.strip() for text in pair), key
        blanks = [set(FILLED.findall(text)) for text in pair]
        assert blanks[0] == blanks[1], key


def test_every_word_the_page_asks_for_exists(desk: RealDesk, browsers: Browsers) -> None:
    have = words(desk, browsers)
    asked = {
        next(filter(None, found))
        for script in STATIC.glob("*.js")
        for found in ASKED.findall(script.read_text(encoding="utf-8"))
    }
    assert len(asked) > 150
    assert asked - set(have) == set()


def test_every_code_of_the_desk_has_its_words(desk: RealDesk, browsers: Browsers) -> None:
    have = words(desk, browsers)
    assert [
        f"{group}.{code}" for group, codes in CODES.items() for code in codes if f"{group}.{code}" not in have
    ] == []
