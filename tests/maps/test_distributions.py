import numpy as np
import pytest

from lensdask.maps.statistics.distributions import NULL_STATISTICS, correlation_functions, null_statistics, pdf
from lensdask.maps.statistics.metrics import mean_over_maps

SCALE = 0.41


def noise(seed, shape, std=0.02):
    return np.random.default_rng(seed).normal(scale=std, size=shape)


def test_pdf_is_that_of_the_pixels():
    maps = noise(12, (50, 64, 64))
    edges = np.linspace(-0.05, 0.05, 21)
    mean, error = mean_over_maps(pdf(maps, edges))
    fine = np.linspace(-0.05, 0.05, 20 * 50 + 1)
    density = np.exp(-((fine / 0.02) ** 2) / 2) / (0.02 * np.sqrt(2 * np.pi))
    expected = [np.trapezoid(density[i : i + 51], fine[i : i + 51]) / 0.005 for i in range(0, 1000, 50)]
    assert (np.abs(mean - expected) / error).max() < 4.5
    # Of all pixels: what is beyond the edges counts.
    inside = np.abs(maps) < 0.05
    assert mean.sum() * 0.005 == pytest.approx(inside.mean(), rel=1e-9)


def test_pdf_looks_inside_the_mask_alone():
    maps = np.zeros((1, 4, 4))
    maps[0, :2] = 1.0
    mask = np.zeros((4, 4))
    mask[:3] = 1
    np.testing.assert_allclose(pdf(maps, np.array([-0.5, 0.5, 1.5]), mask), [[1 / 3, 2 / 3]])


def test_correlation_functions_are_means_over_pairs_inside_the_mask():
    maps = noise(13, (2, 9, 8), 1.0)
    mask = np.random.default_rng(14).uniform(size=maps.shape) < 0.7
    edges = np.array([0.3, 0.7, 1.3, 2.0])
    theta, found = correlation_functions(np.where(mask, maps, np.nan), SCALE, edges, mask)
    assert theta.shape == (3,)
    for field in range(2):
        places, values = np.argwhere(mask[field]), maps[field][mask[field]]
        distance = SCALE * np.hypot(*(places[:, None] - places).transpose(2, 0, 1))
        for b in range(3):
            i, j = np.nonzero((distance >= edges[b]) & (distance < edges[b + 1]))
            assert found[field, b] == pytest.approx(np.mean(values[i] * values[j]), rel=1e-9)


def test_null_statistics_of_a_known_distribution():
    rng = np.random.default_rng(17)
    sigma = 0.5
    maps = 0.01 * (rng.lognormal(sigma=sigma, size=(4, 200, 200)) - 1)
    for field, values in enumerate(null_statistics(maps)):
        found = dict(zip(NULL_STATISTICS, values, strict=True))
        one = maps[field]
        assert (found["lowest"], found["highest"]) == (one.min(), one.max())
        assert found["mean"] == pytest.approx(one.mean())
        assert found["std"] == pytest.approx(one.std())
        # The mode of exp(N(0, σ)) is exp(-σ²); a histogram of 40 000 values knows it to a tenth of the spread.
        assert found["mode"] == pytest.approx(0.01 * (np.exp(-(sigma**2)) - 1), abs=0.1 * one.std())
        w = np.exp(sigma**2)
        assert found["skewness"] == pytest.approx((w + 2) * np.sqrt(w - 1), rel=0.2)


def test_null_statistics_of_a_constant_and_of_what_the_mask_leaves():
    maps = np.full((1, 5, 5), 0.25)
    maps[0, 0] = 9
    mask = np.ones((5, 5))
    mask[0] = 0
    np.testing.assert_array_equal(null_statistics(maps, mask), [[0.25, 0.25, 0.25, 0, 0, 0.25]])
