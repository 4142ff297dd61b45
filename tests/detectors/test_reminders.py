"""Rides without the helmet on, where they are to be reported: filed, told to the rider, never an alarm.

Verification cases: V41.
"""

import numpy as np
import pytest
from motion_cases import frames, ride, to_counts

from core.config import Detection as Params
from core.model import Kind, Stage
from detectors import Fleet

SECONDS = 400
UPRIGHT = to_counts(ride(SECONDS, np.random.default_rng(0)))
BOXED = np.roll(UPRIGHT, 1, axis=1)
"""On its side, shaking."""


def rides(worn_of, speed_of, params=None, counts=BOXED):
    fleet, out = Fleet(Params(reminders=True) if params is None else params), []
    for k in range(SECONDS):
        part = counts[k * 100 : k * 100 + 100]
        f = frames([("SF-1", k, k * 100, part)], worn=worn_of(k), speed_mps=speed_of(k))
        out += [(k, d) for d in fleet.push(f, np.array([1]), np.array([k * 100]), int(f.received_us[0]))]
    return out


def test_v41_half_an_hour_s_ride_without_the_helmet_is_said_once_filed_and_says_that_nobody_fell():
    said = rides(lambda _: 1, lambda _: 6.0)
    ((second, d),) = said
    assert d.kind is Kind.NOT_WORN and d.stage is Stage.CANCELLED and d.severity == 1
    assert 59 <= second <= 75, "never within a minute of the start"
    assert "no impact" in d.reason_en and "没有撞击" in d.reason_zh
    assert d.impacts_us == [] and d.position is not None and d.occurred_us < d.received_us - 30_000_000


@pytest.mark.parametrize("how", ["put on", "stopped"])
def test_a_second_version_says_when_it_is_over(how):
    worn = (lambda k: 2 if k > 120 else 1) if how == "put on" else (lambda _: 1)
    speed = (lambda k: 0.0 if k > 120 else 6.0) if how == "stopped" else (lambda _: 6.0)
    (_, first), (_, last) = rides(worn, speed)
    assert (first.incident, first.version, last.version) == (last.incident, 1, 2)
    assert last.stage is Stage.CANCELLED and "it is over" in last.reason_en


@pytest.mark.parametrize("worn, speed_mps", [(2, 6.0), (1, 0.0), (1, 16.0)])
def test_who_wears_it_stands_or_is_carried_by_a_train_is_not_reminded(worn, speed_mps):
    assert rides(lambda _: worn, lambda _: speed_mps) == []


def test_unknown_wear_never_opens_one_unless_the_attitude_says_that_it_is_no_head():
    assert rides(lambda _: 0, lambda _: 6.0, counts=UPRIGHT) == []
    assert [d.kind for _, d in rides(lambda _: 0, lambda _: 6.0)] == [Kind.NOT_WORN]


def test_nothing_is_said_where_nobody_asked_for_it():
    assert rides(lambda _: 1, lambda _: 6.0, Params()) == []
