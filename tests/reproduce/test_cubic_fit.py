"""The fit of Figure 8 on curves whose coefficients are known, and the relation of its A and B."""

import numpy as np
import pytest

from lensdask.reproduce.d4cnn.profiles import LARGEST_SHEAR, cubic_fit

SHEARS = np.linspace(-LARGEST_SHEAR, LARGEST_SHEAR, 41)


def test_known_coefficients_come_back():
    values, scatter = cubic_fit(SHEARS, -0.3 * SHEARS**3 - 5e-4 * SHEARS + 0.02 * SHEARS**2 + 1e-5)
    np.testing.assert_allclose(values, [-0.3, 5e-4, 0.02], rtol=1e-9)
    assert scatter < 1e-15


def test_even_term_leaves_the_odd_ones_alone():
    odd = -0.3 * SHEARS**3 - 5e-4 * SHEARS
    without, with_even = (cubic_fit(SHEARS, odd + q * SHEARS**2)[0] for q in (0.0, 1.0))
    np.testing.assert_allclose(without[:2], with_even[:2], rtol=1e-9)


def test_scatter_is_that_of_the_points():
    rng = np.random.default_rng(8)
    fits = [cubic_fit(SHEARS, -0.3 * SHEARS**3 + rng.normal(0, 1e-6, SHEARS.shape)) for _ in range(2000)]
    assert np.mean([scatter for _, scatter in fits]) == pytest.approx(1e-6, rel=0.02)


def test_linear_fit_of_a_cubic_leaves_b_of_three_fifths_a_g_squared():
    g = np.linspace(-LARGEST_SHEAR, LARGEST_SHEAR, 2001)
    cubic = -0.3 * g**3
    (A, B, Q), _ = cubic_fit(g, cubic - np.polyval(np.polyfit(g, cubic, 1), g))
    assert pytest.approx(0.6 * A * LARGEST_SHEAR**2, rel=2e-3) == B
    assert abs(Q) < 1e-12
