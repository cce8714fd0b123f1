import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from lensdask.errors import InputError
from lensdask.massmap.tangent import near_side, north_angle, tangent_plane

CENTRES = [(150.1, 2.2), (0.02, -33.0), (359.9, 71.0), (200.0, 0.0)]


@pytest.mark.parametrize("centre", CENTRES)
def test_tangent_plane_is_that_of_astropy(centre: tuple[float, float]) -> None:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], centre, [1, 1]
    # One pixel is an arcmin; right ascension grows to the left.
    wcs.wcs.cdelt = [-1 / 60, 1 / 60]
    rng = np.random.default_rng(3)
    ra = centre[0] + rng.uniform(-2, 2, 50) / np.cos(np.radians(centre[1]))
    dec = centre[1] + rng.uniform(-2, 2, 50)
    x, y = wcs.wcs_world2pix(ra % 360, dec, 0)
    np.testing.assert_allclose(tangent_plane(ra % 360, dec, centre), (x, y), atol=1e-9)


@pytest.mark.parametrize("centre", CENTRES)
def test_north_is_where_a_step_to_the_north_goes(centre: tuple[float, float]) -> None:
    rng = np.random.default_rng(4)
    ra = centre[0] + rng.uniform(-2, 2, 50) / np.cos(np.radians(centre[1]))
    dec = centre[1] + rng.uniform(-2, 2, 50)
    x, y = tangent_plane(ra, dec, centre)
    dx, dy = np.subtract(tangent_plane(ra, dec + 1e-5, centre), (x, y))
    np.testing.assert_allclose(north_angle(x, y, centre[1]), np.arctan2(-dx, dy), atol=1e-6)


def test_what_is_near_is_what_astropy_separates_by_less():
    rng = np.random.default_rng(6)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    separation = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(40.0, -50.0, unit="deg")).to_value(units.deg)
    near = near_side(ra, dec, (40.0, -50.0))
    np.testing.assert_array_equal(near, separation < np.degrees(np.arccos(0.01)))
    assert 0 < near.sum() < 500


def test_points_that_are_on_no_plane_are_refused():
    with pytest.raises(InputError, match="90 degrees or more from the centre"):
        tangent_plane([10.0, 190.0], [0.0, 5.0], (10.0, 0.0))
    with pytest.raises(InputError, match="dec: beyond the poles"):
        near_side([10.0], [91.0], (10.0, 0.0))
