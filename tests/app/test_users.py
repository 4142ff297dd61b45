"""`helmetwatch user`: who may sign in, and as what."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from app.cli import main
from app.services import command_line
from web.audit import Audit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"alerts": {"path": str(tmp_path / "alerts.db")}}))
    return tmp_path


def say(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["user", *words, "--config", str(folder / "config.yaml")])


def test_a_new_account_is_an_operator_unless_the_command_says_otherwise(folder: Path) -> None:
    assert "nobody may sign in yet" in say(folder, "list").output
    done = say(folder, "add", "chen", "--display-name", "陈六")
    assert len(done.stdout.strip()) == 23, "the password and nothing else, for scripts"
    assert done.stderr == "chen is an operator\n"
    assert say(folder, "add", "wang", "--role", "supervisor").stderr == "wang is a supervisor\n"
    assert say(folder, "list").output == "chen  operator  陈六\nwang  supervisor  wang\n"


def test_a_role_is_given_and_taken_by_name(folder: Path) -> None:
    say(folder, "add", "chen")
    assert say(folder, "role", "chen", "supervisor").output == "chen is a supervisor now\n"
    assert say(folder, "list").output == "chen  supervisor  chen\n"
    assert say(folder, "role", "chen", "operator").output == "chen is an operator now\n"
    say(folder, "renew", "chen")
    say(folder, "remove", "chen")
    audit = Audit(folder / "alerts.db")
    lines = audit.newest(10, None)
    audit.close()
    assert {(line.what, line.by, line.address) for line in lines} == {("account", command_line(), "")}
    assert [line.detail for line in reversed(lines)] == [
        {"name": "chen", "did": "add", "role": "operator"},
        {"name": "chen", "did": "role", "role": "supervisor"},
        {"name": "chen", "did": "role", "role": "operator"},
        {"name": "chen", "did": "renew"},
        {"name": "chen", "did": "remove"},
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("role", "li", "supervisor"), "there is no account named li"),
        (("role", "chen", "boss"), "'boss' is not one of 'operator', 'supervisor'"),
        (("add", "li", "--role", "admin"), "'admin' is not one of 'operator', 'supervisor'"),
        (("add", "chen"), "an account named chen or shown as chen exists already"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    folder: Path, words: tuple[str, ...], says: str
) -> None:
    say(folder, "add", "chen")
    done = say(folder, *words)
    assert done.exit_code != 0
    assert says in done.output
    assert say(folder, "list").output == "chen  operator  chen\n"
