import json
import re
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest

from lensdask.arrays import to_numpy
from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.sky import SkyConfig, convergence_power, halo_slots, reduced_shear, shear_of_convergence, simulate_sky
from lensdask.sky.haloes import halo_density
from lensdask.sky.lognormal import lognormal_maps
from lensdask.stats import ring_power

CONFIG = SkyConfig(size=64, pixel_scale=1.0, resolution=1.0)
HALO = replace(CONFIG, generator="halo", minimum_mass=2e13, catalogue_mass=5e13)
BOTH = pytest.mark.parametrize("config", [CONFIG, HALO], ids=["lognormal", "halo"])


@BOTH
def test_fields_depend_on_id_and_seed_alone(config: SkyConfig) -> None:
    together = simulate_sky([11, 4, 2**50], config, seed=3)
    for position, one in enumerate([11, 4, 2**50]):
        alone = simulate_sky([one], config, seed=3)
        for ours, theirs in zip(alone[:3], together[:3], strict=True):
            np.testing.assert_array_equal(ours[0], theirs[position])
        if config.generator == "halo":
            for ours, theirs in zip(alone.haloes, together.haloes, strict=True):
                np.testing.assert_array_equal(ours[0], theirs[position])
    assert not np.array_equal(simulate_sky([11], config, seed=4).kappa[0], together.kappa[0])
    assert not np.array_equal(together.kappa[0], together.kappa[1])


@BOTH
def test_maps_are_single_precision_of_the_asked_size(config: SkyConfig) -> None:
    sky = simulate_sky([0, 1], config, seed=1)
    for values in sky[:3]:
        assert values.shape == (2, 64, 64)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert (np.hypot(sky.g1, sky.g2) < 1).all()


def test_shear_is_that_of_the_whole_periodic_area() -> None:
    whole = replace(CONFIG, size=128, padding=1.0)
    area, field = simulate_sky([5], whole, seed=1), simulate_sky([5], CONFIG, seed=1)
    kappa = area.kappa[0].astype(np.float64)
    g1, g2 = reduced_shear(kappa, *shear_of_convergence(kappa))
    np.testing.assert_array_equal(field.kappa[0], area.kappa[0, :64, :64])
    np.testing.assert_allclose(field.g1[0], g1[:64, :64], atol=1e-6)
    np.testing.assert_allclose(field.g2[0], g2[:64, :64], atol=1e-6)
    # A field taken as periodic has another shear: mass outside of it matters.
    own = shear_of_convergence(field.kappa[0].astype(np.float64))
    assert np.std(reduced_shear(field.kappa[0], *own)[0] - field.g1[0]) > 0.1 * field.g1.std()


def test_lognormal_sky_is_the_lognormal_map_of_its_source() -> None:
    config = replace(CONFIG, source="zs2.5", shift=0.1)
    expected = lognormal_maps(
        [9], size=64, pixel_scale=1.0, power=convergence_power("zs2.5"), shift=0.1, seed=2, resolution=1.0
    )
    sky = simulate_sky([9], config, seed=2)
    np.testing.assert_array_equal(sky.kappa, expected)
    assert sky.haloes is None


def test_haloes_are_listed_by_mass_and_lie_on_their_peaks() -> None:
    config = replace(HALO, size=128, pixel_scale=0.82, resolution=0.5)
    sky = simulate_sky(np.arange(4), config, seed=6)
    mass, redshift, x, y = sky.haloes
    assert mass.shape == (4, halo_slots(config))
    listed = np.isfinite(mass)
    for row, present in zip(mass, listed, strict=True):
        assert (np.diff(row[present]) <= 0).all()
        assert present.argmin() == present.sum() or present.all(), "the NaNs come last"
    assert mass[listed].min() >= 5e13
    assert (np.abs(np.stack([x, y])[:, listed]) <= 64 * 0.82).all()
    assert ((redshift[listed] > 0) & (redshift[listed] < 1)).all()
    # The convergence at the most massive haloes stands far above that at the mirrored positions.
    heights = [values_at(sky.kappa[f], x[f, :8], y[f, :8], config) for f in range(4)]
    mirrored = [values_at(sky.kappa[f], -x[f, :8], y[f, :8], config) for f in range(4)]
    assert np.mean(heights) > np.mean(mirrored) + 0.05


def values_at(kappa: np.ndarray, x: np.ndarray, y: np.ndarray, config: SkyConfig) -> np.ndarray:
    column, row = (
        np.clip(np.floor(place / config.pixel_scale + config.size / 2), 0, config.size - 1) for place in (x, y)
    )
    return kappa[row.astype(int), column.astype(int)]


def test_number_of_listed_haloes_is_that_of_the_mass_function() -> None:
    config = replace(HALO, size=256, pixel_scale=0.82, padding=1.0, minimum_mass=5e13)
    sky = simulate_sky(np.arange(4), config, seed=8)
    from lensdask.sky.cosmology import comoving_distance

    z, log_m = np.linspace(0.02, 1.0, 401), np.linspace(np.log10(5e13), 15.8, 301)
    density = np.gradient(comoving_distance(z) ** 3 / 3, z)[:, None] * halo_density(10.0**log_m, z[:, None])
    expected = 4 * np.trapezoid(np.trapezoid(density, log_m, axis=1), z) * (256 * 0.82 * ARCMIN) ** 2
    assert np.isfinite(sky.haloes.mass).sum() == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_power_of_the_halo_sky_is_that_of_theory() -> None:
    config = SkyConfig(generator="halo", size=256, pixel_scale=0.82, padding=1.0, resolution=0.0, minimum_mass=3e13)
    kappa = simulate_sky(np.arange(12), config, seed=1).kappa
    edges = np.array([500.0, 1000.0, 2000.0, 4000.0])
    _, power = ring_power(kappa, 0.82, edges)
    wave = 2 * np.pi * np.fft.fftfreq(256, 0.82 * ARCMIN)
    ell = np.hypot(wave[:, None], wave[None, :])
    values = convergence_power("zs1.0").at(ell)
    rings = pairwise(edges)
    target = np.array([values[(ell >= low) & (ell < high)].mean() for low, high in rings])
    error = power.std(axis=0, ddof=1) / np.sqrt(len(kappa))
    np.testing.assert_array_less(np.abs(power.mean(axis=0) - target), 4 * error + 0.1 * target)


def test_configuration_is_plain_json_and_back() -> None:
    assert SkyConfig(**json.loads(json.dumps(asdict(HALO)))) == HALO


@BOTH
def test_the_least_shift_that_is_named_makes_a_sky(config: SkyConfig) -> None:
    for other in (config, replace(config, source="zs2.5", pixel_scale=2.0)):
        with pytest.raises(InputError, match="below which no lognormal field has the power") as refused:
            simulate_sky([0], replace(other, shift=1e-4), seed=1)
        least = float(re.search(r"expected a number from ([\d.e-]+),", str(refused.value)).group(1))
        assert np.isfinite(simulate_sky([0], replace(other, shift=least), seed=1).kappa).all()
        with pytest.raises(InputError, match=r"^shift: "):
            simulate_sky([0], replace(other, shift=0.98 * least), seed=1)


NO_NUMBER = (np.nan, np.inf, -np.inf)
BAD = [
    ("lognormal", "generator", ("nbody", "", None)),
    ("lognormal", "source", ("zs7", "", None)),
    ("lognormal", "size", (63, 0, -2, 64.0, 10**9, 2**15, *NO_NUMBER)),
    ("lognormal", "pixel_scale", (0.0, -1.0, 1e-300, 1e300, "0.4", *NO_NUMBER)),
    ("lognormal", "padding", (0.9, 0.0, -2.0, 1e6, 1e308, *NO_NUMBER)),
    ("lognormal", "resolution", (-1.0, 1e3, 1e200, *NO_NUMBER)),
    ("lognormal", "shift", (0.0, -0.1, "0.03", *NO_NUMBER)),
    ("halo", "catalogue_mass", (0.0, -1e14, 1e12, 1e16, *NO_NUMBER)),
    ("halo", "minimum_mass", (0.0, -1e13, 1e10, 1e16, *NO_NUMBER)),
]


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(kind, name, value) for kind, name, values in BAD for value in values]
)
def test_bad_configurations_are_refused(kind: str, name: str, value: object) -> None:
    config = CONFIG if kind == "lognormal" else HALO
    with pytest.raises(InputError, match=rf"^{name}: .*; expected ") as refused:
        replace(config, **{name: value})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("shift", [1e-4, 1e-300, 1e6])
@BOTH
def test_a_shift_without_a_sky_is_refused_before_anything_is_made(config: SkyConfig, shift: float) -> None:
    for use in (halo_slots, lambda bad: simulate_sky([0], bad, seed=1)):
        with pytest.raises(InputError, match=r"^shift: .*; expected "):
            use(replace(config, shift=shift))


def test_a_sky_is_no_larger_than_the_flat_sky_can_be() -> None:
    with pytest.raises(InputError, match=r"size: 64 pixels, 128 or 213\.3 degrees with the padding of 2\.0; expected "):
        simulate_sky([0], replace(CONFIG, pixel_scale=100.0), seed=1)


@pytest.mark.gpu
@BOTH
def test_a_gpu_makes_the_same_sky(config: SkyConfig, cuda: str) -> None:
    ours, theirs = simulate_sky([3, 8], config, seed=1), simulate_sky([3, 8], config, seed=1, device=cuda)
    for values, expected in zip(theirs[:3], ours[:3], strict=True):
        assert values.is_cuda
        np.testing.assert_allclose(to_numpy(values), expected, atol=1e-5)
