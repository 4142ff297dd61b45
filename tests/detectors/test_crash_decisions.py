"""What alerts, what does not, what is taken back: made-up motion, one point at a time."""

import base64

import numpy as np
import pytest
from motion_cases import SCALE_G, T0_US, Case, blow, crash, feed, frames, lying, ride, thrown, to_counts

from core.model import Kind, Stage, Worn
from detectors import Fleet, detect_recording
from simulator.sensor import FAST as FAST_PART
from simulator.sensor import sampled

ALERTS = (Stage.FAST, Stage.STANDARD, Stage.CONFIRMED)


def run(case, **context):
    fleet = Fleet()
    return feed(fleet, case.counts, **context) + fleet.forget(1)


def test_a_head_strike_alerts_within_035_s_and_is_confirmed_by_what_follows():
    case = crash()
    said = run(case, chunk=5)
    assert [d.stage for d in said[:2]] == [Stage.FAST, Stage.CONFIRMED]
    assert said[0].kind == Kind.HEAD_STRIKE
    delay_s = (said[0].received_us - 200_000 - said[0].occurred_us) / 1e6
    assert delay_s <= 0.35 + 0.05 + 1e-6
    assert said[0].occurred_us == T0_US + case.impact * 10_000


def test_every_version_carries_the_trace_the_words_and_the_evidence():
    said = run(crash())
    for d in said:
        counts = np.frombuffer(base64.b64decode(d.trace.acc), "<i2").reshape(-1, 3)
        start = round((d.trace.t0_us - T0_US) / 10_000)
        assert (counts == crash().counts[start : start + len(counts)]).all()
        assert d.occurred_us - d.trace.t0_us >= 6_000_000
        assert d.reason_zh and d.reason_en and d.points and d.features["peak_g"] > 12
        assert d.position is not None and d.detector
    assert [d.version for d in said] == list(range(1, len(said) + 1))
    assert len({d.incident for d in said}) == 1 and len(said[0].incident) == 16


def test_v31_riding_on_takes_an_alert_back_within_ten_seconds():
    case = crash(after="ride")
    said = run(case)
    assert said[0].stage in ALERTS
    assert said[-1].stage in (Stage.CANCELLED, Stage.DOWNGRADED)
    assert (said[-1].received_us - said[0].occurred_us) / 1e6 <= 11.2


def test_a_fall_without_a_head_strike_is_confirmed_by_turning_and_lying_still():
    said = run(crash(peak_g=5.0, width_s=0.25))
    assert said[-1].stage == Stage.CONFIRMED
    assert said[-1].kind == Kind.FALL


def stumble(peak_g, bend_deg, bent_s=2.4, width_s=0.25):
    """Somebody trips, bends that far for so long, and walks on upright."""
    rng = np.random.default_rng(3)
    bent = np.radians(bend_deg)
    held = np.array([np.sin(bent), 0.0, np.cos(bent)]) + rng.normal(0, 0.01, (round(bent_s * 100), 3))
    acc = np.concatenate([ride(8, rng, 0.02), held, ride(8, rng, 0.02)])
    hit = blow(peak_g, width_s)
    acc[800 : 800 + len(hit)] += hit
    return to_counts(acc)


@pytest.mark.parametrize("bend_deg", [52, 58, 64])
@pytest.mark.parametrize("peak_g", [3.5, 5.0])
def test_who_stumbles_and_bends_for_two_seconds_has_not_fallen(peak_g, bend_deg):
    found = detect_recording(stumble(peak_g, bend_deg) * SCALE_G, 100, full_scale_g=16)
    assert all(i.confirmed_at_s is None for i in found)


def struck_upright(gait_hz=0.0, after_hz=0.0, leans_deg=20.0):
    """A sharp blow on a ride, or on a walk; then nearly upright and motionless, or walking on."""
    rng = np.random.default_rng(5)
    steps = [
        0.25 * np.sin(2 * np.pi * hz * np.arange(n) / 100) for hz, n in ((gait_hz, 800), (after_hz, 1200))
    ]
    before = ride(8, rng, 0.02 if gait_hz else 0.2)
    lean = np.radians(leans_deg)
    after = np.array([np.sin(lean), 0.0, np.cos(lean)]) + rng.normal(0, 0.008, (1200, 3))
    acc = np.concatenate([before, after])
    acc[:, 2] += np.concatenate(steps)
    acc[800:804] += blow(22.0, 0.04)
    return detect_recording(to_counts(acc) * SCALE_G, 100, full_scale_g=16)


def test_a_strike_that_ends_a_ride_is_confirmed_at_ten_seconds_also_of_who_only_leans():
    (found,) = struck_upright()
    assert found.fast_at_s is not None and found.cancelled_at_s is None
    assert found.confirmed_at_s == pytest.approx(found.t_s + 10, abs=0.1)


def test_a_ride_that_stops_upright_after_a_blow_is_not_confirmed():
    (found,) = struck_upright(leans_deg=4.0)
    assert found.confirmed_at_s is None and found.cancelled_at_s is not None


def test_who_stands_still_after_a_blow_on_foot_is_not_confirmed():
    assert all(i.confirmed_at_s is None for i in struck_upright(gait_hz=2.0))


def test_who_walks_on_after_a_blow_on_a_ride_takes_it_back():
    assert all(i.cancelled_at_s is not None for i in struck_upright(after_hz=2.0))


@pytest.mark.parametrize("peak_g, found", [(14.0, False), (20.0, True)])
def test_a_wide_blow_is_a_kerb_unless_no_road_gives_its_peak(peak_g, found):
    said = run(crash(peak_g=peak_g, width_s=0.12, after="ride"))
    assert any(d.kind == Kind.HEAD_STRIKE for d in said) == found


@pytest.mark.parametrize("bent_s", [1.8, 2.4, 3.0])
@pytest.mark.parametrize("bend_deg", [70, 80, 90])
def test_a_middling_stumble_is_no_fall_however_deep_the_bow_that_follows(bend_deg, bent_s):
    found = detect_recording(stumble(4.0, bend_deg, bent_s, width_s=0.09) * SCALE_G, 100, full_scale_g=16)
    assert found and all(0.9 <= i.features["violence_g"] < 1.15 for i in found), "the case is a middling one"
    assert all(i.confirmed_at_s is None for i in found)


@pytest.mark.parametrize("peak_g", [3.5, 5.0])
def test_who_stays_down_has(peak_g):
    (found,) = detect_recording(stumble(peak_g, 80, bent_s=12) * SCALE_G, 100, full_scale_g=16)
    assert found.confirmed_at_s is not None


def test_lying_down_gently_is_no_fall():
    rng = np.random.default_rng(0)
    turn = np.linspace(0, np.pi / 2, 120)[:, None]
    way = np.cos(turn) * [0, 0, 1.0] + np.sin(turn) * [1.0, 0, 0]
    acc = np.concatenate([ride(8, rng, 0.02), way, lying(12, rng)])
    acc[920:926] += blow(1.4, 0.06, (1.0, 0.0, 0.0))
    assert run(Case(to_counts(acc), 923)) == []


@pytest.mark.parametrize("peak_g", [4.0, 7.0, 10.0])
def test_road_shocks_without_a_turn_do_not_alert(peak_g):
    for seed in range(10):
        assert run(crash(seed, peak_g=peak_g, width_s=0.06, after="ride"), speed_mps=6.0) == []


def test_not_worn_does_not_alert_and_unknown_wear_does():
    assert run(crash(), worn=int(Worn.NO)) == []
    unknown = run(crash(), worn=int(Worn.UNKNOWN))
    known = run(crash(), worn=int(Worn.YES))
    assert [d.stage for d in unknown] == [d.stage for d in known]


def test_a_known_standstill_blocks_the_fast_alert_but_not_the_confirmation():
    said = run(thrown(crash()), speed_mps=0.0)
    assert said[0].stage != Stage.FAST
    assert said[-1].stage == Stage.CONFIRMED


def test_a_helmet_on_a_rack_that_is_kicked_over_is_no_crash():
    """The same blow and turn, but nothing shakes before and after: no body was moved."""

    def struck(shaking_g, speed_mps):
        rng = np.random.default_rng(0)
        acc = np.concatenate([ride(8, rng, shaking_g), lying(12, rng, 0.001)])
        acc[800:802] += blow(22.0, 0.02)
        return run(Case(to_counts(acc), 801), speed_mps=speed_mps)

    assert struck(0.001, 0.0) == [] and struck(0.001, np.nan) == []
    assert struck(0.02, np.nan) != [], "on a head, and nobody knows whether it rode"


@pytest.mark.parametrize(
    "last_speeds, found", [((0, 0, 0, 0), False), ((0, 0, 0, 4), False), ((0, 1, 2, 3, 4), True)]
)
def test_who_sets_off_and_is_thrown_off_within_seconds_is_no_dropped_helmet(last_speeds, found):
    """A clean free fall at a standstill is a thing that fell; one wrong speed does not make it a ride."""
    rng = np.random.default_rng(4)
    thrown = rng.normal(0, 0.01, (27, 3))
    acc = np.concatenate([ride(15, rng, 0.02), thrown, lying(12, rng)])
    hit = blow(30.0, 0.04)
    acc[1527 : 1527 + len(hit)] += hit
    speed = np.zeros(len(acc))
    for k, value in enumerate(reversed(last_speeds)):
        speed[1500 - 100 * k : 1600 - 100 * k] = value
    said = detect_recording(to_counts(acc) * SCALE_G, 100, full_scale_g=16, speed_mps=speed)
    assert [i.kind for i in said] == ([Kind.HEAD_STRIKE] if found else [])
    assert all(i.fast_at_s is not None for i in said)


def test_v27_a_crash_in_the_last_frame_before_silence_alerts_as_signal_lost():
    case = crash()
    fleet = Fleet()
    end = case.impact + 15
    assert feed(fleet, case.counts[:end], chunk=end) == []
    last_us = T0_US + end * 10_000 + 200_000
    assert fleet.advance(last_us + 2_900_000) == []
    (said,) = fleet.advance(last_us + 3_100_000)
    assert said.stage == Stage.FAST and said.signal_lost
    assert "no signal" in said.reason_en and "失联" in said.reason_zh
    assert fleet.advance(last_us + 9_000_000) == [], "silence is said once"


def test_a_helmet_that_comes_back_after_silence_goes_on_with_its_incident():
    case = crash()
    fleet = Fleet()
    end = case.impact + 15
    feed(fleet, case.counts[:end], chunk=end)
    (lost,) = fleet.advance(T0_US + 60_000_000)
    later = feed(fleet, case.counts, chunk=100, start=end)
    assert {d.incident for d in later} == {lost.incident}
    assert later[-1].stage == Stage.CONFIRMED and not later[-1].signal_lost


def test_v27_a_gap_swallowing_the_aftermath_keeps_the_alert():
    case = crash()
    hit_frame = case.impact // 100
    said = run(case, skip=set(range(hit_frame + 1, hit_frame + 4)))
    assert said and all(d.stage in ALERTS for d in said)


def test_v32_a_frozen_sensor_is_not_stillness():
    case = crash()
    counts = case.counts.copy()
    counts[case.impact + 40 :] = counts[case.impact + 40]
    said = run(Case(counts, case.impact))
    assert all(d.stage == Stage.FAST for d in said)
    assert all(d.features.get("still_s", 0.0) == 0.0 for d in said)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_that_sticks_at_its_rail_does_not_alert(axis):
    counts = to_counts(ride(20, np.random.default_rng(3)))
    counts[900:, axis] = 32700
    assert run(Case(counts, 900)) == []


def test_a_dead_axis_does_not_alert():
    counts = to_counts(ride(20, np.random.default_rng(3)))
    counts[900:, 2] = 0
    assert run(Case(counts, 900)) == []


def test_v34_metres_per_second_squared_sent_as_g_do_not_alert():
    counts = np.clip(to_counts(ride(30, np.random.default_rng(4))).astype(int) * 9.81, -32700, 32700)
    assert run(Case(counts.astype(np.int16), 0)) == []


def test_v30_a_second_blow_within_thirty_seconds_joins_and_a_later_one_does_not():
    rng = np.random.default_rng(5)

    def twice(apart_s):
        acc = np.concatenate([ride(8, rng), lying(apart_s + 12, rng)])
        for at in (800, 800 + round(apart_s * 100)):
            acc[at : at + 5] += blow(22, 0.05)
        return run(Case(to_counts(acc), 802))

    near, far = twice(20), twice(300)
    assert len({d.incident for d in near}) == 1
    assert len(near[-1].impacts_us) == 2
    assert len({d.incident for d in far}) == 2


def test_late_is_said_of_an_impact_that_was_old_when_it_arrived():
    assert all(d.late for d in run(crash(), received_delay_us=600_000_000))
    assert not any(d.late for d in run(crash()))


def test_v26_a_clipped_strike_is_a_lower_bound_and_says_so():
    said = run(crash(peak_g=60.0))
    assert said[0].severity_basis == "lower_bound" and said[0].quality == "C"
    assert "≥" in said[0].reason_en and "≥" in said[0].reason_zh
    assert not any(name.startswith("helmet_hic") for name in said[0].features)


def test_a_high_range_part_publishes_hic_of_the_helmet():
    case = crash(peak_g=15.0)
    acc = np.repeat(case.counts * SCALE_G, 4, axis=0)
    (incident,) = detect_recording(acc, 400.0, full_scale_g=200.0)
    assert incident.quality == "B"
    assert incident.features["helmet_hic15"] > 0


def test_who_lies_motionless_is_told_of_again_as_worse():
    said = run(crash(peak_g=60.0))
    first, last = said[0], said[-1]
    assert (first.severity, last.severity) == (3, 4)
    assert last.severity_basis == "context" and last.features["still_s"] >= 8
    assert last.version == first.version + len(said) - 1 and "still for 9.5 s" in last.reason_en


def test_severity_never_falls_from_one_version_to_the_next():
    case = crash(peak_g=60.0, after_s=40.0)
    acc = case.counts * SCALE_G
    acc[case.impact + 2000 : case.impact + 2020] += blow(6.0, 0.2)
    said = run(Case(to_counts(acc), case.impact))
    assert len(said[-1].impacts_us) == 2
    assert [d.severity for d in said] == sorted(d.severity for d in said)


@pytest.mark.parametrize("fs_hz, severity", [(100.0, 3), (400.0, 4)])
def test_a_peak_of_over_100_g_is_serious_also_on_a_slow_part_and_hic_makes_it_critical(fs_hz, severity):
    case = crash(peak_g=130.0, width_s=0.06, after_s=6.0)
    acc = case.counts * SCALE_G
    acc[case.impact - 3 : case.impact + 3] = (
        130 * np.sin(np.pi * np.arange(1, 7) / 7)[:, None] * [0.6, 0.64, 0.48]
    )
    acc = np.repeat(acc, round(fs_hz / 100), axis=0)
    (incident,) = detect_recording(acc, fs_hz, full_scale_g=200.0)
    assert incident.severity == severity
    assert "≥" in incident.reason, "a part below 1 kHz shows a lower bound"


def test_a_part_too_slow_to_measure_says_only_that_it_happened():
    acc = crash(peak_g=22.0, width_s=0.1).counts[::2] * SCALE_G
    (incident,) = detect_recording(acc, 50.0, full_scale_g=16.0)
    assert incident.quality == "D"
    assert " g" not in incident.reason and "Δv" not in incident.reason
    assert not {"helmet_pla_g", "dv20_mps", "dv50_mps"} & set(incident.features)


def test_a_confirmed_crash_whose_rider_rides_on_is_lowered_never_taken_back():
    """A rider who was down and is brought away at speed has still crashed; the words say what was seen."""
    case = crash(after_s=4.0)
    rng = np.random.default_rng(2)
    acc = np.concatenate([case.counts * SCALE_G, ride(12, rng, 0.3)])
    speed = np.full(len(acc), 6.0)
    speed[case.impact + 10 : case.impact + 350] = 0.0
    (incident,) = detect_recording(acc, 100.0, full_scale_g=16.0, speed_mps=speed)
    stages = [d.stage for d in incident.versions]
    assert Stage.CONFIRMED in stages and stages[-1] == Stage.DOWNGRADED and Stage.CANCELLED not in stages
    assert "rides on at 22 km/h" in incident.reason and "继续骑行" in incident.versions[-1].reason_zh


def test_samples_missing_beside_the_blow_make_its_magnitudes_lower_bounds():
    case = crash(peak_g=11.0, width_s=0.08)
    counts = np.delete(case.counts, slice(case.impact + 4, case.impact + 8), axis=0)
    fleet = Fleet()
    said = feed(fleet, counts[: case.impact + 4], chunk=case.impact + 4)
    rest = frames([("SF-1", 9, case.impact + 8, counts[case.impact + 4 :])])
    said += fleet.push(rest, np.array([1]), np.array([case.impact + 8]), 0)
    assert said and all(d.features["partial"] == 1 and "≥" in d.reason_en for d in said)


def test_an_unknown_track_can_be_forgotten():
    assert Fleet().forget(7) == []


def test_a_track_that_changes_its_rate_starts_anew():
    case = crash()
    fleet = Fleet()
    feed(fleet, case.counts[:500])
    f = frames([("SF-1", 99, 500, case.counts[500:600])])
    changed = type(f)(
        **{n: getattr(f, n) for n in f.__dataclass_fields__ if n != "period_ns"},
        period_ns=np.array([5_000_000], np.uint32),
    )
    assert fleet.push(changed, np.array([1]), np.array([500]), 0) == []
    assert len(fleet) == 1


def test_seconds_of_a_recording_survive_irregular_times():
    case = crash()
    n = len(case.counts)
    t_s = np.arange(n) / 100 + np.random.default_rng(0).uniform(0, 0.003, n)
    (incident,) = detect_recording(case.counts * SCALE_G, 100.0, full_scale_g=16.0, t_s=t_s)
    assert incident.t_s == pytest.approx(case.impact / 100, abs=0.03)
    assert incident.fast_at_s == pytest.approx(incident.t_s + 0.35, abs=0.02)
    assert incident.confirmed_at_s == pytest.approx(incident.t_s + 2.0, abs=0.02)


@pytest.mark.parametrize("lead_s", [0.6, 1.2, 1.7])
def test_a_strike_inside_the_aftermath_of_a_bump_does_not_confirm_the_bump(lead_s):
    case = crash(peak_g=15.5, width_s=0.06, after="ride")
    counts = case.counts.copy()
    at = case.impact - round(lead_s * 100)
    counts[at : at + 8] += to_counts(blow(5.0, 0.08))
    said = run(Case(counts, case.impact))
    assert said and all(d.stage != Stage.CONFIRMED for d in said)
    assert said[-1].stage in (Stage.CANCELLED, Stage.DOWNGRADED)


def struck_once(peak_g, unloads):
    """One sample of a blow; a body that falls is unloaded before it and shaken after it."""
    case = crash(peak_g=0.0, after="lying" if unloads else "ride")
    acc = case.counts * SCALE_G
    if unloads:
        acc[775:800] *= 0.4
        acc[803:810] += 0.6
    acc[801] += peak_g * np.array([0.6, 0.64, 0.48])
    return Case(to_counts(acc), 801)


def test_v25_a_blow_that_a_slow_part_sees_as_one_sample_is_a_head_strike_at_once():
    said = run(struck_once(18.0, unloads=True), speed_mps=6.0)
    assert said[0].stage == Stage.FAST and said[0].kind == Kind.HEAD_STRIKE


def test_a_single_wild_sample_on_a_quiet_ride_is_nothing():
    assert run(struck_once(18.0, unloads=False), speed_mps=6.0) == []


def test_a_gyroscope_adds_rotation_to_the_features_and_decides_nothing():
    case = crash(peak_g=15.0)
    gyro = np.zeros((len(case.counts), 3))
    gyro[case.impact - 3 : case.impact + 3] = [10.0, 5.0, 2.0]
    acc = case.counts * SCALE_G
    (plain,) = detect_recording(acc, 100.0, full_scale_g=16.0)
    (turned,) = detect_recording(acc, 100.0, full_scale_g=16.0, gyro_rad_s=gyro)
    assert turned.features["helmet_bric"] == pytest.approx(0.18, abs=0.01)
    assert turned.features["omega_max_rad_s"] == pytest.approx(11.36, abs=0.01)
    assert "helmet_damage" not in turned.features, "100 Hz cannot give angular acceleration"
    assert (plain.confirmed_at_s, plain.severity) == (turned.confirmed_at_s, turned.severity)


DIRECTIONS = [np.array(d, float) for d in np.ndindex(3, 3, 3) if d != (1, 1, 1)]


@pytest.mark.parametrize("direction", DIRECTIONS, ids=lambda d: "".join("-0+"[int(x)] for x in d))
def test_v25_a_head_strike_is_fast_from_every_side_at_every_phase_of_sampling(direction):
    # 60 g for 10 ms onto a ±32 g part at 200 Hz: beyond its range, so it is clipped before it is low-passed.
    rng = np.random.default_rng(0)
    unit = (direction - 1) / np.linalg.norm(direction - 1)
    pulse = np.tile([0.0, 0.0, 1.0], (3200, 1))
    pulse[1600:1632] += 60 * np.sin(np.pi * (np.arange(32) + 0.5) / 32)[:, None] * unit
    for k in range(32):
        hit = sampled(pulse, FAST_PART, (k + 0.5) / 32)
        before = np.repeat(ride(8, rng), 2, axis=0)
        after = np.repeat(lying(3, rng), 2, axis=0)
        acc = np.concatenate([before, hit, after])
        (incident,) = detect_recording(acc, 200.0, full_scale_g=32.0)
        assert incident.fast_at_s is not None, f"phase {k}"
