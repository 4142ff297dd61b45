"""Takes the pictures of the documents from the running demonstration: `make pictures`."""

import io
import re
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
VIEWS = ("fleet", "history", "handover", "stats", "channels")
GAP = 24
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def sign_in(browser: Browser, url: str, account: tuple[str, str], theme: str, **context: object) -> Page:
    """A page of somebody who has signed in."""
    page = browser.new_context(**context).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(120_000)  # a machine that runs the demonstration too may be slow
    # Left to itself the page is dark at night: the pictures shall not depend on the hour.
    page.add_init_script(f"localStorage.setItem('helmetwatch.theme', '{theme}')")
    page.goto(url)
    fields = page.locator("form input")
    fields.nth(0).fill(account[0])
    fields.nth(1).fill(account[1])
    page.keyboard.press("Enter")
    page.locator("input[type=password]").wait_for(state="hidden")
    return page


def take(browser: Browser, url: str, account: tuple[str, str]) -> None:
    """Pictures of the desk at work, and of every other view in both languages."""
    desk = {"width": 1440, "height": 900}
    english = sign_in(browser, url, account, "dark", viewport=desk, locale="en-GB")
    chinese = sign_in(browser, url, account, "dark", viewport=desk, locale="zh-CN")
    phone = sign_in(browser, url, account, "light", viewport={"width": 390, "height": 844}, locale="zh-CN")
    english.get_by_role("button", name="EN", exact=True).click()
    english.wait_for_timeout(8_000)
    english.keyboard.press("f")
    english.wait_for_timeout(2_000)
    english.screenshot(path=HERE / "fleet-en.png")
    english.keyboard.press("Escape")
    english.get_by_role("button", name="Acknowledge").first.wait_for(timeout=120_000)
    # The traces are drawn up to two seconds after the impact by then.
    english.wait_for_timeout(4_000)
    for page, name in ((english, "desk-en"), (chinese, "desk-zh"), (phone, "phone-zh")):
        page.keyboard.press("u")
        page.wait_for_timeout(1_500)
        page.screenshot(path=HERE / f"{name}.png")
    chinese.keyboard.press("a")
    for view in VIEWS:
        both = []
        for page in (chinese, english):
            page.locator(f'.tab[data-view="{view}"]').click()
            page.wait_for_timeout(2_500)
            both.append(page.screenshot())
        side_by_side(both, view)
    for page in (chinese, english):
        page.locator("#sign-out").click()
        page.locator("input[type=password]").wait_for()
    side_by_side([chinese.screenshot(), english.screenshot()], "sign-in")


def side_by_side(pictures: list[bytes], name: str) -> None:
    """The Chinese and the English page in one picture of moderate size."""
    opened = [Image.open(io.BytesIO(each)).convert("RGB") for each in pictures]
    width, height = opened[0].size
    whole = Image.new("RGB", (2 * width + GAP, height), "white")
    for k, each in enumerate(opened):
        whole.paste(each, (k * (width + GAP), 0))
    small = whole.resize((whole.width * 5 // 8, whole.height * 5 // 8), Image.Resampling.LANCZOS)
    small.save(HERE / f"{name}.jpg", quality=82, optimize=True)


def main() -> None:
    """Runs the demonstration until the pictures are taken."""
    command = [sys.executable, "-m", "app.cli", "demo", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said = ""
        while "Ctrl-C stops" not in said:
            said += process.stderr.readline() if process.stderr else ""
        url, name, password = (
            found[1] if (found := re.search(pattern, said)) else ""
            for pattern in (r"the desk\s+(http\S+)", r"name\s+(\S+)", r"password\s+(\S+)")
        )
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
            take(browser, url, (name, password))
            browser.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(40)


if __name__ == "__main__":
    main()
