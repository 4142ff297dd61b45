"""Which raw samples are stored: around incidents, around an SOS, and while a helmet is under observation."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from frames import NOW_US, frames
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import NOTHING, detection, rows

from core.clock import ManualClock
from core.config import Config, Embedded
from core.model import TELEMETRY, Flag, HelmetEvent
from ingest import codec
from ingest.codec import Message
from ingest.journal import Journal, Taken, Tick
from ingest.sampler import HISTORY_BYTES, Sampler
from ingest.store_relay import StoreRelay
from ingest.telemetry import as_telemetry, samples, split
from ingest.worker import Worker
from storage import SAMPLES
from storage.embedded import EmbeddedStore

SECOND_US = 1_000_000


@cache
def message(second: int, helmet: str = "SF-1", *, gyro: bool = False) -> Message:
    """A second of 50 Hz from one helmet, as it comes from the broker half a second after its end."""
    counts = np.random.default_rng(second).integers(-9999, 9999, (2, 50, 3)).astype(np.int16)
    frame = frames(
        counts[:1],
        counts[1:] if gyro else None,
        helmet,
        seq=second,
        t0_us=NOW_US + second * SECOND_US,
        received_us=NOW_US + second * SECOND_US + 1_500_000,
        period_ns=20_000_000,
    )
    return Message(codec.topic(helmet, "motion"), codec.encode_motion(frame)[0], int(frame.received_us[0]))


def tick(second: int, *helmets: str, **more: list) -> Tick:
    raw = [message(second, helmet) for helmet in helmets or ("SF-1", "SF-2")]
    return Tick(NOW_US + second * SECOND_US + 1_500_000, raw=raw, **more)


def crash(*impacts_ms: int) -> list:
    at_us = [NOW_US + ms * 1000 for ms in impacts_ms]
    return [replace(detection("i"), occurred_us=at_us[0], impacts_us=at_us)]


def stored(sampler: Sampler, ticks: Iterator[Tick] | list[Tick]) -> np.ndarray:
    parts = [found for each in ticks if (found := sampler.take(each)) is not None]
    return np.concatenate(parts) if parts else np.zeros(0, SAMPLES)


def seconds_of(found: np.ndarray, helmet: bytes = b"SF-1") -> list[int]:
    """Which frames are there, each whole and once."""
    seqs, counts = np.unique(found["seq"][found["helmet"] == helmet], return_counts=True)
    assert set(counts) <= {50}
    return seqs.tolist()


def nobody(_now_us: int) -> frozenset[str]:
    return frozenset()


@settings(max_examples=40, deadline=None)
@given(impact_ms=st.integers(12_000, 16_000), waits=st.integers(0, 12))
def test_ten_seconds_before_and_after_an_impact_are_kept_whenever_the_decision_comes(
    impact_ms: int, waits: int
) -> None:
    decided = impact_ms // 1000 + 1 + waits
    ticks = [tick(s, detections=crash(impact_ms) if s == decided else []) for s in range(35)]
    found = stored(Sampler(nobody, 60), ticks)
    assert set(found["helmet"]) == {b"SF-1"}
    first, last = impact_ms - 10_000, impact_ms + 10_000
    assert seconds_of(found) == [s for s in range(35) if s * 1000 + 980 >= first and s * 1000 <= last]


def test_a_second_impact_makes_the_stretch_longer_and_a_later_incident_makes_another() -> None:
    words = {
        21: crash(20_000),
        27: crash(20_000, 26_000),
        51: crash(50_000),
    }
    found = stored(Sampler(nobody, 60), [tick(s, detections=words.get(s, [])) for s in range(80)])
    assert seconds_of(found) == [*range(10, 37), *range(40, 61)]


def test_an_sos_is_an_incident_and_other_events_are_none() -> None:
    def event(kind: str) -> HelmetEvent:
        return HelmetEvent("SF-1", kind, NOW_US + 20 * SECOND_US, NOW_US + 20 * SECOND_US)

    for kind, expected in (("sos", list(range(10, 31))), ("ok", [])):
        ticks = [tick(s, events=[event(kind)] if s == 21 else []) for s in range(50)]
        assert seconds_of(stored(Sampler(nobody, 60), ticks)) == expected


def test_while_a_helmet_is_observed_all_that_arrives_from_it_is_kept_and_of_no_other() -> None:
    def observed(now_us: int) -> set[str]:
        return {"SF-2"} if 10 <= (now_us - NOW_US) // SECOND_US < 20 else set()

    found = stored(Sampler(observed, 60), [tick(s) for s in range(30)])
    assert seconds_of(found, b"SF-2") == list(range(9, 19)), (
        "by arrival, one and a half seconds after its start"
    )
    assert set(found["helmet"]) == {b"SF-2"}


def test_a_helmet_both_observed_and_in_an_incident_is_kept_once_from_then_on() -> None:
    ticks = [tick(s, detections=crash(20_000) if s == 21 else []) for s in range(22, 60)]
    assert seconds_of(stored(Sampler(lambda _: {"SF-1"}, 60), ticks)) == list(range(22, 60))


def test_samples_are_what_the_helmet_measured_with_its_gyro() -> None:
    raw = message(3, gyro=True)
    [decoded] = codec.decode_motion([raw]).frames
    found = stored(Sampler(lambda _: {"SF-1"}, 60), [Tick(raw.received_us, raw=[raw])])
    assert found["t_us"].tolist() == [NOW_US + 3 * SECOND_US + k * 20_000 for k in range(50)]
    assert (found["boot"] == 3).all()
    for axis, (acc, gyro) in enumerate((("x_g", "x_rad_s"), ("y_g", "y_rad_s"), ("z_g", "z_rad_s"))):
        assert np.allclose(found[acc], decoded.acc[0, :, axis] * decoded.g_per_count[0])
        assert np.allclose(found[gyro], decoded.gyro[0, :, axis] * decoded.rad_s_per_count[0])
    assert decoded.flags[0] & Flag.GYRO
    assert np.isnan(stored(Sampler(lambda _: {"SF-1"}, 60), [tick(1)])["x_rad_s"]).all()


def remembered(sampler: Sampler) -> list[Message]:
    return [m for _, _, raw in sampler._history for m in raw]


def test_what_is_remembered_is_bounded_in_time_and_bytes() -> None:
    sampler = Sampler(nobody, 60)
    for s in range(100):
        sampler.take(tick(s))
    assert len(remembered(sampler)) == 2 * 26
    big = message(101)._replace(payload=bytes(64_000))
    for k in range(40):  # 2.5 s of a hundred helmets that send the largest frames there are
        sampler.take(Tick(NOW_US + 101 * SECOND_US + k * 62_500, raw=[big] * 100))
        taken = sum(len(m.payload) for m in remembered(sampler))
        assert taken == sum(size for _, size, _ in sampler._history) - 300 * len(remembered(sampler))
        assert taken <= HISTORY_BYTES
    assert taken > 0.9 * HISTORY_BYTES
    assert sampler.take(tick(104, detections=crash(103_000))) is not None, "it goes on"


SAMPLE_ROWS = st.integers(0, 40).map(lambda n: samples(frames(np.full((n, 2, 3), n, np.int16))) if n else
                                     np.zeros(0, SAMPLES))  # fmt: skip


@given(telemetry=st.integers(0, 20), raw=SAMPLE_ROWS, order=st.randoms())
def test_samples_in_the_shape_of_telemetry_come_out_as_they_went_in(
    telemetry: int, raw: np.ndarray, order
) -> None:
    there = rows(telemetry) if telemetry else np.zeros(0, TELEMETRY)
    both = np.concatenate([there, as_telemetry(raw)])
    places = sorted(range(len(both)), key=lambda _: order.random())
    back, raw_back = split(both[np.array(places, int)])
    first = [i for i in places if i < len(there)]
    then = [i - len(there) for i in places if i >= len(there)]
    assert back.tobytes() == there[np.array(first, int)].tobytes()
    assert raw_back.tobytes() == raw[np.array(then, int)].tobytes()


def test_rows_and_samples_of_one_turn_reach_the_store_through_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    found = stored(Sampler(lambda _: {"SF-1"}, 60), [tick(s) for s in range(5)])
    journal.commit(Tick(NOW_US, telemetry=[rows(7), as_telemetry(found)]), NOTHING)
    struck: list[int] = []
    settings = Embedded(path=str(tmp_path / "telemetry.db"))
    relay = StoreRelay(lambda: EmbeddedStore(settings), journal.path, 5000, lambda ids, _: struck.extend(ids))
    relay.start()
    deadline = time.monotonic() + 15
    while not struck:
        assert time.monotonic() < deadline, "the relay delivered nothing"
        time.sleep(0.01)
    relay.leave()
    relay.join(10)
    store = EmbeddedStore(settings)
    assert store.count() == 7
    assert store.samples("SF-1", 0, 2**62)["t_us"].tolist() == np.sort(found["t_us"]).tolist()
    store.close()
    journal.close()


def test_a_kill_right_after_the_alert_costs_no_sample_of_before() -> None:
    ticks = [tick(s, detections=crash(20_000) if s == 21 else []) for s in range(40)]
    whole = stored(Sampler(nobody, 60), ticks)
    for killed_after in (20, 21, 22, 30):
        durable = stored(Sampler(nobody, 60), ticks[: killed_after + 1])
        again = Sampler(nobody, 60)
        for each in ticks[: killed_after + 1]:  # the worker's start: kept raw messages, in the same turns
            again.take(each)
        both = np.concatenate([durable, stored(again, ticks[killed_after + 1 :])])
        assert np.array_equal(np.sort(both, order=["t_us", "helmet"])["t_us"], np.sort(whole["t_us"]))


@pytest.mark.parametrize("taken", [False, True], ids=["the desk has yet to take it", "the desk took it"])
def test_a_call_for_help_is_remembered_over_a_restart(tmp_path: Path, taken: bool) -> None:
    """An SOS is in no raw frame; the journal's outbox knows of it, if only by its key once the desk took it."""
    config = Config.model_validate({"ingest": {"journal": {"path": str(tmp_path / "j.db")}}})
    called = HelmetEvent("SF-1", "sos", NOW_US + 20 * SECOND_US, NOW_US + 20 * SECOND_US)
    journal = Journal(tmp_path / "j.db")
    for s in range(23):
        events = [called, replace(called, helmet="SF-2", type="ok")] if s == 21 else []
        journal.commit(tick(s, events=events), NOTHING)
    if taken:
        journal.commit(Tick(NOW_US + 23 * SECOND_US), Taken([("taken", 1), ("taken", 2)], []))
    journal.close()
    worker = Worker(config, ManualClock(NOW_US + 25 * SECOND_US), "t" * 32)
    found = stored(worker._sampler, [tick(s) for s in range(23, 50)])
    assert set(found["helmet"]) == {b"SF-1"}
    assert [s for s in seconds_of(found) if s >= 23] == list(range(23, 31))
    worker._journal.close()
