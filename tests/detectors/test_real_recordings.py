"""A few real recordings of each set; the whole sets are measured by `helmetwatch evaluate`."""

import warnings
from pathlib import Path

import pytest

from detectors import detect_recording
from simulator.recordings import read

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
SETS = {
    "sfu_imu": lambda r: r.rec % 6 == 0,
    "siotlab_escooter": lambda r: r.label in ("fall", "bump") and r.rec != 20,
    "ridesafeum_escooter": lambda _: True,
    "byu_escooter_rides": lambda r: r.rec % 12 == 0,
    "phone_drops_cc0": lambda r: r.label == "drop",
}
if not DATA.is_dir():
    warnings.warn("the real recordings are not here: their tests are not collected", stacklevel=1)


def recordings():
    for name, wanted in SETS.items():
        if (DATA / name).is_dir():
            yield from (r for r in read(DATA / name) if wanted(r))


RECORDINGS = list(recordings())


def detect(r, worn=True):
    return detect_recording(r.acc_g, r.fs_hz, full_scale_g=r.full_scale_g, worn=worn, t_s=r.t_s)


@pytest.mark.parametrize("r", [r for r in RECORDINGS if r.label == "fall"], ids=lambda r: r.name)
def test_falls_are_confirmed(r):
    assert any(i.confirmed_at_s is not None for i in detect(r))


@pytest.mark.parametrize(
    "source", sorted({r.source for r in RECORDINGS if r.label in ("adl", "near_fall", "bump", "ride")})
)
def test_rides_bumps_stumbles_and_daily_life_are_quiet(source):
    quiet = [r for r in RECORDINGS if r.source == source and r.label not in ("fall", "crash_rides")]
    assert {r.name: detect(r) for r in quiet if detect(r)} == {}


@pytest.mark.parametrize("r", [r for r in RECORDINGS if r.label == "crash_rides"], ids=lambda r: r.name)
def test_both_scooter_crashes_are_found_and_nothing_else(r):
    crashes_s = [float(x) for x in r.meta["crash_s"].replace(";", " ").replace("|", " ").split()]
    found = detect(r)
    impacts_s = [x for i in found for x in i.impacts_s]
    for crash_s in crashes_s:
        assert any(abs(x - crash_s) < 1 for x in impacts_s)
    assert all(min(crashes_s) - 1 <= x <= max(crashes_s) + 30 for x in impacts_s)


@pytest.mark.parametrize("r", [r for r in RECORDINGS if r.label == "drop"], ids=lambda r: r.name)
def test_a_dropped_helmet_is_reported_unless_it_is_known_to_be_unworn(r):
    assert detect(r, worn=None)
    assert detect(r, worn=False) == []
