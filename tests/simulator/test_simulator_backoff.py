"""Who lost the broker waits anything up to a limit that doubles, so that a thousand do not come back in one moment."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.backoff import Backoff


@given(st.integers(), st.floats(0.01, 5), st.floats(5, 100), st.integers(1, 60))
def test_a_wait_is_never_longer_than_its_limit_and_success_starts_anew(
    seed: int, first_s: float, most_s: float, tries: int
) -> None:
    backoff = Backoff(first_s, most_s, random.Random(seed))
    for k in range(tries):
        assert 0 <= backoff.next_s() <= min(most_s, first_s * 2**k)
    backoff.reset()
    assert backoff.next_s() <= first_s


def test_five_thousand_come_back_evenly() -> None:
    rng = random.Random(1)
    waits = np.array([Backoff(8, 8, rng).next_s() for _ in range(5000)])
    per_second = np.histogram(waits, bins=8, range=(0, 8))[0]
    assert per_second.max() < 1.2 * 5000 / 8
