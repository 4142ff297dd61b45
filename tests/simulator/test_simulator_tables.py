"""The literature study's tables of impacts hold, column by column; every exception is named with its reason.

The exceptions stand in `docs/simulator.md` ("What parts see, beside the literature study") as well.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from draws import DRAWS, NAMES, Band, clean, draws, dv, hic15, holds, resultant

from core.model import G0
from detectors import injury
from simulator import impacts, mishaps, pulses
from simulator.motion import FINE_HZ
from simulator.mount import LINER
from simulator.sensor import Part, sampled

ARTEFACT = (
    "the study's drop spins up to 43 rad/s in one step, as it says itself: 20 g of centripetal force at 11 cm"
)
LOW = "our bumps are 3 to 8 cm high and ridden at 3 to 12.5 m/s; the study does not say how high its own are"
LANDS = "a wheel that leaves a kerb comes down with all the speed of the fall; nothing of it is lost in a linear chain"
SLOWER = "a helmet swings on the handlebar by 5 to 15 degrees at 1.6 Hz"


@dataclass(frozen=True)
class Figure:
    """A figure of the study: its median, and where it gives them 5 and 95 of 100."""

    median: float
    low: float | None = None
    high: float | None = None


STUDY: dict[str, dict[str, Figure]] = {
    # 400 Hz and ±200 g, median (5 to 95 %)
    "peak": {
        "bump": Figure(6.6, 3.3, 8.6), "kerb": Figure(7.3, 4.2, 10), "jump": Figure(6.3, 3.5, 9),
        "door": Figure(33, 12, 52), "table": Figure(13, 6, 31), "drop": Figure(186, 110, 251),
        "handlebar": Figure(12.5, 7, 21), "head_strike": Figure(71, 41, 135), "fall": Figure(8.5, 5.7, 14),
        "car_hit": Figure(100, 8, 177),
    },
    "dv50": {
        "bump": Figure(3.0, 1.4, 4.0), "kerb": Figure(2.0), "jump": Figure(1.6), "door": Figure(1.5, 0.4, 2.9),
        "table": Figure(0.5, 0.3, 1.1), "drop": Figure(7.0, 4.4, 15), "handlebar": Figure(0.6),
        "head_strike": Figure(5.2, 2.5, 8.1), "fall": Figure(2.6), "car_hit": Figure(6.7),
    },
    "hic15": {
        "bump": Figure(1.6), "kerb": Figure(2.0), "jump": Figure(1.2), "door": Figure(16), "table": Figure(1),
        "drop": Figure(710, 270, 1470), "handlebar": Figure(1), "head_strike": Figure(199, 45, 691),
        "fall": Figure(2.8), "car_hit": Figure(322),
    },
    "tilt": {
        "table": Figure(57), "drop": Figure(87), "head_strike": Figure(77, 51, 93), "fall": Figure(61),
        "car_hit": Figure(91),
    },
    "omega": {
        "table": Figure(0.3), "drop": Figure(43), "handlebar": Figure(3.6), "head_strike": Figure(4.5),
        "fall": Figure(2.4), "car_hit": Figure(5.4),
    },
    # 100 Hz and ±16 g
    "slow peak": {"head_strike": Figure(20, 14, 26), "drop": Figure(17, 9, 28)},
    "slow dv50": {"head_strike": Figure(2.7)},
}  # fmt: skip

EXCEPTIONS: dict[tuple[str, str], tuple[Band, Band, str]] = {
    # column, event: where median and 5 to 95 of 100 are instead, and why
    ("dv50", "bump"): ((1.2, 2.0), (0.5, 3.2), LOW),
    ("dv50", "kerb"): ((2.4, 3.1), (1.6, 4.6), LANDS),
    ("omega", "table"): (
        (2.5, 4.2),
        (1.5, 6.0),
        "it is turned in half a second; the study's was turned at a stroke",
    ),
    ("omega", "drop"): ((2.0, 5.0), (1.0, 5.1), ARTEFACT),
    ("omega", "handlebar"): ((1.5, 2.6), (0.8, 2.8), SLOWER),
    ("omega", "head_strike"): (
        (6, 12),
        (4, 24),
        "dummy heads spin at 15.7 rad/s in the mean of 23 rebuilt crashes",
    ),
    ("slow peak", "drop"): ((8, 12), (5, 18), ARTEFACT),
}
HIC_FACTOR = 2.0
"""HIC goes with the peak's power of 2.5: a quarter more g is 1.75 times as much."""


def measured(column: str, event: str) -> np.ndarray:
    return np.asarray(
        {
            "peak": lambda: resultant(event).max(1),
            "dv50": lambda: dv(event, "400hz-200g", 0.05),
            "hic15": lambda: hic15(event),
            "tilt": lambda: draws(event).tilt_deg,
            "omega": lambda: draws(event).rad_s,
            "slow peak": lambda: resultant(event, "100hz-16g").max(1),
            "slow dv50": lambda: dv(event, "100hz-16g", 0.05),
        }[column]()
    )


def agrees(column: str, event: str) -> bool:
    """Whether the median is within a third and 5 to 95 of 100 within half of the study's."""
    figure, found = STUDY[column][event], measured(column, event)
    low, middle, high = np.percentile(found, (5, 50, 95))
    factor = HIC_FACTOR if column == "hic15" else 4 / 3
    good = figure.median / factor <= middle <= figure.median * factor
    if figure.low is not None and figure.high is not None:
        wider = HIC_FACTOR if column == "hic15" else 1.5
        good = good and figure.low / wider <= low and high <= figure.high * wider
    return bool(good)


CELLS = [(column, event) for column, rows in STUDY.items() for event in rows]


@pytest.mark.parametrize(("column", "event"), [cell for cell in CELLS if cell not in EXCEPTIONS])
def test_parts_see_what_the_study_says(column: str, event: str) -> None:
    assert agrees(column, event), np.percentile(measured(column, event), (5, 50, 95))


@pytest.mark.parametrize(("column", "event"), EXCEPTIONS)
def test_an_exception_is_needed_and_is_what_it_says(column: str, event: str) -> None:
    median, most, why = EXCEPTIONS[column, event]
    assert not agrees(column, event), why
    holds(measured(column, event), median, most)


@pytest.mark.parametrize("event", ["bump", "kerb", "jump", "door", "handlebar"])
def test_what_goes_on_leaves_the_helmet_upright(event: str) -> None:
    # The study's 1 to 4 degrees are the sway of the head, which everyday motion brings.
    assert draws(event).tilt_deg.max() == 0


def weightless_s(event: str, *, after: bool) -> np.ndarray:
    """Longest spell below 0.35 g, before the impact (a kerb's is the landing) or after it."""
    size, out = resultant(event), []
    for row, impact_s in zip(size, draws(event).before, strict=True):
        at = int(row.argmax()) if event in ("bump", "kerb") else round(impact_s * 400)
        low = (row[at + 8 :] if after else row[:at]) < 0.35
        edges = np.flatnonzero(np.diff(np.concatenate([[0], low.astype(int), [0]])))
        out.append((edges[1::2] - edges[::2]).max(initial=0) / 400)
    return np.array(out)


@pytest.mark.parametrize(
    ("event", "bands"),
    [
        # Most of 5 to 95 of 100 on 100 Hz ±16 g, 200 Hz ±32 g and 400 Hz ±200 g.
        ("bump", ((0.3, 1.7), (0.3, 1.7), (0.3, 1.7))),
        ("kerb", ((0.7, 2.1), (0.7, 2.1), (0.7, 2.1))),
        ("jump", ((0.5, 1.7), (0.5, 1.7), (0.5, 1.7))),
        ("door", ((0.3, 2.8), (0.4, 2.8), (0.4, 3.0))),
        ("table", ((0.15, 1.2), (0.2, 1.2), (0.2, 1.2))),
        ("handlebar", ((0.2, 1.1), (0.2, 1.1), (0.2, 1.1))),
        ("head_strike", ((1.3, 3.5), (2.2, 5.3), (2.6, 9.0))),
        ("drop", ((0.5, 4.1), (1.0, 8.0), (3.6, 9.0))),
    ],
)
def test_the_change_of_speed_in_20_ms(event: str, bands: tuple[Band, Band, Band]) -> None:
    for part, most in zip(NAMES, bands, strict=True):
        holds(dv(event, part, 0.02), most, most)


@pytest.mark.parametrize(
    ("event", "before", "after"),
    [
        ("bump", (0.0, 0.09), (0.0, 0.12)),
        ("kerb", (0.04, 0.15), (0.0, 0.12)),
        ("jump", (0.22, 0.35), (0.0, 0.02)),
        ("door", (0.0, 0.0), (0.0, 0.01)),
        ("drop", (0.28, 0.61), (0.16, 0.56)),
        ("head_strike", (0.0, 0.33), (0.0, 0.05)),
        ("fall", (0.0, 0.3), (0.0, 0.05)),
        ("car_hit", (0.0, 0.02), (0.0, 0.8)),
    ],
)
def test_how_long_the_helmet_is_weightless_before_and_after_the_impact(
    event: str, before: Band, after: Band
) -> None:
    for most, later in ((before, False), (after, True)):
        low, high = np.percentile(weightless_s(event, after=later), (5, 95))
        assert most[0] - 0.011 <= low, (low, high)
        assert high <= most[1] + 0.011, (low, high)


def test_slow_parts_hardly_ever_show_a_sample_at_the_rail_though_they_clip() -> None:
    clipped = (np.abs(draws("head_strike").fine) > 16).any((1, 2))
    at_rail = (np.abs(draws("head_strike").seen["100hz-16g"]) >= 15.9).any(2).sum(1)
    assert clipped.all()
    assert np.median(at_rail) == 0
    assert np.percentile(at_rail, 95) <= 1


def test_a_drop_that_spins_up_in_one_step_reads_what_the_study_read() -> None:
    found = draws("drop")
    seen = []
    for k, (f, at_s) in enumerate(zip(found.fine, found.before, strict=True)):
        spun = f.copy()
        spun[round(at_s * FINE_HZ) : round((at_s + 0.3) * FINE_HZ), 0] += 43**2 * 0.11 / G0
        seen.append(sampled(spun, Part(100, 16, 0.002), k * 0.37 % 1)[:250].astype(float))
    assert np.median(np.linalg.norm(seen, axis=2).max(1)) == pytest.approx(17, rel=0.1)
    assert np.percentile(injury.dv_mps(np.stack(seen), 100, 0.02), 95) == pytest.approx(4.1, rel=0.3)


def test_a_phone_of_16_g_and_200_hz_sees_a_drop_as_recorded_phones_did() -> None:
    # 17 to 19 g were recorded, at 198 Hz.
    phone = Part(200, 16, 0.002)
    seen = [np.linalg.norm(sampled(f, phone, 0.5), axis=1).max() for f in draws("drop").fine]
    assert 16 <= np.median(seen) <= 20


@pytest.mark.parametrize(
    ("rule", "event", "slow", "fast"),
    [
        # Share of draws that each rule of thumb takes for a crash: at 100 Hz ±16 g and at 400 Hz ±200 g.
        ("peak", "table", 0.04, 0.77),
        ("peak", "handlebar", 0.03, 0.72),
        ("peak", "door", 0.39, 0.97),
        ("peak", "head_strike", 0.97, 1.0),
        ("peak", "fall", 0.44, 0.50),
        ("peak", "drop", None, 1.0),  # slow: ARTEFACT
        ("peak, tilted and still", "head_strike", 0.81, 0.77),
        ("peak, tilted and still", "drop", None, 0.91),
        ("free fall, peak and still", "head_strike", 0.53, 0.34),
        ("free fall, peak and still", "car_hit", 0.04, 0.03),
        ("free fall, peak and still", "drop", None, 1.0),
    ],
)
def test_rules_of_thumb_fail_as_the_study_says(
    rule: str, event: str, slow: float | None, fast: float
) -> None:
    for part, share in (("100hz-16g", slow), ("400hz-200g", fast)):
        peak, falls, tilt, moves = clean(event, part)
        hit = peak >= 10
        if "tilted" in rule:
            hit = hit & (tilt >= 45)
        if "free fall" in rule:
            hit = hit & (falls >= 0.1)
        if "still" in rule:
            hit = hit & (moves < 0.05)
        if share is not None:
            # Sixty draws here and sixty there: three deviations of the difference, and what our knocks differ.
            assert np.mean(hit) == pytest.approx(share, abs=0.27)


def test_free_fall_before_the_peak_finds_drops_and_misses_crashes() -> None:
    found = {
        event: np.mean(clean(event, "400hz-200g")[1] >= 0.1) for event in ("drop", "head_strike", "car_hit")
    }
    assert found["drop"] == 1
    assert found["head_strike"] < 0.6
    assert found["car_hit"] < 0.1


def test_the_shell_is_hit_four_times_as_hard_for_a_quarter_of_the_time_and_rings() -> None:
    liner, shell = draws("head_strike").fine, draws("shell strike").fine
    peaks = np.linalg.norm(shell, axis=2).max(1)
    holds(peaks, (250, 450), (150, 605))
    widths = []
    for f in (liner, shell):
        size = np.linalg.norm(f, axis=2)
        widths.append(np.median((size > size.max(1, keepdims=True) / 2).sum(1) / FINE_HZ))
    assert 3 < widths[0] / widths[1] < 5.5
    assert np.median(peaks) / np.median(np.linalg.norm(liner, axis=2).max(1)) == pytest.approx(4, rel=0.3)
    # The same change of speed but for what the ringing carries to and fro, about 1 m/s.
    change = []
    for found in (liner, shell):
        cut = [f[(k := int(np.linalg.norm(f, axis=1).argmax())) - 64 : k + 128] for f in found]
        change.append(np.median(injury.dv_mps(np.stack(cut), FINE_HZ, 0.02)))
    assert 0.9 < change[1] / change[0] < 1.5
    hz = np.fft.rfftfreq(96, 1 / FINE_HZ)
    rings = []
    for found in (liner, shell):
        tails = [f[(k := int(np.linalg.norm(f, axis=1).argmax())) + 30 : k + 126] for f in found]
        power = np.square(np.abs(np.fft.rfft(np.stack(tails), axis=1))).sum(2)
        rings.append(np.median(power[:, (hz >= 75) & (hz <= 425)].sum(1)))
    assert rings[1] > 5 * rings[0]


@pytest.mark.parametrize(
    ("v", "e", "contact_s", "peak_g", "hic15"),
    [(5.42, 0.3, 0.00564, 200, 1324), (3.5, 0.3, 0.00675, 108, 339), (6.2, 0.3, 0.00516, 250, 2116)],
)
def test_pulses_of_the_table_have_the_peak_and_the_hic_of_the_table(
    v: float, e: float, contact_s: float, peak_g: float, hic15: float
) -> None:
    pulse = impacts.half_sine(v * (1 + e), contact_s)
    a = np.concatenate([np.zeros(64), pulse, np.zeros(64)])
    assert pulse.max() == pytest.approx(peak_g, rel=0.05)
    assert injury.hic(a, FINE_HZ) == pytest.approx(hic15, rel=0.12)


@pytest.mark.parametrize(
    ("event", "shape", "low_g", "high_g"),
    [("fall", "body", 5, 14.1), ("car_hit", "push", 6, 20.2)],
)
def test_first_pulses_have_the_peak_that_speed_and_contact_time_give(
    event: str, shape: str, low_g: float, high_g: float
) -> None:
    found = []
    for f, at_s in zip(draws(event).fine, draws(event).before, strict=True):
        at = round(at_s * FINE_HZ)
        found.append(np.linalg.norm(f[at : at + round(0.12 * FINE_HZ)], axis=1).max())
    low, high = np.percentile(found, (5, 95))
    assert low > low_g - 1, shape  # less the weight that the legs no longer carry
    assert high < high_g + 2.5, shape


@pytest.mark.parametrize(
    ("height_m", "t_s", "v"),
    [
        (0.03, 0.0782, 0.767), (0.1, 0.1428, 1.400), (0.3, 0.2474, 2.426), (0.5, 0.3193, 3.132), (1.0, 0.4516, 4.429),
        (1.2, 0.4947, 4.851), (1.5, 0.5531, 5.424), (1.6, 0.5712, 5.602), (2.0, 0.6387, 6.263),
    ],
)  # fmt: skip
def test_a_drop_falls_as_long_and_strikes_as_fast_as_its_height_says(
    height_m: float, t_s: float, v: float
) -> None:
    for seed in range(6):
        motion = impacts.drop(np.random.default_rng(seed), height_m)
        total = np.linalg.norm(motion.f + motion.keep[:, None] * [0.0, 0.0, 1.0], axis=1)
        at = round(motion.impact_s * FINE_HZ)
        assert (total[:at] < 0.45).sum() / FINE_HZ == pytest.approx(t_s, abs=0.01)
        # The pulse stops the fall and throws the helmet up again with 0.25 to 0.5 of its speed.
        delta_v = np.linalg.norm(motion.f[at : at + round(0.0062 * FINE_HZ)].sum(0)) / FINE_HZ * G0
        assert 1.24 * v < delta_v < 1.52 * v


def test_secondary_impacts_are_4_to_30_g_in_6_to_30_ms_and_the_softer_the_longer() -> None:
    rng = np.random.default_rng(4)
    drawn = [impacts.secondary(rng, v) for v in rng.uniform(2, 8, 2000)]
    delta_v, contact_s = np.array(drawn).T
    peak_g = np.pi * delta_v / (2 * contact_s * G0)
    assert contact_s.min() >= 0.006 and contact_s.max() <= 0.03
    assert peak_g.min() >= 4 and peak_g.max() <= 30
    assert np.corrcoef(peak_g, contact_s)[0, 1] < -0.3
    assert delta_v.max() <= 0.5 * 8 * (1 + LINER.restitution[1])


def test_secondary_impacts_come_one_to_three_within_0p9_s() -> None:
    for seed in range(20):
        f = np.zeros((3 * FINE_HZ, 3))
        impacts._strike(np.random.default_rng(seed), f, 0.5, np.array([0.0, 0, 1]), (2.0, 6.5), LINER)
        size = np.linalg.norm(f, axis=1)
        after = size[round(0.58 * FINE_HZ) :]
        assert 4 * 0.9 < after.max() <= 3 * 30
        assert size[round((0.5 + 0.9 + 0.03) * FINE_HZ) + 2 :].max() == 0


def test_sliding_shakes_with_0p4_to_1p2_g_below_40_hz_for_0p2_to_1p5_s() -> None:
    t = np.arange(4 * FINE_HZ) / FINE_HZ
    strength, lasts = [], []
    for seed in range(DRAWS):
        f = np.zeros((len(t), 3))
        pulses.slide(np.random.default_rng(seed), f, t, 0.5)
        moving = np.linalg.norm(f, axis=1) > 1e-9
        lasts.append(moving.sum() / FINE_HZ)
        middle = f[(t > 0.55) & (t < 0.45 + lasts[-1] - 0.2)]
        if len(middle) > FINE_HZ // 2:
            strength.append(np.sqrt(np.square(middle).sum(1).mean()))
            density = np.square(np.abs(np.fft.rfft(middle * np.hanning(len(middle))[:, None], axis=0))).sum(1)
            hz = np.fft.rfftfreq(len(middle), 1 / FINE_HZ)
            assert density[hz > 45].sum() < 0.02 * density.sum()
    assert min(lasts) > 0.2
    assert max(lasts) < 1.5 + 0.25
    holds(np.array(strength), (0.6, 1.0), (0.3, 1.35))


def test_after_a_crash_six_of_ten_lie_still_but_for_breathing_and_the_rest_stirs() -> None:
    t = np.arange(3 * FINE_HZ) / FINE_HZ
    seen = []
    for seed in range(200):
        f = np.zeros((len(t), 3))
        told = pulses.rest(np.random.default_rng(seed), f, t, 0.0)
        seen.append(np.sqrt(np.square(f[t > 0.5]).sum(1).mean()))
        assert seen[-1] == pytest.approx(told, rel=0.5)
        assert 0.01 <= told <= 0.03 or 0.15 <= told <= 0.25
    assert np.mean(np.array(seen) < 0.08) == pytest.approx(0.6, abs=0.1)


def test_who_is_hit_by_a_car_flies_for_0p3_to_0p8_s_and_tumbles_at_8_rad_s_at_most() -> None:
    flights = []
    for seed in range(DRAWS):
        motion = mishaps.KINDS["car_hit"](np.random.default_rng((seed, 5)))
        assert motion.omega is not None
        total = np.linalg.norm(motion.f + motion.keep[:, None] * [0.0, 0.0, 1.0], axis=1)
        strike = int(total[: 2 * FINE_HZ].argmax())
        tumbling = np.linalg.norm(motion.omega[: strike - 40], axis=1)
        assert tumbling.max() < 8.1
        begins = round((motion.impact_s + 0.05) * FINE_HZ)
        flights.append((total[begins:strike] < 0.7).sum() / FINE_HZ)
    holds(np.array(flights), (0.35, 0.75), (0.15, 0.85))


@pytest.mark.parametrize("seed", range(8))
def test_a_bounce_flies_for_as_long_as_the_speed_that_came_back_says(seed: int) -> None:
    motion = impacts.drop(np.random.default_rng(seed), 1.2)
    total = np.linalg.norm(motion.f + motion.keep[:, None] * [0.0, 0.0, 1.0], axis=1)
    hits = np.flatnonzero((total[1:] > 5) & (total[:-1] <= 5))
    first, second = hits[0], next(h for h in hits if h > hits[0] + 100)
    flight_s = (second - first) / FINE_HZ
    v = np.sqrt(2 * G0 * 1.2)
    assert 2 * 0.25 * v / G0 - 0.01 < flight_s < 2 * 0.5 * v / G0 + 0.01
