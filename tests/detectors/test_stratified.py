"""The stratified estimate: unbiased where the truth is known, its tail fit honest, its table complete."""

import numpy as np
import pytest
from click.testing import CliRunner

from app import stratified
from app.confounders import CONFOUNDERS
from app.evaluate import evaluate
from app.stratified import Stratum, strata
from app.trials import Said, make, run
from core.model import Stage, Worn
from simulator import handling, impacts, mishaps
from simulator.motion import VEHICLES
from simulator.sensor import PARTS


def toy(weight, p, trials, rng, what=CONFOUNDERS[0]):
    hits = int(rng.binomial(trials, p))
    return Stratum(what, Said(Worn.YES, True), weight, 0, trials, hits, hits, [1.0] * trials)


def test_v48_the_estimate_is_unbiased_on_a_toy_model_and_its_bound_holds():
    rng = np.random.default_rng(0)
    model = [(10.0, 1e-3), (0.5, 0.02), (0.01, 0.5)]
    truth = sum(w * p for w, p in model)
    results = [
        stratified._result([toy(w, p, 2000, rng, CONFOUNDERS[k]) for k, (w, p) in enumerate(model)], seed)
        for seed in range(200)
    ]
    rates = np.array([r["per_hour"] for r in results])
    assert rates.mean() == pytest.approx(truth, abs=4 * rates.std() / np.sqrt(len(rates)))
    assert np.mean([r["upper_95"] >= truth for r in results]) >= 0.93


def test_the_bound_that_fits_no_tail_allows_what_so_many_quiet_trials_allow():
    """Scores that end far below 1 fit a tail of probability 0; the trials alone do not say so."""
    rng = np.random.default_rng(0)
    quiet = Stratum(CONFOUNDERS[0], Said(Worn.YES, True), 10.0, 0, 500, 0, 0, list(rng.uniform(0, 0.3, 500)))
    result = stratified._result([quiet], 1)
    assert result["per_hour"] == result["upper_95"] == 0
    assert 10 / 500 < result["upper_95_without_fit"] < 10 * 4 / 500


def test_the_bound_knows_that_the_assumed_rates_are_assumed(monkeypatch):
    rng = np.random.default_rng(0)
    many = toy(1.0, 0.2, 100_000, rng)
    wide = stratified._result([many], 1)["upper_95"]
    monkeypatch.setattr(stratified, "_LAMBDA_FACTOR", 1.0)
    assert stratified._result([many], 1)["upper_95"] == pytest.approx(0.2, rel=0.03)
    assert wide == pytest.approx(2 * 0.2, rel=0.2)


def test_a_bit_flickers_in_a_frame_in_twenty_or_goes_off_at_about_the_impact():
    rng = np.random.default_rng(1)
    flicker = Said(Worn.YES, True, "flickers").bits(24, 500, rng)
    assert np.mean(flicker == Worn.NO) == pytest.approx(0.05, abs=0.01) and set(flicker.flat) == {1, 2}
    off = Said(Worn.NO, True, "goes off").bits(24, 500, rng)
    assert (off[:8] == Worn.YES).all() and (off[13:] == Worn.NO).all()
    assert (np.diff(off.astype(int), axis=0) <= 0).all()
    assert (Said(Worn.UNKNOWN, True).bits(24, 3, rng) == Worn.UNKNOWN).all()


def motion_of(name, seed):
    (what,) = (c for c in CONFOUNDERS if c.name == name)
    return what.motion(np.random.default_rng(seed), 6.0, VEHICLES[0])


@pytest.mark.parametrize("seed", range(20))
def test_the_gentle_confounders_stay_within_what_people_and_hands_do(seed):
    shake = motion_of("sneeze, shake of the head", seed)
    assert np.linalg.norm(shake.omega, axis=1).max() <= 9.1, "rad/s"
    assert np.linalg.norm(shake.f + np.array([0, 0, 1]), axis=1).max() <= 9.6
    swing = motion_of("helmet swung in the hand", seed)
    assert np.linalg.norm(shake.f[-1]) < 0.05 and np.linalg.norm(swing.f[-1]) < 0.05, (
        "life goes on where it was"
    )
    assert np.median(np.linalg.norm(swing.f + np.array([0, 0, 1]), axis=1)) < 2
    assert motion_of("kick of a rack", seed).then == "park"


def test_a_tail_fit_finds_a_rare_probability_within_a_factor_of_ten():
    rng = np.random.default_rng(1)
    fits = [stratified._beyond(rng.exponential(1 / np.log(1e4), 3000)) for _ in range(20)]
    assert 1e-5 < np.median(fits) < 1e-3


def test_every_confounder_stands_in_the_table_with_its_assumed_rate():
    parts = strata()
    for what in CONFOUNDERS:
        rates = [s.weight for s in parts if s.what is what]
        assert sum(rates) == pytest.approx(what.per_hour)
    assert sum(c.per_hour for c in CONFOUNDERS) > 40


@pytest.mark.parametrize("what", CONFOUNDERS, ids=lambda c: c.name)
def test_v21_no_confounder_alerts_where_wear_and_speed_are_known(what):
    said = Said(Worn.YES if what.worn else Worn.NO, True)
    clips = make(what.situation, what.motion, PARTS["100hz-16g"], 200, (21,))
    assert [d.reason_en for ds in run(clips, said) for d in ds] == []


@pytest.mark.parametrize("part", ["50hz-16g", "100hz-16g", "200hz-32g", "400hz-200g"])
@pytest.mark.parametrize("kind", ["head_strike", "fall", "low_side", "car_hit"])
def test_v36_crashes_are_confirmed_by_every_part(part, kind):
    clips = make("ride", lambda rng, _v, _w: mishaps.KINDS[kind](rng), PARTS[part], 20, (36,))
    stages = [{d.stage for d in ds} for ds in run(clips, Said(Worn.YES, True))]
    assert sum(Stage.CONFIRMED in s for s in stages) >= 19


def test_v24_the_flight_after_a_car_s_blow_is_no_veto_also_at_a_red_light():
    clips = make("stand", lambda rng, _v, _w: mishaps.KINDS["car_hit"](rng), PARTS["200hz-32g"], 20, (24,))
    assert sum(bool(ds) for ds in run(clips, Said(Worn.YES, True))) >= 19


def test_v25_head_strikes_of_the_simulator_are_fast_by_the_share_each_part_allows():
    shares = {}
    for part in ("100hz-16g", "200hz-32g", "400hz-200g"):
        clips = make("ride", lambda rng, _v, _w: mishaps.KINDS["head_strike"](rng), PARTS[part], 60, (25,))
        said = run(clips, Said(Worn.YES, True))
        shares[part] = np.mean([any(d.stage == Stage.FAST for d in ds) for ds in said])
    assert shares["100hz-16g"] >= 0.75 and shares["200hz-32g"] >= 0.95 and shares["400hz-200g"] >= 0.95


@pytest.mark.parametrize("height_m", [0.1, 0.5, 1.0, 1.8, 2.5])
@pytest.mark.parametrize("speed_known", [True, False])
def test_v22_a_drop_is_quiet_where_the_helmet_is_known_not_to_be_worn(height_m, speed_known):
    assert dropped(height_m, Said(Worn.NO, speed_known)) == 0


@pytest.mark.parametrize("height_m", [0.5, 1.0, 1.8, 2.5])
@pytest.mark.parametrize("worn", [Worn.YES, Worn.UNKNOWN])
def test_v22_a_drop_is_quiet_where_it_is_known_not_to_ride_whatever_the_wear_bit_says(height_m, worn):
    assert dropped(height_m, Said(worn, True)) == 0


@pytest.mark.parametrize("part", ["100hz-16g", "200hz-32g", "400hz-200g"])
@pytest.mark.parametrize("worn", [Worn.YES, Worn.UNKNOWN])
def test_taking_a_helmet_off_is_no_fall_to_any_part_also_where_the_wear_bit_is_stuck_or_missing(worn, part):
    clips = make("stand", lambda rng, _v, _w: handling.doff(rng, handling.lying(rng)), PARTS[part], 60, (5,))
    assert sum(bool(said) for said in run(clips, Said(worn, False))) == 0


def dropped(height_m, said):
    clips = make("park", lambda rng, _v, _w: impacts.drop(rng, height_m), PARTS["100hz-16g"], 12, (22,))
    return sum(bool(ds) for ds in run(clips, said))


def test_the_command_wants_recordings_or_trials():
    result = CliRunner().invoke(evaluate, [])
    assert result.exit_code == 2 and "--stratified" in result.output
