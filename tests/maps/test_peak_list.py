"""Peaks of mass maps as a table: planted ones, their places on the sky, lazy maps, refused input."""

import numpy as np
import pytest
import xarray as xr
from astropy import units
from astropy.coordinates import SkyCoord

from lensdask.data import MASS_MAPS, common_attributes, write
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.massmap import bin_catalogue, list_peaks, reconstruct

SCALE = 0.8
PLACES = [(0, 10, 12, 0.3), (0, 25, 30, 0.2), (1, 20, 20, 0.1), (2, 8, 28, 0.4)]
"""Field, row, column and height of planted peaks."""


def mass_maps(**coords):
    """Return mass maps of three fields of 32 x 40 pixels with planted peaks; field 1 has less noise."""
    kappa = np.zeros((3, 32, 40), dtype=np.float32)
    for field, row, column, height in PLACES:
        kappa[field, row, column] = height
    dims = ("field", "y", "x")
    noise = np.array([0.05, 0.01, 0.05], dtype=np.float32)[:, None, None]
    arrays = {"kappa": kappa, "significance": kappa / noise, "mask": np.ones(kappa.shape, dtype=np.int8)}
    attributes = common_attributes(MASS_MAPS, {}) | {"pixel_scale": SCALE, "method": "planted"}
    return xr.Dataset(
        {name: (dims, array) for name, array in arrays.items()},
        {"field": [4, 7, 9]} | {name: ("field", values) for name, values in coords.items()},
        attributes,
    )


def rows(listed, *names):
    return list(zip(*(listed[name].values.tolist() for name in names), strict=True))


def test_planted_peaks_the_highest_first():
    listed = list_peaks(mass_maps())
    assert set(listed) == {"field", "x", "y", "kappa", "significance"}
    assert listed["field"].values.tolist() == [7, 9, 4, 4]
    np.testing.assert_allclose(listed["significance"], [10, 8, 6, 4], rtol=1e-5)
    np.testing.assert_allclose(listed["kappa"], [0.1, 0.4, 0.3, 0.2], rtol=1e-5)
    np.testing.assert_allclose(listed["x"], np.subtract([20, 28, 12, 30], 19.5) * SCALE)
    np.testing.assert_allclose(listed["y"], np.subtract([20, 8, 10, 25], 15.5) * SCALE)
    assert (listed["x"].attrs["units"], listed.attrs["method"]) == ("arcmin", "planted")
    assert rows(list_peaks(mass_maps(), 7), "field") == [(7,), (9,)]
    by_height = list_peaks(mass_maps().drop_vars("significance"), 0.15)
    assert by_height["field"].values.tolist() == [9, 4, 4]


def test_masked_peaks_are_not_listed_whatever_stands_there():
    maps = mass_maps()
    maps["mask"][2] = 0
    maps["mask"][2, 20:] = 1
    maps["kappa"][2, :10] = np.nan
    assert 9 not in list_peaks(maps)["field"]


def test_lazy_maps_give_the_same(tmp_path):
    maps = mass_maps(ra=[10.0, 20.0, 359.99], dec=[-3.0, 60.0, 89.9])
    write(maps, tmp_path / "mass.zarr", chunk=2)
    lazy = open_store(tmp_path / "mass.zarr")
    assert lazy["kappa"].chunksizes["field"] == (2, 1)
    xr.testing.assert_identical(list_peaks(lazy), list_peaks(maps))


def test_no_peak_is_an_empty_table():
    listed = list_peaks(mass_maps(ra=[0.0] * 3, dec=[0.0] * 3), 1e3)
    assert listed.sizes["peak"] == 0
    assert set(listed) >= {"ra", "dec", "significance"}


@pytest.mark.parametrize("centre", [(0.02, -33.0), (200.0, 88.5)])
def test_a_mass_is_listed_where_it_is_on_the_sky(centre):
    # Galaxies on rings about a point, with the shear of a mass there, from catalogue to position.
    centre = SkyCoord(*centre, unit="deg")
    mass = centre.directional_offset_by(40 * units.deg, 12 * units.arcmin)
    rng = np.random.default_rng(5)
    galaxies = centre.directional_offset_by(
        rng.uniform(0, 360, 40_000) * units.deg, 45 * np.sqrt(rng.uniform(0, 1, 40_000)) * units.arcmin
    )
    # Tangential shear at the position angle of the mass, from north through east; x grows to the west.
    angle = np.pi / 2 + galaxies.position_angle(mass).rad
    tangential = 0.2 * np.exp(-galaxies.separation(mass).arcmin / 10)
    g1, g2 = -tangential * np.cos(2 * angle), -tangential * np.sin(2 * angle)
    shear = bin_catalogue(
        galaxies.ra.deg, galaxies.dec.deg, g1, g2, sky=True, pixel_scale=1.5, sigma_e=0.25, source="lsst"
    )
    first = list_peaks(reconstruct(shear, "ks93:1.5")).isel(peak=0)
    found = SkyCoord(first["ra"].item(), first["dec"].item(), unit="deg")
    assert found.separation(mass).arcmin < 1.5


def test_what_has_no_peaks():
    unfinished = mass_maps()
    unfinished["significance"][1, 3, 3] = np.nan
    with pytest.raises(InputError, match="significance of field 7 is not finite inside the mask"):
        list_peaks(unfinished)
    with pytest.raises(InputError, match="dimensions"):
        list_peaks(mass_maps().isel(field=0))
