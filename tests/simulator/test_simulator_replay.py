"""Recordings become helmets that keep the device contract and carry what was measured."""

import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import SystemClock
from core.model import Flag, Worn
from ingest.codec import Message, decode_motion, topic
from simulator.fleet import Broker
from simulator.recordings import Recording, RecordingError, read
from simulator.replay import frames, names, playable, run_replay

START_US = 1_790_000_000_000_000
DATA = Path(__file__).resolve().parents[2] / "../shared/data"
SETS = sorted(p.name for p in DATA.iterdir() if p.is_dir()) if DATA.is_dir() else []
if not SETS:
    warnings.warn(f"no recordings at {DATA}: they are not replayed in this run", stacklevel=1)


def made(seconds: float = 5.0, fs_hz: float = 100.0, seed: int = 0, hit_s: float | None = 2.3) -> Recording:
    rng = np.random.default_rng(seed)
    acc = rng.normal(0, 0.05, (int(seconds * fs_hz), 3)) + np.array([0, 0, 1])
    if hit_s is not None:
        acc[min(int(hit_s * fs_hz), len(acc) - 1)] += [9, 0, 0]
    return Recording("made", seed, "fall", "nobody", fs_hz, acc.astype(np.float32), 16.0)


def check(recording: Recording, helmet: str = "replay-made-0") -> None:
    """The frames of a recording adjoin, keep the contract and give the measured samples back."""
    parts, t_us, seq = [], START_US, 0
    for frame in frames(recording, helmet, 9, START_US, worn=Worn.YES, speed_mps=6.5):
        found, rejected = decode_motion([Message(topic(helmet, "motion"), frame.payload, frame.due_us)])
        assert not rejected
        row = found[0]
        assert (row.seq[0], row.boot[0], row.worn[0]) == (seq, 9, Worn.YES)
        assert row.speed_mps[0] == 6.5
        assert abs(int(row.t0_us[0]) - t_us) <= seq + 1
        scaled = row.acc[0] * row.g_per_count[0]
        hit = np.flatnonzero(np.linalg.norm(scaled, axis=1)[: round(recording.fs_hz)] >= 6)
        assert bool(row.flags[0] & Flag.ON_IMPACT) == bool(len(hit)) == frame.on_impact
        parts.append(scaled)
        t_us, seq = frame.due_us, seq + 1
    played = np.concatenate(parts)
    limit = 1.03 * recording.full_scale_g
    np.testing.assert_allclose(played, np.clip(recording.acc_g, -limit, limit), atol=limit / 32000)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.05, 8), st.sampled_from([31.0, 50.0, 99.7, 128.0, 211.0, 1000.0, 3200.0]), st.integers(0, 9)
)
def test_a_recording_is_cut_into_frames_without_loss(seconds: float, fs_hz: float, seed: int) -> None:
    check(made(seconds, fs_hz, seed, hit_s=seconds * 0.6))


@pytest.mark.parametrize("name", SETS)
def test_real_recordings_are_cut_into_frames_without_loss(name: str) -> None:
    for recording, _ in zip(read(DATA / name), range(5), strict=False):
        check(playable(recording))


def test_recordings_faster_than_a_frame_can_say_are_decimated() -> None:
    slow = playable(made(1.0, 10_000.0, hit_s=None))
    assert slow.fs_hz == 2500
    assert np.linalg.norm(slow.acc_g, axis=1).mean() == pytest.approx(1, abs=0.02)


def test_helmet_ids_are_valid_and_unique() -> None:
    long = Recording("a_folder_with_a_very_long_name", 3, "", "", 100, np.zeros((1, 3), np.float32), 16)
    odd = Recording("für dich", 1, "", "", 100, np.zeros((1, 3), np.float32), 16)
    assert names([made(seed=4), made(seed=4), long, odd]) == [
        "replay-made-4", "replay-0002", "replay-0003", "replay-0004",
    ]  # fmt: skip


def test_replay_publishes_every_frame_on_time_and_knows_when(mosquitto: Callable[..., object]) -> None:
    port = mosquitto().port  # type: ignore[attr-defined]
    recordings = [made(seed=i) for i in range(6)]
    clock = SystemClock(10.0, time.time_ns() // 1000)
    began_us, began_ns = clock.now_us(), time.monotonic_ns()
    result = run_replay(
        recordings, Broker("127.0.0.1", port), clock, worn=Worn.YES, at_once=3, stop=threading.Event()
    )
    assert result.helmets == {f"replay-made-{i}": r for i, r in enumerate(recordings)}
    assert result.frames == len(result.published) == 6 * 6
    late_s = [
        (result.published[helmet, result.boot, frame.seq] - began_ns) / 1e9 - (frame.due_us - began_us) / 1e7
        for helmet, recording in result.helmets.items()
        for frame in frames(playable(recording), helmet, result.boot, result.t0_us[helmet])
    ]
    # Never early; the median, because a busy machine may hold some up.
    assert min(late_s) >= -0.02 and np.median(late_s) <= 0.3
    # Three side by side, the others after them.
    starts = sorted(result.t0_us.values())
    assert starts[2] - starts[0] < 5e6 < starts[3] - starts[0]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("crash_s", "could not convert"),
        ("full_scale_g", "could not convert"),
        ("range", "finite and positive"),
        ("fs", "larger than 0"),
        ("npz", "r.npz"),
        ("latin", "UTF-8"),
    ],
)
def test_a_broken_folder_of_recordings_is_refused_in_one_sentence(
    tmp_path: Path, what: str, said: str
) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    counts = np.zeros((300, 3), np.int16)
    fs = np.array([0.0 if what == "fs" else 100.0])
    np.savez(folder / "r.npz", counts=counts, offset=np.array([0, 300]), fs=fs, scale_g=0.001)
    if what == "npz":
        (folder / "r.npz").write_bytes(b"PK\x03\x04 and nothing else")
    value = {"crash_s": ("soon", "16"), "full_scale_g": ("1.0", "wide"), "range": ("1.0", "inf")}.get(
        what, ("1", "16")
    )
    text = "rec,label,crash_s,full_scale_g\n0,fall," + ",".join(value) + "\n"
    (folder / "meta.csv").write_bytes(text.encode() + (b"\xfc" if what == "latin" else b""))
    with pytest.raises(RecordingError, match=said):
        list(read(folder))
