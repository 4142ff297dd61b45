"""Tapes: dry runs repeat byte for byte, playing keeps the spacing, recording a broker loses nothing."""

import hashlib
import math
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorder import Recorder

from core.clock import ManualClock, SystemClock
from ingest.codec import Message, decode_motion, parse_topic
from simulator import player
from simulator.connections import Broker
from simulator.faults import ClockFault, Faults, Flat, Reboot, Spell
from simulator.fleet import run_fleet
from simulator.player import export, play, redated
from simulator.scenario import Group, Happening, Outage, Scenario
from simulator.sensor import PARTS
from simulator.tape import Recorded, Tape, TapeError, TapeWriter

START_US = 1_767_225_600_000_000
DRY = """
import sys, threading
from pathlib import Path
sys.argv = ["helmetwatch", "simulate", "--helmets", "50", "--seed", "7", "--for", "20s", "--dry-run", "--record", sys.argv[1]]
from app.simulate import simulate
simulate(sys.argv[2:], standalone_mode=False)
"""

records = st.builds(
    Recorded,
    offset_us=st.integers(0, 2**40),
    topic=st.text(max_size=40),
    payload=st.binary(max_size=200),
    qos=st.integers(0, 2),
    retain=st.booleans(),
)


def dry(path: Path, scenario: Scenario, seconds: float = 20) -> list[Recorded]:
    run_fleet(scenario, None, ManualClock(START_US), record=path, duration_s=seconds, stop=threading.Event())
    return list(Tape(path))


def everything(helmets: int = 8) -> Scenario:
    return Scenario(
        "all", helmets, happenings=(Happening(8, "head_strike", 1), Happening(5, "sos", 2)),
        outages=(Outage(3, 4, 9),), spells=(Spell(Faults(loss=0.2, delay=0.3, truncate=0.1), None, 3, 12),),
        clock_faults=(ClockFault(4, 6, 30, 200),), reboots=(Reboot(5, 7),), flats=(Flat(6, 10),),
        groups=(Group(4), Group(helmets - 4, PARTS["200hz-32g-gyro"])),
    )  # fmt: skip


def test_two_processes_write_the_same_file(tmp_path: Path) -> None:
    hashes = set()
    for name in ("a.tape", "b.tape"):
        subprocess.run([sys.executable, "-c", DRY, str(tmp_path / name)], check=True, capture_output=True)
        hashes.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(hashes) == 1
    assert len(list(Tape(tmp_path / "a.tape"))) > 50 * 18


@pytest.mark.parametrize("name", ["x.tape", "x.tape.gz"])
def test_with_every_fault_two_runs_write_the_same_and_another_seed_does_not(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "2").mkdir()
    first, again = tmp_path / name, tmp_path / "2" / name
    dry(first, everything())
    dry(again, everything())
    assert first.read_bytes() == again.read_bytes()


def test_another_helmet_changes_no_byte_of_the_others(tmp_path: Path) -> None:
    few = dry(tmp_path / "few", everything())
    many = dry(tmp_path / "many", everything(12))
    kept = {r.topic for r in few}
    assert sorted(few) == sorted(r for r in many if r.topic in kept)


def test_loss_hits_repeats_as_well(tmp_path: Path) -> None:
    struck = Scenario(
        "struck", 1, happenings=(Happening(4, "head_strike", 0),), spells=(Spell(Faults(loss=1.0)),)
    )
    assert not [r for r in dry(tmp_path / "t", struck, 12) if r.topic.endswith("motion")]


def test_a_duplicate_is_counted_once(tmp_path: Path) -> None:
    scenario = Scenario("twice", 2, spells=(Spell(Faults(duplicate=1.0)),))
    summary = run_fleet(
        scenario, None, ManualClock(START_US), record=tmp_path / "t", duration_s=10, stop=threading.Event()
    )
    motion = [r for r in Tape(tmp_path / "t") if r.topic.endswith("motion")]
    assert len(motion) == 2 * summary.end.frames
    assert summary.end.acked == summary.end.frames


def test_outages_that_overlap_end_with_the_last_of_them(tmp_path: Path) -> None:
    scenario = Scenario("two", 1, outages=(Outage(0, 4, 10), Outage(0, 6, 14)))
    tape = dry(tmp_path / "t", scenario, 20)
    away = [r.offset_us / 1e6 for r in tape if r.topic.endswith("motion")]
    assert max(np.diff(away)) > 9
    said = [r for r in tape if r.topic.endswith("status")]
    assert [r.offset_us / 1e6 for r in said[1:3]] == pytest.approx([4, 14], abs=0.02)


@pytest.mark.parametrize("connections", [1, None])
def test_who_starts_anew_is_gone_meanwhile(tmp_path: Path, connections: int | None) -> None:
    scenario = Scenario("r", 1, reboots=(Reboot(0, 7, 3),))
    run_fleet(
        scenario, None, ManualClock(START_US), record=tmp_path / "t", duration_s=20, stop=threading.Event(),
        connections=connections,
    )  # fmt: skip
    said = [
        (r.offset_us / 1e6, b"true" in r.payload) for r in Tape(tmp_path / "t") if r.topic.endswith("status")
    ]
    # With a connection of its own it is the broker that says that it has gone.
    online = [(at_s, up) for at_s, up in said if 1 < at_s < 19]
    shared = [(7, False), (10, True)]
    wanted = shared if connections else shared[1:]
    assert [up for _, up in online] == [up for _, up in wanted]
    assert [at_s for at_s, _ in online] == pytest.approx([at_s for at_s, _ in wanted], abs=0.02)


def test_more_helmets_are_exported_than_files_may_be_open(tmp_path: Path) -> None:
    tape = tmp_path / "t"
    run_fleet(
        Scenario("many", 90), None, ManualClock(START_US), record=tape, duration_s=3, stop=threading.Event()
    )
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (90, before[1]))
    try:
        frames = export(Tape(tape), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert len(frames) == 90
    for helmet in frames:
        assert (tmp_path / "out" / f"{helmet}.csv").read_text().count("t_us") == 1


def test_export_in_pieces_is_export_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dry(tmp_path / "t", Scenario("few", 3), 8)
    whole = export(Tape(tmp_path / "t"), tmp_path / "whole")
    monkeypatch.setattr(player, "_PIECE", 7)
    assert export(Tape(tmp_path / "t"), tmp_path / "pieces") == whole
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "pieces" / path.name).read_bytes()


@settings(max_examples=60)
@given(st.lists(records, max_size=20), st.integers(0, 2**60), st.sampled_from(["t.tape", "t.tape.gz"]))
def test_what_was_written_is_read_back(written: list[Recorded], start_us: int, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with TapeWriter(path, start_us) as tape:
            for r in written:
                tape.write(*r)
        assert list(Tape(path)) == written
        assert Tape(path).start_us == start_us


@settings(max_examples=60)
@given(st.integers(16, 900), st.sampled_from(["t.tape", "t.tape.gz"]))
def test_a_tape_cut_off_anywhere_gives_what_was_whole(cut: int, name: str) -> None:
    written = [Recorded(k, f"a/{k}", bytes(k), 1, False) for k in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with TapeWriter(path, 5) as tape:
            for r in written:
                tape.write(*r)
        path.write_bytes(path.read_bytes()[:cut])
        try:
            found = list(Tape(path))
        except TapeError:
            found = []
        assert found == written[: len(found)]


def test_something_else_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("x.tape", "x.tape.gz"):
        (tmp_path / name).write_bytes(b"something else, long enough to be a header")
        with pytest.raises(TapeError, match=r"x\.tape"):
            list(Tape(tmp_path / name))


def test_playing_keeps_the_spacing_and_recording_hears_every_message(
    mosquitto: Callable[..., object], tmp_path: Path
) -> None:
    broker = Broker("127.0.0.1", mosquitto().port)  # type: ignore[attr-defined]
    sent = dry(tmp_path / "sent", Scenario("few", 5), 8)
    with Recorder(broker, ("helmets/#",), tmp_path / "heard") as recorder:
        played = play(Tape(tmp_path / "sent"), broker, SystemClock(), speed=4, stop=threading.Event())
        recorder.until(len(sent))
    again = list(Tape(tmp_path / "heard"))
    assert played.messages == played.acknowledged == len(sent) == len(again)
    assert [(r.topic, r.payload) for r in again] == [(r.topic, r.payload) for r in sent]
    assert played.seconds >= sent[-1].offset_us / 4e6
    there, here = (np.array([r.offset_us for r in rows]) / 1e6 for rows in (sent, again))
    # The median: a busy machine may hold some messages up.
    assert np.median(np.abs((here - here[0]) * 4 - (there - there[0]))) < 0.8


PLANT = (
    ("plant/1/level", b"at most once", 0, False),
    ("plant/1/level", b"at least once", 1, False),
    ("plant/2/\u6c34", b"exactly once", 2, True),
    ("helmets/x", b"\x00\xff", 0, True),
    ("$plant", b"not heard: wildcards leave $ out", 1, False),
    ("plant", b"", 2, False),
)


@pytest.mark.parametrize("speed", [0.5, 5.0])
def test_any_topics_are_recorded_and_played_with_their_qos_retain_flags_and_spacing(
    mosquitto: Callable[..., object], tmp_path: Path, speed: float
) -> None:
    port = mosquitto().port  # type: ignore[attr-defined]
    broker = Broker("127.0.0.1", port)
    with TapeWriter(tmp_path / "made", START_US) as tape:
        for k, (topic, payload, qos, retain) in enumerate(PLANT * 2):
            tape.write(200_000 * k, topic, payload, qos, retain)
    with Recorder(broker, ("#", "unheard/+"), tmp_path / "heard") as recorder:
        played = play(Tape(tmp_path / "made"), broker, SystemClock(), speed=speed, stop=threading.Event())
        recorder.until(10)
    wanted = [(200_000 * k, *r) for k, r in enumerate(PLANT * 2) if r[0] != "$plant"]
    again = list(Tape(tmp_path / "heard"))
    assert [tuple(r)[1:] for r in again] == [r[1:] for r in wanted]
    assert (played.messages, played.acknowledged, played.at_qos_0) == (12, 8, 4)
    gaps = np.diff([r.offset_us for r in again]) / 1e6 * speed
    assert np.median(np.abs(gaps - np.diff([r[0] for r in wanted]) / 1e6)) < 0.03 * speed


def test_a_tape_of_before_is_played_at_qos_1(tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "t", START_US) as tape:
        for qos in (0, 1, 2):
            tape.write(0, "a", b"b", qos, True)
    old = (tmp_path / "t").read_bytes().replace(b"HWTAPE2", b"HWTAPE1")
    (tmp_path / "old").write_bytes(old)
    assert [(r.qos, r.retain) for r in Tape(tmp_path / "old")] == [(1, True)] * 3


def test_playing_as_fast_as_possible_is_faster_and_loses_nothing(
    mosquitto: Callable[..., object], tmp_path: Path
) -> None:
    broker = Broker("127.0.0.1", mosquitto().port)  # type: ignore[attr-defined]
    sent = dry(tmp_path / "t", Scenario("few", 20), 60)
    played = play(Tape(tmp_path / "t"), broker, SystemClock(), speed=math.inf, stop=threading.Event())
    assert played.acknowledged == len(sent)
    assert played.seconds < sent[-1].offset_us / 1e6


def test_dated_anew_a_tape_is_sound_and_only_dates_and_boots_differ(tmp_path: Path) -> None:
    tape = dry(tmp_path / "t", Scenario("few", 3, happenings=(Happening(3, "sos", 1),)), 8)
    now_us = START_US + 86_400_000_000
    for r in tape:
        moved = redated(r, START_US, now_us)
        parsed = parse_topic(r.topic)
        assert isinstance(parsed, tuple)
        if parsed[1] == "motion":
            old, new = (
                decode_motion([Message(r.topic, p, now_us * 2)]).frames[0] for p in (r.payload, moved)
            )
            assert new.t0_us[0] - old.t0_us[0] == 86_400_000_000
            assert new.boot[0] - old.boot[0] == 86_400
            np.testing.assert_array_equal(new.acc, old.acc)
        elif parsed[1] == "status":
            assert moved == r.payload


def test_exported_frames_are_the_wire_s_bytes_and_the_table_has_every_sample(tmp_path: Path) -> None:
    scenario = Scenario("few", 3, groups=(Group(2), Group(1, PARTS["100hz-16g-gyro"])))
    tape = [r for r in dry(tmp_path / "t", scenario, 5) if r.topic.endswith("motion")]
    frames = export(Tape(tmp_path / "t"), tmp_path / "out")
    assert sum(frames.values()) == len(tape)
    for helmet in ("SF-000001", "SF-000003"):
        own = [r.payload for r in tape if f"/{helmet}/" in r.topic]
        raw = (tmp_path / "out" / f"{helmet}.frames").read_bytes()
        assert raw == b"".join(len(p).to_bytes(4, "little") + p for p in own)
        rows = (tmp_path / "out" / f"{helmet}.csv").read_text().splitlines()
        assert len(rows) == 1 + 100 * len(own)
        assert rows[1].endswith(",,") == (helmet == "SF-000001")


def test_a_rebooted_helmet_counts_its_boot_up_and_begins_at_nought(tmp_path: Path) -> None:
    tape = dry(tmp_path / "t", Scenario("r", 1, reboots=(Reboot(0, 7, 3),)))
    rows = [decode_motion([Message(r.topic, r.payload, START_US * 2)]).frames for r in tape]
    keys = [(int(f[0].boot[0]), int(f[0].seq[0])) for f in rows if f]
    boots = sorted({boot for boot, _ in keys})
    assert len(boots) == 2
    for boot in boots:
        assert [seq for b, seq in keys if b == boot] == list(range(sum(b == boot for b, _ in keys)))
    silent = np.diff([r.offset_us for r in tape if r.topic.endswith("motion")]) / 1e6
    assert 3 < silent.max() < 6


def test_an_empty_battery_says_so_and_then_nothing(tmp_path: Path) -> None:
    tape = dry(tmp_path / "t", Scenario("b", 1, flats=(Flat(0, 10),)))
    motion = [r for r in tape if r.topic.endswith("motion")]
    told = [
        int(decode_motion([Message(r.topic, r.payload, START_US * 2)]).frames[0].battery_pct[0])
        for r in motion
    ]
    assert told[-1] == 0
    assert motion[-1].offset_us <= 10_100_000


def test_a_clock_that_jumps_moves_dates_and_nothing_else(tmp_path: Path) -> None:
    right = dry(tmp_path / "a", Scenario("c", 1))
    wrong = dry(tmp_path / "b", Scenario("c", 1, clock_faults=(ClockFault(0, 6, 30, 1000),)))
    motions = [[r for r in tape if r.topic.endswith("motion")] for tape in (right, wrong)]
    ahead = []
    for a, b in zip(*motions, strict=True):
        one, two = (decode_motion([Message(r.topic, r.payload, START_US * 2)]).frames[0] for r in (a, b))
        np.testing.assert_array_equal(one.acc, two.acc)
        ahead.append(int(two.t0_us[0] - one.t0_us[0]))
    assert ahead[0] == 0
    assert ahead[-1] == pytest.approx(30_000_000 + 1000 * 13, abs=3000)
