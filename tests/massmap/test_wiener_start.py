from dataclasses import replace

import numpy as np
import pytest
import torch

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.fourier import multipoles
from lensdask.maps.fields import ShearMaps
from lensdask.massmap.classical.wiener_filter import wiener
from lensdask.massmap.networks.architectures import network_maps
from lensdask.massmap.networks.cha import CHA_SMALL, ChaConfig, ChaNet
from lensdask.massmap.networks.wiener_start import patch_filter, start_as_wiener
from lensdask.sky.lensing import convergence_of_shear, shear_of_convergence
from lensdask.sky.power import ConvergencePower, convergence_power

PIXEL, NOISE = 0.82, 0.05
POWER = convergence_power("zs1.0")


def gaussian_sky(fields: int, size: int, power: ConvergencePower, seed: int = 0) -> np.ndarray:
    """Return periodic Gaussian convergence of a power."""
    l1, l2 = multipoles((size, size), PIXEL)
    amplitude = np.sqrt(power.at(np.hypot(l1, l2))) / (PIXEL * ARCMIN)
    white = np.fft.rfft2(np.random.default_rng(seed).normal(size=(fields, size, size)))
    return np.fft.irfft2(white * amplitude, s=(size, size))


def periodic_wiener(g1: np.ndarray, g2: np.ndarray, power: ConvergencePower) -> np.ndarray:
    """Return the closed form of the Wiener filter on a periodic sky of even noise."""
    size = g1.shape[-1]
    l1, l2 = multipoles((size, size), PIXEL)
    signal = power.at(np.hypot(l1, l2))
    noise = NOISE**2 * (PIXEL * ARCMIN) ** 2
    plane = np.fft.rfft2(convergence_of_shear(g1, g2)[0])
    return np.fft.irfft2(plane * signal / (signal + noise), s=(size, size))


def observed(kappa: np.ndarray, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    noise = NOISE * np.random.default_rng(seed).normal(size=(2, *kappa.shape))
    return tuple(g + n for g, n in zip(shear_of_convergence(kappa), noise, strict=True))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def test_patch_filter_solves_the_normal_equations() -> None:
    # The covariances written out: from the correlation functions of the whole sky, pixel by pixel.
    size, area = 5, 20
    l1, l2 = multipoles((area, area), PIXEL)
    point = np.fft.irfft2(POWER.at(np.hypot(l1, l2)) / (PIXEL * ARCMIN) ** 2, s=(area, area))
    with_kappa = np.stack(shear_of_convergence(point))
    pairs = np.stack([np.stack(shear_of_convergence(part)) for part in with_kappa])
    places = [(i, y, x) for i in range(2) for y in range(size) for x in range(size)]
    matrix = np.array([[pairs[i, j, y - v, x - u] for j, v, u in places] for i, y, x in places])
    right = np.array([with_kappa[i, y - size // 2, x - size // 2] for i, y, x in places])
    expected = np.linalg.solve(matrix + NOISE**2 * np.eye(len(places)), right).reshape(2, size, size)
    found = patch_filter(size, POWER, noise=NOISE, pixel_scale=PIXEL)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_larger_patches_are_better_and_none_is_better_than_wiener() -> None:
    kappa = gaussian_sky(4, 128, POWER)
    g1, g2 = observed(kappa)
    wiener = np.mean((periodic_wiener(g1, g2, POWER) - kappa) ** 2)
    errors = []
    for size in (5, 13, 25):
        kernels = torch.from_numpy(patch_filter(size, POWER, noise=NOISE, pixel_scale=PIXEL))[None]
        shear = torch.nn.functional.pad(torch.from_numpy(np.stack([g1, g2], axis=1)), 4 * (size // 2,), mode="circular")
        errors.append(np.mean((torch.nn.functional.conv2d(shear, kernels)[:, 0].numpy() - kappa) ** 2))
    assert wiener < errors[2] < errors[1] < errors[0] < np.var(kappa)
    assert errors[2] < 1.1 * wiener


@pytest.mark.parametrize(
    ("inputs", "near"), [("weighted+weight+ks", 0.96), ("weighted+weight", 0.88), ("error+shear", 0.88)]
)
def test_small_network_begins_near_the_wiener_map(inputs, near) -> None:
    torch.manual_seed(0)
    config = replace(CHA_SMALL, inputs=inputs, input_scale=NOISE)
    network = ChaNet(config)
    start_as_wiener(network, POWER, noise=NOISE, pixel_scale=PIXEL)
    kappa = gaussian_sky(2, 256, POWER)
    g1, g2 = (part[:, 64:192, 64:192] for part in observed(kappa))
    ones = np.ones_like(g1)
    maps = ShearMaps(g1, g2, ones / NOISE**2, 0.1 * ones, ones)
    found = network_maps(network, maps)
    expected = wiener(g1, g2, maps.weight, pixel_scale=PIXEL, power=POWER).kappa
    assert correlation(found, expected) > near
    # What a patch does not tell it leaves out.
    assert 0.8 < found.std() / expected.std() < 1


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("inputs", ["weighted+weight+ks", "weight+weighted", "error+mask+shear"])
def test_the_start_is_the_same_map_whatever_the_input_scale(inputs, factor) -> None:
    kappa = gaussian_sky(2, 48, POWER)
    ones = np.ones_like(kappa)
    uneven = np.random.default_rng(2).uniform(0.5, 1.5, kappa.shape)
    maps = ShearMaps(*observed(kappa), uneven / NOISE**2, 0.1 * ones, ones)
    found = []
    for scale in (NOISE, factor * NOISE):
        torch.manual_seed(0)
        sizes = {"first_kernels": (3, 9), "large_kernel": 9, "channels": 4}
        network = ChaNet(replace(CHA_SMALL, **sizes, inputs=inputs, input_scale=scale))
        start_as_wiener(network, POWER, noise=NOISE, pixel_scale=PIXEL)
        found.append(network_maps(network, maps))
    np.testing.assert_allclose(found[1], found[0], atol=1e-4 * found[0].std())


def test_network_that_cannot_pass_a_map_on_is_refused() -> None:
    for config in (ChaConfig(inputs="error+mask"), ChaConfig(channels=1), ChaConfig(channels=3)):
        network = ChaNet(replace(config, first_kernels=(3, 5), large_kernel=5))
        with pytest.raises(InputError, match="to start as a Wiener filter expected"):
            start_as_wiener(network, POWER, noise=NOISE, pixel_scale=PIXEL)
