"""A crowd's frames are sound and distinct, and a broker hears every one of them, also one that dies in between."""

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from recorder import Recorder

from core.clock import SystemClock
from core.config import Tls
from ingest.codec import Message, decode_motion, topic
from simulator.broker import Broker, BrokerError
from simulator.crowd import CrowdSummary, run_crowd
from simulator.crowd_frames import Crowd
from simulator.ledger import read_ledger
from simulator.tape import Tape

START_US = 1_767_225_600_000_000


def test_every_frame_is_sound_and_no_two_helmets_move_alike() -> None:
    crowd = Crowd(500, 3, START_US)
    frames = crowd.frames(slice(0, 500), 7)
    messages = [
        Message(topic(name, "motion"), row.tobytes(), START_US + 60_000_000)
        for name, row in zip(crowd.ids, frames, strict=True)
    ]
    decoded, rejected = decode_motion(messages)
    assert not rejected
    one = decoded[0]
    assert len({row.tobytes() for row in one.acc}) == 500
    resultant = np.linalg.norm(one.acc * one.g_per_count[:, None, None], axis=2)
    assert 0.9 < np.median(resultant) < 1.1
    assert (one.seq == 7).all()
    assert resultant.max() < 12


def test_a_helmet_s_seconds_adjoin_and_come_again_from_the_same_seed() -> None:
    crowd, again = Crowd(20, 3, START_US), Crowd(20, 3, START_US)
    seconds = [crowd.frames(slice(0, 20), k) for k in range(4)]
    for k, frames in enumerate(seconds):
        np.testing.assert_array_equal(frames, again.frames(slice(0, 20), k))
    messages = [[Message(topic("C-000005", "motion"), f[4].tobytes(), START_US * 2)] for f in seconds]
    rows = [decode_motion(m).frames[0] for m in messages]
    for a, b in pairwise(rows):
        assert b.t0_us[0] - a.t0_us[0] == 1_000_000
        step = np.abs(b.acc[0, 0].astype(int) - a.acc[0, -1]).max()
        assert step <= 3 * np.abs(np.diff(a.acc[0].astype(int), axis=0)).max() + 50


def test_a_broker_hears_every_frame_of_a_crowd(mosquitto: Callable[..., object], tmp_path: Path) -> None:
    broker = Broker("127.0.0.1", mosquitto().port)  # type: ignore[attr-defined]
    with Recorder(broker, ("helmets/+/+/motion",), tmp_path / "heard") as recorder:
        summary = run_crowd(
            1000, 1, broker, SystemClock(), duration_s=3, connections=2, stop=threading.Event()
        )
        recorder.until(3000)
    assert summary.sent == summary.acknowledged == 3000
    heard = [Message(r.topic, r.payload, 2**61) for r in Tape(tmp_path / "heard")]
    decoded, rejected = decode_motion(heard)
    assert not rejected
    keys = {(h, int(s)) for f in decoded for h, s in zip(f.helmet, f.seq, strict=True)}
    assert keys == {(f"C-{i + 1:06d}", s) for i in range(1000) for s in range(3)}


def test_a_crowd_that_grows_has_a_third_more_each_second(
    mosquitto: Callable[..., object], tmp_path: Path
) -> None:
    broker, ledger = Broker("127.0.0.1", mosquitto().port), tmp_path / "ledger.jsonl"  # type: ignore[attr-defined]
    run_crowd(600, 1, broker, SystemClock(), duration_s=4, ramp_s=3, ledger=ledger, stop=threading.Event())
    rode = [{helmet for helmet, _, seq in read_ledger(ledger).acked if seq == second} for second in range(4)]
    assert [len(helmets) for helmets in rode] == [200, 400, 600, 600]
    assert rode[0] < rode[1] < rode[2]


def away(
    mosquitto: Callable[..., object], tmp_path: Path, away_s: float, **options: int
) -> tuple[CrowdSummary, Path]:
    """A crowd whose broker is killed after a second and comes back after `away_s`."""
    broker, ledger = mosquitto(), tmp_path / "ledger.jsonl"
    done: list[CrowdSummary] = []
    run = threading.Thread(
        target=lambda: done.append(
            run_crowd(
                500, 1, Broker("127.0.0.1", broker.port), SystemClock(), duration_s=5, ledger=ledger,  # type: ignore[attr-defined]
                stop=threading.Event(), **options,
            )
        )
    )  # fmt: skip
    run.start()
    time.sleep(1.2)
    broker.stop(kill=True)  # type: ignore[attr-defined]
    time.sleep(away_s)
    broker.start()  # type: ignore[attr-defined]
    run.join(40)
    return done[0], ledger


def test_a_crowd_comes_back_to_a_broker_that_was_killed_and_sends_what_was_not_acknowledged(
    mosquitto: Callable[..., object], tmp_path: Path
) -> None:
    summary, ledger = away(mosquitto, tmp_path, 1.0, connections=3)
    assert summary.sent == summary.acknowledged == 2500
    assert summary.end.reconnected == 3
    assert summary.end.given_up == summary.end.waiting == 0
    truth = read_ledger(ledger)
    assert truth.acked == set(truth.published)
    assert len(truth.acked) == 2500


def test_what_a_crowd_cannot_keep_is_given_up_oldest_first_and_the_ledger_says_so(
    mosquitto: Callable[..., object], tmp_path: Path
) -> None:
    summary, ledger = away(mosquitto, tmp_path, 2.0, connections=2, kept_max=400)
    truth = read_ledger(ledger)
    assert len(truth.given_up) == summary.end.given_up > 300
    assert len(truth.acked) == summary.acknowledged
    assert truth.acked | truth.given_up == set(truth.published)
    assert not truth.acked & truth.given_up
    assert max(seq for _, _, seq in truth.given_up) < 4


def test_a_crowd_speaks_tls_and_signs_in(secure_port: int, tmp_path: Path) -> None:
    tls = Tls(enabled=True, ca_file=str(tmp_path / "cert.pem"))
    broker = Broker("127.0.0.1", secure_port, "fleet", "a password", tls=tls)
    summary = run_crowd(200, 1, broker, SystemClock(), duration_s=2, connections=2, stop=threading.Event())
    assert summary.sent == summary.acknowledged == 400
    for wrong, said in (
        (Broker("127.0.0.1", secure_port, "fleet", "another", tls=tls), "refuses us"),
        (Broker("127.0.0.1", secure_port, "fleet", "a password", tls=Tls(enabled=True)), "certificate"),
        (Broker("127.0.0.1", 1), "no broker"),
    ):
        with pytest.raises(BrokerError, match=said):
            run_crowd(10, 1, wrong, SystemClock(), duration_s=1, stop=threading.Event())
