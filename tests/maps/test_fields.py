from collections.abc import Callable

import numpy as np
import pytest
import torch
from astropy import units
from astropy.utils.masked import Masked

from lensdask.data import SHEAR_MAPS
from lensdask.errors import InputError
from lensdask.maps.fields import (
    ShearMaps,
    checked_pixel_scale,
    cross_shear,
    known_shear,
    shear_dataset,
    shear_maps,
    validate_shear_maps,
)
from lensdask.sky.lensing import convergence_of_shear

SHAPE = (2, 12, 9)


def changed(maps: ShearMaps, name: str, value: float, where: tuple[int, int, int] = (1, 11, 8)) -> ShearMaps:
    array = getattr(maps, name).copy()
    array[where] = value
    return maps._replace(**{name: array})


@pytest.fixture
def maps(noisy_maps) -> ShearMaps:
    drawn = noisy_maps(SHAPE, 3)
    # The pixel that the tests break has galaxies.
    return changed(drawn, "weight", 50.0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("g1", np.nan, "g1 is not finite"),
        ("g2", np.inf, "g2 is not finite"),
        ("weight", np.nan, "weight is not finite"),
        ("measurement_error", np.nan, "measurement_error is not finite"),
        ("weight", -1.0, "a weight is negative"),
        ("g1", 1.0, r"\|g\| is 1 or more"),
        ("g2", -1.2, r"\|g\| is 1 or more"),
    ],
)
def test_bad_pixels_are_refused_and_their_field_is_named(maps, name: str, value: float, message: str) -> None:
    validate_shear_maps(maps)
    with pytest.raises(InputError, match=f"field 1: {message}") as raised:
        validate_shear_maps(changed(maps, name, value))
    assert "\n" not in str(raised.value)
    assert "expected" in str(raised.value)


@pytest.mark.parametrize("name", ["g1", "g2", "weight", "measurement_error"])
@pytest.mark.parametrize("value", [np.nan, -7.0])
def test_what_is_outside_the_mask_does_not_matter(maps, name: str, value: float) -> None:
    validate_shear_maps(changed(maps, name, value, (0, 0, 1)))


def test_a_field_needs_a_footprint_and_galaxies(maps) -> None:
    with pytest.raises(InputError, match="field 0: nothing is inside the mask"):
        validate_shear_maps(maps._replace(mask=maps.mask * np.array([0, 1])[:, None, None]))
    with pytest.raises(InputError, match="field 1: no pixel inside the mask has a weight"):
        validate_shear_maps(maps._replace(weight=maps.weight * np.array([1, 0])[:, None, None]))
    with pytest.raises(InputError, match="shear maps: field 9: no pixel"):
        validate_shear_maps(maps._replace(weight=maps.weight * np.array([1, 0])[:, None, None]), np.array([4, 9]))


def test_maps_lie_on_one_grid(maps) -> None:
    with pytest.raises(InputError, match=r"weight: shape \(2, 12, 8\); expected that of g1, \(2, 12, 9\)"):
        validate_shear_maps(maps._replace(weight=maps.weight[..., :-1]))
    with pytest.raises(InputError, match=r"shape \(12, 9\); expected \(field, y, x\)"):
        validate_shear_maps(ShearMaps(*(array[0] for array in maps)))


# The last is the side of a pixel of an image in degrees.
@pytest.mark.parametrize("pixel_scale", [(0.4, 0.5), 0.0, -1.0, np.nan, np.inf, "0.4", None, 5.5e-5])
def test_pixels_are_square(pixel_scale: object) -> None:
    with pytest.raises(InputError, match=r"pixel_scale: .*; expected a number from 0\.001 to 1000"):
        checked_pixel_scale(pixel_scale)
    assert checked_pixel_scale(np.float32(0.41)) == np.float32(0.41)


def test_sides_of_pixels_may_have_a_unit() -> None:
    assert checked_pixel_scale(0.82 * units.arcmin) == 0.82
    assert checked_pixel_scale(49.2 * units.arcsec) == pytest.approx(0.82, rel=1e-12)
    with pytest.raises(InputError, match="pixel_scale: in m; expected arcmin"):
        checked_pixel_scale(0.82 * units.m)
    with pytest.raises(InputError, match=r"expected a number from 0\.001"):
        checked_pixel_scale(5.5e-6 * units.deg)


def test_torch_maps_are_checked_too(maps) -> None:
    tensors = ShearMaps(*(torch.from_numpy(np.asarray(array)) for array in maps))
    validate_shear_maps(tensors)
    tensors.g1[1, 11, 8] = float("nan")
    with pytest.raises(InputError, match="field 1: g1 is not finite"):
        validate_shear_maps(tensors)


def test_known_shear_is_zero_without_galaxies_or_footprint(maps) -> None:
    broken = changed(changed(maps, "g1", np.nan, (0, 0, 1)), "weight", 8.0, (0, 0, 2))
    empty = changed(broken, "weight", 0.0, (1, 5, 5))
    clean = known_shear(empty)
    for number in [(0, 0, 1), (0, 0, 2), (1, 5, 5)]:
        assert [array[number] for array in clean[:4]] == [0, 0, 0, 0]
    known = (empty.mask != 0) & (empty.weight > 0)
    for name in ("g1", "g2", "weight", "measurement_error"):
        np.testing.assert_array_equal(getattr(clean, name)[known], getattr(empty, name)[known])
    np.testing.assert_array_equal(clean.mask, empty.mask)


def test_e_mode_of_the_cross_shear_is_the_b_mode(maps) -> None:
    _, kappa_b = convergence_of_shear(maps.g1, maps.g2)
    np.testing.assert_allclose(convergence_of_shear(*cross_shear(maps.g1, maps.g2))[0], kappa_b, atol=1e-15)


def test_dataset_follows_the_schema_and_gives_the_maps_back(maps) -> None:
    count = np.full(SHAPE, 3)
    dataset = shear_dataset(maps, count=count, pixel_scale=0.4, density=20.0, sigma_e=0.24, source="zs1.0", seed=5)
    SHEAR_MAPS.validate(dataset)
    for array, back in zip(maps, shear_maps(dataset), strict=True):
        np.testing.assert_array_equal(back, array.astype(back.dtype))
    assert (dataset.attrs["pixel_scale"], dataset.attrs["source"], dataset.attrs["seed"]) == (0.4, "zs1.0", 5)
    np.testing.assert_array_equal(dataset["count"], count)


def test_maps_of_the_stored_kind_are_not_copied(maps) -> None:
    single = ShearMaps(*(array.astype(np.float32) for array in maps))
    dataset = shear_dataset(single, count=np.ones(SHAPE, np.float32), pixel_scale=0.4)
    assert all(np.shares_memory(dataset[name].values, getattr(single, name)) for name in ("g1", "g2", "weight"))


def test_hash_of_a_dataset_knows_its_pixels(maps) -> None:
    hashes = {
        shear_dataset(each, count=np.ones(SHAPE), pixel_scale=0.4).attrs["configuration_hash"]
        for each in (maps, maps, changed(maps, "g1", 0.1))
    }
    assert len(hashes) == 2


def test_dataset_of_maps_that_cannot_be_inverted_is_refused(maps) -> None:
    with pytest.raises(InputError, match="g1 is not finite"):
        shear_dataset(changed(maps, "g1", np.nan), count=np.ones(SHAPE), pixel_scale=0.4)
    with pytest.raises(InputError, match="pixel_scale"):
        shear_dataset(maps, count=np.ones(SHAPE), pixel_scale=(0.4, 0.5))
    with pytest.raises(InputError, match=r"count: shape \(12, 9\); expected that of g1"):
        shear_dataset(maps, count=np.ones(SHAPE[1:]), pixel_scale=0.4)


@pytest.mark.parametrize("masked", [np.ma.MaskedArray, Masked])
def test_maps_that_are_inverted_have_no_masks(maps: ShearMaps, masked: Callable[..., np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"^g2: a masked array; expected a plain one, with 0 and a weight of 0"):
        validate_shear_maps(maps._replace(g2=masked(maps.g2)))


def test_dataset_of_a_field_on_the_sky_knows_its_centre(maps) -> None:
    one = ShearMaps(*(array[:1] for array in maps))
    dataset = shear_dataset(one, count=np.ones((1, *SHAPE[1:])), pixel_scale=0.4, centre=(150.0, 2.0))
    SHEAR_MAPS.validate(dataset)
    assert (dataset["ra"].item(), dataset["dec"].item()) == (150.0, 2.0)


@pytest.mark.parametrize("masked", [np.ma.MaskedArray, Masked])
def test_masked_pixels_know_nothing(maps: ShearMaps, masked: Callable[..., np.ndarray]) -> None:
    hidden = np.zeros(SHAPE, dtype=bool)
    hidden[1, 3:6, 2:4] = True
    spoiled = maps._replace(g1=masked(np.where(hidden, 99.0, maps.g1), mask=hidden))
    found = shear_dataset(spoiled, count=maps.weight, pixel_scale=0.5)
    assert not found["weight"].values[hidden].any()
    assert not found["g1"].values[hidden].any()
    np.testing.assert_array_equal(found["g1"].values[~hidden], maps.g1[~hidden].astype(np.float32))
    np.testing.assert_array_equal(found["mask"], maps.mask != 0)
