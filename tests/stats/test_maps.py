from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.stats import correlation, local_maxima, map_moments, ring_power

SCALE = 0.41


@pytest.mark.parametrize("shape", [(12, 16), (13, 16), (12, 15), (11, 13)])
def test_ring_power_is_the_mean_over_the_waves_of_a_ring(shape: tuple[int, int]) -> None:
    # Every wave of the full plane by itself, against the half plane.
    maps = np.random.default_rng(1).normal(size=(2, *shape))
    edges = np.array([1000.0, 9000.0, 20000.0, 60000.0])
    ny, nx = shape
    unit = 2 * np.pi / (SCALE * ARCMIN)
    ell = unit * np.hypot(np.fft.fftfreq(nx)[None, :], np.fft.fftfreq(ny)[:, None])
    power = np.abs(np.fft.fft2(maps)) ** 2 * (SCALE * ARCMIN) ** 2 / (nx * ny)
    ell_mean, measured = ring_power(maps, SCALE, edges)
    assert measured.shape == (2, 3)
    for ring, (low, high) in enumerate(pairwise(edges)):
        chosen = (ell >= low) & (ell < high)
        assert ell_mean[ring] == pytest.approx(ell[chosen].mean(), rel=1e-12)
        np.testing.assert_allclose(measured[:, ring], power[:, chosen].mean(axis=-1), rtol=1e-12)


def test_power_of_white_noise_is_variance_times_pixel() -> None:
    maps = 0.3 * np.random.default_rng(2).normal(size=(20, 64, 64))
    _, power = ring_power(maps, SCALE, [2000, 30000])
    expected = 0.09 * (SCALE * ARCMIN) ** 2
    assert power.mean() == pytest.approx(expected, rel=4 / np.sqrt(20 * 64**2))


def test_a_plane_wave_has_power_in_its_ring_alone() -> None:
    n, kx, ky = 64, 3, 5
    y, x = np.mgrid[:n, :n]
    wave = 0.1 * np.cos(2 * np.pi * (kx * x + ky * y) / n)
    ell = 2 * np.pi * np.hypot(kx, ky) / (n * SCALE * ARCMIN)
    _, power = ring_power(wave, SCALE, [0.5 * ell, 0.99 * ell, 1.01 * ell, 2 * ell])
    assert power[1] > 0
    np.testing.assert_allclose(power[[0, 2]], 0, atol=1e-12 * power[1])


def test_cross_power_is_symmetric_and_that_of_sums() -> None:
    a, b = np.random.default_rng(3).normal(size=(2, 32, 32))
    edges = [2000, 10000, 20000]
    cross = ring_power(a, SCALE, edges, b)[1]
    np.testing.assert_allclose(cross, ring_power(b, SCALE, edges, a)[1], rtol=1e-12)
    polarised = (ring_power(a + b, SCALE, edges)[1] - ring_power(a - b, SCALE, edges)[1]) / 4
    np.testing.assert_allclose(cross, polarised, rtol=1e-10)


def test_ring_power_of_torch_equals_that_of_numpy() -> None:
    maps = np.random.default_rng(4).normal(size=(3, 16, 16))
    ours, theirs = (ring_power(of, SCALE, [1000, 20000])[1] for of in (maps, torch.from_numpy(maps)))
    np.testing.assert_allclose(theirs, ours, rtol=1e-12)


def test_a_ring_without_waves_is_nan() -> None:
    ell, power = ring_power(np.ones((8, 8)), SCALE, [1.0, 2.0])
    assert np.isnan(ell).all()
    assert np.isnan(power).all()


def test_moments_of_an_exponential_map() -> None:
    # Standard deviation b and skewness 2, whatever the offset; errors of n = 1e6 pixels.
    maps = 3 + 0.2 * np.random.default_rng(5).exponential(size=(1000, 1000)).astype(np.float32)
    std, skewness = map_moments(maps)
    assert std == pytest.approx(0.2, rel=4 * np.sqrt(2) / 1000)
    assert skewness == pytest.approx(2, abs=4 * 0.03)
    assert map_moments(np.stack([maps, -maps]))[1].tolist() == pytest.approx([skewness, -skewness])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), ny=st.integers(3, 9), nx=st.integers(3, 9))
def test_local_maxima_equal_those_found_one_by_one(seed: int, ny: int, nx: int) -> None:
    image = np.random.default_rng(seed).integers(0, 4, size=(ny, nx)).astype(float)
    found = set()
    for j in range(1, ny - 1):
        for i in range(1, nx - 1):
            around = np.delete(image[j - 1 : j + 2, i - 1 : i + 2].ravel(), 4)
            if (image[j, i] > around).all():
                found.add((j, i))
    y, x, height = local_maxima(image)
    assert set(zip(y.tolist(), x.tolist(), strict=True)) == found
    np.testing.assert_array_equal(height, np.sort(image[y, x])[::-1])


def test_neighbours_of_nan_are_no_peaks() -> None:
    image = np.zeros((5, 5))
    image[2, 2] = 1.0
    assert len(local_maxima(image)[0]) == 1
    image[1, 1] = np.nan
    assert len(local_maxima(image)[0]) == 0


def pairs_one_by_one(image: np.ndarray, weight: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, x = (place.ravel() for place in np.mgrid[: image.shape[0], : image.shape[1]])
    theta = SCALE * np.hypot(y[:, None] - y, x[:, None] - x)
    pair_weight = np.outer(weight.ravel(), weight.ravel())
    value = pair_weight * np.outer(image.ravel(), image.ravel())
    bins = [(theta >= low) & (theta < high) for low, high in pairwise(edges)]
    total = np.array([pair_weight[b].sum() for b in bins])
    return (
        np.array([(theta * pair_weight)[b].sum() for b in bins]) / total,
        np.array([value[b].sum() for b in bins]) / total,
    )


@pytest.mark.parametrize("masked", [False, True])
def test_correlation_is_the_mean_over_all_pairs(masked: bool) -> None:
    rng = np.random.default_rng(6)
    image = rng.normal(size=(11, 14)) + 0.5
    weight = rng.uniform(size=image.shape) * (rng.random(image.shape) > 0.3) if masked else np.ones(image.shape)
    edges = np.array([0.2, 0.7, 1.7, 3.1, 4.5])
    expected_theta, expected = pairs_one_by_one(image, weight, edges)
    image[weight == 0] = np.nan
    theta, xi = correlation(np.stack([image, 2 * image]), weight if masked else None, pixel_scale=SCALE, edges=edges)
    np.testing.assert_allclose(theta, expected_theta, rtol=1e-10)
    np.testing.assert_allclose(xi, [expected, 4 * expected], rtol=1e-8)


def test_correlation_against_treecorr() -> None:
    treecorr = pytest.importorskip("treecorr")
    n = 48
    image = np.random.default_rng(7).normal(size=(n, n))
    image = np.fft.ifft2(np.fft.fft2(image) * np.exp(-20 * np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(n)])))).real
    y, x = (SCALE * place.ravel() for place in np.mgrid[:n, :n])
    # Edges between the distances that occur, which rounding would otherwise put to either side.
    kk = treecorr.KKCorrelation(min_sep=0.5, max_sep=8.3, nbins=6, brute=True, bin_type="Linear")
    kk.process(treecorr.Catalog(x=x, y=y, k=image.ravel()))
    edges = np.append(kk.left_edges, kk.right_edges[-1])
    theta, xi = correlation(image, pixel_scale=SCALE, edges=edges)
    np.testing.assert_allclose(theta, kk.meanr, rtol=1e-6)
    np.testing.assert_allclose(xi, kk.xi, rtol=1e-6, atol=1e-9 * image.var())


def test_edges_must_increase_and_shapes_agree() -> None:
    with pytest.raises(InputError, match="increase"):
        ring_power(np.ones((8, 8)), SCALE, [2.0, 1.0])
    with pytest.raises(InputError, match="at least two"):
        correlation(np.ones((8, 8)), pixel_scale=SCALE, edges=[1.0])
    with pytest.raises(InputError, match="mask: shape"):
        correlation(np.ones((8, 8)), np.ones((8, 9)), pixel_scale=SCALE, edges=[1.0, 2.0])
    with pytest.raises(InputError, match="other: shape"):
        ring_power(np.ones((8, 8)), SCALE, [1.0, 2.0], np.ones((2, 8, 8)))
