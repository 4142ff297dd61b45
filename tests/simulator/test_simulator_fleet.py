"""A simulated fleet on a real broker: what it says it delivered has been delivered."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from core.clock import SystemClock
from core.model import Flag, Prompt
from ingest.codec import HEADER, encode_prompt, topic
from simulator.faults import Faults
from simulator.fleet import Broker, BrokerError, Progress, Summary, run_fleet
from simulator.ledger import read_ledger
from simulator.scenario import Happening, Outage, Scenario
from simulator.uplink import UNCONFIRMED_MAX

SPEED = 10.0


class Listener:
    """Hears everything there is, and answers sent-on-impact frames where it is told to."""

    def __init__(self, port: int, *, answer: bool) -> None:
        self.motion: list[tuple[str, bytes, float]] = []
        self.events: list[dict[str, object]] = []
        self.status: dict[str, list[bool]] = defaultdict(list)
        self._answer = answer
        self._ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "listener", protocol=mqtt.MQTTv5)
        self.client.on_connect = lambda c, *_: c.subscribe("helmets/#", 1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(20)

    def _on_message(self, client: mqtt.Client, _u: object, message: mqtt.MQTTMessage) -> None:
        _, _, helmet, leaf = message.topic.split("/")
        if leaf == "event":
            self.events.append(json.loads(message.payload))
        elif leaf == "status":
            self.status[helmet].append(json.loads(message.payload)["online"])
        elif leaf == "motion":
            self.motion.append((helmet, message.payload, time.monotonic()))
            header = np.frombuffer(message.payload, HEADER, 1)[0]
            if self._answer and header["flags"] & Flag.ON_IMPACT:
                prompt = Prompt("received", int(header["boot"]), int(header["seq"]), None, None, None)
                client.publish(topic(helmet, "prompt"), encode_prompt(prompt), qos=1)

    @property
    def keys(self) -> Counter[tuple[str, int, int]]:
        """How often each frame came."""
        out: Counter[tuple[str, int, int]] = Counter()
        for helmet, payload, _ in list(self.motion):
            header = np.frombuffer(payload, HEADER, 1)[0]
            out[helmet, int(header["boot"]), int(header["seq"])] += 1
        return out


@contextmanager
def listening(port: int, *, answer: bool = True) -> Iterator[Listener]:
    listener = Listener(port, answer=answer)
    yield listener
    listener.client.disconnect()
    listener.client.loop_stop()


def fast() -> SystemClock:
    return SystemClock(SPEED, time.time_ns() // 1000)


def go(
    port: int, scenario: Scenario, seconds: float, ledger: Path | None = None, **options: object
) -> Summary:
    given = {"connections": 3, "stop": threading.Event(), "duration_s": seconds} | options
    return run_fleet(scenario, Broker("127.0.0.1", port), fast(), ledger=ledger, **given)  # type: ignore[arg-type]


def settle(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.02)


CRASH = Scenario("crash", 10, happenings=(Happening(6, "head_strike", 3), Happening(8, "sos", 4)))


@pytest.mark.parametrize("connections", [3, None])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_ledger_holds_exactly_what_a_subscriber_received(
    mosquitto: Callable[..., object], tmp_path: Path, connections: int | None, protocol: str
) -> None:
    port = mosquitto().port  # type: ignore[attr-defined]
    with listening(port) as listener:
        summary = run_fleet(
            CRASH, Broker("127.0.0.1", port, protocol=protocol), fast(), connections=connections,  # type: ignore[arg-type]
            ledger=tmp_path / "l.jsonl", duration_s=15, stop=threading.Event(), on_progress=None,
        )  # fmt: skip
        # Frames, and the last word of each helmet, which its broker says for it when it has gone.
        settle(
            lambda: len(listener.keys) >= summary.end.frames and sum(map(len, listener.status.values())) >= 20
        )
        truth = read_ledger(tmp_path / "l.jsonl")
        assert set(listener.keys) == truth.acked == set(truth.published)
        assert len(truth.acked) == summary.end.frames == summary.end.acked >= 10 * 13
        assert [(c.helmet, c.kind, c.expected) for c in truth.crashes] == [
            ("SF-000004", "head_strike", "alert"),
            ("SF-000005", "sos", "alert"),
        ]
        crash = truth.crashes[0]
        assert 6 <= (crash.t_us - summary.start_us) / 1e6 < 9
        assert (crash.helmet, crash.boot, crash.seq) in truth.acked
        assert [e["type"] for e in listener.events if e["helmet"] == "SF-000005"] == ["sos"]
        assert all(said == [True, False] for said in listener.status.values()), listener.status
        assert len(listener.status) == 10


def test_a_frame_sent_on_impact_is_repeated_every_two_seconds_until_it_is_received(
    mosquitto: Callable[..., object],
) -> None:
    port = mosquitto().port  # type: ignore[attr-defined]
    stop, deaf = threading.Event(), Listener(port, answer=False)
    seen: list[Progress] = []
    run = threading.Thread(
        target=lambda: go(port, CRASH, 60, stop=stop, on_progress=seen.append, connections=2), daemon=True
    )
    run.start()

    def copies() -> list[tuple[bytes, float]]:
        key, times = max(deaf.keys.items(), key=lambda each: each[1], default=(("", 0, 0), 0))
        found = [
            (p, at)
            for h, p, at in list(deaf.motion)
            if (h, p[32:36]) == (key[0], key[2].to_bytes(4, "little"))
        ]
        return found if times >= 4 and key[0] == "SF-000004" else []

    def gaps() -> np.ndarray:
        return np.diff([at for _, at in copies()]) * SPEED

    def regular() -> bool:
        """Three gaps in a row; a busy machine may hold a copy up, at ten times the speed, and not the next."""
        return "111" in "".join(str(int(abs(gap - 2) < 0.7)) for gap in gaps())

    settle(regular)
    assert regular() and np.mean(gaps()) > 1.5, gaps()
    assert len({payload for payload, _ in copies()}) == 1
    deaf._answer = True
    settle(lambda: bool(seen) and seen[-1].unconfirmed == 0)
    time.sleep(0.3)
    repeats = seen[-1].repeats
    time.sleep(1.2)
    stop.set()
    run.join(20)
    assert not run.is_alive()
    assert seen[-1].unconfirmed == 0
    assert seen[-1].repeats <= repeats + 1
    deaf.client.disconnect()
    deaf.client.loop_stop()


def test_the_broker_may_die_and_come_back_without_the_loss_of_a_frame(
    mosquitto: Callable[..., object], tmp_path: Path
) -> None:
    broker = mosquitto()
    port = broker.port  # type: ignore[attr-defined]
    done: list[Summary] = []
    run = threading.Thread(target=lambda: done.append(go(port, CRASH, 50, tmp_path / "l.jsonl")), daemon=True)
    run.start()
    time.sleep(1.2)
    broker.restart()  # type: ignore[attr-defined]
    with listening(port) as listener:
        begun = max(seq for _, _, seq in read_ledger(tmp_path / "l.jsonl").published)
        run.join(60)
        assert done[0].end.acked == done[0].end.frames
        truth = read_ledger(tmp_path / "l.jsonl")
        assert truth.acked == set(truth.published)
        after = {k for k in truth.acked if k[2] > begun + 5}
        assert len(after) > 10
        settle(lambda: after <= set(listener.keys))
        assert after <= set(listener.keys)


def test_a_helmet_without_coverage_keeps_its_frames_and_sends_them_oldest_first(
    mosquitto: Callable[..., object], tmp_path: Path
) -> None:
    port = mosquitto().port  # type: ignore[attr-defined]
    scenario = Scenario("away", 2, outages=(Outage(0, 4.0, 12.0),))
    with listening(port) as listener:
        summary = go(port, scenario, 18, tmp_path / "l.jsonl", connections=1)
        status = listener.status["SF-000001"]
        settle(lambda: len(listener.keys) >= summary.end.frames and len(status) == 4)
        came = list(listener.keys)  # in the order in which each frame first came
        for helmet in ("SF-000001", "SF-000002"):
            seqs = [seq for name, _, seq in came if name == helmet]
            assert seqs == list(range(len(seqs)))
        # Eight seconds without coverage: so many frames of the other came between two of its own.
        own = [k for k, (name, _, _) in enumerate(came) if name == "SF-000001"]
        assert max(np.diff(own)) > 6
        assert status == [True, False, True, False]


def test_a_helmet_with_its_own_connection_leaves_a_last_will_when_it_loses_coverage(
    mosquitto: Callable[..., object],
) -> None:
    port = mosquitto().port  # type: ignore[attr-defined]
    scenario = Scenario("away", 3, outages=(Outage(1, 4.0, 12.0),))
    with listening(port) as listener:
        summary = go(port, scenario, 20, connections=None)
        settle(lambda: sum(map(len, listener.status.values())) >= 8)
        assert listener.status["SF-000002"] == [True, False, True, False]
        assert listener.status["SF-000001"] == [True, False]
        assert summary.end.acked == summary.end.frames


def test_faults_reach_the_broker_and_the_ledger_knows_only_sound_frames(
    mosquitto: Callable[..., object], tmp_path: Path
) -> None:
    port = mosquitto().port  # type: ignore[attr-defined]
    scenario = Scenario("bad", 5, faults=Faults(loss=0.2, checksum=0.2, duplicate=0.1, swap=0.1))
    with listening(port) as listener:
        summary = go(port, scenario, 20, tmp_path / "l.jsonl")
        truth = read_ledger(tmp_path / "l.jsonl")
        settle(lambda: set(truth.acked) <= set(listener.keys))
        assert truth.acked == set(truth.published) <= set(listener.keys)
        assert 0.4 < len(truth.acked) / summary.end.frames < 0.8


def test_a_rider_who_is_asked_says_ok_and_one_who_crashed_is_silent(mosquitto: Callable[..., object]) -> None:
    port = mosquitto().port  # type: ignore[attr-defined]
    scenario = Scenario("asked", 2, riding=1.0, happenings=(Happening(3, "head_strike", 1),))
    with listening(port) as listener:
        stop = threading.Event()
        run = threading.Thread(target=lambda: go(port, scenario, 80, stop=stop, connections=1), daemon=True)
        run.start()
        # They ride, and the one has crashed.
        settle(lambda: {name for name, _, seq in listener.keys if seq > 4} == {"SF-000001", "SF-000002"})
        for helmet in ("SF-000001", "SF-000002"):
            ask = encode_prompt(Prompt("ask", None, None, "abc", 1, None))
            listener.client.publish(topic(helmet, "prompt"), ask, qos=1)
        settle(lambda: bool([e for e in listener.events if e["type"] == "ok"]))
        time.sleep(1.0)
        stop.set()
        run.join(20)
        assert {e["helmet"] for e in listener.events if e["type"] == "ok"} == {"SF-000001"}


def test_no_broker_is_said_at_once_and_plainly() -> None:
    with pytest.raises(BrokerError, match=r"no broker at 127\.0\.0\.1:1"):
        run_fleet(CRASH, Broker("127.0.0.1", 1), fast(), connections=1, stop=threading.Event())


def test_a_refused_sign_in_is_said_plainly(mosquitto: Callable[..., object]) -> None:
    port = mosquitto(settings="allow_anonymous false\n").port  # type: ignore[attr-defined]
    with pytest.raises(BrokerError, match="refuses us"):
        go(port, CRASH, 1)


def test_a_helmet_does_not_repeat_more_than_its_memory_holds(mosquitto: Callable[..., object]) -> None:
    port = mosquitto().port  # type: ignore[attr-defined]
    shaken = Scenario("shaken", 3, riding=1.0, rough_spots_per_h=6000)
    assert go(port, shaken, 30, connections=1).end.unconfirmed <= 3 * UNCONFIRMED_MAX
