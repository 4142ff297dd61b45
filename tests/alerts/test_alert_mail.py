"""E-mail against a small SMTP server in a thread, kind and unkind."""

import asyncio
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from vendor_servers import WANG, notice, send

from alerts.channels import mail
from alerts.channels.mail import Mail
from alerts.channels.outcome import Outcome, Result


class Postman(socketserver.ThreadingTCPServer):
    """As RFC 5321 has it; `answers` replaces the answer to a command."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Letterbox)
        self.answers = answers
        self.got: list[bytes] = []
        self.silent = threading.Event()


class Letterbox(socketserver.StreamRequestHandler):
    server: Postman

    def handle(self) -> None:
        if self.server.answers.get("CONNECT") == "hang":
            self.server.silent.wait(5)
            return
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            word = line.upper().partition(" ")[0]
            if self.server.answers.get(line, self.server.answers.get(word)):
                self.say(self.server.answers.get(line, self.server.answers.get(word, "")))
            elif word == "EHLO":
                self.say("250-test\r\n250 8BITMIME")
            elif word == "DATA":
                self.say("354 go on")
                body = b""
                while not body.endswith(b"\r\n.\r\n"):
                    body += self.rfile.readline()
                self.server.got.append(body)
                self.say("250 taken")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def postman(**answers: str) -> Iterator[Postman]:
    with Postman(answers) as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield running
        running.silent.set()
        running.shutdown()


def mail_by(server: Postman, **changes: object) -> Outcome:
    body: dict[str, object] = {
        "name": "mail",
        "host": "127.0.0.1",
        "port": server.server_address[1],
        "tls": "none",
        "username": "",
        "password": "",
        "sender": "desk@example.org",
        "to": ("ops@example.org",),
    }
    sender = Mail(**(body | changes))  # type: ignore[arg-type]
    return asyncio.run(send(sender, notice(people=(WANG,))))[0]


def letter(server: Postman) -> EmailMessage:
    (raw,) = server.got
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_a_mail_says_what_happened_to_the_list_and_to_the_people_a_policy_names() -> None:
    with postman() as server:
        assert mail_by(server).result is Result.DELIVERED
        found = letter(server)
    assert found["To"] == "ops@example.org, wang@example.org"
    assert found["Message-ID"] == "<n1@helmetwatch>", "a repeated mail is the same mail"
    assert "疑似碰撞" in found["Subject"]
    assert "https://desk.example.org/#alert=crash" in found.get_content()


@pytest.mark.parametrize(
    ("answers", "result", "code"),
    [
        ({"DATA": "451 later"}, Result.RETRY, "451"),
        ({"DATA": "554 no"}, Result.REFUSED, "554"),
        ({"MAIL": "421 closing"}, Result.RETRY, "421"),
        ({"RCPT": "550 unknown"}, Result.REFUSED, "550"),
        ({"RCPT": "450 busy"}, Result.RETRY, "450"),
        ({"EHLO": "421 closing", "HELO": "421 closing"}, Result.RETRY, "421"),
    ],
)
def test_the_servers_code_decides(answers: dict[str, str], result: Result, code: str) -> None:
    with postman(**answers) as server:
        outcome = mail_by(server)
    assert (outcome.result, outcome.code) == (result, code)


def test_one_bad_recipient_does_not_cost_the_others_their_mail() -> None:
    with postman(**{"rcpt TO:<wang@example.org>": "550 unknown"}) as server:
        outcome = mail_by(server)
        assert outcome.result is Result.DELIVERED
        assert outcome.sentence == "1 recipients were refused."
        assert len(server.got) == 1


def test_a_server_without_encryption_or_sign_in_is_refused_where_we_ask_for_it() -> None:
    with postman() as server:
        assert mail_by(server, tls="starttls").result is Result.REFUSED
        assert mail_by(server, username="x", password="y").result is Result.REFUSED
        assert server.got == []


def test_a_server_that_does_not_answer_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TIMEOUT_S", 0.2)
    with postman(CONNECT="hang") as server:
        assert mail_by(server).result is Result.RETRY
    assert mail_by(server).result is Result.RETRY, "and so is one that is not there"
