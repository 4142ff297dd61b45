"""Fixtures for every test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from servers import GOOD_SETTINGS, Mosquitto, free_port

# A deadline for one example would measure what else the machine is doing, and so would the check for slow ones.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# `make test` says the same of the same code; `make soak` looks for examples that nobody has thought of.
settings.register_profile("same", derandomize=True, **_PATIENT)
settings.register_profile("search", print_blob=True, **_PATIENT)
settings.load_profile("same")


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Makes brokers: `mosquitto()` with good settings, `mosquitto(settings="…")` with others."""
    running: list[Mosquitto] = []

    def make(settings: str = GOOD_SETTINGS) -> Mosquitto:
        port = free_port()
        folder = tmp_path / f"mosquitto-{port}"
        folder.mkdir()
        folder.chmod(0o777)  # mosquitto started by root drops to its own user
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nuser root\n" + settings.format(folder=folder))
        broker = Mosquitto(port, config, None)  # type: ignore[arg-type]
        broker.start()
        running.append(broker)
        return broker

    yield make
    for broker in running:
        if broker.process.poll() is None:
            broker.stop(kill=True)
