import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.arrays import to_numpy
from lensdask.sky import convergence_of_shear, reduced_shear, shear_of_convergence


def without_directionless_waves(maps: np.ndarray) -> np.ndarray:
    """Remove the mean, and the Nyquist row and column."""
    plane = np.fft.fft2(maps)
    ny, nx = maps.shape[-2:]
    plane[..., 0, 0] = 0
    if ny % 2 == 0:
        plane[..., ny // 2, :] = 0
    if nx % 2 == 0:
        plane[..., nx // 2] = 0
    return np.fft.ifft2(plane).real


def random_map(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return without_directionless_waves(np.random.default_rng(seed).normal(size=shape))


@settings(deadline=None, max_examples=25)
@given(ny=st.integers(2, 20), nx=st.integers(2, 20), seed=st.integers(0, 99))
def test_back_and_forth_is_the_identity(ny: int, nx: int, seed: int) -> None:
    kappa = random_map((2, ny, nx), seed)
    e_mode, b_mode = convergence_of_shear(*shear_of_convergence(kappa))
    np.testing.assert_allclose(e_mode, kappa, atol=1e-13)
    np.testing.assert_allclose(b_mode, 0, atol=1e-13)


@pytest.mark.parametrize("shape", [(16, 16), (15, 18), (13, 13)])
def test_shear_is_that_of_the_complex_transform(shape: tuple[int, int]) -> None:
    kappa = random_map(shape)
    l1, l2 = np.fft.fftfreq(shape[1])[None, :], np.fft.fftfreq(shape[0])[:, None]
    square = l1**2 + l2**2
    square[0, 0] = 1
    gamma = np.fft.ifft2(np.fft.fft2(kappa) * (l1 + 1j * l2) ** 2 / square)
    gamma1, gamma2 = shear_of_convergence(kappa)
    np.testing.assert_allclose(gamma1, gamma.real, atol=1e-13)
    np.testing.assert_allclose(gamma2, gamma.imag, atol=1e-13)


def test_a_mass_shears_tangentially() -> None:
    y, x = np.mgrid[:65, :65] - 32.0
    kappa = np.exp(-(x**2 + y**2) / 4.5) / (4.5 * np.pi)
    gamma1, gamma2 = shear_of_convergence(kappa)
    # To the right of the mass and above it images stretch along y and along x; on the diagonal x = y, across it.
    assert gamma1[32, 40] < 0 < gamma1[40, 32]
    assert gamma2[38, 38] < 0 < gamma2[38, 26]
    # γt = M / (π r²) outside of a round mass, but for the images of the periodic field.
    assert -gamma1[32, 40] == pytest.approx(1 / (np.pi * 64), rel=0.02)


SYMMETRIES = {
    "flip x": (lambda m: m[..., ::-1], 1, -1),
    "flip y": (lambda m: m[..., ::-1, :], 1, -1),
    "quarter turn": (lambda m: np.rot90(m, axes=(-2, -1)), -1, -1),
    "transpose": (lambda m: np.swapaxes(m, -1, -2), -1, 1),
}


@pytest.mark.parametrize("name", SYMMETRIES)
@pytest.mark.parametrize("n", [16, 17])
def test_shear_has_spin_two(name: str, n: int) -> None:
    act, sign1, sign2 = SYMMETRIES[name]
    kappa = random_map((n, n))
    gamma1, gamma2 = shear_of_convergence(kappa)
    moved1, moved2 = shear_of_convergence(act(kappa))
    np.testing.assert_allclose(moved1, sign1 * act(gamma1), atol=1e-13)
    np.testing.assert_allclose(moved2, sign2 * act(gamma2), atol=1e-13)


def test_turning_shears_by_45_degrees_takes_e_to_b() -> None:
    gamma1, gamma2 = random_map((2, 16, 20), 3)
    e_mode, b_mode = convergence_of_shear(gamma1, gamma2)
    turned_e, turned_b = convergence_of_shear(-gamma2, gamma1)
    np.testing.assert_allclose(turned_b, e_mode, atol=1e-13)
    np.testing.assert_allclose(turned_e, -b_mode, atol=1e-13)


def test_nyquist_waves_and_mean_have_no_shear() -> None:
    y, x = np.mgrid[:8, :8]
    for kappa in (np.ones((8, 8)), (-1.0) ** x, (-1.0) ** y * np.cos(np.pi * x / 4)):
        for gamma in shear_of_convergence(kappa):
            np.testing.assert_allclose(gamma, 0, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_equals_numpy_in_both_precisions(dtype: type) -> None:
    kappa = random_map((2, 32, 24)).astype(dtype)
    tolerance = 1e-5 if dtype is np.float32 else 1e-13
    for ours, theirs in zip(shear_of_convergence(kappa), shear_of_convergence(torch.from_numpy(kappa)), strict=True):
        assert ours.dtype == dtype
        assert to_numpy(theirs).dtype == dtype
        np.testing.assert_allclose(to_numpy(theirs), ours, atol=tolerance)


def test_reduced_shear_inverts_inside_the_critical_curve() -> None:
    kappa, gamma = np.array([0.2, 0.9, 1.5, 1.0, 1.0]), np.array([0.1, 0.3, 0.2, 0.4, 0.0])
    g1, g2 = reduced_shear(kappa, gamma * 0.6, gamma * 0.8)
    g = gamma[:3] / (1 - kappa[:3])
    np.testing.assert_allclose(np.hypot(g1, g2)[[0, 2]], np.abs(g[[0, 2]]))
    assert np.hypot(g1, g2)[1] == pytest.approx((1 - 0.9) / 0.3)
    np.testing.assert_array_equal(g1[3:], 0)
    # The direction is that of γ / (1 - κ) on either side: 1 / g* has the phase of g.
    np.testing.assert_allclose(g2[:3] / g1[:3], 0.8 / 0.6)
    assert (np.sign(g1[:3]) == [1, 1, -1]).all()
