"""With a server named in the configuration, telemetry goes there; one that is away is met in tests/nemesis."""

import sys
from pathlib import Path

from telemetry_servers import TOKEN, Victoria

from app.stack import Stack, running
from bench.command import metrics

pytest_plugins = ["telemetry_servers"]


def ride(stack: Stack, seconds: int) -> None:
    command = [sys.executable, "-m", "app.cli", "simulate", "--config", str(stack.config), "--helmets", "20"]
    stack.start("fleet", [*command, "--for", str(seconds), "--crashes-per-hour", "3000"])
    assert stack.processes.pop("fleet").wait(60) == 0, stack.said("fleet")


def test_telemetry_reaches_the_named_server(tmp_path: Path, victoria: Victoria) -> None:
    token = tmp_path / "influx-token"
    token.write_text(TOKEN)
    influx = {"url": victoria.url, "org": "test", "token_file": str(token)}
    # By the machine's clock: what lies in the future this server keeps, but does not show.
    with running(tmp_path, options={"storage": {"kind": "influxdb", "influxdb": influx}}) as stack:
        ride(stack, 8)
        stack.wait("all is stored", lambda: metrics(stack)["helmetwatch_telemetry_rows_waiting"] == 0)
        stored = metrics(stack)["helmetwatch_telemetry_rows_stored_total"]
    assert stored >= 20 * 7
    kept = victoria.samples("helmet_peak_g")
    ours = [name for name in kept if name.startswith("SF-0000")]
    assert len(ours) == 20 and sum(len(kept[name]) for name in ours) >= stored
