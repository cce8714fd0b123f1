"""SBC, TARP and coverage: uniform for exact posteriors, not for others; figure of merit; novelty."""

import numpy as np
import pytest
from scipy.stats import kstest

from lensdask.errors import InputError
from lensdask.lss.inference.figure_of_merit import GAUSSIAN_AREA, contour_area, contour_area_kde, determinant
from lensdask.lss.inference.trust.coverage import independence, measure_coverage, sbc_ranks, tarp_fractions, uniformity
from lensdask.lss.inference.trust.novelty import Novelty

NAMES = ("a_ia", "b_g", "r_g")
NOISE = 0.3


def coverage_of(mocks=300, width=1.0, shift=0.0, seed=0):
    """Return the coverage of posteriors of θ ~ N(0, 1), observed with noise; exact if width is 1 and shift 0."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((mocks, 3))
    observed = truth + NOISE * rng.standard_normal(truth.shape)
    scatter = NOISE / np.sqrt(1 + NOISE**2)
    mean = observed / (1 + NOISE**2)
    draws = mean[:, None] + scatter * (width * rng.standard_normal((mocks, 200, 3)) + shift)
    return measure_coverage(NAMES, draws, truth, observed, rng.standard_normal(truth.shape), rng)


def test_exact_posteriors_pass():
    coverage = coverage_of()
    assert min(coverage.p_values().values()) > 1e-3
    assert coverage.sbc_p > 1e-3
    assert (np.abs(coverage.inside(0.68) / 300 - 0.68) < 0.1).all()


def test_p_values_of_exact_posteriors_are_uniform():
    found = [coverage_of(mocks=60, seed=seed).p_values() for seed in range(120)]
    for name in ("ranks of b_g", "TARP", "TARP about the summary"):
        assert kstest([one[name] for one in found], "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("width", "shift"), [(0.75, 0.0), (1.33, 0.0), (1.0, 0.5), (1.0, -0.5)])
def test_wrong_posteriors_fail(width, shift):
    coverage = coverage_of(width=width, shift=shift)
    assert coverage.sbc_p < 1e-3
    assert coverage.tarp_p < 1e-3
    if width != 1:
        assert coverage.p_values()["TARP about the summary"] < 1e-3


def test_directions_of_the_reference_points_tell_shifts():
    coverage = coverage_of(shift=0.5)
    assert independence(coverage.tarp, coverage.tarp_directions) < 1e-6
    # Over all directions a shift averages out.
    assert uniformity(coverage.tarp) > 1e-3
    np.testing.assert_allclose(np.linalg.norm(coverage.tarp_directions, axis=1), 1)


def test_independence_is_uniform_and_sees_a_slope():
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(400, 100, 4), loc=np.eye(4)[0])
    found = [independence(rng.random(100), one) for one in directions]
    assert kstest(found, "uniform").pvalue > 1e-3
    sorted_by_one = np.sort(directions[0][:, 2])
    assert independence(np.linspace(0.01, 0.99, 100), sorted_by_one[:, None]) < 1e-10


def test_directions_that_never_change_test_nothing():
    assert independence(np.linspace(0, 1, 50), np.ones((50, 1))) == 1


def test_uniformity_is_uniform():
    rng = np.random.default_rng(1)
    assert kstest([uniformity(rng.random(100)) for _ in range(400)], "uniform").pvalue > 1e-3
    with pytest.raises(InputError, match="coverage: 5 mocks; expected at least 20"):
        uniformity(rng.random(5))


class Fixed:
    """Random numbers that are all one half."""

    def random(self, shape):
        return np.full(shape, 0.5)


def test_ranks_and_tarp_by_brute_force():
    rng = np.random.default_rng(2)
    draws, truth, references = rng.random((9, 30, 3)), rng.random((9, 3)), rng.random((9, 3))
    scale = np.array([1.0, 2.0, 0.5])
    ranks, fractions = sbc_ranks(draws, truth, Fixed()), tarp_fractions(draws, truth, references, scale, Fixed())
    for i in range(9):
        own = np.linalg.norm((truth[i] - references[i]) / scale)
        closer = sum(np.linalg.norm((one - references[i]) / scale) < own for one in draws[i])
        assert fractions[i] == pytest.approx((closer + 0.5) / 31)
        for j in range(3):
            assert ranks[i, j] == pytest.approx((sum(one[j] < truth[i, j] for one in draws[i]) + 0.5) / 31)


def pairs(count, seed=0):
    rng = np.random.default_rng(seed)
    factor = np.array([[0.02, 0.0], [-0.015, 0.01]])
    return np.array([0.3, 0.8]) + rng.standard_normal((count, 2)) @ factor.T, float(np.linalg.det(factor))


def test_figures_of_merit_of_a_gaussian():
    draws, root = pairs(400_000)
    assert GAUSSIAN_AREA / np.pi == pytest.approx(2.279, abs=1e-3)
    assert determinant(draws) == pytest.approx(root, rel=0.01)
    assert contour_area(draws) == pytest.approx(GAUSSIAN_AREA * root, rel=0.02)
    assert contour_area_kde(draws) == pytest.approx(GAUSSIAN_AREA * root, rel=0.01)


def test_the_smooth_area_needs_few_draws():
    draws, root = pairs(3000)
    assert contour_area_kde(draws) == pytest.approx(GAUSSIAN_AREA * root, rel=0.05)
    # The histogram does not: most of its cells hold one draw or none.
    assert contour_area(draws) < 0.92 * GAUSSIAN_AREA * root


def test_area_of_a_flat_density():
    draws = np.random.default_rng(0).uniform(size=(400_000, 2)) * [0.3, 0.4] + [0.1, 0.6]
    assert contour_area(draws, cells=50) == pytest.approx(0.68 * 0.12, rel=0.03)
    assert contour_area_kde(draws) == pytest.approx(0.68 * 0.12, rel=0.06)


@pytest.mark.parametrize("merit", [determinant, contour_area, contour_area_kde])
def test_too_short_a_chain_for_a_figure_of_merit(merit):
    with pytest.raises(InputError, match=r"figure of merit: draws of shape \(50, 2\); expected a chain of 1000"):
        merit(np.zeros((50, 2)))


def test_novelty_is_uniform_on_more_of_the_same_and_small_elsewhere():
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((4, 4))
    novelty = Novelty(rng.exponential(size=(20_000, 4)) @ mixing)
    assert kstest(novelty.p_value(rng.exponential(size=(1000, 4)) @ mixing), "uniform").pvalue > 1e-3
    assert novelty.p_value(-3 * np.ones((1, 4)) @ mixing)[0] < 1e-3


def test_novelty_of_spectra_sees_more_noise():
    """Sixty band powers: a signal of seven parameters, and a noise power that is the same in all simulations."""
    rng = np.random.default_rng(0)
    shapes = rng.uniform(0, 1, (7, 60))

    def spectra(count, noise):
        power = 1 + rng.uniform(0, 1, (count, 7)) @ shapes + noise**2
        return power * (1 + 0.02 * rng.standard_normal((count, 60)))

    novelty = Novelty(spectra(10_000, 1.0))
    assert kstest(novelty.p_value(spectra(500, 1.0)), "uniform").pvalue > 1e-3
    assert (novelty.p_value(spectra(500, 1.3)) < 0.01).mean() > 0.9


def test_bad_features():
    with pytest.raises(InputError, match="novelty: 20 simulations; expected at least 100"):
        Novelty(np.zeros((20, 2)))
    with pytest.raises(InputError, match="novelty: features that depend on each other"):
        Novelty(np.ones((200, 2)))
