"""`detect_recording`: what it makes of holes, times and wrong input, and that its page in docs runs.

Verification case: V33.
"""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import SCALE_G, blow, crash, essence, frames, lying, ride, thrown, to_counts

from core.model import Worn
from detectors import Fleet, detect_recording
from detectors.recording import samples

PAGE = Path(__file__).resolve().parents[2] / "docs/notebook.md"
STRUCK = crash(seed=2).counts * SCALE_G
IMPACT = crash(seed=2).impact


def detect(acc_g, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return detect_recording(acc_g, 100, full_scale_g=16, **given)


def said(incidents):
    """What must not depend on frames."""
    return [repr(replace(i, versions=[])) for i in incidents]


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2, slice(None)])
def test_v33_samples_that_are_not_finite_before_a_strike_are_no_free_fall(axis, hole):
    struck = thrown(crash(seed=2)).counts * SCALE_G
    acc = struck.copy()
    acc[IMPACT - 40 : IMPACT - 5, axis] = hole
    (found,) = detect(acc, speed_mps=0.0)
    (whole,) = detect(struck, speed_mps=0.0)
    assert found.confirmed_at_s is not None
    assert (found.kind, found.impacts_s) == (whole.kind, whole.impacts_s)


def test_v33_samples_that_are_not_finite_beside_a_knock_make_no_fall_of_it():
    rng = np.random.default_rng(3)
    acc = np.concatenate([ride(8, rng, 0.02), lying(12, rng)])
    acc[800:805] += blow(2.4, 0.05)
    assert detect(acc) == []
    acc[780:800] = np.nan
    assert detect(acc) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1990), st.integers(1, 150)), max_size=5))
def test_v33_samples_that_are_not_finite_are_samples_that_never_came(holes):
    acc = STRUCK.copy()
    for first, many in holes:
        acc[first : first + many] = np.nan
    known = ~np.isnan(acc[:, 0])
    fleet, live, seq = Fleet(), [], 0
    for second in range(0, len(acc), 100):
        part = np.flatnonzero(known[second : second + 100]) + second
        for run in np.split(part, np.flatnonzero(np.diff(part) > 1) + 1) if len(part) else []:
            f = frames([("SF-1", seq, int(run[0]), to_counts(acc[run]))], received_delay_us=0)
            live += fleet.advance(int(f.t0_us[0]))
            live += fleet.push(f, np.array([1]), run[:1], int(f.received_us[0]))
            seq += 1
    live += fleet.forget(1)
    offline = [v for i in detect(acc) for v in i.versions]
    assert essence(offline) == essence([replace(d, position=None) for d in live])


def test_a_hole_in_the_times_is_missing_data_and_not_a_line_from_one_end_to_the_other():
    n = len(STRUCK)
    t_s = np.arange(n) / 100
    until = IMPACT + 33
    kept = np.r_[0:until, until + 1 : until + 2]
    moved = np.where(np.arange(n) < until, t_s, t_s + 22)
    (found,) = detect(np.concatenate([STRUCK[:until], STRUCK[until : until + 1]]), t_s=moved[kept])
    (cut,) = detect(STRUCK[:until])
    assert found.confirmed_at_s is None and found.alerted_at_s == cut.alerted_at_s


@pytest.mark.parametrize("many", [1, 2, 3, 40])
@pytest.mark.parametrize("first", [1, 700, 1900])
def test_samples_that_a_log_left_out_are_joined_up_to_three_periods_and_no_more(first, many):
    t_s = np.arange(len(STRUCK)) / 100
    kept = np.r_[0:first, first + many : len(t_s)]
    even = samples(STRUCK[kept], 100, None, None, t_s[kept])
    assert len(even.acc_g) == len(STRUCK)
    assert np.isnan(even.acc_g[first : first + many, 0]).sum() == (many if many >= 3 else 0)
    assert np.isnan(even.acc_g[:, 0]).sum() <= (many + 2 if many >= 3 else 0)


def twice(rng):
    """Two crashes five minutes apart."""
    return np.concatenate([crash(1).counts, to_counts(ride(280, rng)), crash(2).counts]) * SCALE_G


TWICE = twice(np.random.default_rng(4))


@settings(max_examples=8, deadline=None)
@given(st.one_of(st.just([len(TWICE)]), st.lists(st.integers(20, 40_000), min_size=1, max_size=4)))
def test_two_crashes_are_two_incidents_whatever_the_frames(chunks):
    whole = detect(TWICE, speed_mps=6.0)
    assert len(whole) == 2
    assert said(detect(TWICE, speed_mps=6.0, chunks=chunks)) == said(whole)


def test_one_speed_a_second_among_unknown_ones_is_enough_and_an_old_one_is_none():
    fix = np.full(len(STRUCK), np.nan)
    fix[50::100] = 6.0
    (often,), (always,) = detect(STRUCK, speed_mps=fix), detect(STRUCK, speed_mps=6.0)
    assert often.features["riding"] == always.features["riding"] == 1
    assert often.features["speed_mps"] == 6.0
    (lost,) = detect(STRUCK, speed_mps=np.where(np.arange(len(fix)) == 0, 6.0, np.nan))
    assert "speed_after_mps" not in lost.features


def test_a_speed_that_is_unknown_at_some_times_stays_so_on_an_even_grid():
    t_s = np.arange(len(STRUCK)) / 100
    speed = np.full(len(t_s), 6.0)
    speed[50::100] = np.nan
    (found,) = detect(STRUCK, t_s=t_s, speed_mps=speed)
    assert found.features["riding"] == 1 and found.features["speed_mps"] == 6.0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"worn": "no"}, "worn is 'no'"),
        ({"worn": Worn.NO}, "worn is"),
        ({"acc_g": np.zeros(30)}, r"acc_g has the shape \(30,\), not \(n, 3\)"),
        ({"acc_g": np.zeros((3, 30))}, r"acc_g has the shape \(3, 30\), not \(n, 3\)"),
        ({"gyro_rad_s": np.zeros((7, 3))}, r"gyro_rad_s has the shape \(7, 3\), not \(2000, 3\)"),
        ({"speed_mps": [1.0, 2.0]}, r"speed_mps has the shape \(2,\), not \(2000,\)"),
        ({"speed_mps": -1.0}, "negative"),
        ({"t_s": [0.0]}, r"t_s has the shape \(1,\)"),
        ({"t_s": np.arange(2000)[::-1] / 100}, "t_s must increase"),
        ({"t_s": np.r_[0.0, np.arange(1999) / 100]}, "sample 1 is at 0.0 s"),
        ({"t_s": np.r_[np.arange(1999) / 100, np.nan]}, "sample 1999 is at nan s"),
        ({"t_s": np.arange(2000) * 10.0}, "a sample every 10 s"),
        ({"fs_hz": 0}, "fs_hz is 0"),
        ({"fs_hz": np.nan}, "fs_hz is nan"),
        ({"full_scale_g": np.nan}, "full_scale_g is nan"),
        ({"full_scale_g": 0}, "full_scale_g is 0"),
        ({"chunks": [100, 0]}, "chunks"),
        ({"chunks": []}, "chunks"),
    ],
)
def test_what_an_argument_cannot_be_is_refused_with_a_sentence(given, told):
    with pytest.raises(ValueError, match=told):
        detect_recording(**{"acc_g": STRUCK, "fs_hz": 100, "full_scale_g": 16} | given)


@pytest.mark.parametrize("given", [{}, {"t_s": []}, {"speed_mps": []}, {"gyro_rad_s": np.zeros((0, 3))}])
def test_an_empty_recording_holds_nothing(given):
    assert detect(np.zeros((0, 3)), **given) == []


def test_nothing_but_holes_holds_nothing():
    assert detect(np.full((500, 3), np.nan)) == []


def test_the_page_about_notebooks_runs(capsys):
    mpl.use("Agg")
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, scope)  # noqa: S102
    out = capsys.readouterr().out
    assert "head_strike at 10.0" in out and "fast at 10.3" in out
    labels = {line.get_label() for line in scope["axes"].lines}
    assert {"impact", "fast", "confirmed"} <= labels


def test_the_page_about_notebooks_names_every_argument_and_field():
    text = PAGE.read_text(encoding="utf-8")
    (first, *_) = detect(STRUCK)
    names = [*detect_recording.__kwdefaults__, "acc_g", "fs_hz", "full_scale_g", *first.__dataclass_fields__]
    assert [n for n in names if f"`{n}`" not in text] == []
