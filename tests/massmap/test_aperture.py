import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.errors import InputError
from lensdask.massmap.classical.aperture import aperture_mass, filter_profile

SCALE = 0.5
KINDS = ("schirmer", "schneider")


def direct_sum(maps, row: int, column: int, radius: float, kind: str) -> tuple[float, float, float]:
    """Return tangential and cross aperture mass and their noise at one pixel, galaxy after galaxy."""
    mass, cross, total, variance = 0.0, 0.0, 0.0, 0.0
    for (y, x), weight in np.ndenumerate(maps.weight):
        r = np.hypot(y - row, x - column) * SCALE
        if r >= radius:
            continue
        total += weight
        if r == 0:
            # The direction of the tangent is not known; Q is 0 there, or nearly.
            variance += weight * float(filter_profile(np.zeros(1), kind)[0]) ** 2
            continue
        q = float(filter_profile(np.array([r / radius]), kind)[0])
        turned = -(maps.g1[y, x] + 1j * maps.g2[y, x]) * np.exp(-2j * np.arctan2(y - row, x - column))
        mass, cross = mass + weight * q * turned.real, cross + weight * q * turned.imag
        variance += weight * q**2
    return mass / total, cross / total, np.sqrt(variance) / total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("row", "column", "radius"), [(9, 10, 3.3), (0, 21, 2.0), (4, 4, 40.0), (4, 4, 1e6)])
def test_equals_the_sum_over_galaxies(noisy_maps, kind: str, row: int, column: int, radius: float) -> None:
    maps = noisy_maps((20, 22), 0)
    found = aperture_mass(*maps[:3], pixel_scale=SCALE, radius=radius, kind=kind)
    expected = direct_sum(maps, row, column, radius, kind)
    np.testing.assert_allclose([each[row, column] for each in found], expected, atol=1e-12)


@pytest.mark.parametrize("sigma", [4.0, 8.0])
def test_is_the_mass_under_the_compensated_filter(gaussian_mass, sigma: float) -> None:
    # U of Schneider et al. (1998), 9 / (pi R²) (1 - x²) (1/3 - x²), belongs to their Q.
    size, radius = 81, 20.0
    kappa, g1, g2 = gaussian_mass(size, sigma)
    found = aperture_mass(g1, g2, np.ones((size, size)), pixel_scale=1.0, radius=radius, kind="schneider")
    y, x = np.mgrid[-40:41, -40:41]
    square = np.minimum((x**2 + y**2) / radius**2, 1.0)
    expected = (9 / (np.pi * radius**2) * (1 - square) * (1 / 3 - square) * kappa).sum()
    assert found.mass_e[40, 40] == pytest.approx(expected, rel=0.02)
    assert np.unravel_index(found.mass_e.argmax(), (size, size)) == (40, 40)
    # Whole apertures only: half a circle of tangential shear looks like a B mode.
    assert np.abs(found.mass_b[20:61, 20:61]).max() < 1e-3 * expected


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_that_of_noise(noisy_maps, kind: str) -> None:
    weight = noisy_maps((40, 40), 1).weight
    sigma = np.where(weight > 0, 1 / np.sqrt(np.where(weight > 0, weight, 1)), 0)
    g1, g2 = sigma * np.random.default_rng(2).normal(size=(2, 400, 40, 40))
    found = aperture_mass(g1, g2, np.broadcast_to(weight, g1.shape), pixel_scale=SCALE, radius=4.0, kind=kind)
    for mass in (found.mass_e, found.mass_b):
        ratio = mass.std(axis=0) / found.noise[0]
        assert ratio.mean() == pytest.approx(1.0, abs=0.01)
        assert ratio.max() < 1.2


@settings(deadline=None, max_examples=15)
@given(
    shape=st.tuples(st.integers(6, 15), st.integers(6, 15)),
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    radius=st.sampled_from([0.7, 2.2, 6.0]),
)
def test_turns_and_mirrors_commute(moves, noisy_maps, shape, seed, kind, radius) -> None:
    maps = noisy_maps(shape, seed)
    mass_e, mass_b, noise = aperture_mass(*maps[:3], pixel_scale=SCALE, radius=radius, kind=kind)
    for move in moves:
        turned = move.shear(maps.g1, maps.g2), move.scalar(maps.weight)
        found = aperture_mass(*turned[0], turned[1], pixel_scale=SCALE, radius=radius, kind=kind)
        np.testing.assert_allclose(found.mass_e, move.scalar(mass_e), atol=1e-12)
        np.testing.assert_allclose(found.mass_b, move.scalar(mass_b) * (-1 if move.mirror else 1), atol=1e-12)
        np.testing.assert_allclose(found.noise, move.scalar(noise), atol=1e-9)


def test_nothing_where_no_galaxy_is(noisy_maps) -> None:
    maps = noisy_maps((30, 30), 3)
    weight = maps.weight * (np.arange(30) < 12)
    found = aperture_mass(np.where(weight > 0, maps.g1, np.nan), maps.g2, weight, pixel_scale=SCALE, radius=2.0)
    for each in found:
        assert (each[:, 16:] == 0).all()
        assert np.isfinite(each).all()
    assert (found.noise[14:, :11] > 0).all()


def test_a_galaxy_alone_where_the_filter_is_zero_tells_nothing() -> None:
    weight = np.zeros((15, 15))
    weight[3, 3], weight[10:, 10:] = 40.0, 20.0
    found = aperture_mass(0.1 + 0 * weight, 0 * weight, weight, pixel_scale=SCALE, radius=2.2, kind="schneider")
    assert [each[3, 3] for each in found] == [0, 0, 0]
    assert all((each[3, 4] != 0) for each in (found.mass_e, found.noise))


@pytest.mark.parametrize("kind", KINDS)
def test_filters(kind: str) -> None:
    x = np.array([0.0, 0.1, 0.3, 1.0, 2.0])
    profile = filter_profile(x, kind)
    assert (profile[3:] == 0).all()
    assert (profile >= 0).all()
    assert profile[0] < 0.01 * profile.max()
    # Values of the printed formulas, by hand.
    assert profile[2] == pytest.approx({"schneider": 0.4914, "schirmer": 0.4820138}[kind], rel=1e-6)


def test_torch_gives_the_same_in_the_same_type(noisy_maps) -> None:
    maps = noisy_maps((2, 16, 14), 4)
    expected = aperture_mass(*maps[:3], pixel_scale=SCALE, radius=3.0)
    held = [torch.from_numpy(array).float() for array in maps[:3]]
    for found, truth in zip(aperture_mass(*held, pixel_scale=SCALE, radius=3.0), expected, strict=True):
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found, truth, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_scale": (0.4, 0.5)}, "pixel_scale"),
        ({"g2": np.zeros((8, 9))}, r"g2: shape \(8, 9\)"),
        ({"radius": 0.3}, "radius: 0.3; expected a number of at least 0.4"),
        ({"radius": np.nan}, "radius: nan"),
        ({"kind": "top-hat"}, "kind: 'top-hat'; expected 'schirmer' or 'schneider'"),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    arguments = {name: np.ones((8, 8)) for name in ("g1", "g2", "weight")} | {"pixel_scale": 0.4, "radius": 2.0}
    with pytest.raises(InputError, match=message):
        aperture_mass(**(arguments | change))
