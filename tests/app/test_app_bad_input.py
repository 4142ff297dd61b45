"""Bad input through a real broker: each kind is counted under its own reason and the stream goes on undisturbed."""

import time
import zlib
from pathlib import Path

import numpy as np
from paho.mqtt import publish

from app.stack import running
from bench.command import metrics
from core.config import load
from ingest.codec import topic
from ingest.outbox import Outbox
from simulator.helmet import Helmets
from simulator.scenario import load as load_scenario
from storage import open_store


def sealed(frame: bytes) -> bytes:
    return frame[:-4] + zlib.crc32(frame[:-4]).to_bytes(4, "little")


def test_each_kind_of_bad_frame_is_counted_by_its_reason_and_the_stream_goes_on(tmp_path: Path) -> None:
    fleet = Helmets(load_scenario(1, 1.0, 0.0), time.time_ns() // 1000 - 5_000_000)
    good = [fleet.prepare(np.arange(1))[0].payload for _ in range(5)]
    one, nan = good[0], np.float32(np.nan).tobytes()
    bad = {
        "size": [b"", one[:50], one[:300], b"\xff" * 5],
        "magic": [b"garbage " * 20],
        "checksum": [one[:-1] + bytes([one[-1] ^ 1])],
        "version": [sealed(one[:2] + b"\x07" + one[3:])],
        "value": [sealed(one[:56] + nan + one[60:])],
        "json": [b"{nonsense"],
        "identity": [sealed(one[:4] + b"SF-999999" + one[13:])],
    }
    mine = topic(fleet.ids[0], "motion")
    with running(tmp_path, kind="mosquitto") as stack:
        login = {"username": stack.broker_user, "password": stack.broker_password}
        messages = [(mine, good[0])]
        for reason, payloads in bad.items():
            messages += [(mine, payload) for payload in payloads]
            messages.append((mine, good[1 + len(reason) % 4]))  # good ones in between, some of them twice
        messages += [
            (mine, good[3]),
            ("helmets/nowhere", b"x"),
            ("helmets/00/SF-000001/motion", one),
            (topic("SF-1", "event"), b"[]"),
        ]
        publish.multiple(
            [{"topic": t, "payload": p, "qos": 1} for t, p in messages], port=stack.broker_port, auth=login
        )
        heard = len(messages) - 1  # nobody listens to helmets/nowhere
        acknowledged = "helmetwatch_messages_acknowledged_total"
        stack.wait("all is acknowledged", lambda: metrics(stack).get(acknowledged, 0) >= heard)
        values = metrics(stack)
        counted = {
            key.split('"')[1]: count
            for key, count in values.items()
            if key.startswith("helmetwatch_messages_rejected_total")
        }
        stack.wait("good frames are stored", lambda: not metrics(stack)["helmetwatch_telemetry_rows_waiting"])
        store = open_store(load(stack.config).storage)
        stored = list(store.keys())
        kept = [name for name, _, _ in stored if name == fleet.ids[0]]
        store.close()
        outbox = Outbox(Path(load(stack.config).ingest.journal.path))
        rejected = outbox.rejected()
        outbox.close()
    expected = {reason: float(len(payloads)) for reason, payloads in bad.items()}
    expected["topic"] = 1.0
    expected["value"] += 1.0  # the event that is a list
    assert counted == expected
    assert len(kept) == 5
    assert {r["reason"] for r in rejected} == set(expected)
    assert b"garbage " in next(r["payload"] for r in rejected if r["reason"] == "magic")  # type: ignore[operator]
    log = (tmp_path / "worker.log").read_text()
    assert "garbage" not in log and "nonsense" not in log, "payloads do not belong in logs"
