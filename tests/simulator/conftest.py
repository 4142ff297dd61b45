"""Fixtures of the simulator's tests."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    """Settings of a broker that speaks TLS alone, with a certificate for 127.0.0.1 of its own making."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return f"certfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem\nallow_anonymous false\n"


@pytest.fixture
def secure_port(mosquitto: Callable[..., object], certificate: str, tmp_path: Path) -> int:
    """A broker that speaks TLS alone and knows one client, `fleet`."""
    subprocess.run(
        ["mosquitto_passwd", "-c", "-b", str(tmp_path / "fleet"), "fleet", "a password"], check=True
    )
    return int(mosquitto(settings=f"{certificate}password_file {tmp_path}/fleet\n").port)  # type: ignore[attr-defined]
