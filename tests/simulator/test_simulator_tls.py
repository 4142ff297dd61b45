"""Helmets sign in with names and passwords of their own, over TLS, at a real broker."""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.config import Tls
from simulator.connections import Broker, BrokerError
from simulator.fleet import run_fleet
from simulator.scenario import Outage, Scenario

ACCESS = "pattern write helmets/+/%c/#\npattern read helmets/+/%c/prompt\n"
SCENARIO = Scenario("few", 4, outages=(Outage(1, 2, 4),))


@pytest.fixture
def port(mosquitto: Callable[..., object], certificate: str, tmp_path: Path) -> int:
    """A broker that speaks TLS alone and knows the helmets, each by its own password."""
    for k, (name, password) in enumerate(credentials().values()):
        create = ["-c"] if k == 0 else []
        subprocess.run(
            ["mosquitto_passwd", *create, "-b", str(tmp_path / "passwords"), name, password], check=True
        )
    (tmp_path / "access").write_text(ACCESS)
    settings = f"{certificate}password_file {tmp_path}/passwords\nacl_file {tmp_path}/access\n"
    return int(mosquitto(settings=settings).port)  # type: ignore[attr-defined]


def credentials() -> dict[str, tuple[str, str]]:
    return {SCENARIO.helmet_id(i): (f"user-{i}", f"password-{i}") for i in range(4)}


def ride(port: int, tls: Tls, signs: dict[str, tuple[str, str]]) -> tuple[int, int]:
    broker = Broker("127.0.0.1", port, tls=tls, credentials=signs)
    end = run_fleet(
        SCENARIO, broker, SystemClock(), connections=None, duration_s=6, stop=threading.Event()
    ).end
    return end.frames, end.acked


def test_every_helmet_signs_in_by_itself_and_again_after_an_outage(port: int, tmp_path: Path) -> None:
    tls = Tls(enabled=True, ca_file=str(tmp_path / "cert.pem"))
    frames, acked = ride(port, tls, credentials())
    assert frames == acked > 12


def test_a_wrong_password_is_refused_and_an_unknown_authority_not_trusted(port: int, tmp_path: Path) -> None:
    tls = Tls(enabled=True, ca_file=str(tmp_path / "cert.pem"))
    with pytest.raises(BrokerError, match="refuses us"):
        ride(port, tls, credentials() | {SCENARIO.helmet_id(2): ("user-2", "wrong")})
    with pytest.raises(BrokerError, match="certificate"):
        ride(port, Tls(enabled=True), credentials())
    with pytest.raises(BrokerError, match="TLS"):
        ride(port, Tls(enabled=True, ca_file=str(tmp_path / "nowhere.pem")), credentials())
