"""`helmetwatch check` against real brokers, a real store and the shipped mosquitto settings."""

import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from servers import Mosquitto, free_port

from app.check import check, examine
from app.findings import judge
from core.config import Config, Mqtt, Tls
from ingest.probe import AWAY_MESSAGES, BrokerFacts, probe

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TOKEN = "0123456789abcdef0123456789abcdef"
NOW_US = 1_732_300_000_000_000
POOR_SETTINGS = "allow_anonymous true\n"


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HELMETWATCH_DESK_TOKEN", "HELMETWATCH_MQTT_PASSWORD", "HELMETWATCH_INFLUX_TOKEN"):
        monkeypatch.delenv(name, raising=False)


class Desk:
    """Answers /healthz as if its clock showed `date`."""

    def __init__(self) -> None:
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def date_time_string(self, timestamp: Any = None) -> str:
                return desk.date

            def log_message(self, *_: Any) -> None:
                pass

        self.date = "Fri, 22 Nov 2024 18:26:40 GMT"  # NOW_US
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def write_config(tmp_path: Path, desk: Desk) -> Callable[..., Path]:
    """Writes a configuration in which everything but the broker is well."""

    def write(port: int, mqtt: str = "", tail: str = "") -> Path:
        (tmp_path / "token").write_text(TOKEN)
        (tmp_path / "token").chmod(0o600)
        path = tmp_path / "site.yaml"
        path.write_text(
            f"ingest:\n  desk_url: {desk.url}\n  journal: {{path: {tmp_path}/journal.db, max_mb: 16}}\n"
            f"  mqtt: {{host: 127.0.0.1, port: {port}{mqtt}}}\n"
            f"storage: {{embedded: {{path: {tmp_path}/telemetry.db, max_mb: 16}}}}\n"
            f"alerts: {{path: {tmp_path}/alerts.db}}\n"
            f"web: {{token_file: {tmp_path}/token}}\n" + tail
        )
        return path

    return write


def run(path: Path) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(check, ["--config", str(path), "--json"])
    return result.exit_code, json.loads(result.output)


def told(findings: Any, area: str, level: str) -> list[str]:
    return [f.what for f in findings if (f.area, f.level) == (area, level)]


def test_every_fault_of_a_configuration_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("ingest:\n  mqtt:\n    port: 0\n  colour: red\nstorage:\n  kind: papyrus\n")
    code, report = run(path)
    assert code == 1
    assert report["result"] == "error"
    whats = [finding["what"] for finding in report["findings"]]
    assert len(whats) == 3
    assert any(what.startswith("ingest.mqtt.port: ") and "(bad.yaml:3)" in what for what in whats)
    assert any(what.startswith("ingest.colour: unknown option") and "(bad.yaml:4)" in what for what in whats)
    assert any(what.startswith("storage.kind: ") and "(bad.yaml:6)" in what for what in whats)


def test_where_nothing_is_wrong_it_says_so_and_leaves_no_file(
    mosquitto: Callable[..., Mosquitto], write_config: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_config(mosquitto().port)
    before = {p.name for p in tmp_path.iterdir()}
    findings = list(examine(path, NOW_US))
    assert [f for f in findings if f.level == "error"] == []
    # This mosquitto may be an old one, and nothing may keep a test machine's clock.
    warnings = {f.what for f in findings if f.level == "warning"}
    known = (
        "older than 2.0.18",
        "clock right",
        "riders_file names no file",
        "there is no channel",
        "outlives a restart",
    )
    assert all(any(words in w for words in known) for w in warnings), warnings
    assert {f.area for f in findings} == {
        "configuration",
        "clock",
        "token",
        "disk",
        "store",
        "broker",
        "desk",
        "riders",
        "channels",
    }
    assert {p.name for p in tmp_path.iterdir()} == before
    assert all(f.advice for f in findings if f.level != "ok")


def test_the_table_and_the_json_say_the_same_and_warnings_alone_are_exit_code_0(
    mosquitto: Callable[..., Mosquitto], write_config: Callable[..., Path], desk: Desk
) -> None:
    path = write_config(mosquitto().port, tail="time: {scale: 10}\n")
    desk.date = ""
    code, report = run(path)
    assert (code, report["result"]) == (0, "warning")
    shown = CliRunner().invoke(check, ["--config", str(path)])
    assert shown.exit_code == 0
    assert "0 errors" in shown.output
    assert "[" not in report["result"]
    for finding in report["findings"]:
        assert finding["area"] in shown.output


def test_a_broker_with_mosquittos_own_settings_would_lose_messages(
    mosquitto: Callable[..., Mosquitto], write_config: Callable[..., Path]
) -> None:
    findings = list(examine(write_config(mosquitto(POOR_SETTINGS).port), NOW_US))
    assert told(findings, "broker", "error") == ["of 1200 messages sent while we were away 1000 came back"]
    assert any("at most 20 messages" in what for what in told(findings, "broker", "warning"))
    assert any("deploy/mosquitto.conf" in f.advice for f in findings if f.area == "broker")


def test_a_broker_that_takes_only_small_messages_is_told(
    mosquitto: Callable[..., Mosquitto], write_config: Callable[..., Path]
) -> None:
    broker = mosquitto(
        POOR_SETTINGS + "max_packet_size 2000\nmax_queued_messages 0\nmax_inflight_messages 1000\n"
    )
    warnings = told(examine(write_config(broker.port), NOW_US), "broker", "warning")
    assert any("messages up to 2000 bytes" in what for what in warnings)


@pytest.mark.parametrize(
    ("facts", "level", "what"),
    [
        ({"session_kept": False}, "error", "forgets our session"),
        ({"limits": {"SessionExpiryInterval": 600}}, "warning", "keeps our queue for 600 s"),
        ({"limits": {"MaximumQoS": 0}}, "error", "QoS 0 only"),
        ({"protocol": "3.1.1"}, "warning", "MQTT 3.1.1 only"),
        ({"version": "mosquitto version 2.0.9"}, "warning", "older than 2.0.18"),
        ({"drops_untold": True}, "warning", "how many messages it drops"),
        ({"outlived": False}, "warning", "cannot be seen before it is restarted"),
        ({"outlived": False, "uptime_s": None}, "warning", "does not tell its uptime"),
    ],
)
def test_what_other_brokers_may_answer_is_judged(facts: dict[str, Any], level: str, what: str) -> None:
    """Brokers that mosquitto cannot be set to be."""
    good = BrokerFacts(
        protocol="5",
        version="mosquitto version 2.0.18",
        session_kept=True,
        returned=AWAY_MESSAGES,
        uptime_s=60,
        marked_us=1,
        outlived=True,
    )
    assert {f.level for f in judge(good, Config())} == {"ok"}
    [found] = [f for f in judge(replace(good, **facts), Config()) if f.level != "ok"]
    assert found.level == level
    assert what in found.what


@pytest.mark.parametrize("keeps", [True, False])
def test_a_broker_that_forgets_at_a_restart_is_never_called_well_and_one_that_does_not_is_once_it_was_seen(
    mosquitto: Callable[..., Mosquitto], write_config: Callable[..., Path], keeps: bool
) -> None:
    settings = "max_queued_messages 0\nmax_inflight_messages 1000\n" + POOR_SETTINGS
    broker = mosquitto(
        f"persistence true\npersistence_location {{folder}}/\n{settings}" if keeps else settings
    )
    path = write_config(broker.port)

    def said(minutes: int) -> list[tuple[str, str]]:
        findings = examine(path, NOW_US + minutes * 60_000_000)
        return [(f.level, f.what) for f in findings if "restart of it" in f.what]

    unseen = "whether what the broker keeps outlives a restart of it"
    assert said(0) == [("warning", f"{unseen} has not been seen yet")]
    assert said(0) == [("warning", f"{unseen} cannot be seen before it is restarted")]
    broker.restart()
    outlived = [("ok", "what the broker keeps has outlived a restart of it")]
    assert said(10) == (outlived if keeps else [("warning", f"{unseen} has not been seen yet")])


def test_a_broker_that_may_not_tell_its_drops_is_warned_of_and_not_asked_where_nobody_watches(
    mosquitto: Callable[..., Mosquitto], write_config: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "acl").write_text("topic readwrite helmets/#\n")
    broker = mosquitto(POOR_SETTINGS + f"max_queued_messages 0\nacl_file {tmp_path}/acl\n")
    findings = list(examine(write_config(broker.port), NOW_US))
    assert any("how many messages it drops" in what for what in told(findings, "broker", "warning"))
    assert any("it does not say what it is" in what for what in told(findings, "broker", "ok"))
    findings = list(examine(write_config(broker.port, ", watch_drops: false"), NOW_US))
    assert not any("how many messages it drops" in f.what for f in findings)
    assert any("watch_drops is off" in what for what in told(findings, "broker", "ok"))


def test_refused_credentials_are_told_as_such(
    mosquitto: Callable[..., Mosquitto], write_config: Callable[..., Path], tmp_path: Path
) -> None:
    accounts = tmp_path / "accounts"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(accounts), "worker", "right"], check=True)
    broker = mosquitto(f"allow_anonymous false\npassword_file {accounts}\n")
    (tmp_path / "password").write_text("wrong")
    path = write_config(broker.port, f", username: worker, password_file: {tmp_path}/password")
    code, report = run(path)
    assert code == 1
    [error] = [f for f in report["findings"] if f["area"] == "broker"]
    assert "does not let us in: Not authorized" in error["what"]
    assert "mosquitto_passwd" in error["advice"]
    assert "wrong" not in json.dumps(report)
    (tmp_path / "password").write_text("right")
    assert not any("let us in" in f.what for f in examine(path, NOW_US))


def test_no_broker_at_all_is_told(write_config: Callable[..., Path]) -> None:
    [error] = told(examine(write_config(free_port()), NOW_US), "broker", "error")
    assert "no working MQTT broker at 127.0.0.1" in error


def test_a_port_that_takes_connections_and_says_nothing_is_told_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        facts = probe(Mqtt(port=silent.getsockname()[1]), NOW_US, timeout_s=0.2)
    assert "no MQTT answer within" in facts.unreachable


def test_a_web_server_is_no_broker(desk: Desk) -> None:
    facts = probe(Mqtt(port=int(desk.url.rpartition(":")[2])), NOW_US, timeout_s=0.3)
    assert facts.unreachable


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_probe_leaves_no_session_behind(mosquitto: Callable[..., Mosquitto], protocol: str) -> None:
    broker = mosquitto()
    facts = probe(Mqtt(port=broker.port, protocol=protocol), NOW_US)
    assert (facts.protocol, facts.session_kept, facts.returned) == (protocol, True, AWAY_MESSAGES)
    broker.stop()  # writes its sessions down
    stored = (broker.config.parent / "mosquitto.db").read_bytes()
    # The mark names its sender.
    assert len(re.findall(rb"helmetwatch-check-[0-9a-f]{8}", stored)) == 1
    assert b"-sender" in stored


def test_a_missing_or_short_token_and_a_public_one_are_told(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_config(free_port())
    (tmp_path / "token").chmod(0o644)
    assert any("others may read" in what for what in told(examine(path, NOW_US), "token", "warning"))
    (tmp_path / "token").write_text("short")
    assert told(examine(path, NOW_US), "token", "error")
    (tmp_path / "token").unlink()
    assert told(examine(path, NOW_US), "token", "error")


def test_clocks_that_are_wrong_or_differ_are_told(write_config: Callable[..., Path], desk: Desk) -> None:
    path = write_config(free_port())
    assert "before 2024" in told(examine(path, 1_000_000_000_000_000), "clock", "error")[0]
    desk.date = "Fri, 22 Nov 2024 18:26:50 GMT"
    assert any("differ by 10 s" in what for what in told(examine(path, NOW_US), "clock", "warning"))
    desk.date = "Fri, 22 Nov 2024 19:26:40 GMT"
    assert any("differ by 3600 s" in what for what in told(examine(path, NOW_US), "clock", "error"))
    desk.date = "Fri, 22 Nov 2024 18:26:39 GMT"
    assert not any("differ" in f.what for f in examine(path, NOW_US))


def test_no_desk_is_told(write_config: Callable[..., Path], desk: Desk) -> None:
    path = write_config(free_port())
    text = path.read_text()
    path.write_text(text.replace(desk.url, f"http://127.0.0.1:{free_port()}"))
    assert "no desk at" in told(examine(path, NOW_US), "desk", "error")[0]
    path.write_text(text.replace(desk.url, "file:///etc"))
    assert "not an http address" in told(examine(path, NOW_US), "desk", "error")[0]


def test_stores_that_cannot_be_written_are_told(write_config: Callable[..., Path], tmp_path: Path) -> None:
    path = write_config(free_port())
    (tmp_path / "telemetry.db").write_text("this is a letter, not a database")
    assert "cannot be opened" in told(examine(path, NOW_US), "store", "error")[0]
    server = f"http://127.0.0.1:{free_port()}"
    path.write_text(
        path.read_text().replace("storage: {", f"storage: {{kind: influxdb, influxdb: {{url: {server}}}, ")
    )
    assert "cannot be reached" in told(examine(path, NOW_US), "store", "error")[0]
    (tmp_path / "alerts.db").mkdir()
    assert any("alerts.path" in what for what in told(examine(path, NOW_US), "disk", "error"))


def test_a_store_that_may_outgrow_its_disk_is_told(write_config: Callable[..., Path]) -> None:
    path = write_config(free_port())
    assert not told(examine(path, NOW_US), "store", "warning")
    path.write_text(path.read_text().replace("telemetry.db, max_mb: 16", "telemetry.db, max_mb: 1000000000"))
    assert any(
        "may grow to 1000000000 MB" in what for what in told(examine(path, NOW_US), "store", "warning")
    )


class Shipped:
    """The shipped mosquitto settings with accounts, a certificate, free ports and a folder of their own."""

    def __init__(self, folder: Path, mosquitto: Callable[..., Mosquitto]) -> None:
        for name in ("worker", "SF-000001", "SF-000002"):
            flags = ["-b"] if (folder / "passwd").exists() else ["-b", "-c"]
            subprocess.run(
                ["mosquitto_passwd", *flags, str(folder / "passwd"), name, f"pw-{name}"], check=True
            )
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", str(folder / "server.key"), "-out", str(folder / "server.crt"), "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip
        self.tls_port, self.ca = free_port(), str(folder / "server.crt")
        text = (DEPLOY / "mosquitto.conf").read_text()
        for shipped, here in {
            "password_file /etc/mosquitto/helmetwatch.passwd\n": f"password_file {folder}/passwd\n",
            "/etc/mosquitto/helmetwatch.acl": str(DEPLOY / "mosquitto.acl"),
            "/var/lib/mosquitto/": "{folder}/",
            "certfile /etc/mosquitto/certs/server.crt": f"certfile {folder}/server.crt",
            "keyfile /etc/mosquitto/certs/server.key": f"keyfile {folder}/server.key",
            "listener 1883 127.0.0.1\n": "",  # the fixture's own listener takes its place
            "listener 8883": f"listener {self.tls_port} 127.0.0.1",
        }.items():
            text = text.replace(shipped, here)
        self.broker = mosquitto(text)

    def client(self, name: str) -> tuple[Client, list[str], threading.Event]:
        """A connected client, the topics it heard, and an event set with each."""
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"test-{name}", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.username_pw_set(name, f"pw-{name}")
        heard: list[str] = []
        ready, news = threading.Event(), threading.Event()
        client.on_connect = lambda c, *_: c.subscribe("#", 1)
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = lambda _, __, message: (heard.append(message.topic), news.set())
        client.connect("127.0.0.1", self.broker.port)
        client.loop_start()
        assert ready.wait(20)
        return client, heard, news


@pytest.fixture
def shipped(tmp_path: Path, mosquitto: Callable[..., Mosquitto]) -> Shipped:
    return Shipped(tmp_path, mosquitto)


def test_the_shipped_mosquitto_settings_pass_the_check(
    shipped: Shipped, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("pw-worker")
    (tmp_path / "password").chmod(0o600)
    path = write_config(shipped.broker.port, f", username: worker, password_file: {tmp_path}/password")
    findings = [f for f in examine(path, NOW_US) if f.area == "broker"]
    assert [f for f in findings if f.level == "error"] == []
    known = ("older than 2.0.18", "restart of it has not been seen yet")
    assert all(any(words in f.what for words in known) for f in findings if f.level == "warning")
    assert any("all 1200 messages" in f.what for f in findings)
    assert any("speaks MQTT 5: mosquitto version" in f.what for f in findings)


def test_the_shipped_settings_speak_tls_to_helmets(shipped: Shipped, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pw-worker")
    trusted = Mqtt(
        port=shipped.tls_port,
        username="worker",
        password_file=str(tmp_path / "password"),
        tls=Tls(enabled=True, ca_file=shipped.ca),
    )
    assert probe(trusted, NOW_US).returned == AWAY_MESSAGES
    facts = probe(trusted.model_copy(update={"tls": Tls(enabled=True)}), NOW_US)
    assert "certificate" in facts.unreachable.lower()


def test_the_shipped_rules_let_a_helmet_speak_only_for_itself(shipped: Shipped) -> None:
    worker, heard_by_worker, news = shipped.client("worker")
    mine, heard_by_me, prompted = shipped.client("SF-000001")
    other, heard_by_other, _ = shipped.client("SF-000002")
    sent = ["motion", "event", "status", "prompt", "motion/deeper"]
    for leaf in sent:
        for topic in (f"helmets/7a/SF-000002/{leaf}", f"helmets/7a/SF-000001/{leaf}"):
            mine.publish(topic, b"x", qos=1).wait_for_publish(5)
    mine.publish("elsewhere", b"x", qos=1).wait_for_publish(5)
    worker.publish("helmets/7a/SF-000001/motion", b"forged", qos=1).wait_for_publish(5)
    worker.publish("helmets/7a/SF-000001/prompt", b"x", qos=1).wait_for_publish(5)
    assert prompted.wait(20)
    while len(heard_by_worker) < 4 and news.wait(20):
        news.clear()
    for client in (worker, mine, other):
        client.disconnect()
        client.loop_stop()
    expected = [f"helmets/7a/SF-000001/{leaf}" for leaf in ("motion", "event", "status")]
    assert [topic for topic in heard_by_worker if not topic.startswith("$")][:3] == expected
    assert set(heard_by_worker) <= {*expected, "helmets/7a/SF-000001/prompt", "$SYS/broker/version"}
    assert heard_by_me == ["helmets/7a/SF-000001/prompt"]
    assert heard_by_other == []


def test_a_worker_that_may_not_prompt_is_told(
    mosquitto: Callable[..., Mosquitto], write_config: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "acl").write_text("topic read helmets/#\n")
    broker = mosquitto(f"allow_anonymous true\nacl_file {tmp_path}/acl\nmax_queued_messages 0\n")
    errors = told(examine(write_config(broker.port), NOW_US), "broker", "error")
    assert errors == ["the worker may not publish to helmets: Not authorized"]


def test_a_worker_that_may_not_listen_is_told(
    mosquitto: Callable[..., Mosquitto], write_config: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "acl").write_text("topic write helmets/#\n")
    broker = mosquitto(f"allow_anonymous true\nacl_file {tmp_path}/acl\nmax_queued_messages 0\n")
    errors = told(examine(write_config(broker.port), NOW_US), "broker", "error")
    assert errors == ["of the messages sent while we were away none came back"]
