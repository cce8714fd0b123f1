import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.errors import InputError
from lensdask.massmap.classical.ks93 import kaiser_squires
from lensdask.massmap.classical.ksplus import kaiser_squires_plus

SCALE = 0.41


def test_without_holes_it_is_kaiser_squires(noisy_maps) -> None:
    maps = noisy_maps((2, 24, 20), 0)
    found = kaiser_squires_plus(maps.g1, maps.g2, np.ones(maps.g1.shape), pixel_scale=SCALE, margin=0.0, smoothing=1.0)
    expected = kaiser_squires(maps.g1, maps.g2, pixel_scale=SCALE, smoothing=1.0)
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.fixture
def starry(gaussian_mass) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two masses behind the masks of stars: kappa, g1, g2, mask."""
    masses = [gaussian_mass(96, 9.0, 12.0, -10.0), gaussian_mass(96, 6.0, -20.0, 15.0)]
    kappa, g1, g2 = (sum(arrays) for arrays in zip(*masses, strict=True))
    mask = np.ones((96, 96))
    y, x = np.mgrid[:96, :96]
    for row, column in np.random.default_rng(1).uniform(0, 96, (12, 2)):
        mask[(y - row) ** 2 + (x - column) ** 2 < 16] = 0
    return kappa, g1, g2, mask


def test_holes_hurt_less_than_zeros(starry) -> None:
    kappa, g1, g2, mask = starry
    truth = kappa - kappa.mean()
    filled = kaiser_squires_plus(g1, g2, mask, pixel_scale=SCALE, margin=0.25)
    zeros = kaiser_squires(g1 * mask, g2 * mask, pixel_scale=SCALE, padding=1.5)

    def error(found: np.ndarray) -> float:
        return float(((found - truth)[mask > 0] - np.mean((found - truth)[mask > 0])).std())

    assert error(filled[0]) < 0.5 * error(zeros[0])
    assert filled[1][mask > 0].std() < 0.5 * zeros[1][mask > 0].std()


def test_what_is_behind_the_mask_does_not_matter(starry) -> None:
    _, g1, g2, mask = starry
    expected = kaiser_squires_plus(g1, g2, mask, pixel_scale=SCALE, iterations=10)
    hidden = [np.where(mask > 0, g, np.nan) for g in (g1, g2)]
    np.testing.assert_array_equal(kaiser_squires_plus(*hidden, mask, pixel_scale=SCALE, iterations=10), expected)


@settings(deadline=None, max_examples=8)
@given(shape=st.tuples(st.integers(8, 15), st.integers(8, 15)), seed=st.integers(0, 2**32 - 1))
def test_turns_and_mirrors_commute(moves, noisy_maps, shape, seed) -> None:
    maps = noisy_maps(shape, seed)
    options = {"pixel_scale": SCALE, "iterations": 15, "smoothing": 0.5}
    kappa_e, kappa_b = kaiser_squires_plus(maps.g1, maps.g2, maps.weight, **options)
    for move in moves:
        found = kaiser_squires_plus(*move.shear(maps.g1, maps.g2), move.scalar(maps.weight), **options)
        np.testing.assert_allclose(found[0], move.scalar(kappa_e), atol=1e-9)
        np.testing.assert_allclose(found[1], move.scalar(kappa_b) * (-1 if move.mirror else 1), atol=1e-9)


def test_a_field_does_not_depend_on_its_neighbours(noisy_maps) -> None:
    maps = noisy_maps((3, 16, 20), 2)
    together = kaiser_squires_plus(maps.g1, maps.g2, maps.weight, pixel_scale=SCALE)
    alone = kaiser_squires_plus(maps.g1[1], maps.g2[1], maps.weight[1], pixel_scale=SCALE)
    np.testing.assert_array_equal(np.stack(together)[:, 1], alone)


def test_library_and_type_are_kept(noisy_maps) -> None:
    maps = noisy_maps((12, 12), 3)
    held = [torch.from_numpy(array).float() for array in maps[:3]]
    expected = kaiser_squires_plus(*maps[:3], pixel_scale=SCALE)
    for mode, truth in zip(kaiser_squires_plus(*held, pixel_scale=SCALE), expected, strict=True):
        assert mode.dtype == torch.float32
        np.testing.assert_allclose(mode, truth, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_scale": (0.4, 0.5)}, "pixel_scale"),
        ({"mask": np.ones((8, 9))}, r"mask: shape \(8, 9\)"),
        ({"margin": -0.1}, "margin: -0.1; expected"),
        ({"iterations": 0}, "iterations: 0; expected"),
        ({"smoothing": -1.0}, "smoothing: -1.0; expected"),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    arguments = {"g1": np.zeros((8, 8)), "g2": np.zeros((8, 8)), "mask": np.ones((8, 8)), "pixel_scale": 0.4} | change
    with pytest.raises(InputError, match=message):
        kaiser_squires_plus(**arguments)
