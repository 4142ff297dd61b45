"""Somebody asked to help hears of it: from the desk by a worker and a real broker to the helmet."""

import json
import queue
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from alerts.nearby import direction, distance_m
from app.stack import running
from app.watch import Watcher
from core.model import HelmetEvent, HelmetReport, Worn
from ingest.codec import encode_event, topic

RIDERS = "helmet,name,phone,first_aid\nSF-000001,张三,1,no\nSF-000002,李四,2,yes\n"


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_rider_who_is_asked_hears_it_from_the_helmet_once_and_the_page_sees_that(tmp_path: Path) -> None:
    (tmp_path / "riders.csv").write_text(RIDERS, encoding="utf-8")
    options = {
        "alerts": {"riders_file": str(tmp_path / "riders.csv")},
        "ingest": {"report_s": 0.2},
    }
    heard: queue.Queue[dict[str, object]] = queue.Queue()
    with running(tmp_path / "stack", kind="mosquitto", options=options) as stack:
        helmet = mqtt.Client(CallbackAPIVersion.VERSION2, "SF-000002", protocol=mqtt.MQTTv5)
        helmet.username_pw_set(stack.broker_user, stack.broker_password)
        helmet.on_message = lambda _client, _data, message: heard.put(json.loads(message.payload))
        helmet.connect("127.0.0.1", stack.broker_port)
        helmet.subscribe(topic("SF-000002", "prompt"), qos=1)
        helmet.loop_start()
        try:
            now_us = time.time_ns() // 1000
            sos = HelmetEvent("SF-000001", "sos", now_us, now_us, 22.5, 114.0)
            helmet.publish(topic("SF-000001", "event"), encode_event(sos), qos=1)
            with Watcher(stack.url, stack.name, stack.password) as desk:
                until(lambda: desk.alerts(), "the SOS is an alert")
                (alert,) = desk.alerts()
                _say_where(stack.url, stack.token, HelmetReport(
                    "SF-000002", now_us, now_us, Worn.YES, 80, 5.0, 22.491, 114.0, 4.0))  # fmt: skip
                body = {"helper": "rider:SF-000002", "status": "asked"}
                desk.post(f"/api/v1/alerts/{alert['id']}/help", body)
                prompt = heard.get(timeout=20)
                assert (prompt["v"], prompt["type"]) == (1, "remind")
                assert "北面约 1000 米" in str(prompt["text"])
                assert "about 1000 m to the north of you" in str(prompt["text"])
                assert "张三" not in str(prompt["text"]), "not who, only where"

                def shown() -> object:
                    (helper,) = desk.get(f"/api/v1/alerts/{alert['id']}/nearby")["helpers"]
                    return (helper["status"], helper["prompt"]) == ("asked", "sent")

                until(shown, "the page sees that the message went out")
                time.sleep(1)  # five more reports
                assert heard.empty(), "a message is sent once"
        finally:
            helmet.disconnect()
            helmet.loop_stop()


def _say_where(url: str, token: str, helmet: HelmetReport) -> None:
    """As the worker would, had the helmet sent a motion frame."""
    report = {
        "worker": "worker-1", "sent_us": helmet.t_us, "connected": True, "frames": 0, "rejected": 0,
        "frames_per_s": 0.0, "queue": 0, "lag_s": 0.0, "undelivered": 0, "unstored_rows": 0,
        "helmets": [{name: getattr(helmet, name) for name in HelmetReport.__slots__}],
    }  # fmt: skip
    request = urllib.request.Request(  # noqa: S310
        f"{url}/api/v1/report",
        json.dumps(report).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        assert answer.status == 200


def test_distance_and_direction_are_those_of_the_map() -> None:
    here = (22.5, 114.0)
    names = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"]
    steps = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    found = [direction(here, (22.5 + n * 0.01, 114.0 + e * 0.01))[1] for n, e in steps]
    assert found == names
    assert round(distance_m(here, (22.51, 114.0))) == 1112
    assert direction((0, 179.999), (0, -179.999)) == ("东", "east")
