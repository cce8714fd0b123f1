"""Numbers of HEALPix pixels, in both orders."""

import numpy as np
import pytest
from mock_skies import centres

from lensdask.sky.fullsky.healpix import nside_of, pixel_numbers, pixel_width


@pytest.fixture(scope="module")
def sky():
    """Directions on the whole sky, and close to both poles."""
    draw = np.random.default_rng(1)
    z = draw.uniform(-1, 1, 100_000)
    z[:2000] = np.repeat([1, -1], 1000) * (1 - 10 ** draw.uniform(-12, -2, 2000))
    return z, draw.uniform(-np.pi, np.pi, len(z))


def test_both_orders_are_those_of_astropy(sky):
    healpix = pytest.importorskip("astropy_healpix")
    z, longitude = sky
    for nside in (1, 2, 64, 2048, 8192):
        for order in ("ring", "nested"):
            radian = healpix.core.u.radian
            expected = healpix.HEALPix(nside, order).lonlat_to_healpix(longitude * radian, np.arcsin(z) * radian)
            np.testing.assert_array_equal(pixel_numbers(nside, z, longitude, order), expected)


def test_nested_pixels_hold_four_of_the_next_order(sky):
    # The twelve faces have the same numbers in both orders.
    np.testing.assert_array_equal(pixel_numbers(1, *sky, "nested"), pixel_numbers(1, *sky))
    for nside in (1, 2, 4, 1024):
        finer = pixel_numbers(2 * nside, *sky, "nested")
        np.testing.assert_array_equal(pixel_numbers(nside, *sky, "nested"), finer // 4)


@pytest.mark.parametrize("nside", [1, 2, 16])
def test_both_orders_count_the_same_pixels(nside):
    z, longitude = centres(nside)
    np.testing.assert_array_equal(pixel_numbers(nside, z, longitude), np.arange(12 * nside**2))
    nested = pixel_numbers(nside, z, longitude, "nested")
    np.testing.assert_array_equal(np.sort(nested), np.arange(12 * nside**2))


def test_the_second_bit_of_a_nested_pixel_is_along_the_other_diagonal():
    # On the face astride of the equator at longitude 0: south corner, east, west, north.
    z, longitude = np.array([-0.3, 0, 0, 0.3]), np.array([0, 0.3, -0.3, 0])
    np.testing.assert_array_equal(pixel_numbers(2, z, longitude, "nested"), 4 * 4 + np.arange(4))


def test_sizes():
    assert [nside_of(12 * n**2, "sky") for n in (1, 2, 2048)] == [1, 2, 2048]
    assert pixel_width(2048) == pytest.approx(1.72, abs=0.01)
