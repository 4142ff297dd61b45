"""Recordings spliced into simulated rides: what was measured passes the sensor chain, and the ledger knows when."""

import threading
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from written_recordings import RATE_HZ, write, written

from app.simulate import simulate
from core.clock import ManualClock
from core.config import ConfigError
from detectors import Fleet
from ingest.codec import Message, decode_motion
from simulator.fleet import run_fleet
from simulator.ledger import Crash, read_ledger
from simulator.motion import FINE_HZ
from simulator.recordings import RecordingError, read
from simulator.scenario import Group, Happening, Scenario
from simulator.scenario_file import parse_scenario
from simulator.sensor import PARTS
from simulator.splice import find_recording, fine, splice_of
from simulator.tape import Tape

START_US = 1_767_225_600_000_000
DATA = Path(__file__).resolve().parents[2] / "../shared/data"
SETS = sorted(p.name for p in DATA.iterdir() if p.is_dir()) if DATA.is_dir() else []
if not SETS:
    warnings.warn(f"no recordings at {DATA}: none is spliced in this run", stacklevel=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings in the documented format, written as the documentation shows it."""
    folder = tmp_path_factory.mktemp("recorded") / "made"
    write(folder)
    return folder


def ridden(
    tmp_path: Path, part: str, *happenings: Happening, seconds: float = 40, helmets: int = 1, seed: int = 1
) -> tuple[list[Crash], npt.NDArray[np.float64], npt.NDArray[np.float64], bytes]:
    """What the ledger says, and times in s and samples in g of the first helmet; and its bytes."""
    scenario = Scenario(
        "spliced", helmets, seed, riding=1.0, rough_spots_per_h=0, happenings=happenings,
        groups=(Group(helmets, PARTS[part], position=True, wear_sensor=True),),
    )  # fmt: skip
    tape, ledger = tmp_path / "t", tmp_path / "l"
    ledger.unlink(missing_ok=True)
    run_fleet(
        scenario,
        None,
        ManualClock(START_US),
        record=tape,
        ledger=ledger,
        duration_s=seconds,
        stop=threading.Event(),
    )
    own = {r.payload[32:36]: r for r in Tape(tape) if r.topic.endswith(f"{scenario.helmet_id(0)}/motion")}
    found = [decode_motion([Message(r.topic, r.payload, START_US * 2)]).frames[0] for r in own.values()]
    t_us = [f.t0_us[0] + np.arange(f.acc.shape[1]) * int(f.period_ns[0]) / 1000 for f in found]
    acc = np.concatenate([f.acc[0] * f.g_per_count[0] for f in found])
    data = b"".join(r.payload for r in own.values())
    return read_ledger(ledger).crashes, (np.concatenate(t_us) - START_US) / 1e6, acc, data


def spliced(folder: Path, rec: int, t_s: float, **changes: str) -> Happening:
    splice = splice_of(find_recording(folder / str(rec)), **changes)  # type: ignore[arg-type]
    return Happening(t_s, "splice", 0, splice=splice)


def angle_deg(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


@pytest.mark.parametrize("part", ["50hz-16g", "100hz-16g", "200hz-32g-gyro", "400hz-200g"])
def test_a_recorded_fall_keeps_its_turn_its_peak_and_its_time_and_then_the_helmet_lies(
    folder: Path, tmp_path: Path, part: str
) -> None:
    truth, t_s, acc, _ = ridden(tmp_path, part, spliced(folder, 0, 15))
    at_s = (truth[0].t_us - START_US) / 1e6
    assert [(c.kind, c.expected) for c in truth] == [("made/0", "alert")]
    assert 15 <= at_s < 17
    resultant = np.linalg.norm(acc, axis=1)
    assert t_s[resultant.argmax()] == pytest.approx(at_s, abs=0.03)
    recorded = float(np.linalg.norm(written()["fall"], axis=1).max())
    assert resultant.max() == pytest.approx(recorded, rel=0.35 if part == "50hz-16g" else 0.1)
    before = acc[(t_s > at_s - 1.8) & (t_s < at_s - 0.6)].mean(0)
    for low_s, high_s in ((1, 4), (6, 9), (11, 20)):
        lying = (t_s > at_s + low_s) & (t_s < at_s + high_s)
        assert angle_deg(acc[lying].mean(0), before) == pytest.approx(80, abs=6)
        assert abs(np.median(resultant[lying]) - 1) < 0.06


def test_a_pulse_without_gravity_is_clipped_by_a_small_part_and_measured_by_a_large_one(
    folder: Path, tmp_path: Path
) -> None:
    peaks = {}
    for part in ("100hz-16g", "1600hz-200g"):
        truth, t_s, acc, _ = ridden(tmp_path, part, spliced(folder, 2, 15), seconds=30)
        at_s = (truth[0].t_us - START_US) / 1e6
        peaks[part] = float(np.linalg.norm(acc, axis=1).max())
        lying = acc[(t_s > at_s + 2) & (t_s < at_s + 8)].mean(0)
        assert angle_deg(lying, acc[(t_s > 8) & (t_s < 14)].mean(0)) > 40
    assert 55 < peaks["1600hz-200g"] < 68
    assert peaks["100hz-16g"] < 16.1 * np.sqrt(3)


def test_a_recorded_ride_is_felt_as_it_was_until_the_rider_lies(folder: Path, tmp_path: Path) -> None:
    truth, t_s, acc, _ = ridden(
        tmp_path, "200hz-32g", spliced(folder, 1, 5), spliced(folder, 2, 20), seconds=45
    )
    assert [(c.kind, c.expected) for c in truth] == [("made/1", "none"), ("made/2", "alert")]
    began_s, struck_s = ((c.t_us - START_US) / 1e6 for c in truth)
    rides = (t_s > began_s + 1) & (t_s < struck_s - 2)
    spectrum = np.abs(np.fft.rfft(acc[rides, 2] - acc[rides, 2].mean()))
    assert np.fft.rfftfreq(rides.sum(), 1 / RATE_HZ)[spectrum.argmax()] == pytest.approx(3, abs=0.1)
    assert acc[rides, 2].std() == pytest.approx(0.4 / np.sqrt(2), rel=0.06)
    # The recorded ride lasts until second 35: whoever lies there does not feel it any more.
    assert acc[(t_s > struck_s + 4) & (t_s < 34)].std(0).max() < 0.3
    spectrum = np.abs(np.fft.rfft(acc[(t_s > struck_s + 4) & (t_s < 34), 2]))
    assert spectrum[1:].max() < 0.2 * spectrum[0]


def test_a_drop_happens_to_an_unworn_helmet_and_expects_nothing(folder: Path, tmp_path: Path) -> None:
    scenario = Scenario("d", 1, happenings=(spliced(folder, 3, 10),), riding=0)
    run_fleet(
        scenario, None, ManualClock(START_US), record=tmp_path / "t", ledger=tmp_path / "l", duration_s=20,
        stop=threading.Event(),
    )  # fmt: skip
    crash = read_ledger(tmp_path / "l").crashes[0]
    assert (crash.kind, crash.expected) == ("made/3", "none")
    motion = [Message(r.topic, r.payload, START_US * 2) for r in Tape(tmp_path / "t") if "motion" in r.topic]
    assert {int(f.worn[0]) for f in decode_motion(motion).frames} <= {0, 1}


def test_the_same_seed_gives_the_same_bytes_and_another_helmet_changes_none(
    folder: Path, tmp_path: Path
) -> None:
    both = [Happening(10, "splice", k, splice=splice_of(find_recording(folder / "0"))) for k in range(2)]
    first = ridden(tmp_path, "100hz-16g", *both, seconds=20, helmets=2)[3]
    assert ridden(tmp_path, "100hz-16g", *both, seconds=20, helmets=2)[3] == first
    assert ridden(tmp_path, "100hz-16g", both[0], seconds=20)[3] == first
    assert ridden(tmp_path, "100hz-16g", both[0], seconds=20, seed=2)[3] != first


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([50.0, 99.7, 128.0, 198.3, 211.0, 1000.0, 3200.0]), st.floats(0.5, 8.0))
def test_the_fine_grid_keeps_slow_motion_as_it_is(fs_hz: float, tone_hz: float) -> None:
    t = np.arange(0, 4, 1 / fs_hz)
    on_grid = fine(np.sin(2 * np.pi * tone_hz * t)[:, None] * np.ones(3), fs_hz)
    times = np.arange(len(on_grid)) / FINE_HZ
    inside = (times > 0.5) & (times < 3.5)
    np.testing.assert_allclose(on_grid[inside, 1], np.sin(2 * np.pi * tone_hz * times[inside]), atol=0.04)


def test_a_scenario_names_recordings_from_its_own_folder_on_and_a_missing_one_with_its_line(
    folder: Path,
) -> None:
    text = """\
name: spliced
duration: 40s
fleet: [{helmets: 2}]
events:
  - {event: splice, recording: made/2, at: 20s, helmets: 1}
  - {event: splice, recording: made/1, at: 5s, into: walk, expected: none}
expect:
  alerts: [{event: splice}]
"""
    found = parse_scenario(text, "x.yaml", folder.parent).scenario()
    splices = [h.splice for h in found.happenings if h.splice]
    assert [(s.recording.name, s.into, s.then, s.expected) for s in splices] == [
        ("made/2", "ride", "lie", "alert"),
        ("made/1", "walk", "go_on", "none"),
        ("made/1", "walk", "go_on", "none"),
    ]
    for wrong, said, line in (
        ("made/9", "no recording 9", 5),
        ("nowhere/1", "does not exist", 5),
        ("made", "folder and number", 5),
    ):
        with pytest.raises(ConfigError) as error:
            parse_scenario(text.replace("made/2", wrong), "x.yaml", folder.parent)
        assert any(said in fault and f"(x.yaml:{line})" in fault for fault in error.value.faults), error.value
    with pytest.raises(ConfigError, match="needs a recording"):
        parse_scenario(text.replace("recording: made/2, ", ""), "x.yaml", folder.parent)


def test_what_is_no_recording_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(RecordingError, match="no recording 17"):
        find_recording(folder / "17")


@pytest.mark.parametrize("name", SETS)
def test_real_recordings_of_every_set_can_be_spliced(tmp_path: Path, name: str) -> None:
    splice = splice_of(find_recording(DATA / name / "0"))
    for part in ("100hz-16g", "200hz-32g-gyro"):
        truth, _, acc, _ = ridden(tmp_path, part, Happening(5, "splice", 0, splice=splice), seconds=30)
        assert truth[0].kind == f"{name}/0"
        assert np.isfinite(acc).all()
        assert 0.9 < np.median(np.linalg.norm(acc, axis=1)) < 1.1


@pytest.mark.parametrize("sets", [("byu_escooter_rides", "head_impacts_lab")] if SETS else [])
def test_a_real_blow_in_a_real_ride_is_alerted_and_the_ride_alone_is_not(
    tmp_path: Path, sets: tuple[str, str]
) -> None:
    ride = next(r for r in read(DATA / sets[0]) if 40 < r.duration_s < 90)
    into = spliced(DATA / sets[0], ride.rec, 5)
    for happenings, alerts in (((into,), False), ((into, spliced(DATA / sets[1], 7, 25)), True)):
        truth, _, _, _ = ridden(tmp_path, "100hz-16g", *happenings, seconds=45)
        fleet, said, index = Fleet(), [], 0
        seen: set[bytes] = set()
        for r in Tape(tmp_path / "t"):
            if r.topic.endswith("motion") and r.payload[32:36] not in seen:
                seen.add(r.payload[32:36])
                now_us = START_US + r.offset_us
                frame = decode_motion([Message(r.topic, r.payload, now_us)]).frames[0]
                said += fleet.push(frame, np.array([0]), np.array([index]), now_us)
                index += frame.acc.shape[1]
        assert bool(said) == alerts
        if alerts:
            assert abs(said[0].occurred_us - truth[-1].t_us) < 50_000


@pytest.mark.parametrize("script", [["pothole-street"], ["--crowd"]])
@pytest.mark.parametrize("said", [["--part", "50hz-16g"], ["--crashes-per-hour", "3"]])
def test_what_a_scenario_or_a_crowd_says_itself_is_refused_beside_it(
    script: list[str], said: list[str]
) -> None:
    answer = CliRunner().invoke(simulate, [*script, *said])
    assert answer.exit_code == 2
    assert said[0] in answer.output and "leave it out" in answer.output
