import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from lensdask.errors import InputError
from lensdask.massmap.classical.ks93 import kaiser_squires
from lensdask.sky.lensing import shear_of_convergence

SCALE = 0.41


def without_nyquist(maps: np.ndarray) -> np.ndarray:
    """Remove the mean and the waves of two pixels, on which codes differ, from a map of even sides."""
    plane = np.fft.fft2(maps)
    plane[..., maps.shape[-2] // 2, :] = 0
    plane[..., :, maps.shape[-1] // 2] = 0
    plane[..., 0, 0] = 0
    return np.fft.ifft2(plane).real


@pytest.mark.parametrize("shape", [(64, 64), (48, 80)])
def test_equals_lenspack_on_noise(shape: tuple[int, int]) -> None:
    lenspack = pytest.importorskip("lenspack.image.inversion")
    g1, g2 = np.random.default_rng(0).normal(size=(2, *shape))
    expected = [without_nyquist(mode) for mode in lenspack.ks93(g1, g2)]
    found = kaiser_squires(g1, g2, pixel_scale=SCALE)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(height=st.integers(3, 20), width=st.integers(3, 20), seed=st.integers(0, 2**32 - 1))
def test_convergence_to_shear_and_back_is_the_identity(height: int, width: int, seed: int) -> None:
    kappa = np.random.default_rng(seed).normal(size=(2, height, width))
    plane = np.fft.fft2(kappa)
    plane[:, 0, 0] = 0
    if height % 2 == 0:
        plane[:, height // 2, :] = 0
    if width % 2 == 0:
        plane[:, :, width // 2] = 0
    kappa = np.fft.ifft2(plane).real
    kappa_e, kappa_b = kaiser_squires(*shear_of_convergence(kappa), pixel_scale=SCALE)
    np.testing.assert_allclose(kappa_e, kappa, atol=1e-12)
    np.testing.assert_allclose(kappa_b, 0, atol=1e-12)


def real_space_sum(g1: np.ndarray, g2: np.ndarray, row: int, column: int) -> float:
    """Return kappa at one pixel as (1/pi) sum of Re[D* gamma], D = (y² - x² - 2ixy) / r⁴, without transforms."""
    y, x = np.mgrid[: g1.shape[0], : g1.shape[1]]
    x, y = column - x, row - y
    square = np.where((x == 0) & (y == 0), 1, x**2 + y**2)
    kernel = ((y**2 - x**2) * g1 - 2 * x * y * g2) / square**2
    return float(kernel.sum() / np.pi)


@pytest.mark.parametrize(("x0", "y0"), [(1.3, -2.1), (40.3, -30.1)])
def test_equals_the_sum_in_real_space(gaussian_mass, x0: float, y0: float) -> None:
    _, g1, g2 = gaussian_mass(128, 6.0, x0, y0)
    # The peak, 0.1 high, and its flanks, where kappa changes by 0.01 from pixel to pixel.
    steps = [(0, 0), (6, 0), (-6, 0), (0, 6), (0, -6), (5, 5), (-5, 5)]
    rows, columns = np.rint(63.5 + np.array([y0, x0]) + steps).astype(int).T
    expected = [real_space_sum(g1, g2, *place) for place in zip(rows, columns, strict=True)]

    def mapped(g1: np.ndarray, g2: np.ndarray, mode: int = 0) -> np.ndarray:
        return kaiser_squires(g1, g2, pixel_scale=SCALE, padding=4.0)[mode]

    found = mapped(g1, g2)
    # The sum leaves out the pixel itself, which is 2e-4 at the peak.
    np.testing.assert_allclose(found[rows, columns], expected, atol=3e-4)
    np.testing.assert_allclose(mapped(-g2, g1, mode=1)[rows, columns], expected, atol=3e-4)
    shifted = [np.roll(found, step, axis) for axis in (0, 1) for step in (-1, 1)]
    for wrong in (-found, mapped(g1, -g2), mapped(-g1, g2), found.T, *shifted):
        assert np.abs(wrong[rows, columns] - expected).max() > 5e-3, "the test would not see this mistake"


@pytest.mark.parametrize(("x0", "y0"), [(1.3, -2.1), (40.3, -30.1)])
def test_empty_sky_beside_the_field_keeps_its_edges_apart(gaussian_mass, x0: float, y0: float) -> None:
    # Far from the mass nothing but the shear that is cut off at the edges is seen, here as in the sum.
    _, g1, g2 = gaussian_mass(128, 6.0, x0, y0)
    rows, columns = np.array([(2, 3), (5, 126), (124, 60), (125, 2), (90, 1)]).T
    expected = [real_space_sum(g1, g2, *place) for place in zip(rows, columns, strict=True)]

    def off(padding: float) -> float:
        found = kaiser_squires(g1, g2, pixel_scale=SCALE, padding=padding)[0]
        return np.abs(found[rows, columns] - expected).max()

    assert np.abs(expected).max() > 5e-4
    assert off(4.0) < 1e-5
    assert off(2.0) < 1e-4
    assert min(off(1.0), off(1.1)) > 2e-4


def test_nfw_cluster_is_given_back(nfw_cluster) -> None:
    kappa, g1, g2, scale = nfw_cluster
    kappa_e, kappa_b = kaiser_squires(g1, g2, pixel_scale=scale, padding=2.0)
    # Near the edges the shear beyond them is missed.
    inside = (slice(128, 384), slice(128, 384))
    assert np.sqrt(np.mean((kappa_e - kappa)[inside] ** 2)) < 1e-3
    assert np.sqrt(np.mean(kappa_b[inside] ** 2)) < 5e-4
    assert kappa[inside].std() > 5e-3


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_smoothing_is_a_gaussian_of_that_standard_deviation(sigma: float) -> None:
    g1, g2 = np.random.default_rng(1).normal(size=(2, 64, 48))
    kappa = kaiser_squires(g1, g2, pixel_scale=SCALE)[0]
    smooth = kaiser_squires(g1, g2, pixel_scale=SCALE, smoothing=sigma)[0]
    expected = gaussian_filter(kappa, sigma / SCALE, mode="wrap", truncate=8)
    # SciPy samples the Gaussian on pixels; the transform does not.
    np.testing.assert_allclose(smooth, expected, atol=2e-3 * kappa.std())


def test_noise_of_the_map_is_that_of_the_shear() -> None:
    g1, g2 = 0.3 * np.random.default_rng(2).normal(size=(2, 512, 512))
    for mode in kaiser_squires(g1, g2, pixel_scale=SCALE):
        assert mode.std() == pytest.approx(0.3, rel=1e-2)


def test_weights_average_the_shear_under_the_gaussian(noisy_maps) -> None:
    maps = noisy_maps((40, 36), 4)
    sigma = 3 * SCALE
    found = kaiser_squires(maps.g1, maps.g2, weight=maps.weight, pixel_scale=SCALE, smoothing=sigma)

    def under(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 3.0, mode="wrap", truncate=8)

    share = under(maps.weight)
    assert (share > 0.01 * share.max()).all()
    averaged = [under(maps.weight * g) / share for g in (maps.g1, maps.g2)]
    np.testing.assert_allclose(found, kaiser_squires(*averaged, pixel_scale=SCALE), atol=1e-5)


def test_weights_keep_a_hole_from_pulling_the_map_to_zero(gaussian_mass) -> None:
    _, g1, g2 = gaussian_mass(96, 8.0, -14.0, -14.0)
    whole = np.ones((96, 96))
    weight = whole.copy()
    weight[44:50, 52:58] = 0

    def spoilt(weighted: bool) -> float:
        full, holed = (
            kaiser_squires(
                g1 * seen, g2 * seen, pixel_scale=1.0, smoothing=4.0, padding=2.0, weight=seen if weighted else None
            )[0]
            for seen in (whole, weight)
        )
        return np.abs(holed - full).max()

    assert spoilt(True) < 0.5 * spoilt(False)


def test_no_data_no_shear() -> None:
    weight = np.zeros((64, 64))
    weight[:20] = 1.0
    g1, g2 = np.ones((2, 64, 64)) * weight * 0.1
    found = kaiser_squires(g1, g2, pixel_scale=1.0, smoothing=2.0, weight=weight)
    assert np.isfinite(found).all()


@settings(deadline=None, max_examples=15)
@given(
    shape=st.tuples(st.integers(8, 17), st.integers(8, 17)),
    seed=st.integers(0, 2**32 - 1),
    padding=st.sampled_from([1.0, 1.5, 2.0]),
    smoothing=st.sampled_from([0.0, 1.0]),
    weighted=st.booleans(),
)
def test_turns_and_mirrors_commute(moves, noisy_maps, shape, seed, padding, smoothing, weighted) -> None:
    maps = noisy_maps(shape, seed)

    def mapped(g1, g2, weight):
        used = weight if weighted else None
        return kaiser_squires(g1, g2, pixel_scale=SCALE, smoothing=smoothing, weight=used, padding=padding)

    kappa_e, kappa_b = mapped(maps.g1, maps.g2, maps.weight)
    for move in moves:
        found_e, found_b = mapped(*move.shear(maps.g1, maps.g2), move.scalar(maps.weight))
        np.testing.assert_allclose(found_e, move.scalar(kappa_e), atol=1e-12)
        # A mirror turns the B mode over.
        np.testing.assert_allclose(found_b, move.scalar(kappa_b) * (-1 if move.mirror else 1), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_gives_the_same(noisy_maps, dtype: torch.dtype) -> None:
    maps = noisy_maps((2, 20, 24), 5)
    settings = {"pixel_scale": SCALE, "smoothing": 1.0, "padding": 1.5}
    expected = kaiser_squires(maps.g1, maps.g2, weight=maps.weight, **settings)
    held = [torch.from_numpy(array).to(dtype) for array in maps[:3]]
    found = kaiser_squires(held[0], held[1], weight=held[2], **settings)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    for mode, truth in zip(found, expected, strict=True):
        assert mode.dtype == dtype
        np.testing.assert_allclose(mode, truth, atol=tolerance)


def test_single_precision_stays_single() -> None:
    g1, g2 = np.zeros((2, 8, 8), np.float32)
    for mode in kaiser_squires(g1, g2, pixel_scale=SCALE, smoothing=1.0, padding=2.0, weight=np.ones_like(g1)):
        assert mode.dtype == np.float32
        assert mode.shape == (8, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_scale": (0.4, 0.5)}, "pixel_scale"),
        ({"g2": np.zeros((8, 9))}, r"g2: shape \(8, 9\); expected that of g1, \(8, 8\)"),
        ({"weight": np.zeros((9, 8))}, r"weight: shape \(9, 8\)"),
        ({"smoothing": -1.0}, "smoothing: -1.0; expected"),
        ({"smoothing": -1.0, "weight": np.ones((8, 8))}, "smoothing: -1.0; expected"),
        ({"smoothing": np.nan}, "smoothing: nan; expected"),
        ({"padding": 0.5}, "padding: 0.5; expected a number of at least 1"),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    arguments = {"g1": np.zeros((8, 8)), "g2": np.zeros((8, 8)), "pixel_scale": 0.4} | change
    with pytest.raises(InputError, match=message):
        kaiser_squires(**arguments)
