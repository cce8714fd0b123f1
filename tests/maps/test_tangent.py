import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lensdask.errors import InputError
from lensdask.maps.tangent import near_side, north_angle, sky_position, tangent_plane

CENTRES = [(150.1, 2.2), (0.02, -33.0), (359.9, 71.0), (200.0, 0.0)]


def tangent_wcs(centre: tuple[float, float]) -> WCS:
    """Return the projection of astropy: one pixel is an arcmin, right ascension grows to the left."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], centre, [1, 1]
    wcs.wcs.cdelt = [-1 / 60, 1 / 60]
    # About the north pole FITS turns the plane by half a turn unless it is told.
    wcs.wcs.lonpole = 180
    return wcs


@pytest.mark.parametrize("centre", CENTRES)
def test_tangent_plane_is_that_of_astropy(centre: tuple[float, float]) -> None:
    wcs = tangent_wcs(centre)
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


centres = st.tuples(
    st.floats(0, 360, exclude_max=True), st.one_of(st.floats(-90, 90), st.floats(89, 90), st.floats(-90, -89))
)
offsets = st.lists(st.tuples(st.floats(-300, 300), st.floats(-300, 300)), min_size=1, max_size=5)


@settings(deadline=None, max_examples=100)
@given(centre=centres, places=offsets)
@example(centre=(0.0, 0.0), places=[(1e-14, 0.0)])
@example(centre=(0.0, 90.0), places=[(0.0, 1.0)])
@example(centre=(40.0, -90.0), places=[(3.0, 1.0)])
@example(centre=(359.999, 89.9), places=[(0.0, 6.0), (0.0, 60.0), (-30.0, 6.1)])
def test_sky_position_undoes_the_plane_and_is_that_of_astropy(centre, places):
    x, y = np.array(places).T
    ra, dec = sky_position(x, y, centre)
    assert ((ra >= 0) & (ra < 360) & (np.abs(dec) <= 90)).all()
    np.testing.assert_allclose(tangent_plane(ra, dec, centre), (x, y), atol=1e-8)
    expected = SkyCoord(*tangent_wcs(centre).wcs_pix2world(x, y, 0), unit="deg")
    # Near the pole right ascensions mean little: the distance on the sky is compared.
    assert SkyCoord(ra, dec, unit="deg").separation(expected).to_value(units.arcsec).max() < 1e-5


def test_sky_position_takes_a_centre_for_each_point():
    ra_0, dec_0 = np.transpose(CENTRES)
    x, y = np.array([3.0, -50.0, 20.0, 0.0]), np.array([8.0, 2.0, -40.0, 0.0])
    together = np.transpose(sky_position(x, y, (ra_0, dec_0)))
    alone = [np.ravel(sky_position(*place)) for place in zip(x, y, CENTRES, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-13)
    np.testing.assert_allclose(together[3], CENTRES[3], atol=1e-12)
    with pytest.raises(InputError, match="dec: beyond the poles"):
        sky_position(0.0, 0.0, (2.2, 150.1))
