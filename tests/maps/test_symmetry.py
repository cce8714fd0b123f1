import numpy as np
import pytest
import torch

from lensdask.maps.fields import ShearMaps
from lensdask.maps.symmetry import SYMMETRIES, Symmetry, moved, moved_shear_maps, symmetrised
from lensdask.sky.lensing import convergence_of_shear, shear_of_convergence

NAMES = [f"turn{90 * turns}{'_mirror' if mirror else ''}" for turns, mirror in SYMMETRIES]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def seen(kappa: np.ndarray) -> ShearMaps:
    """Return the shear of a convergence, and other maps that follow it."""
    g1, g2 = shear_of_convergence(kappa)
    return ShearMaps(g1, g2, kappa**2, np.abs(kappa), (kappa > -1).astype(np.int8))


def test_eight_operations_form_a_group() -> None:
    image = np.arange(12.0).reshape(3, 4)
    assert SYMMETRIES[0] == Symmetry(0, False)
    versions = {(moved(s, image).shape, *moved(s, image).ravel()) for s in SYMMETRIES}
    assert len(versions) == 8
    for second in SYMMETRIES:
        for first in SYMMETRIES:
            both = second.after(first)
            assert both in SYMMETRIES
            np.testing.assert_array_equal(moved(both, image), moved(second, moved(first, image)))
            signs = tuple(a * b for a, b in zip(first.signs, second.signs, strict=True))
            assert both.signs == signs
        assert second.inverse.after(second) == SYMMETRIES[0]
        np.testing.assert_array_equal(moved(second.inverse, moved(second, image)), image)


def test_turns_are_anticlockwise_and_the_mirror_is_in_y() -> None:
    image = np.zeros((3, 3))
    image[1, 2] = 1
    assert moved(Symmetry(1, False), image)[2, 1] == 1
    assert moved(Symmetry(1, True), image)[0, 1] == 1


@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=NAMES)
@pytest.mark.parametrize("shape", [(2, 32, 32), (1, 24, 31)], ids=["square", "rectangle"])
def test_shear_turns_with_the_mass(symmetry, shape) -> None:
    kappa = noise(*shape)
    found, expected = moved_shear_maps(symmetry, seen(kappa)), seen(moved(symmetry, kappa))
    for name, a, b in zip(ShearMaps._fields, found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("symmetry", SYMMETRIES[1:], ids=NAMES[1:])
def test_pixels_without_signs_make_no_mass(symmetry) -> None:
    # Half a turn needs no sign; every other operation does.
    # The same waves in all directions: a square of them has more along its diagonals.
    l1, l2 = np.fft.rfftfreq(64), np.fft.fftfreq(64)[:, None]
    kappa = np.fft.irfft2(np.fft.rfft2(noise(4, 64, 64)) * (np.hypot(l1, l2) < 0.45))
    g1, g2 = (moved(symmetry, part) for part in shear_of_convergence(kappa))
    mass = convergence_of_shear(g1, g2)[0]
    likeness = np.corrcoef(mass.ravel(), moved(symmetry, kappa).ravel())[0, 1]
    expected = {(0, False): 1, (1, False): -1, (2, False): 1, (3, False): -1}.get(symmetry, 0)
    assert abs(likeness - expected) < 0.05


@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=NAMES)
def test_torch_and_numpy_agree(symmetry) -> None:
    maps = seen(noise(2, 6, 7))
    found = moved_shear_maps(symmetry, ShearMaps(*(torch.from_numpy(part) for part in maps)))
    for a, b in zip(found, moved_shear_maps(symmetry, maps), strict=True):
        np.testing.assert_array_equal(a.numpy(), b)


def test_any_method_becomes_equivariant() -> None:
    def odd_method(maps: ShearMaps) -> np.ndarray:
        """Prefer a direction, a component and a place."""
        place = np.linspace(0, 1, maps.g1.shape[-1])
        return (
            np.roll(maps.g1, 3, axis=-1) ** 2 * place
            + maps.g2 * maps.weight
            + np.cumsum(maps.measurement_error, axis=-2)
        )

    maps = seen(noise(2, 16, 16))
    result = symmetrised(odd_method, maps)
    assert result.std() > 0.01
    for symmetry in SYMMETRIES:
        there = symmetrised(odd_method, moved_shear_maps(symmetry, maps))
        np.testing.assert_allclose(there, moved(symmetry, result), atol=1e-12 * np.abs(result).max())
    unlike = odd_method(moved_shear_maps(SYMMETRIES[1], maps)) - moved(SYMMETRIES[1], odd_method(maps))
    assert unlike.std() > 0.1 * odd_method(maps).std()


def test_an_equivariant_method_stays_what_it_is() -> None:
    maps = seen(noise(2, 16, 16))
    once = convergence_of_shear(maps.g1, maps.g2)[0]
    np.testing.assert_allclose(symmetrised(lambda m: convergence_of_shear(m.g1, m.g2)[0], maps), once, atol=1e-12)
