import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.errors import InputError
from lensdask.maps.grids import area_shape
from lensdask.massmap.classical.ks93 import kaiser_squires
from lensdask.massmap.classical.wiener_filter import wiener
from lensdask.sky.power import ConvergencePower

SCALE = 0.41
PIXEL = (SCALE * np.pi / 180 / 60) ** 2


def waves(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return l1, l2 in rad⁻¹ of the full plane, and which waves lensing knows: not the mean nor Nyquist's."""
    unit = 2 * np.pi / np.sqrt(PIXEL)
    f1, f2 = np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height))
    known = (np.abs(f1) < 0.5) & (np.abs(f2) < 0.5) & ((f1 != 0) | (f2 != 0))
    return unit * f1, unit * f2, known


def sky(power: ConvergencePower, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Draw periodic Gaussian fields of a power."""
    l1, l2, known = waves(*shape[1:])
    amplitude = np.sqrt(np.where(known, power.at(np.hypot(l1, l2)), 0) / PIXEL)
    return np.fft.ifft2(np.fft.fft2(np.random.default_rng(seed).normal(size=shape)) * amplitude).real


def shear_of(kappa: np.ndarray) -> np.ndarray:
    l1, l2, known = waves(*kappa.shape[-2:])
    phase = np.where(known, (l1 + 1j * l2) ** 2 / np.where(known, l1**2 + l2**2, 1), 0)
    shear = np.fft.ifft2(np.fft.fft2(kappa) * phase)
    return np.stack([shear.real, shear.imag])


def observed(power: ConvergencePower, shape: tuple[int, int, int], sigma: float, seed: int):
    kappa = sky(power, shape, seed)
    return kappa, shear_of(kappa) + sigma * np.random.default_rng(seed + 1).normal(size=(2, *shape))


def test_even_periodic_noise_has_the_closed_form(power) -> None:
    sigma = 0.1
    _, (g1, g2) = observed(power, (2, 64, 48), sigma, 0)
    weight = np.full(g1.shape, sigma**-2)
    found = wiener(g1, g2, weight, pixel_scale=SCALE, power=power, padding=1.0, tolerance=1e-13)
    l1, l2, _ = waves(64, 48)
    signal, noise = power.at(np.hypot(l1, l2)), sigma**2 * PIXEL
    inverted = kaiser_squires(g1, g2, pixel_scale=SCALE)[0]
    expected = np.fft.ifft2(np.fft.fft2(inverted) * signal / (signal + noise)).real
    np.testing.assert_allclose(found.kappa, expected, atol=1e-11 * np.abs(expected).max())


def test_steradian_and_pixels_agree() -> None:
    # White convergence of standard deviation 0.05 in pixels has the power 0.05² times the solid angle of one.
    white = ConvergencePower(np.array([1.0, 1e6]), np.full(2, 0.05**2 * PIXEL))
    g1, g2 = np.random.default_rng(3).normal(size=(2, 1, 32, 32))
    weight = np.full(g1.shape, 1 / 0.1**2)
    found = wiener(g1, g2, weight, pixel_scale=SCALE, power=white, padding=1.0).kappa
    share = 0.05**2 / (0.05**2 + 0.1**2)
    np.testing.assert_allclose(found, share * kaiser_squires(g1, g2, pixel_scale=SCALE)[0], rtol=1e-9, atol=1e-12)


def dense_filter(
    power: ConvergencePower, g1: np.ndarray, g2: np.ndarray, weight: np.ndarray, area: tuple[int, int]
) -> np.ndarray:
    """Return <kappa d> <d d>⁻¹ d over the pixels with data, the covariances as sums of waves of the area."""
    l1, l2, known = (axis.ravel() for axis in waves(*area))
    variance = np.where(known, power.at(np.hypot(l1, l2)), 0) / PIXEL / l1.size
    angle = np.arctan2(l2, l1)
    rows, columns = (axis.ravel() for axis in np.mgrid[: g1.shape[0], : g1.shape[1]])
    wave = np.exp(1j * np.sqrt(PIXEL) * (np.outer(columns, l1) + np.outer(rows, l2)))
    seen = weight.ravel() > 0
    shear = np.concatenate([(wave * np.cos(2 * angle))[seen], (wave * np.sin(2 * angle))[seen]])
    noise = np.diag(np.tile(1 / weight.ravel()[seen], 2))
    covariance = ((shear * variance) @ shear.conj().T).real + noise
    data = np.concatenate([g1.ravel()[seen], g2.ravel()[seen]])
    return (((wave * variance) @ shear.conj().T).real @ np.linalg.solve(covariance, data)).reshape(g1.shape)


@pytest.mark.parametrize("padding", [1.0, 2.0, 2.5])
@pytest.mark.parametrize("shape", [(10, 9), (7, 12)])
def test_masked_uneven_field_equals_linear_algebra(power, noisy_maps, shape, padding: float) -> None:
    maps = noisy_maps(shape, 1)
    # A signal well above the noise, so that the mask and the area matter.
    strong = ConvergencePower(power.ell, 300 * power.power)
    expected = dense_filter(strong, maps.g1, maps.g2, maps.weight, area_shape(*shape, padding))
    arrays = (array[None] for array in maps[:3])
    found = wiener(*arrays, pixel_scale=SCALE, power=strong, padding=padding, tolerance=1e-11)
    np.testing.assert_allclose(found.kappa[0], expected, atol=1e-9 * np.abs(expected).max())


def test_normal_equations_hold_on_a_masked_field(power, noisy_maps) -> None:
    maps = noisy_maps((2, 64, 64), 2)
    g1, g2 = shear_of(sky(power, (2, 64, 64), 3)) + np.stack(maps[:2])
    found = wiener(g1, g2, maps.weight, pixel_scale=SCALE, power=power, padding=1.0)
    l1, l2, known = waves(64, 64)
    phase = np.where(known, (l1 - 1j * l2) ** 2 / np.where(known, l1**2 + l2**2, 1), 0)

    def adjoint(shear: np.ndarray) -> np.ndarray:
        return np.fft.ifft2(phase * np.fft.fft2(shear[0] + 1j * shear[1])).real

    prior = np.where(known, PIXEL / np.where(known, power.at(np.hypot(l1, l2)), 1), 0)
    right = adjoint(maps.weight * np.stack([g1, g2]))
    left = np.fft.ifft2(np.fft.fft2(found.kappa) * prior).real + adjoint(maps.weight * shear_of(found.kappa))
    residual = np.linalg.norm((right - left).reshape(2, -1), axis=1) / np.linalg.norm(right.reshape(2, -1), axis=1)
    assert (residual < 1e-6).all()
    np.testing.assert_allclose(found.residual, residual, rtol=1e-3)


@pytest.mark.parametrize("padding", [1.0, 2.0])
def test_asked_residual_is_reached_in_few_steps(power, noisy_maps, padding: float) -> None:
    maps = noisy_maps((1, 96, 96), 4)
    g1, g2 = shear_of(sky(power, (1, 96, 96), 5)) + np.stack(maps[:2])
    found = wiener(g1, g2, maps.weight, pixel_scale=SCALE, power=power, padding=padding)
    assert found.residual < 1e-6
    assert found.iterations <= 40


def test_error_is_what_theory_says_and_the_least(power) -> None:
    sigma, shape = 0.1, (6, 96, 96)
    kappa, (g1, g2) = observed(power, shape, sigma, 7)
    weight = np.full(shape, sigma**-2)

    def error(factor: float) -> float:
        prior = ConvergencePower(power.ell, factor * power.power)
        return float(np.mean((wiener(g1, g2, weight, pixel_scale=SCALE, power=prior, padding=1.0).kappa - kappa) ** 2))

    l1, l2, known = waves(*shape[1:])
    signal = np.where(known, power.at(np.hypot(l1, l2)), 0) / PIXEL
    expected = np.mean(signal * sigma**2 / (signal + sigma**2))
    assert error(1.0) == pytest.approx(expected, rel=0.05)
    assert error(1.0) < min(error(0.3), error(3.0))
    best = min(
        np.mean((kaiser_squires(g1, g2, pixel_scale=SCALE, smoothing=s)[0] - kappa) ** 2) for s in (1.0, 2.0, 4.0, 8.0)
    )
    assert error(1.0) < best


def test_padding_pays_on_a_cut_sky(power) -> None:
    kappa, (g1, g2) = observed(power, (4, 96, 96), 0.1, 11)
    kappa, g1, g2 = (array[:, :48, :48] for array in (kappa, g1, g2))
    weight = np.full(g1.shape, 100.0)
    errors = [
        np.mean((wiener(g1, g2, weight, pixel_scale=SCALE, power=power, padding=padding).kappa - kappa) ** 2)
        for padding in (1.0, 2.0)
    ]
    assert errors[1] < errors[0]


@settings(deadline=None, max_examples=10)
@given(shape=st.tuples(st.integers(6, 14), st.integers(6, 14)), seed=st.integers(0, 2**32 - 1))
def test_turns_and_mirrors_commute(moves, noisy_maps, power, shape, seed) -> None:
    maps = noisy_maps((1, *shape), seed)
    options = {"pixel_scale": SCALE, "power": power, "padding": 1.5, "tolerance": 1e-12}
    kappa = wiener(maps.g1, maps.g2, maps.weight, **options).kappa
    for move in moves:
        found = wiener(*move.shear(maps.g1, maps.g2), move.scalar(maps.weight), **options).kappa
        np.testing.assert_allclose(found, move.scalar(kappa), atol=1e-10 * np.abs(kappa).max())


def test_a_field_does_not_depend_on_its_neighbours(power, noisy_maps) -> None:
    maps = noisy_maps((3, 24, 20), 6)
    # The second field is done at once, and the third is slow: the first takes the same steps beside either.
    g1, weight = maps.g1.copy(), maps.weight.copy()
    g1[1], weight[2] = 0, 100 * weight[2]
    together = wiener(g1, maps.g2 * (g1 != 0), weight, pixel_scale=SCALE, power=power)
    for number in range(3):
        part = slice(number, number + 1)
        alone = wiener(g1[part], (maps.g2 * (g1 != 0))[part], weight[part], pixel_scale=SCALE, power=power)
        np.testing.assert_array_equal(alone.kappa[0], together.kappa[number])
        assert alone.residual == together.residual[number]
    assert (together.kappa[1] == 0).all()


def test_values_without_weight_do_not_matter(power, noisy_maps) -> None:
    maps = noisy_maps((1, 16, 16), 7)
    broken = np.where(maps.weight > 0, maps.g1, np.nan)
    options = {"pixel_scale": SCALE, "power": power}
    found = wiener(broken, maps.g2, maps.weight, **options)
    np.testing.assert_array_equal(found.kappa, wiener(maps.g1, maps.g2, maps.weight, **options).kappa)


def test_torch_gives_the_same(power, noisy_maps) -> None:
    maps = noisy_maps((2, 16, 20), 8)
    options = {"pixel_scale": SCALE, "power": power, "tolerance": 1e-10}
    expected = wiener(*maps[:3], **options).kappa
    found = wiener(*(torch.from_numpy(array) for array in maps[:3]), **options)
    np.testing.assert_allclose(found.kappa, expected, atol=1e-9 * np.abs(expected).max())
    single = wiener(*(torch.from_numpy(array).float() for array in maps[:3]), **options)
    assert single.kappa.dtype == torch.float32
    np.testing.assert_allclose(single.kappa, expected, atol=1e-5 * np.abs(expected).max())


def test_too_few_steps_show_in_the_residual(power, noisy_maps) -> None:
    maps = noisy_maps((1, 32, 32), 9)
    found = wiener(*maps[:3], pixel_scale=SCALE, power=power, iterations=2)
    assert found.iterations == 2
    assert found.residual > 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_scale": (0.4, 0.5)}, "pixel_scale"),
        ({"weight": np.ones((1, 8, 9))}, r"weight: shape \(1, 8, 9\)"),
        ({"padding": 0.9}, "padding: 0.9; expected"),
        ({name: np.ones((8, 8)) for name in ("g1", "g2", "weight")}, r"shape \(8, 8\); expected \(field, y, x\)"),
        ({"tolerance": 0.0}, "tolerance: 0.0; expected"),
    ],
)
def test_bad_input_is_refused(power, change: dict[str, object], message: str) -> None:
    arguments = {name: np.full((1, 8, 8), 0.1) for name in ("g1", "g2", "weight")} | {"pixel_scale": 0.4}
    with pytest.raises(InputError, match=message):
        wiener(**(arguments | change), power=power)
