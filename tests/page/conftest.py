"""A desk and browsers for the tests of the page."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsers import Browsers
from cheap_passwords import cheap_passwords as cheap_passwords
from playwright.sync_api import Browser, Playwright, expect, sync_playwright
from real_desk import Accounts, RealDesk, Robot

# Playwright's own 5 s are a bet on a machine with nothing else to do.
expect.set_options(timeout=20_000)

CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    return Accounts(tmp_path_factory.mktemp("accounts"))


@pytest.fixture
def make_desk(tmp_path: Path, accounts: Accounts) -> Iterator[Callable[..., RealDesk]]:
    made: list[RealDesk] = []

    def make(**given: object) -> RealDesk:
        made.append(RealDesk(tmp_path, accounts, **given))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def desk(make_desk: Callable[..., RealDesk]) -> RealDesk:
    return make_desk()


@pytest.fixture
def robot() -> Iterator[Robot]:
    made = Robot()
    yield made
    made.close()


# Not for the session: Playwright keeps an event loop running in this thread, and other tests start their own.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
    yield browser
    browser.close()


@pytest.fixture
def browsers(chromium: Browser) -> Iterator[Browsers]:
    opened = Browsers(chromium)
    yield opened
    for context in opened.contexts:
        context.close()
    assert opened.complaints == []
    assert opened.hosts <= opened.known
