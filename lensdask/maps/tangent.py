"""The tangent plane of a field on the sky: where galaxies lie on it, and how their shear turns.

A plane has **north up and east to the left**, as the sky is seen and as images are drawn: x grows to the west.
"""

import numpy as np
import numpy.typing as npt

from lensdask.conventions import ARCMIN
from lensdask.data.catalogues.columns import as_numbers
from lensdask.errors import InputError

__all__ = ["near_side", "north_angle", "sky_position", "tangent_plane"]

Float64 = npt.NDArray[np.float64]

_NEAR = 0.01
"""Cosine of the distance from the centre within which galaxies can belong to a field."""


def tangent_plane(ra: npt.ArrayLike, dec: npt.ArrayLike, centre: tuple[float, float]) -> tuple[Float64, Float64]:
    """Return the gnomonic projection of points of the sky about a centre, north up and east to the left.

    Parameters
    ----------
    ra, dec
        Degrees, or angles of Astropy. Where they are masked the result is NaN.
    centre
        RA and Dec of the point where the plane touches the sky, degrees.

    Returns
    -------
    tuple of Float64
        x to the **west** and y to the north of the centre, arcmin.

    Raises
    ------
    InputError
        A declination is beyond the poles, or a point is 90 degrees or more from the centre.
    """
    east, north, depth = _directions(ra, dec, centre)
    if np.any(depth <= 0):
        raise InputError(
            f"ra, dec: a point is 90 degrees or more from the centre {tuple(centre)}; "
            "expected one field, or tiles of the sky"
        )
    return -east / depth / ARCMIN, north / depth / ARCMIN


def sky_position(
    x: npt.ArrayLike, y: npt.ArrayLike, centre: tuple[npt.ArrayLike, npt.ArrayLike]
) -> tuple[Float64, Float64]:
    """Return where points of a tangent plane lie on the sky: the inverse of `tangent_plane`.

    Parameters
    ----------
    x, y
        To the west and to the north of the centre, arcmin.
    centre
        RA and Dec of the point where the plane touches the sky, degrees: one, or one for each point.

    Returns
    -------
    tuple of Float64
        RA from 0 to below 360, and Dec, degrees.

    Raises
    ------
    InputError
        The declination of a centre is beyond the poles.
    """
    _check_declination(centre[1])
    ra_0, dec_0 = (np.radians(np.asarray(angle, dtype=np.float64)) for angle in centre)
    east, north = (np.asarray(axis, dtype=np.float64) * ARCMIN for axis in (np.negative(x), y))
    ahead = np.cos(dec_0) - north * np.sin(dec_0)
    ra = np.degrees(ra_0 + np.arctan2(east, ahead)) % 360
    dec = np.degrees(np.arctan2(np.sin(dec_0) + north * np.cos(dec_0), np.hypot(east, ahead)))
    # The remainder of a tiny negative number is rounded to 360.
    return np.asarray(np.where(ra == 360, 0.0, ra)), np.asarray(dec)


def near_side(ra: npt.ArrayLike, dec: npt.ArrayLike, centre: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Return which points of the sky, degrees, are less than 89.4 degrees from a centre: the others are on no map.

    Raises
    ------
    InputError
        A declination is beyond the poles.
    """
    return np.asarray(_directions(ra, dec, centre)[2] > _NEAR)


def _directions(ra: npt.ArrayLike, dec: npt.ArrayLike, centre: tuple[float, float]) -> tuple[Float64, Float64, Float64]:
    """Return the components of unit vectors to the east, to the north, and towards the centre."""
    ra, dec = (as_numbers(name, values, "deg").filled(np.nan) for name, values in {"ra": ra, "dec": dec}.items())
    _check_declination(np.append(dec, centre[1]))
    right_ascension, declination = np.radians(ra), np.radians(dec)
    ra_0, dec_0 = np.radians(centre)
    east = np.cos(declination) * np.sin(right_ascension - ra_0)
    ahead = np.cos(declination) * np.cos(right_ascension - ra_0)
    depth = np.sin(declination) * np.sin(dec_0) + ahead * np.cos(dec_0)
    return east, np.sin(declination) * np.cos(dec_0) - ahead * np.sin(dec_0), depth


def _check_declination(dec: npt.ArrayLike) -> None:
    if np.any(np.abs(dec) > 90):
        raise InputError(
            "dec: beyond the poles; expected declinations from -90 to 90 degrees, after the right ascensions"
        )


def north_angle(x: Float64, y: Float64, declination: float) -> Float64:
    """Return by how much the direction of north at points of the tangent plane is turned from the y axis.

    Meridians are straight on the plane and meet at the image of the pole, at the height cot(Dec) over the centre. Shear
    measured against north at its own place is that against the y axis times exp(-2i angle).

    Parameters
    ----------
    x, y
        Arcmin, from `tangent_plane`.
    declination
        Of the centre, degrees.

    Returns
    -------
    Float64
        Radians, from x to y.
    """
    sine, cosine = np.sin(np.radians(declination)), np.cos(np.radians(declination))
    return np.asarray(np.arctan2(x * ARCMIN * sine, cosine - y * ARCMIN * sine), dtype=np.float64)
