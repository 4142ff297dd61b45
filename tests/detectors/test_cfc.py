"""Channel classes: coefficients, attenuation, no transient, and no claim a slow part cannot make.

Verification cases: V11, V12, V14.
"""

import numpy as np
import pytest
from scipy import signal

from detectors import cfc

TABLE = [
    # class, fs, b0, a1, a2, two-pass dB at the class, at class/0.6
    (1000, 20_000, 0.0718930971, -1.1115861762, 0.3991585644, -0.407, -2.879),
    (1000, 10_000, 0.2192314172, -0.3118965450, 0.1888222139, -0.279, -2.447),
    (600, 10_000, 0.0971846253, -0.9455740091, 0.3343125102, -0.387, -2.819),
    (180, 10_000, 0.0117962711, -1.6701174633, 0.7173025477, -0.448, -2.994),
    (60, 10_000, 0.0014523675, -1.8893432242, 0.8951526941, -0.454, -3.009),
    (60, 1_000, 0.0971846253, -0.9455740091, 0.3343125102, -0.387, -2.819),
    (60, 400, 0.4162534055, 0.4563786204, 0.2086350015, -0.119, -1.613),
]


@pytest.mark.parametrize(("cls", "fs_hz", "b0", "a1", "a2"), [row[:5] for row in TABLE])
def test_v11_coefficients_equal_the_table_and_scipy(cls, fs_hz, b0, a1, a2):
    b, a = cfc.coefficients(cls, fs_hz)
    assert (b[0], a[1], a[2]) == pytest.approx((b0, a1, a2), abs=6e-11)
    theirs = signal.butter(2, 2.0775 * cls, fs=fs_hz)
    assert b == pytest.approx(theirs[0], abs=1e-14) and a == pytest.approx(theirs[1], abs=1e-14)


@pytest.mark.parametrize(("cls", "fs_hz", "at_class", "at_corner"), [(*r[:2], *r[5:]) for r in TABLE])
def test_v12_two_passes_attenuate_as_the_standard_says(cls, fs_hz, at_class, at_corner):
    b, a = cfc.coefficients(cls, fs_hz)
    # At 400 Hz the corner lies where the bilinear transform has bent the axis; the table has that too.
    _, h = signal.freqz(b, a, [cls, cls / 0.6], fs=fs_hz)
    assert 40 * np.log10(np.abs(h)) == pytest.approx([at_class, at_corner], abs=6e-4)


def test_both_standards_name_nearly_the_same_filter():
    sae, iso = (cfc.coefficients(180, 10_000, s)[0][0] for s in ("sae", "iso"))
    assert sae != iso and sae == pytest.approx(iso, rel=0.01)


def test_a_stored_window_is_filtered_as_scipy_does_it():
    x = np.random.default_rng(0).normal(0, 10, (2000, 3))
    ours = cfc.filtered(x, 180, 10_000)
    theirs = signal.filtfilt(*cfc.coefficients(180, 10_000), x, axis=0, padtype="odd", padlen=100)
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_v14_a_step_from_the_first_sample_leaves_no_transient():
    assert cfc.filtered(np.full(500, 7.0), 60, 1000) == pytest.approx(7.0, abs=1e-12)


def test_a_pulse_stays_where_it_is():
    x = np.zeros(1001)
    x[500] = 100.0
    y = cfc.filtered(x, 180, 10_000)
    assert y.argmax() == 500 and y == pytest.approx(y[::-1], abs=1e-9)


@pytest.mark.parametrize(("cls", "fs_hz"), [(60, 400.0), (180, 1000.0), (1000, 3200.0)])
def test_no_class_is_claimed_at_a_rate_that_cannot_have_it(cls, fs_hz):
    with pytest.raises(ValueError, match="needs"):
        cfc.filtered(np.zeros(100), cls, fs_hz)
