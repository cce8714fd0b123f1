import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import maximum_filter, minimum_filter

from lensdask.errors import InputError
from lensdask.massmap import footprints
from lensdask.massmap.footprints import checked_footprint, covered, read_footprint


def test_footprint_of_the_counts_ignores_chance_and_finds_holes() -> None:
    rng = np.random.default_rng(7)
    inside = np.ones((120, 150), dtype=bool)
    y, x = np.mgrid[:120, :150]
    inside[(y - 40) ** 2 + (x - 60) ** 2 < 15**2] = False
    inside[:, 130:] = False
    for density in (0.5, 2.0, 6.0):
        count = np.where(inside, rng.poisson(density, inside.shape), 0)
        found = covered(count.astype(float))
        assert found[inside].mean() > 0.98
        assert found[~inside].mean() < 0.15
        assert (found | (count == 0)).all()


def test_squares_larger_than_the_grid_find_no_more() -> None:
    # A few galaxies: chance leaves squares empty that are far larger than the grid.
    rng = np.random.default_rng(8)
    for galaxies in (1, 2, 5):
        count = np.zeros((12, 20))
        count.ravel()[rng.choice(count.size, galaxies, replace=False)] = 1
        side = 201
        empty = np.pad(count == 0, side, constant_values=True)
        outside = maximum_filter(minimum_filter(empty, side), side)[side:-side, side:-side]
        assert footprints._void_side(count) == 21
        np.testing.assert_array_equal(covered(count), ~outside)


def write_fits(path, mask, **header) -> str:
    unit = fits.PrimaryHDU(np.asarray(mask, dtype=np.int16))
    for name, value in header.items():
        unit.header[name] = value
    unit.writeto(path)
    return str(path)


def sky_header(side_x: float, side_y: float) -> dict[str, object]:
    """Return a tangent plane with pixels of so many arcmin."""
    kinds = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 3.0, "CRPIX2": 2.0}
    return kinds | {"CDELT1": -side_x / 60, "CDELT2": side_y / 60}


MASK = np.array([[0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])


def test_footprint_is_read_from_either_format(tmp_path) -> None:
    np.save(tmp_path / "mask.npy", MASK.astype(float))
    paths = [
        tmp_path / "mask.npy",
        write_fits(tmp_path / "plain.fits", MASK),
        write_fits(tmp_path / "sky.fits", MASK, **sky_header(0.82, 0.82)),
    ]
    for path in paths:
        found = read_footprint(path, 0.82)
        assert found.dtype == bool
        np.testing.assert_array_equal(found, MASK == 1)


@pytest.mark.parametrize(
    ("values", "header", "message"),
    [
        (MASK, sky_header(0.82, 0.9), "pixels of 0.82 x 0.9 arcmin; expected square ones"),
        (MASK, sky_header(0.41, 0.41), "pixels of 0.41 arcmin; expected those of the maps, 0.82"),
        (2 * MASK, {}, "no map of 0 and 1"),
        (MASK[0], {}, "no map of 0 and 1"),
    ],
)
def test_file_of_something_else_is_refused(tmp_path, values, header, message) -> None:
    with pytest.raises(InputError, match=message):
        read_footprint(write_fits(tmp_path / "mask.fits", values, **header), 0.82)


def test_file_with_nan_is_refused(tmp_path) -> None:
    np.save(tmp_path / "mask.npy", np.where(MASK == 1, 1.0, np.nan))
    with pytest.raises(InputError, match="no map of 0 and 1"):
        read_footprint(tmp_path / "mask.npy", 0.82)


@pytest.mark.parametrize(
    ("mask", "shape", "message"),
    [
        (np.zeros((3, 5)), None, "mask: 0 everywhere"),
        (MASK, (5, 3), r"mask: shape \(3, 5\); expected \(5, 3\)"),
        (MASK[0], None, r"mask: shape \(5,\); expected \(y, x\)"),
        (-MASK, None, "mask: holds other values"),
    ],
)
def test_what_is_no_footprint_is_refused(mask, shape, message) -> None:
    with pytest.raises(InputError, match=message):
        checked_footprint(mask, shape)
