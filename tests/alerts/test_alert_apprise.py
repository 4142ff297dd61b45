"""The long tail, with the real library, against a server of ours."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
import vendor_servers as vendors
from vendor_servers import notice, send, server

from alerts.channels.apprise import Apprise
from alerts.channels.build import build
from alerts.channels.outcome import Outcome, Result
from alerts.channels.outcome import Sender as AnySender
from core import config
from core.config import ConfigError


def told(mood: str = "", **changes: object) -> tuple[Outcome, list[object]]:
    async def story() -> tuple[Outcome, list[object]]:
        async with server(vendors.takes_all, mood) as vendor:
            sender: AnySender = Apprise("c", (f"{vendor.url.replace('http', 'json')}/hook",))
            (outcome,) = await send(sender, notice(**changes))
            return outcome, vendor.got

    return asyncio.run(story())


def test_a_service_gets_title_lines_and_link() -> None:
    outcome, got = told(url="https://desk.example.org/#alert=crash")
    assert outcome.result is Result.DELIVERED
    (message,) = got
    assert notice().title in json.dumps(message, ensure_ascii=False, default=str)
    assert "https://desk.example.org/#alert=crash" in json.dumps(message, default=str)


@pytest.mark.parametrize("mood", ["500", "reset"])
def test_what_apprise_could_not_hand_over_is_tried_again(mood: str) -> None:
    outcome, _ = told(mood)
    assert (outcome.result, outcome.code) == (Result.RETRY, "apprise")


def test_an_address_that_apprise_does_not_know_is_refused_without_being_shown(tmp_path: Path) -> None:
    path = tmp_path / "urls"
    path.write_text("json://127.0.0.1:9/x\n\nnosuch://secret-token\n")
    with pytest.raises(ConfigError) as caught:
        build([config.Apprise(name="tail", kind="apprise", url_file=str(path))])
    assert caught.value.faults == [
        "alerts.channels.0 (tail): url_file, address 2: apprise does not know this kind of address"
    ]
    path.write_text("\n")
    with pytest.raises(ConfigError, match="must hold apprise's addresses"):
        build([config.Apprise(name="tail", kind="apprise", url_file=str(path))])
    path.write_text("json://127.0.0.1:9/x\n")
    assert build([config.Apprise(name="tail", kind="apprise", url_file=str(path))])["tail"].kind == "apprise"


def test_without_the_library_the_desk_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "alerts.channels.apprise")
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.setenv("HELMETWATCH_CHANNEL_TAIL_URL", "json://127.0.0.1:9/x")
    with pytest.raises(ConfigError, match=r"helmetwatch\[apprise\]"):
        build([config.Apprise(name="tail", kind="apprise")])
