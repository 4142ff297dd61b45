"""A message carries all that its verdict rests on: replayed, it says the same again."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from motion_cases import Case, blow, crash, feed, thrown, to_counts
from pydantic import TypeAdapter

from core.config import Detection as Params
from core.model import Detection
from detectors import Fleet, replay


def second_blow():
    case = crash(seed=4, after_s=25.0)
    counts = case.counts.copy()
    counts[case.impact + 900 : case.impact + 906] += to_counts(blow(9.0, 0.06))
    return Case(counts, case.impact)


def stuck(axis):
    case = crash(seed=9)
    case.counts[:, axis] = 0
    return case


CASES = {
    "an axis is stuck": (stuck(2), {}),
    "head strike": (crash(), {}),
    "rides on": (crash(after="ride"), {}),
    "fall": (crash(peak_g=5.0, width_s=0.25), {}),
    "two blows": (second_blow(), {}),
    "speed known": (crash(seed=2), {"speed_mps": 6.0}),
    "rides on, speed known": (crash(seed=3, after="ride"), {"speed_mps": 6.0}),
    "stands": (thrown(crash(seed=5)), {"speed_mps": 0.0}),
    "wear unknown": (crash(seed=6), {"worn": 0}),
    "frames lost": (crash(seed=7), {"skip": (5, 11, 12)}),
    "silent at once": (Case(crash().counts[:830], 802), {}),
    "short frames": (crash(seed=8), {"chunk": 7}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_version_of_an_incident_is_decided_again_as_it_was(name):
    case, context = CASES[name]
    fleet = Fleet()
    said = feed(fleet, case.counts, **context) + fleet.forget(1)
    assert said
    for d in through_json(said):
        again = replay(d)[-1]
        assert (again.incident.stage, again.incident.kind, len(again.incident.impacts)) == (
            d.stage,
            d.kind,
            len(d.impacts_us),
        )
        assert again.points == d.points
        measured = {k: v for k, v in again.features.items() if not np.isnan(v)}
        assert measured == pytest.approx(d.features, abs=1e-3)


def through_json(said):
    adapter = TypeAdapter(list[Detection])
    return adapter.validate_json(json.dumps([asdict(d) for d in said], allow_nan=False))


def test_a_message_tells_the_options_it_was_made_with():
    said = through_json(feed(Fleet(Params(alert_points=6.0)), crash().counts))
    assert said[-1].options == {"alert_points": 6.0}
    stages = [d.stage for d in said]
    assert [d.incident.stage for d in replay(said[-1])] == stages
    assert [d.incident.stage for d in replay(said[-1], Params())] != stages


def test_other_options_show_what_they_would_have_said():
    (first, *_) = feed(Fleet(), crash().counts)
    assert replay(first, Params(strike_g=39.0, hard_violence_g=4.0, fall_violence_g=2.0)) == []


def test_without_a_trace_there_is_nothing_to_replay():
    (first, *_) = through_json(feed(Fleet(), crash().counts))
    object.__setattr__(first, "trace", None)
    with pytest.raises(ValueError, match="no trace"):
        replay(first)
