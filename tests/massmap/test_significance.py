import numpy as np
import pytest
import torch

from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps
from lensdask.maps.pixelisation import bin_catalogue
from lensdask.massmap.classical.ks93 import kaiser_squires
from lensdask.massmap.noise_maps import (
    effective_density,
    noise_map,
    random_rotation,
    rotated_maps,
    significance,
)

SCALE = 0.5
IDS = np.array([7, 2])


def smoothed(maps: ShearMaps) -> np.ndarray:
    return kaiser_squires(maps.g1, maps.g2, pixel_scale=SCALE, smoothing=1.0)[0]


@pytest.fixture
def maps(noisy_maps) -> ShearMaps:
    return noisy_maps((2, 32, 32), 0)


def test_rotation_keeps_the_modulus_and_nothing_else() -> None:
    g1, g2 = np.full((2, 20000), 0.3)
    turned = random_rotation(g1, g2, seed=1, realisation=0)
    np.testing.assert_allclose(np.hypot(*turned), np.hypot(g1, g2), rtol=1e-14)
    angle = np.arctan2(turned[1], turned[0])
    # Every angle alike: the mean of each component is 0 within 4 standard errors of 0.3 / sqrt(20000).
    assert np.abs(np.mean(turned, axis=1)).max() < 4 * 0.3 / np.sqrt(20000)
    counts = np.histogram(angle, 10, (-np.pi, np.pi))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 28


def test_angles_are_keyed_by_seed_realisation_and_field() -> None:
    g1, g2 = np.random.default_rng(0).normal(size=(2, 50))
    keys = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (1, 0, 0)]
    turned = [random_rotation(g1, g2, seed=s, realisation=r, field=f)[0] for s, r, f in keys]
    for other in turned[1:4]:
        assert not np.isclose(other, turned[0]).any()
    np.testing.assert_array_equal(turned[4], turned[0])


def test_a_field_turns_the_same_beside_any_other(maps) -> None:
    together = rotated_maps(maps, IDS, seed=3, realisation=5)
    alone = rotated_maps(ShearMaps(*(array[1:] for array in maps)), IDS[1:], seed=3, realisation=5)
    np.testing.assert_array_equal(alone.g1[0], together.g1[1])
    np.testing.assert_array_equal(alone.g2[0], together.g2[1])
    np.testing.assert_array_equal(together.weight, maps.weight)


def test_noise_of_a_linear_method_is_its_white_noise(maps) -> None:
    rng = np.random.default_rng(1)
    even = maps._replace(g1=0.2 * rng.normal(size=(2, 32, 32)), g2=0.2 * rng.normal(size=(2, 32, 32)))
    noise = noise_map(smoothed, even, IDS, seed=4, realisations=300)
    # A Gaussian of standard deviation s pixels leaves 1 / (2 sqrt(pi) s) of white noise.
    expected = 0.2 / (2 * np.sqrt(np.pi) * 1.0 / SCALE)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(expected, rel=0.03)
    drawn = np.array([smoothed(rotated_maps(even, IDS, seed=4, realisation=number)) for number in range(300)])
    np.testing.assert_allclose(noise, drawn.std(axis=0, ddof=1), rtol=1e-10)


def test_constant_offset_is_no_noise(maps) -> None:
    noise = noise_map(lambda turned: 1e6 + 0 * turned.g1, maps, IDS, seed=4, realisations=5)
    assert (noise == 0).all()
    ratio = significance(lambda turned: 1e6 + 0 * turned.g1, maps, IDS, seed=4, realisations=5)
    assert (ratio == 0).all()


def test_significance_is_the_map_over_its_noise(maps) -> None:
    found = significance(smoothed, maps, IDS, seed=4, realisations=40)
    np.testing.assert_allclose(found, smoothed(maps) / noise_map(smoothed, maps, IDS, seed=4, realisations=40))
    # Nothing but noise, here in 2000 independent pixels.
    sharp = significance(lambda each: kaiser_squires(each.g1, each.g2, pixel_scale=SCALE)[0], maps, IDS, seed=4)
    assert sharp.std() == pytest.approx(1.0, abs=0.06)


def test_a_mass_stands_out(maps, gaussian_mass) -> None:
    _, g1, g2 = gaussian_mass(32, 4.0)
    found = significance(
        smoothed, maps._replace(g1=maps.g1 + 2 * g1, g2=maps.g2 + 2 * g2), IDS, seed=5, realisations=30
    )
    assert (found[:, 14:18, 14:18].max(axis=(1, 2)) > 4).all()


def test_torch_turns_by_the_same_angles(maps) -> None:
    tensors = ShearMaps(*(torch.from_numpy(np.asarray(array)) for array in maps))
    for found, expected in zip(
        rotated_maps(tensors, IDS, seed=3, realisation=5), rotated_maps(maps, IDS, seed=3, realisation=5), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-15)


def test_bad_input_is_refused(maps) -> None:
    with pytest.raises(InputError, match="realisations: 1; expected a whole number of at least 2"):
        noise_map(smoothed, maps, IDS, seed=1, realisations=1)
    with pytest.raises(InputError, match="realisation: -1; expected 0 to"):
        random_rotation(maps.g1, maps.g2, seed=1, realisation=-1)


def test_effective_density_is_that_of_heymans() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.uniform(-5, 5, (2, 3000))
    g1, g2 = rng.uniform(-0.4, 0.4, (2, 3000))
    weight = rng.uniform(0.1, 1, 3000)
    dataset = bin_catalogue(x, y, g1, g2, weight, pixel_scale=2.0, shape=(5, 5), centre=(0, 0), sigma_e=0.3)
    found = effective_density(dataset["weight"].to_numpy()[0], sigma_e=0.3, pixel_scale=2.0)
    inside = (x >= 1) & (x < 3) & (y >= -5) & (y < -3)
    v = weight[inside]
    assert found[0, 3] == pytest.approx(v.sum() ** 2 / (v**2).sum() / 4.0, rel=1e-6)
