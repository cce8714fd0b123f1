import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.errors import InputError
from lensdask.maps.statistics.metrics import (
    PIXEL_STATISTICS,
    binned_sums,
    footprint,
    mean_over_maps,
    percentiles_over_maps,
    pixel_statistics,
    pixel_sums,
    point_sums,
    pooled,
    power_statistics,
    power_sums,
    ratios,
    smoothed,
)

SCALE = 0.41


def noise(seed, shape, std=0.02):
    return np.random.default_rng(seed).normal(scale=std, size=shape)


def named(values):
    return dict(zip(PIXEL_STATISTICS, values, strict=True))


def test_pixel_statistics_are_those_of_the_pixels_inside_the_mask():
    truth, other = noise(1, (3, 20, 30)) + 0.01, noise(2, (3, 20, 30))
    kappa = 0.6 * truth + other - 0.004
    mask = np.random.default_rng(3).uniform(size=truth.shape) < 0.7
    sums = pixel_sums(truth, np.where(mask, kappa, np.nan), mask)
    for field, found in enumerate(pixel_statistics(sums)):
        t, k = truth[field][mask[field]], kappa[field][mask[field]]
        # The principal axis, from the singular vectors of the centred pixels.
        axis = np.linalg.svd(np.stack([t - t.mean(), k - k.mean()], axis=1), full_matrices=False)[2][0]
        expected = {
            "slope": np.polyfit(t, k, 1)[0],
            "total_slope": axis[1] / axis[0],
            "correlation": np.corrcoef(t, k)[0, 1],
            "rmse": np.sqrt(np.mean((k - t) ** 2)),
            "scatter": np.std(k - t),
            "bias": np.mean(k - t),
        }
        assert named(found) == pytest.approx(expected, rel=1e-9)


def test_total_least_squares_knows_noise_on_both_axes():
    # A slope of 0.7 with equal noise on both axes: the regression is too shallow by T / (T + noise²), the axis is not.
    x = noise(4, (40, 64, 64))
    truth, kappa = x + noise(5, x.shape, 0.01), 0.7 * x + noise(6, x.shape, 0.01)
    values, errors = pooled(pixel_sums(truth, kappa), pixel_statistics)
    found, error = named(values), named(errors)
    assert found["total_slope"] == pytest.approx(0.7, abs=4 * error["total_slope"])
    assert found["slope"] == pytest.approx(0.7 * 0.02**2 / (0.02**2 + 0.01**2), abs=4 * error["slope"])
    assert error["total_slope"] < 0.002


def test_errors_are_the_scatter_between_sets_of_maps():
    shape = (24, 12, 12)
    runs = []
    for seed in range(150):
        truth = noise(2 * seed, shape)
        runs.append(pooled(pixel_sums(truth, 0.5 * truth + noise(2 * seed + 1, shape)), pixel_statistics))
    values, errors = (np.array(column) for column in zip(*runs, strict=True))
    scatter = values.std(axis=0, ddof=1)
    # Known to 1/√300 from the scatter; the mean of the errors far better.
    np.testing.assert_allclose(errors.mean(axis=0), scatter, rtol=4 / np.sqrt(300))


@settings(deadline=None, max_examples=30)
@given(factor=st.floats(0.1, 5), shift=st.floats(-0.1, 0.1), seed=st.integers(0, 1000))
def test_slopes_scale_with_the_map_and_swap_with_the_axes(factor, shift, seed):
    truth = noise(seed, (1, 16, 16))
    kappa = 0.6 * truth + noise(seed + 1, truth.shape, 0.005)
    one, scaled, swapped = (
        named(pixel_statistics(pixel_sums(t, k))[0])
        for t, k in ((truth, kappa), (truth, factor * kappa + shift), (kappa, truth))
    )
    assert scaled["slope"] == pytest.approx(factor * one["slope"], rel=1e-6)
    assert scaled["correlation"] == pytest.approx(one["correlation"], rel=1e-6)
    assert swapped["total_slope"] == pytest.approx(1 / one["total_slope"], rel=1e-6)
    assert swapped["slope"] * one["slope"] == pytest.approx(one["correlation"] ** 2, rel=1e-6)


def test_truth_itself_is_perfect():
    truth = noise(7, (2, 9, 9))
    np.testing.assert_allclose(pixel_statistics(pixel_sums(truth, truth)), [[1, 1, 1, 0, 0, 0]] * 2, atol=1e-7)


def test_mean_over_maps_leaves_out_what_a_map_does_not_have():
    values = noise(8, (30, 2, 3))
    values[:10, 0, 0] = np.nan
    values[:, 1, 1] = np.nan
    mean, error = mean_over_maps(values)
    assert mean.shape == error.shape == (2, 3)
    assert mean[0, 0] == pytest.approx(values[10:, 0, 0].mean())
    assert error[0, 0] == pytest.approx(values[10:, 0, 0].std(ddof=1) / np.sqrt(20), rel=0.06)
    assert error[0, 1] == pytest.approx(values[:, 0, 1].std(ddof=1) / np.sqrt(30), rel=1e-9)
    assert np.isnan([mean[1, 1], error[1, 1]]).all()


def test_one_map_has_no_error():
    mean, error = mean_over_maps(np.array([[0.3]]))
    assert mean[0] == pytest.approx(0.3)
    assert np.isnan(error[0])


def test_what_rests_on_one_map_has_no_error():
    # Bins: in three maps, in one, in none.
    sums = np.array([[1, 2, 0, 2, 4, 0], [3, 0, 0, 3, 0, 0], [1, 0, 0, 4, 0, 0]], dtype=float)
    values, errors = pooled(sums, ratios)
    np.testing.assert_array_equal(values, [5 / 9, 0.5, np.nan])
    assert errors[0] == pytest.approx(0.23, abs=0.05)
    assert np.isnan(errors[1:]).all()


def test_percentiles_over_maps():
    values = noise(9, (50, 4))
    values[:, 2] = np.nan
    values[3, 0] = np.nan
    found = percentiles_over_maps(values)
    np.testing.assert_allclose(found[:, 1], np.percentile(values[:, 1], (16, 50, 84)))
    np.testing.assert_allclose(found[:, 0], np.percentile(np.delete(values[:, 0], 3), (16, 50, 84)))
    assert np.isnan(found[:, 2]).all()


def test_smoothing_is_the_weighted_mean_of_the_pixels_about():
    maps = noise(10, (1, 31, 33), 1.0)
    mask = np.random.default_rng(11).uniform(size=maps.shape) < 0.8
    found = smoothed(np.where(mask, maps, np.nan), 1.0, SCALE, mask)
    y, x = np.mgrid[:31, :33]
    for row, column in np.argwhere(mask[0])[::97]:
        weight = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2 / (1.0 / SCALE) ** 2) * mask[0]
        assert found[0, row, column] == pytest.approx((weight * maps[0]).sum() / weight.sum(), abs=2e-3)
    assert (found[~mask] == 0).all()


def test_smoothing_keeps_a_constant_to_the_edge():
    np.testing.assert_allclose(smoothed(np.full((1, 8, 8), 0.3), 2.0, SCALE), 0.3, rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(n=st.integers(0, 60), seed=st.integers(0, 1000))
def test_binned_sums_are_sums_in_bins(n, seed):
    rng = np.random.default_rng(seed)
    x, y, field = rng.uniform(-1, 4, n), rng.normal(size=n), rng.integers(0, 3, n)
    x[rng.uniform(size=n) < 0.1] = np.nan
    edges = np.array([0.0, 0.5, 2.0, 3.0])
    found = binned_sums(x, y, edges, field=field, fields=3)
    assert found.shape == (3, 6)
    for f in range(3):
        for b in range(3):
            here = (field == f) & (x >= edges[b]) & (x < edges[b + 1])
            assert found[f, b] == pytest.approx(y[here].sum(), abs=1e-12)
            assert found[f, 3 + b] == here.sum()


def test_ratios_of_nothing_are_nan():
    np.testing.assert_array_equal(ratios(np.array([3.0, 0.0, 2.0, 0.0])), [1.5, np.nan])


def test_power_ratio_and_coefficient():
    truth, other = noise(15, (200, 32, 32)), noise(16, (200, 32, 32), 0.01)
    edges = np.geomspace(1500, 20000, 6)
    ell, sums = power_sums(truth, 0.6 * truth + other, SCALE, edges)
    values, errors = pooled(sums, power_statistics)
    # White noise: C_rr = 0.36 C_tt + noise, of which C_tt is 4 times as much.
    expected = np.repeat([0.36 + 0.25, 0.6 / np.sqrt(0.36 + 0.25)], 5)
    assert (np.abs(values - expected) / errors).max() < 4
    assert (errors < 0.03).all()
    assert (np.diff(ell) > 0).all()
    # A ring without waves has no power, and does no harm to the others.
    _, more = power_sums(truth, 0.6 * truth + other, SCALE, np.insert(edges, 0, [1.0, 2.0]))
    with_empty = pooled(more, power_statistics)[1].reshape(2, -1)
    assert np.isnan(with_empty[:, 0]).all()
    np.testing.assert_allclose(with_empty[:, 2:].ravel(), errors, rtol=1e-9)
    _, alone = power_sums(truth, -0.5 * truth, SCALE, edges)
    np.testing.assert_allclose(power_statistics(alone.sum(axis=0)), np.repeat([0.25, -1.0], 5), rtol=1e-9)


GOOD = np.zeros((2, 4, 4))
HOLED = np.where(np.arange(4) == 2, np.nan, GOOD)


@pytest.mark.parametrize(
    ("maps", "mask", "message"),
    [
        ([GOOD, GOOD[:, :3]], None, r"\(2, 4, 4\), \(2, 3, 4\); expected one shape"),
        ([GOOD[0]], None, r"expected one shape \(field, y, x\)"),
        ([GOOD], np.ones((4, 3)), r"mask of shape \(4, 3\)"),
        ([GOOD], np.stack([np.ones((4, 4)), np.zeros((4, 4))]), "field 1: nothing inside"),
        ([GOOD, HOLED], None, "map 1, field 0: not finite"),
    ],
)
def test_maps_that_do_not_belong_together(maps, mask, message):
    with pytest.raises(InputError, match=message):
        footprint(*maps, mask=mask)


def test_what_is_outside_the_mask_need_not_be_finite():
    assert footprint(HOLED, mask=np.arange(4) * np.ones((4, 1)) != 2).sum() == 2 * 12


def test_sums_of_points_are_those_of_pixels():
    truth = noise(20, (3, 6, 7))
    kappa = 0.5 * truth + noise(21, truth.shape)
    field = np.repeat(np.arange(3), 42)
    flat, found = truth.ravel().copy(), kappa.ravel().copy()
    np.testing.assert_allclose(point_sums(flat, found, field=field, fields=3), pixel_sums(truth, kappa), rtol=1e-12)
    flat[5], found[50] = np.nan, np.nan
    sums = point_sums(flat, found, field=field, fields=4)
    assert sums[:, 0].tolist() == [41, 41, 42, 0]
    assert pixel_statistics(sums[0])[0] == pytest.approx(
        np.polyfit(np.delete(flat[:42], 5), np.delete(found[:42], 5), 1)[0]
    )
