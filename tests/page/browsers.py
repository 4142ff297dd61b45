"""Real Chromium pages that remember what they complained about and whom they asked."""

from collections.abc import Sequence

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from real_desk import RealDesk


class Browsers:
    """Opens pages and keeps what they complained about and whom they asked."""

    def __init__(self, chromium: Browser) -> None:
        self.chromium = chromium
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.known = {"127.0.0.1", ""}
        """Who may be asked: nobody but the desk, unless a test says so."""

    def open(self, url: str, *, lang: str = "zh", at: str = "", **options: object) -> Page:
        """A page; `at` is what its address says after the #."""
        given = {
            "viewport": {"width": 1440, "height": 900},
            "timezone_id": "Asia/Shanghai",
            "color_scheme": "dark",
        } | options
        context = self.chromium.new_context(**given)  # type: ignore[arg-type]
        context.set_default_timeout(20_000)
        context.add_init_script(
            f"localStorage.getItem('helmetwatch.lang') || localStorage.setItem('helmetwatch.lang', '{lang}')"
        )
        self.contexts.append(context)
        page = context.new_page()
        self.watch(page)
        page.goto(f"{url}#{at}" if at else url)
        return page

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2].split(":")[0]))

    def _said(self, kind: str, text: str) -> None:
        # Chromium itself writes a line for every refused or broken request, which these tests mean to make,
        # and one for reading a canvas, which only these tests do.
        meant = ("Failed to load resource", "Canvas2D: Multiple readback")
        if kind in ("error", "warning") and not text.startswith(meant):
            self.complaints.append(text)

    def signed_in(self, desk: RealDesk, name: str = "wang", **options: object) -> Page:
        page = self.open(desk.url, **options)  # type: ignore[arg-type]
        sign_in(page, name, desk.passwords[name])
        return page


def sign_in(page: Page, name: str, password: str) -> None:
    page.fill("#name", name)
    page.fill("#password", password)
    page.click("form .primary")
    page.wait_for_selector("#app[data-feed=live]")


def expect_order(rows: Locator, attribute: str, values: Sequence[str]) -> None:
    """Waits until the rows have these values of an attribute from top to bottom."""
    expect(rows).to_have_count(len(values))
    for k, value in enumerate(values):
        expect(rows.nth(k)).to_have_attribute(attribute, value)
