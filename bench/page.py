"""`helmetwatch bench page`: the desk's page in real Chromium, from a helmet's MQTT message to what a person sees."""

import json
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import numpy as np
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from rich.console import Console
from rich.table import Table

from app.services import fail
from app.stack import Stack, StackError, print_json, running
from bench.relay import Relay
from core.model import Detection, Kind, Position, Stage, Worn
from ingest.codec import topic

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_BATCH = 500
_WAIT_MS = 60_000

# Notes for each alert when its row was painted first, and in which state it was painted when, in ms since 1970.
_WATCH = """
(() => {
  const seen = (window.seen = { shown: {}, taken: {} });
  const note = (book, id) => requestAnimationFrame(() => requestAnimationFrame(() => {
    book[id] ??= performance.timeOrigin + performance.now();
  }));
  new MutationObserver(() => {
    for (const row of document.querySelectorAll(".row")) {
      const { id, state } = row.dataset;
      if (!(id in seen.shown)) note(seen.shown, id);
      if (state === "acknowledged" && !(id in seen.taken)) note(seen.taken, id);
    }
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-state"] });
  addEventListener("click", () => (window.clickedAt = performance.timeOrigin + performance.now()), true);
  window.tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map((task) => task.duration)))
    .observe({ type: "longtask", buffered: true });
})();
"""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@click.command()
@click.option("--alerts", default=100, show_default=True, type=click.IntRange(1, 100), help="SOS presses.")
@click.option("--away", default=60.0, show_default=True, type=click.FloatRange(1), help="Seconds offline.")
@click.option(
    "--storm", default=10_000, show_default=True, type=click.IntRange(_BATCH), help="Open alerts at once."
)
@click.option("--chromium", default="/usr/bin/chromium", show_default=True, help="The browser to drive.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def page(alerts: int, away: float, storm: int, chromium: str, as_json: bool) -> None:
    """Measure the page in real Chromium (needs `playwright` and Chromium).

    An SOS is published to a real mosquitto and painted in two browsers; one takes the alert, the other shows it
    taken; one loses the network and comes back; then a storm of open alerts: first paint, and the longest task
    while somebody works. Everything shares this machine's cores.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise fail("playwright is not installed: pip install playwright") from None
    console = Console(stderr=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="helmetwatch-page-") as name,
            console.status("starting") as status,
            running(Path(name), kind="mosquitto") as stack,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            status.update(f"{alerts} alerts, published, shown and taken")
            report = latency(stack, browser, alerts)
            status.update(f"{away:.0f} s without network")
            report |= absence(stack, browser, away)
            status.update(f"{storm} open alerts")
            report |= flood(stack, browser, storm)
            browser.close()
    except StackError as error:
        raise fail(str(error)) from None
    if as_json:
        print_json(report)
        return
    table = Table("measured here, now", "", box=None)
    for key, value in report.items():
        table.add_row(key.replace("_", " "), json.dumps(value) if isinstance(value, dict) else str(value))
    Console().print(table)


def latency(stack: Stack, browser: "Browser", alerts: int) -> dict[str, Any]:
    """SOS published to row painted, and taken in one browser to painted as taken in another; in ms."""
    first, second = _signed_in(stack, browser), _signed_in(stack, browser)
    published: dict[str, float] = {}
    clicked: dict[str, float] = {}
    with _helmets(stack) as press:
        for number in range(alerts):
            at_ms = press(number)
            row = first.locator(f'.row[data-state="open"]:has-text("{_name(number)}")')
            row.wait_for(timeout=_WAIT_MS)
            alert = row.get_attribute("data-id") or ""
            published[alert] = at_ms
            second.wait_for_selector(f'.row[data-id="{alert}"]')
            row.locator(".acknowledge").click()
            clicked[alert] = first.evaluate("clickedAt")
            # A row under the pointer holds its place: the next one shall be sorted in.
            first.mouse.move(2, 2)
            second.wait_for_selector(f'.row[data-id="{alert}"][data-state="acknowledged"]')
    second.wait_for_timeout(500)
    seen, other = first.evaluate("seen"), second.evaluate("seen")
    first.context.close()
    second.context.close()
    return {
        "published_to_painted_ms": _spread([seen["shown"][each] - published[each] for each in published]),
        "taken_to_painted_elsewhere_ms": _spread([other["taken"][each] - clicked[each] for each in clicked]),
    }


def absence(stack: Stack, browser: "Browser", away_s: float) -> dict[str, Any]:
    """A page without network for a while: what it said meanwhile, and whether anything was missing after."""
    relay = Relay(urlsplit(stack.url).port or 0)
    away = _signed_in(stack, browser, f"http://127.0.0.1:{relay.port}")
    before = int(away.locator("#banner").get_attribute("data-count") or 0)
    relay.cut()
    began = time.monotonic()
    away.wait_for_selector('#health[data-state="lost"]')
    noticed_s = time.monotonic() - began
    with _helmets(stack) as press:
        for number in range(200, 220):
            press(number)
    time.sleep(max(0.0, away_s - noticed_s))
    said = away.locator(".feed-state").inner_text()
    relay.mend()
    back = time.monotonic()
    away.wait_for_selector(f'#banner[data-count="{before + 20}"]')
    whole_s = time.monotonic() - back
    away.context.close()
    relay.close()
    return {
        "away_s": away_s,
        "away_noticed_after_s": round(noticed_s, 1),
        "away_said": said,
        "away_missed_and_shown_after": 20,
        "away_whole_again_after_s": round(whole_s, 1),
    }


def flood(stack: Stack, browser: "Browser", alerts: int) -> dict[str, Any]:
    """First paint and the longest task of a page with many open alerts while somebody works on it."""
    for start in range(1, alerts, _BATCH):
        _post(stack, [_finding(number) for number in range(start, start + _BATCH)])
    page = _signed_in(stack, browser)
    waiting = page.locator("#banner").get_attribute("data-count")
    page.reload()
    page.wait_for_selector(f'#banner[data-count="{waiting}"]')
    painted_ms = page.evaluate(_PAINT)
    loading_ms = max(page.evaluate("tasks.splice(0)"), default=0.0)
    began = time.monotonic()
    _post(stack, [replace(_finding(alerts + _BATCH), severity=4)])
    page.keyboard.press("n")
    page.wait_for_selector(f'.row[data-id="{alerts + _BATCH:032x}"]')
    newest_s = time.monotonic() - began
    for key in "ujjjnfh":
        page.keyboard.press(key)
        page.wait_for_timeout(300)
    for action in ('.tab[data-view="handover"]', '.tab[data-view="alerts"]', '[data-filter="now"]', ".more"):
        page.click(action)
        page.wait_for_timeout(300)
    working_ms = max(page.evaluate("tasks"), default=0.0)
    page.context.close()
    return {
        "storm_open_alerts": alerts,
        "storm_first_paint_ms": round(painted_ms),
        "storm_longest_task_loading_ms": round(loading_ms),
        "storm_newest_alert_shown_after_ms": round(newest_s * 1e3),
        "storm_longest_task_working_ms": round(working_ms),
    }


def _signed_in(stack: Stack, browser: "Browser", url: str = "") -> "Page":
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(_WAIT_MS)
    page.add_init_script(_WATCH)
    page.goto(url or stack.url)
    page.fill("#name", stack.name)
    page.fill("#password", stack.password)
    page.keyboard.press("Enter")
    page.wait_for_selector('#health[data-state="live"]')
    return page


@contextmanager
def _helmets(stack: Stack) -> Iterator[Callable[[int], float]]:
    """A way to press SOS on the helmet of a number; it returns when, in ms since 1970."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(stack.broker_user, stack.broker_password)
    client.connect("127.0.0.1", stack.broker_port)
    client.loop_start()

    def press(number: int) -> float:
        at_us = time.time_ns() // 1000
        said = {"v": 1, "helmet": _name(number), "type": "sos", "t_us": at_us, "lat": 22.54, "lon": 114.05}
        sent.append(client.publish(topic(_name(number), "event"), json.dumps(said), 1))
        return at_us / 1e3

    sent: list[MQTTMessageInfo] = []
    yield press
    for each in sent:
        each.wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def _name(number: int) -> str:
    return f"BENCH-{number:06d}"


def _finding(number: int) -> Detection:
    t_us = time.time_ns() // 1000 - 500_000
    return Detection(
        incident=f"{number:032x}",
        version=1,
        helmet=f"STORM-{number:06d}",
        kind=Kind.HEAD_STRIKE,
        stage=Stage.CONFIRMED,
        severity=1 + number % 3,
        severity_basis="kinematic",
        quality="B",
        occurred_us=t_us,
        impacts_us=[t_us],
        received_us=t_us + 400_000,
        detected_us=t_us + 410_000,
        boot=1,
        seq=7,
        reason_zh=f"头部撞击：14 g（第 {number} 起）",
        reason_en=f"Head strike: 14 g (number {number})",
        worn=Worn.YES,
        speed_mps=6.0,
        position=Position(22.54, 114.05, 8.0, 0.5),
        features={"peak_g": 14.0},
        points={"impact": 2.0},
        detector="bench",
        trace=None,
    )


def _post(stack: Stack, found: list[Detection]) -> None:
    request = urllib.request.Request(  # noqa: S310  # our own desk
        f"{stack.url}/api/v1/detections",
        json.dumps([asdict(each) for each in found]).encode(),
        {"Authorization": f"Bearer {stack.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        answer.read()


def _spread(values_ms: list[float]) -> dict[str, float]:
    found = {f"p{q}": round(float(np.percentile(values_ms, q)), 1) for q in (50, 99, 100)}
    return {"n": len(values_ms)} | found
