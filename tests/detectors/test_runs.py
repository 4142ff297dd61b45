"""Runs of samples land in their rings where an index of every sample would put them, and nowhere else."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import runs


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(1, 40))
def test_a_run_lies_at_its_numbers_modulo_the_length_and_touches_nothing_else(data, slots, length):
    many = data.draw(st.integers(1, length))
    slot = np.array(data.draw(st.lists(st.integers(0, slots - 1), unique=True, max_size=slots)), np.int64)
    index = np.array([data.draw(st.integers(0, 10**12)) for _ in slot], np.int64)
    rng = np.random.default_rng(0)
    rings = rng.integers(-32768, 32767, (slots, length, 3)).astype(np.int16)
    counts = rng.integers(-32768, 32767, (len(slot), many, 3)).astype(np.int16)
    expected = rings.copy()
    for k, s in enumerate(slot.tolist()):
        for n in range(many):
            expected[s, (int(index[k]) + n) % length] = counts[k, n]
    runs.write(rings, slot, index, counts)
    assert (rings == expected).all()
