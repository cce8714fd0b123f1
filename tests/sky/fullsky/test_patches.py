"""Tiles of a sphere: none overlaps, all are the right way round, and their pixels are means."""

import numpy as np
import pytest
from astropy.wcs import WCS
from mock_skies import centres
from scipy.special import eval_legendre, sph_harm_y

from lensdask.errors import InputError
from lensdask.sky import TileGrid
from lensdask.sky.fullsky.healpix import pixel_numbers
from lensdask.sky.fullsky.patches import check_resolution, check_tiles, tile_centres, tile_means, tile_pixels

GRID = TileGrid(size=8, pixel_scale=37.5)


def tiles(sky, nside, grid=GRID, order="ring", count=None):
    numbers = range(len(tile_centres(grid)) if count is None else count)
    return np.stack([tile_means(sky, tile_pixels(one, grid, nside, order)) for one in numbers])


def places(tile, grid=GRID):
    """Return longitude and latitude of the pixels of a tile in degrees, by the projection TAN of FITS."""
    world = WCS(naxis=2)
    world.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    world.wcs.crval, world.wcs.crpix = tile_centres(grid)[tile], [(grid.size + 1) / 2] * 2
    world.wcs.cdelt = [-grid.pixel_scale / 60, grid.pixel_scale / 60]
    y, x = np.mgrid[: grid.size, : grid.size]
    return world.pixel_to_world_values(x, y)


@pytest.mark.parametrize("side", [5.0, 2.3, 24.0, 61.0])
def test_tiles_do_not_overlap(side):
    grid = TileGrid(size=8, pixel_scale=side * 60 / 8)
    draw = np.random.default_rng(2)
    z, longitude = draw.uniform(-1, 1, 4000), draw.uniform(0, 2 * np.pi, 4000)
    flat = np.sqrt(1 - z**2)
    vector = np.stack([flat * np.cos(longitude), flat * np.sin(longitude), z], axis=1)
    ra, dec = np.deg2rad(tile_centres(grid)).T
    zero = np.zeros_like(ra)
    toward = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    east = np.stack([-np.sin(ra), np.cos(ra), zero])
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    depth, half = vector @ toward, np.deg2rad(side) / 2
    inside = (depth > 0) & (np.abs(vector @ east) < half * depth) & (np.abs(vector @ north) < half * depth)
    assert inside.sum(axis=1).max() == 1
    if side == 5.0:
        assert len(ra) == 1554
        assert inside.any(axis=1).mean() == pytest.approx(0.94, abs=0.02)


def test_tiles_one_after_another_are_far_apart():
    ra, dec = np.deg2rad(tile_centres(TileGrid())).T
    cosine = np.sin(dec[1:]) * np.sin(dec[:-1]) + np.cos(dec[1:]) * np.cos(dec[:-1]) * np.cos(np.diff(ra))
    assert np.degrees(np.arccos(cosine.max())) > 20
    assert len({(round(a, 9), round(d, 9)) for a, d in zip(ra, dec, strict=True)}) == 1554


def test_a_spot_is_where_the_projection_of_fits_has_it():
    # At the place of one pixel, off both axes: a tile that is mirrored or upside down has it elsewhere.
    nside, sky = 128, np.zeros(12 * 128**2)
    for tile in (0, 1, 7, 500):
        lon, lat = (np.deg2rad(one[6, 1]) for one in places(tile))
        z, longitude = centres(nside)
        flat = np.sqrt(1 - z**2) * np.cos(lat) * np.cos(longitude - lon)
        sky[:] = np.exp(-(np.arccos(np.clip(flat + z * np.sin(lat), -1, 1)) ** 2) / 2 / 0.006**2)
        seen = tile_means(sky, tile_pixels(tile, GRID, nside, "ring"))
        assert np.unravel_index(seen.argmax(), seen.shape) == (6, 1)


def test_north_is_up_and_east_is_to_the_left():
    z, longitude = centres(128)
    ra, _ = tile_centres(GRID)[1]
    seen = tile_means(np.arcsin(z), tile_pixels(1, GRID, 128, "ring"))
    assert (np.diff(seen, axis=0) > 0).all()
    seen = tile_means((longitude - np.deg2rad(ra) + np.pi) % (2 * np.pi), tile_pixels(1, GRID, 128, "ring"))
    assert (np.diff(seen, axis=1) < 0).all()


def test_spherical_harmonics_are_recovered():
    degree, nside = 30, 128
    z, longitude = centres(nside)
    draw = np.random.default_rng(3)
    part = draw.normal(size=(degree + 1, 2)) @ [1, 1j]
    part[0] = part[0].real
    order = np.arange(degree + 1)[:, None]
    weight = np.where(order == 0, 1.0, 2.0) * part[:, None]
    # Rings share their latitude, which is what takes time.
    rings, which = np.unique(z, return_inverse=True)
    at_rings = sph_harm_y(degree, order, np.arccos(rings), 0.0).real
    sky = sum(
        (w * np.exp(1j * m * longitude)).real * at[which]
        for m, w, at in zip(range(31), weight[:, 0], at_rings, strict=True)
    )
    seen = tiles(sky, nside)
    # At its places, but for what means over pixels take, (l a)² / 24 of it for both kinds, and for rounded places.
    for tile in (0, 3, 900):
        lon, lat = (np.deg2rad(one) for one in places(tile))
        exact = (weight[..., None] * sph_harm_y(degree, order[..., None], np.pi / 2 - lat, lon)).real.sum(axis=0)
        np.testing.assert_allclose(seen[tile], exact, atol=0.02 * sky.std() * 3)
    # Over the sphere the correlation is that of one multipole whatever its phases: Σ |a_m|² P_l(cos θ) / 4π.
    power = (weight.real.ravel() ** 2 + weight.imag.ravel() ** 2)[1:].sum() / 2 + weight[0, 0].real ** 2
    lost = 1 - (degree * np.deg2rad(37.5 / 60)) ** 2 / 12 - (degree * np.deg2rad(27.5 / 60)) ** 2 / 12
    assert (seen**2).mean() == pytest.approx(power / (4 * np.pi) * lost, rel=0.02)
    for lag in (1, 3, 6):
        for product in (seen[:, :, lag:] * seen[:, :, :-lag], seen[:, lag:] * seen[:, :-lag]):
            expected = eval_legendre(degree, np.cos(np.deg2rad(lag * 37.5 / 60)))
            assert product.mean() / (seen**2).mean() == pytest.approx(expected, abs=0.03)


def test_pixels_are_means():
    sky = np.random.default_rng(4).normal(size=12 * 512**2)
    # Of the 5.5² HEALPix pixels of 6.9 arcmin in one of 37.5 arcmin, whichever way they are counted.
    seen = tiles(sky, 512, count=40)
    assert seen.std() == pytest.approx(6.87 / 37.5, rel=0.1)
    nested = np.empty_like(sky)
    nested[pixel_numbers(512, *centres(512), "nested")] = sky
    np.testing.assert_array_equal(tiles(nested, 512, order="nested", count=3), seen[:3])
    np.testing.assert_array_equal(tiles(np.full(12 * 128**2, 3, np.uint16), 128, count=2), 3.0)


def test_limits():
    with pytest.raises(InputError, match=r"tiles: 1555; expected a whole number from 1 to 1554, as many of 5 degrees"):
        check_tiles(1555, TileGrid())
    assert check_resolution(2048, "ring", TileGrid(), "maps") is None
    assert "maps: nside 512, pixels of 6.87 arcmin, wider than" in check_resolution(512, "ring", TileGrid(), "maps")
    for nside, order, expected in ((256, "ring", "at most twice"), (16384, "ring", "8192"), (1000, "nested", "power")):
        with pytest.raises(InputError, match=expected):
            check_resolution(nside, order, TileGrid(), "maps")
