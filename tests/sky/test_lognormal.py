from itertools import pairwise

import numpy as np
import pytest
import torch

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.fourier import multipoles
from lensdask.random import Stream, normals
from lensdask.sky.lognormal import (
    empty_convergence,
    least_shift,
    lognormal_maps,
    lost_variance,
    padded_size,
    smooth_periodic,
)
from lensdask.sky.power import ConvergencePower, convergence_power
from lensdask.sky.sources import SOURCES, find_source
from lensdask.stats import map_moments, ring_power

SCALE = 0.82
SKY = {"size": 128, "pixel_scale": SCALE, "power": convergence_power("zs1.0"), "shift": 0.03, "seed": 5}
EDGES = np.array([500.0, 1000.0, 2000.0, 4000.0, 8000.0])


def ring_target(power: ConvergencePower, size: int, scale: float, sigma: float = 0.0) -> np.ndarray:
    """Mean of a power over the waves of each ring."""
    wave = 2 * np.pi * np.fft.fftfreq(size, scale * ARCMIN)
    ell = np.hypot(wave[:, None], wave[None, :])
    values = power.at(ell) * np.exp(-((ell * sigma * ARCMIN) ** 2))
    return np.array([values[(ell >= a) & (ell < b)].mean() for a, b in pairwise(EDGES)])


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    return lognormal_maps(np.arange(40), **SKY, padding=1.0)


def test_power_is_the_wanted_one(maps: np.ndarray) -> None:
    _, power = ring_power(maps, SCALE, EDGES)
    target = ring_target(SKY["power"], 128, SCALE)
    error = power.std(axis=0, ddof=1) / np.sqrt(len(maps))
    assert (error < 0.04 * target).all(), "the errors do not allow the statement"
    np.testing.assert_array_less(np.abs(power.mean(axis=0) - target), 4 * error + 0.01 * target)


def test_power_holds_after_padding_and_smoothing() -> None:
    cut = lognormal_maps(np.arange(30), **SKY, resolution=1.0)
    _, power = ring_power(cut, SCALE, EDGES)
    target = ring_target(SKY["power"], 128, SCALE, sigma=1.0)
    error = power.std(axis=0, ddof=1) / np.sqrt(len(cut))
    # The edge of a field that is not periodic leaks a little power from large to small scales.
    np.testing.assert_array_less(np.abs(power.mean(axis=0) - target), 4 * error + 0.05 * target)


def test_one_point_distribution_is_the_shifted_lognormal(maps: np.ndarray) -> None:
    assert maps.min() > -0.03
    std, skewness = map_moments(maps.reshape(-1, 128))
    ratio = float(std) / 0.03
    # σ / λ = √(exp(σ_g²) - 1) sets the skewness; its error is that of 40 maps.
    each = map_moments(maps)[1]
    assert skewness == pytest.approx(ratio**3 + 3 * ratio, abs=4 * each.std(ddof=1) / np.sqrt(40))
    logarithm = np.log1p(maps / 0.03)
    assert abs(map_moments(logarithm.reshape(-1, 128))[1]) < 0.1


def test_a_map_depends_on_its_id_and_the_seed_alone() -> None:
    small = SKY | {"size": 32}
    together = lognormal_maps([7, 3, 2**40], **small, resolution=0.8)
    for position, one in enumerate([7, 3, 2**40]):
        np.testing.assert_array_equal(lognormal_maps([one], **small, resolution=0.8)[0], together[position])
    assert not np.array_equal(together[0], together[1])
    assert not np.array_equal(lognormal_maps([7], **(small | {"seed": 6}), resolution=0.8)[0], together[0])
    assert together.dtype == np.float32


def test_a_field_is_the_corner_of_its_periodic_area() -> None:
    small = SKY | {"size": 32}
    area = padded_size(32, 1.5)
    assert area == 48
    whole = lognormal_maps([4], **(SKY | {"size": area}), padding=1.0, resolution=0.8)
    np.testing.assert_array_equal(lognormal_maps([4], **small, padding=1.5, resolution=0.8)[0], whole[0, :32, :32])


def test_torch_makes_the_same_field() -> None:
    # The Gaussian numbers of torch are those of NumPy up to rounding, and so is all that follows.
    from lensdask.sky import lognormal

    small = SKY | {"size": 32}
    expected = lognormal_maps([1, 2], **small, padding=1.0, resolution=0.8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lognormal, "held_on", lambda array, _: torch.from_numpy(array))
        result = lognormal_maps([1, 2], **small, padding=1.0, resolution=0.8)
    assert isinstance(result, torch.Tensor)
    np.testing.assert_allclose(result.numpy(), expected, atol=2e-6)


def test_a_large_shift_leaves_a_gaussian_field() -> None:
    # For λ → ∞ the field is the white noise times √(C / pixel area) in Fourier space.
    n, ids = 64, np.array([3])
    power = convergence_power("zs1.0")
    kappa = lognormal_maps(ids, size=n, pixel_scale=SCALE, power=power, shift=300.0, seed=1, padding=1.0)[0]
    white = normals(ids, n * n, 1, Stream.SKY).reshape(n, n).astype(np.float64)
    l1, l2 = multipoles((n, n), SCALE)
    gaussian = np.fft.irfft2(np.fft.rfft2(white) * np.sqrt(power.at(np.hypot(l1, l2)) / (SCALE * ARCMIN) ** 2))
    # float32 keeps 1e-7 of λ.
    np.testing.assert_allclose(kappa - kappa.mean(), gaussian, atol=2e-4)


def test_the_least_shift_is_where_the_correlation_is_least() -> None:
    # ξ from cosines, one wave at a time: no transform.
    n, power = 8, convergence_power("zs1.0")
    wave = np.fft.fftfreq(n)
    target = power.at(2 * np.pi * np.hypot(wave[:, None], wave) / (SCALE * ARCMIN)) / (SCALE * ARCMIN) ** 2
    y, x = np.mgrid[:n, :n]
    correlation = (
        sum(target[i, j] * np.cos(2 * np.pi * (wave[i] * y + wave[j] * x)) for i in range(n) for j in range(n)) / n**2
    )
    least = least_shift(area=n, pixel_scale=SCALE, power=power)
    assert least == pytest.approx(np.sqrt(-correlation.min()), rel=1e-9)
    field = {"size": n, "pixel_scale": SCALE, "power": power, "seed": 1, "padding": 1.0}
    assert np.isfinite(lognormal_maps([0], **field, shift=1.001 * least)).all()
    with pytest.raises(InputError, match=rf"^shift: .* expected a number from {1.01 * least:.3g}, below which no"):
        lognormal_maps([0], **field, shift=0.999 * least)


@pytest.mark.parametrize("source", SOURCES)
def test_little_variance_is_lost(source: str) -> None:
    lost = lost_variance(
        area=512, pixel_scale=0.41, power=convergence_power(source), shift=empty_convergence(find_source(source))
    )
    assert 0 <= lost < 0.005


def test_smoothing_is_a_convolution_that_keeps_the_mean() -> None:
    kappa = np.zeros((64, 64))
    kappa[10, 60] = 1.0
    blurred = smooth_periodic(kappa, 0.5, 1.5)
    y, x = np.mgrid[:64, :64]
    dy, dx = ((d + 32) % 64 - 32 for d in (y - 10, x - 60))
    np.testing.assert_allclose(blurred, np.exp(-(dx**2 + dy**2) / 18) / (18 * np.pi), atol=1e-9)
    assert smooth_periodic(kappa, 0.5, 0.0) is kappa


def test_shift_of_a_population_is_the_mean_over_planes() -> None:
    # Hilbert, Hartlap & Schneider (2011): 0.030 at redshift 1 and 0.103 at 2.5.
    assert empty_convergence(find_source("zs1.0")) == pytest.approx(0.0297, abs=1e-4)
    assert empty_convergence(find_source("zs2.5")) == pytest.approx(0.103, abs=1e-3)
    assert 0.02 < empty_convergence(find_source("lsst")) < 0.06


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 31}, "size: 31"),
        ({"shift": 0.0}, "shift: 0.0"),
        ({"shift": 1e9}, "shift: 1000000000.0; expected a number from .*, to 1000$"),
        ({"pixel_scale": -1.0}, "pixel_scale: -1"),
        ({"padding": 0.5}, "padding: 0.5"),
        ({"resolution": -0.1}, "resolution: -0.1"),
    ],
)
def test_bad_input_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lognormal_maps([0], **(SKY | change))
