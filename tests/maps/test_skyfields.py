import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.conventions import ARCMIN
from lensdask.maps.skyfields import around, sky_fields
from lensdask.maps.tangent import tangent_plane

DEGREE = math.pi / 180

sides = st.floats(0.3, 20)
"""Degrees. Smaller fields are millions."""


def on_the_sphere(seed: int, count: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    """Return points everywhere, on the meridian of RA 0, on the equator, and at and near the poles."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    polar = 90 - 10 ** rng.uniform(-6, 1, 200)
    dec[:400], ra[400:600], dec[600:700] = np.concatenate([polar, -polar]), 0.0, 0.0
    ra[700:800], dec[800:802] = np.nextafter(360, 0), (90, -90)
    return ra, dec


@settings(deadline=None, max_examples=30)
@given(height=sides, width=sides, seed=st.integers(0, 2**32 - 1))
def test_every_point_is_in_the_field_of_its_own(height: float, width: float, seed: int) -> None:
    sky = sky_fields(height * DEGREE, width * DEGREE)
    ra, dec = on_the_sphere(seed)
    number = sky.number(ra, sky.row(dec))
    assert 0 <= number.min() <= number.max() < sky.columns.sum()
    for one in np.unique(number):
        own, centre = number == one, sky.centre(int(one))
        x, y = tangent_plane(ra[own], dec[own], centre)
        assert np.abs(x * ARCMIN).max() < width * DEGREE / 2
        assert np.abs(y * ARCMIN).max() < height * DEGREE / 2


@settings(deadline=None, max_examples=60)
@given(height=sides, width=sides)
def test_points_beside_an_edge_are_in_the_fields_of_either_side(height: float, width: float) -> None:
    # The corners of the parts, and the middles of their lower and upper edges, seen from the part itself.
    sky = sky_fields(height * DEGREE, width * DEGREE)
    for row, dec in enumerate(sky.dec):
        half = 180 / sky.columns[row]
        if sky.columns[row] == 1:
            continue
        ra_0 = sky.centre(int(sky.columns[:row].sum()))[0]
        lower, upper = sky.parallels[row : row + 2]
        x, y = tangent_plane(
            [ra_0 - half, ra_0 + half, ra_0, ra_0 - half, ra_0], [lower, lower, lower, upper, upper], (ra_0, dec)
        )
        assert np.abs(x * ARCMIN).max() < width * DEGREE / 2 * (1 + 1e-12)
        assert np.abs(y * ARCMIN).max() < height * DEGREE / 2 * (1 + 1e-12)


@pytest.mark.parametrize(("height", "width"), [(3.5, 3.5), (1, 10), (10, 1), (20, 20)])
def test_rows_rise_from_pole_to_pole_alike_in_north_and_south(height: float, width: float) -> None:
    sky = sky_fields(height * DEGREE, width * DEGREE)
    assert (sky.parallels[0], sky.parallels[-1]) == (-90, 90)
    assert (np.diff(sky.parallels) > 0).all()
    assert (np.diff(sky.dec) > 0).all()
    np.testing.assert_array_equal(sky.dec, -sky.dec[::-1])
    np.testing.assert_array_equal(sky.columns, sky.columns[::-1])
    # In order, and each with its own centre.
    numbers = np.arange(sky.columns.sum())
    ra, dec = np.array([sky.centre(int(number)) for number in numbers]).T
    np.testing.assert_array_equal(sky.number(ra, sky.row(dec)), numbers)


def test_small_fields_waste_little() -> None:
    sky = sky_fields(3.5 * DEGREE, 3.5 * DEGREE)
    assert sky.columns.sum() * 3.5**2 < 1.05 * 4 * math.pi / DEGREE**2


@settings(deadline=None, max_examples=60)
@given(height=sides, width=sides, ra=st.floats(0, 359.9), dec=st.floats(-90, 90), seed=st.integers(0, 2**32 - 1))
def test_box_around_a_field_holds_it(height: float, width: float, ra: float, dec: float, seed: int) -> None:
    # Points of the plane, back on the sphere as vectors.
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-0.5, 0.5, (2, 500)) * np.array([[width], [height]]) * DEGREE
    x[:4], y[:4] = np.array([-1, 1, -1, 1]) * width * DEGREE / 2, np.array([-1, -1, 1, 1]) * height * DEGREE / 2
    lon, lat = math.radians(ra), math.radians(dec)
    towards = np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])
    west = np.array([math.sin(lon), -math.cos(lon), 0])
    north = np.array([-math.sin(lat) * math.cos(lon), -math.sin(lat) * math.sin(lon), math.cos(lat)])
    points = towards + x[:, None] * west + y[:, None] * north
    found_ra = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    found_dec = np.degrees(np.arcsin(points[:, 2] / np.linalg.norm(points, axis=1)))
    low, high, offset = around((ra, dec), height * DEGREE, width * DEGREE)
    assert low <= found_dec.min()
    assert found_dec.max() <= high
    assert np.abs((found_ra - ra + 180) % 360 - 180).max() <= offset
