"""`helmetwatch check` on what the desk reads at its start: channels, escalation, riders, places."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.check_desk import desk_findings
from core.config import Config
from web.accounts import Accounts, Role

ESCALATION = """
time_zone: Asia/Shanghai
people: {wang: {name: 王芳, wecom: wangfang}, li: {name: 李明, email: li@example.org}}
rotas: {desk: {people: [wang, li], start: 2026-01-05, handover: ["08:00", "20:00"]}}
policies:
- severities: [4, 3, 2, 1]
  tiers:
  - {after_s: 0, channels: [hook], people: ["rota:desk"]}
"""


@pytest.fixture
def door() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def found(folder: Path, **alerts: object) -> list[tuple[str, str, str]]:
    for name in ("escalation_file", "riders_file", "places_file"):
        if name in alerts:
            path = folder / name
            path.write_text(str(alerts[name]), encoding="utf-8")
            alerts[name] = str(path)
    config = Config.model_validate({"alerts": alerts})
    return [(f.area, f.level, f.what.replace(str(folder), "")) for f in desk_findings(config)]


def hook(port: int, name: str = "hook") -> dict[str, object]:
    return {"name": name, "kind": "webhook", "url": f"http://127.0.0.1:{port}/hook"}


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELMETWATCH_CHANNEL_HOOK_SECRET", "a-secret-of-the-tests-0123")


def test_where_all_is_well_it_says_so(tmp_path: Path, door: int) -> None:
    said = found(
        tmp_path,
        public_url="https://desk.example.org",
        channels=[hook(door)],
        escalation_file=ESCALATION,
        riders_file="helmet,name,phone,contact_phone\nSF-1,张三,1,2\nSF-2,李四,1,\n",
        places_file="kind,name,lat_deg,lon_deg,phone,note\naed,地铁,22.5,114,,\n",
    )
    assert said == [
        ("riders", "ok", "2 riders, 1 with an emergency contact"),
        ("places", "ok", "1 stations and AEDs"),
        ("escalation", "ok", "/escalation_file: 2 people, 1 rotas, a policy for each severity"),
        ("channels", "ok", f"hook: 127.0.0.1:{door} answers"),
    ]


def test_nothing_at_all_is_allowed_and_told(tmp_path: Path) -> None:
    assert [(area, level) for area, level, _ in found(tmp_path)] == [
        ("riders", "warning"),
        ("channels", "warning"),
    ]


def test_a_desk_at_which_nobody_may_sign_in_or_nobody_is_a_supervisor_is_told(tmp_path: Path) -> None:
    book = tmp_path / "alerts.db"
    people = lambda: [each for each in found(tmp_path, path=str(book)) if each[0] == "people"]  # noqa: E731
    assert people() == [], "no desk here"
    accounts = Accounts(book)
    assert people() == [("people", "warning", "nobody may sign in")]
    accounts.add("wang", "王芳", Role.OPERATOR)
    ((_, level, said),) = people()
    assert level == "warning" and said.startswith("nobody is a supervisor")
    accounts.give("wang", Role.SUPERVISOR)
    assert people() == [("people", "ok", "1 may sign in, 1 of them as supervisors")]
    accounts.close()
    book.write_text("no book")
    ((_, level, said),) = people()
    assert level == "error" and "cannot be used as the alert book" in said


def test_every_fault_is_an_error_with_file_and_line(tmp_path: Path, door: int) -> None:
    said = found(
        tmp_path,
        channels=[hook(door), {"name": "robot", "kind": "dingtalk"}],
        escalation_file=ESCALATION.replace("[hook]", "[hook, sms]").replace("[wang, li]", "[]"),
        riders_file="helmet,name,phone\nSF 1,张三,1\nSF-2,,1\n",
        places_file="kind,name,lat_deg,lon_deg,phone,note\naed,地铁,225,114,,\n",
    )
    errors = [(area, what) for area, level, what in said if level == "error"]
    assert [area for area, _ in errors] == ["riders", "riders", "places", "channels", "escalation"]
    assert [what.partition(": ")[0] for _, what in errors[:3]] == [
        "/riders_file:2",
        "/riders_file:3",
        "/places_file:2",
    ]
    assert "HELMETWATCH_CHANNEL_ROBOT_URL" in errors[3][1]
    assert errors[4][1].startswith("rotas.desk.people: ") and errors[4][1].endswith("(/escalation_file:4)")


def test_a_channel_that_a_tier_names_and_nobody_has_is_an_error(tmp_path: Path, door: int) -> None:
    said = found(tmp_path, channels=[hook(door)], escalation_file=ESCALATION.replace("[hook]", "[hook, sms]"))
    (error,) = [what for _, level, what in said if level == "error"]
    assert (
        error
        == "policies.0.tiers.0.channels: there is no channel sms in alerts.channels (/escalation_file:8)"
    )


def test_a_host_that_does_not_answer_is_a_warning_that_tells_no_secret(
    tmp_path: Path, door: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, but not listening: refused
        port = silent.getsockname()[1]
        url = f"http://127.0.0.1:{port}/robot/send?access_token=hidden"
        monkeypatch.setenv("HELMETWATCH_CHANNEL_ROBOT_URL", url)
        mail = {
            "name": "mail",
            "kind": "smtp",
            "host": "127.0.0.1",
            "port": port,
            "sender": "a@b.c",
            "to": ["d@e.f"],
        }
        robot = {"name": "robot", "kind": "wecom"}
        said = found(tmp_path, channels=[hook(door), mail, robot])
    shut = [what for area, level, what in said if level == "warning" and "cannot be reached" in what]
    assert shut == [
        f"mail: 127.0.0.1:{port} cannot be reached from here: Connection refused",
        f"robot: 127.0.0.1:{port} cannot be reached from here: Connection refused",
    ]
    assert "hidden" not in str(said)


def test_whom_a_channel_cannot_call_by_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: int
) -> None:
    monkeypatch.setenv("HELMETWATCH_CHANNEL_ROBOT_URL", f"http://127.0.0.1:{door}/x")
    said = found(
        tmp_path,
        public_url="https://desk.example.org",
        channels=[hook(door), {"name": "robot", "kind": "wecom"}],
        escalation_file=ESCALATION.replace("[hook]", "[hook, robot]"),
        riders_file="helmet,name,phone\n",
    )
    assert [what for _, level, what in said if level == "warning"] == [
        "li cannot be called by name on robot (wecom): the message goes out without"
    ]


def test_apprise_alone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELMETWATCH_CHANNEL_TAIL_URL", "json://127.0.0.1:9/x")
    said = found(tmp_path, channels=[{"name": "tail", "kind": "apprise"}])
    (error,) = [what for _, level, what in said if level == "error"]
    assert "apprise may not be the only way" in error
