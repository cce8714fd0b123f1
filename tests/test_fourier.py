import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.fourier import centred_rfft2, coordinates, half_plane, multipoles, sample_plane, wave_numbers

EVEN = st.integers(1, 6).map(lambda half: 2 * half)
SEED = st.integers(0, 2**32 - 1)


def brute_force_transform(image: np.ndarray, spacing: float) -> np.ndarray:
    """Sum f(x) exp(-i k.x) over pixels, one wave number at a time, for the half plane."""
    n = len(image)
    x = (np.arange(n) - (n - 1) / 2) * spacing
    k = 2 * np.pi * np.fft.fftfreq(n, spacing)
    plane = np.empty((n, n // 2 + 1), complex)
    for row in range(n):
        for column in range(n // 2 + 1):
            # The Nyquist wave number is +k in the half plane and -k in the full one.
            k1 = abs(k[column]) if column == n // 2 else k[column]
            wave = np.exp(-1j * (k1 * x[None, :] + k[row] * x[:, None]))
            plane[row, column] = (image * wave).sum()
    return plane


def band_limited(n: int, seed: int, images: int = 1) -> np.ndarray:
    """Half planes of random real images without Nyquist row and column."""
    rng = np.random.default_rng(seed)
    plane = np.asarray(centred_rfft2(rng.normal(size=(images, n, n))))
    plane[:, n // 2] = 0
    plane[:, :, n // 2] = 0
    return plane


def full_sum(plane: np.ndarray, spacing: float, x1: float, x2: float) -> float:
    """Inverse transform of one half plane at one point, over all waves of the full plane."""
    n = len(plane)
    k1, k2 = wave_numbers(n, spacing)
    waves = plane * np.exp(1j * (k1 * x1 + k2 * x2))
    conjugate = waves[:, 1 : n // 2].conj()  # partners at -k, which the half plane leaves out
    return (waves.sum() + conjugate.sum()).real / n**2


@settings(deadline=None)
@given(n=EVEN, spacing=st.floats(0.05, 3), seed=SEED)
def test_transform_is_the_sum_over_pixels(n: int, spacing: float, seed: int) -> None:
    image = np.random.default_rng(seed).normal(size=(n, n))
    np.testing.assert_allclose(centred_rfft2(image), brute_force_transform(image, spacing), atol=1e-11)


@settings(deadline=None)
@given(n=EVEN, spacing=st.floats(0.05, 3), seed=SEED)
def test_original_grid_is_reproduced(n: int, spacing: float, seed: int) -> None:
    plane = band_limited(n, seed, 3)
    image = sample_plane(plane, spacing, n, spacing)
    assert image.shape == (3, n, n)
    np.testing.assert_allclose(centred_rfft2(image), plane, atol=1e-11)


@settings(deadline=None)
@given(n=EVEN, grid=st.integers(1, 7), spacing=st.floats(0.05, 3), ratio=st.floats(0.3, 3), seed=SEED)
def test_any_grid_is_the_sum_over_waves(n: int, grid: int, spacing: float, ratio: float, seed: int) -> None:
    plane = band_limited(n, seed)[0]
    step = ratio * spacing
    x = (np.arange(grid) - (grid - 1) / 2) * step
    expected = [[full_sum(plane, spacing, x1, x2) for x1 in x] for x2 in x]
    np.testing.assert_allclose(sample_plane(plane, spacing, grid, step), expected, atol=1e-12)


@settings(deadline=None)
@given(n=EVEN, grid=st.integers(2, 9), turns=st.integers(0, 3), mirror=st.booleans(), seed=SEED)
def test_turned_image_has_turned_transform(n: int, grid: int, turns: int, mirror: bool, seed: int) -> None:
    image = sample_plane(band_limited(n, seed)[0], 1.0, n, 1.0)

    def turned(a: np.ndarray) -> np.ndarray:
        return np.flip(np.rot90(a, turns), 0) if mirror else np.rot90(a, turns)

    there = sample_plane(centred_rfft2(turned(image)), 1.0, grid, 1.7)
    np.testing.assert_allclose(there, turned(sample_plane(centred_rfft2(image), 1.0, grid, 1.7)), atol=1e-12)
    # The transform itself turns, too: compare full planes with k from negative to positive.
    np.testing.assert_allclose(ordered(turned(image)), turned(ordered(image)), atol=1e-11)


def ordered(image: np.ndarray) -> np.ndarray:
    """Centred full-plane transform without Nyquist row and column, wave numbers in ascending order."""
    n = len(image)
    half = np.asarray(centred_rfft2(image))
    full = np.empty((n, n), complex)
    full[:, : n // 2 + 1] = half
    full[:, n // 2 + 1 :] = half[-np.arange(n) % n, 1 : n // 2][:, ::-1].conj()
    return np.fft.fftshift(full)[1:, 1:]


@settings(deadline=None)
@given(n=EVEN, seed=SEED)
def test_mirror_through_the_origin_conjugates(n: int, seed: int) -> None:
    image = np.random.default_rng(seed).normal(size=(n, n))
    np.testing.assert_allclose(centred_rfft2(image[::-1, ::-1]), centred_rfft2(image).conj(), atol=1e-11)


@settings(deadline=None)
@given(n=st.integers(1, 33), seed=SEED)
def test_half_plane_weights_count_the_full_plane(n: int, seed: int) -> None:
    # Parseval: the sum of |F|² over the full plane is n² times that of f².
    image = np.random.default_rng(seed).normal(size=(n, n))
    power = (np.abs(centred_rfft2(image)) ** 2 * half_plane(n)).sum() / n**2
    assert power == pytest.approx((image**2).sum(), rel=1e-12)


@pytest.mark.parametrize(("n", "expected"), [(1, [1]), (2, [1, 1]), (4, [1, 2, 1]), (5, [1, 2, 2])])
def test_half_plane_of_even_and_odd_sizes(n: int, expected: list[int]) -> None:
    assert half_plane(n).tolist() == expected


def test_multipoles_of_a_field() -> None:
    # A field of 360 x 180 degrees along y and x: waves of one period have l = 1 and l = 2.
    l1, l2 = multipoles((4, 2), 90 * 60)
    np.testing.assert_allclose(l1, [[0, 2]])
    np.testing.assert_allclose(l2, [[0], [1], [-2], [-1]])


def test_wave_numbers_and_coordinates() -> None:
    k1, k2 = wave_numbers(4, 0.5)
    np.testing.assert_allclose(k1, np.pi * np.array([[0, 1, 2]]))
    np.testing.assert_allclose(k2, np.pi * np.array([[0], [1], [-2], [-1]]))
    np.testing.assert_allclose(coordinates(4, 0.5), [-0.75, -0.25, 0.25, 0.75])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_torch_gives_the_same(dtype: torch.dtype, tolerance: float) -> None:
    plane = band_limited(12, 0, 2)
    image = sample_plane(plane, 0.2, 12, 0.2)
    held = torch.from_numpy(image).to(dtype)
    transform = centred_rfft2(held)
    np.testing.assert_allclose(transform, plane, atol=tolerance * np.abs(plane).max())
    coarse = sample_plane(plane, 0.2, 6, 0.4)
    assert sample_plane(transform, 0.2, 6, 0.4).dtype == dtype
    np.testing.assert_allclose(sample_plane(transform, 0.2, 6, 0.4), coarse, atol=tolerance * np.abs(coarse).max())
