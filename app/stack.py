"""Broker, worker and desk as child processes in a folder of their own, for demo, replay, bench and tests."""

import contextlib
import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from app import broker
from core.config import Config
from web.accounts import Accounts, Role

_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 200000
max_inflight_messages 2000
max_packet_size 65536
"""
_READY_S = 30.0


class StackError(Exception):
    """A process of the stack did not come up; the message holds the end of what it said."""


@dataclass(slots=True)
class Stack:
    """A running broker, worker and desk, and how to reach them."""

    folder: Path
    config: Path
    broker_port: int
    """MQTT 5 (and 3.1.1, where the broker is mosquitto)."""
    broker_user: str
    broker_password: str
    url: str
    token: str
    name: str
    password: str
    """Who may sign in at the desk; made for this run."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: list[str]) -> None:
        """Starts a process of the stack, with the secrets in its environment and its log in the folder."""
        environment = os.environ | {
            "HELMETWATCH_DESK_TOKEN": self.token,
            "HELMETWATCH_MQTT_PASSWORD": self.broker_password,
            "PYTHONUNBUFFERED": "1",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            # A session of its own: Ctrl-C reaches us alone, and we stop the parts in their order.
            self.processes[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )

    def start_worker(self) -> None:
        """Starts the worker, again after it was stopped or killed."""
        self.start("worker", [sys.executable, "-m", "app.cli", "worker", "--config", str(self.config)])

    def start_desk(self) -> None:
        """Starts the desk."""
        self.start("desk", [sys.executable, "-m", "app.cli", "desk", "--config", str(self.config)])

    def stop(self, name: str, *, kill: bool = False, timeout_s: float = 15.0) -> None:
        """Stops a process, kindly unless `kill`."""
        process = self.processes.pop(name, None)
        if process is None:
            return
        if process.poll() is None:
            process.kill() if kill else process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait(self, what: str, ready: Callable[[], bool], timeout_s: float = _READY_S) -> None:
        """Waits until something holds. Raises `StackError` where a process ends or time runs out before."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise StackError(f"{name} ended with code {process.returncode}:\n{self.said(name)}")
            if time.monotonic() > deadline:
                said = "\n".join(f"{name}: {self.said(name)}" for name in self.processes)
                raise StackError(f"not so after {timeout_s:.0f} s: {what}\n{said}")
            time.sleep(0.05)

    def ready(self) -> bool:
        """Whether the worker has its broker and the desk hears the worker."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def said(self, name: str) -> str:
        """The end of what a process logged."""
        with contextlib.suppress(OSError):
            return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
        return ""


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    port: int = 0,
    kind: Literal["embedded", "mosquitto"] = "embedded",
    options: dict[str, Any] | None = None,
) -> Iterator[Stack]:
    """Starts broker, desk and worker in `folder` and stops them at the end, in the right order.

    `options` are sections of the configuration that differ from the defaults; `port` is the desk's, 0 any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    options = options or {}
    if kind == "embedded":
        # rumqttd cuts off whoever asks for $SYS.
        _merge(options.setdefault("ingest", {}).setdefault("mqtt", {}), {"watch_drops": False})
    stack = _prepare(folder, port or free_port(), options)
    try:
        _start_broker(stack, kind)
        stack.start_desk()
        stack.start_worker()
        stack.wait("the desk hears a worker that has its broker", stack.ready)
        yield stack
    finally:
        for name in [
            *(n for n in stack.processes if n not in ("worker", "desk", "broker")),
            "worker",
            "desk",
            "broker",
        ]:
            stack.stop(name)


def _prepare(folder: Path, port: int, options: dict[str, Any]) -> Stack:
    broker_port = free_port()
    settings: dict[str, Any] = {
        "ingest": {
            "mqtt": {"port": broker_port, "username": "helmetwatch", "protocol": "5"},
            "journal": {"path": str(folder / "journal.db")},
            "desk_url": f"http://127.0.0.1:{port}",
            "metrics_port": free_port(),
        },
        "storage": {"embedded": {"path": str(folder / "telemetry.db")}},
        "alerts": {"path": str(folder / "alerts.db")},
        "web": {"port": port},
    }
    _merge(settings, options)
    Config.model_validate(settings)
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    accounts = Accounts(folder / "alerts.db")
    password = accounts.add("demo", "值班员 Demo", Role.SUPERVISOR)
    accounts.close()
    return Stack(
        folder=folder,
        config=config,
        broker_port=broker_port,
        broker_user="helmetwatch",
        broker_password=secrets.token_urlsafe(24),
        url=f"http://127.0.0.1:{port}",
        token=secrets.token_urlsafe(32),
        name="demo",
        password=password,
    )


def _start_broker(stack: Stack, kind: str) -> None:
    users = {stack.broker_user: stack.broker_password}
    if kind == "embedded":
        settings = stack.folder / "broker.toml"
        broker.write_config(settings, port_v5=stack.broker_port, port_v311=free_port(), users=users)
        stack.start("broker", [sys.executable, "-m", "app.broker", str(settings)])
    else:
        start_mosquitto(stack)
    stack.wait("the broker listens", lambda: listens(stack.broker_port))


def start_mosquitto(stack: Stack) -> None:
    """Starts mosquitto for a stack, again after it was stopped or killed."""
    if shutil.which("mosquitto") is None:
        raise StackError("mosquitto is not installed: apt-get install mosquitto")
    folder = stack.folder / "mosquitto"
    if not folder.exists():
        folder.mkdir()
        passwords = folder / "passwords"
        subprocess.run(
            ["mosquitto_passwd", "-b", "-c", str(passwords), stack.broker_user, stack.broker_password],
            check=True,
            capture_output=True,
        )
        settings = _MOSQUITTO.format(port=stack.broker_port, folder=folder)
        if os.geteuid() == 0:
            settings = "user root\n" + settings
        (folder / "mosquitto.conf").write_text(settings)
    stack.start("broker", ["mosquitto", "-c", str(folder / "mosquitto.conf")])


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def free_port() -> int:
    """A loopback port nobody listens on, and that no outgoing connection gets while its process starts or restarts.

    The system gives outgoing connections (and `bind` to port 0) the ports from `_first_outgoing` on.
    """
    first = _first_outgoing()
    # Where all ports are for outgoing connections, one of them has to do.
    for port in random.sample(range(first // 2, first), 100) if first >= 4096 else [0]:
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return int(s.getsockname()[1])
    raise StackError("no free port on the loopback address")


def _first_outgoing() -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return 32768  # Linux; elsewhere they begin higher (49152, RFC 6335)


def listens(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


def print_json(value: object) -> None:
    """One machine-readable object on standard output."""
    print(json.dumps(value, ensure_ascii=False))
