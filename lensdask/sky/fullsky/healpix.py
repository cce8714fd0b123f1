"""HEALPix: which pixel of a full sky lies in a direction, in both orders (Górski et al. 2005, section 4).

The sky has twelve faces of nside² pixels of equal area. In RING order pixels are counted along circles of latitude from
the north pole, in NESTED order face by face, in each by the interleaved bits of two diagonal coordinates.
"""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError

__all__ = ["Order", "directions", "nside_of", "pixel_numbers", "pixel_width"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

Order = Literal["ring", "nested"]
"""How the pixels of a sky are counted."""


def nside_of(pixels: int, where: str) -> int:
    """Return nside of a sky of 12 nside² pixels.

    Parameters
    ----------
    pixels
        Their number.
    where
        What has them, for the message.

    Raises
    ------
    InputError
        There is no sky of so many pixels.
    """
    nside = math.isqrt(pixels // 12)
    if nside < 1 or 12 * nside**2 != pixels:
        raise InputError(f"{where}: {pixels} pixels; expected 12 nside², a full sky of HEALPix")
    return nside


def pixel_width(nside: int) -> float:
    """Return the side of a square of the area of a pixel, arcmin."""
    return math.sqrt(4 * math.pi / 12) / nside / ARCMIN


def directions(centre: tuple[float, float], x: Float64, y: Float64) -> tuple[Float64, Float64]:
    """Return where points of a tangent plane lie on the sky: the inverse gnomonic projection.

    Parameters
    ----------
    centre
        Longitude and latitude of the point where the plane touches the sky, degrees.
    x, y
        Steps to the west and to the north of the centre, in radii of the sky; they broadcast.

    Returns
    -------
    z, longitude
        Sine of the latitude, and the longitude in radians.
    """
    lon, lat = np.deg2rad(centre)
    toward = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    west = np.array([np.sin(lon), -np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    vector = toward + x[..., None] * west + y[..., None] * north
    z = vector[..., 2] / np.linalg.norm(vector, axis=-1)
    return np.asarray(z), np.asarray(np.arctan2(vector[..., 1], vector[..., 0]))


def pixel_numbers(nside: int, z: Float64, longitude: Float64, order: Order = "ring") -> Int64:
    """Return the numbers of the pixels in some directions.

    Parameters
    ----------
    nside
        Of the sky; a power of two for "nested".
    z, longitude
        Sine of the latitude, and the longitude in radians.
    order
        How the pixels are counted.
    """
    turn = np.mod(longitude * 2 / np.pi, 4.0)
    # The remainder of a tiny negative number is rounded to 4.
    turn = np.where(turn == 4.0, 0.0, turn)
    belt, cap = (_ring_belt, _ring_cap) if order == "ring" else (_nested_belt, _nested_cap)
    return np.where(np.abs(z) <= 2 / 3, belt(nside, z, turn), cap(nside, z, turn))


def _diagonals(nside: int, z: Float64, turn: Float64) -> tuple[Int64, Int64]:
    """Return which rising and which falling line of the equatorial belt a direction is beyond."""
    up = np.floor(nside * (0.5 + turn - 0.75 * z)).astype(np.int64)
    return up, np.floor(nside * (0.5 + turn + 0.75 * z)).astype(np.int64)


def _cap_diagonals(nside: int, z: Float64, turn: Float64) -> tuple[Int64, Int64]:
    """Return the same of a cap, counted from its pole."""
    root = nside * np.sqrt(3 * np.maximum(1 - np.abs(z), 0.0))
    part = turn - np.floor(turn)
    return np.floor(part * root).astype(np.int64), np.floor((1 - part) * root).astype(np.int64)


def _ring_belt(nside: int, z: Float64, turn: Float64) -> Int64:
    """Return the RING number in the equatorial belt, whose rings have 4 nside pixels each."""
    up, down = _diagonals(nside, z, turn)
    ring = nside + 1 + up - down
    shift = (ring + 1) % 2
    # Down is counted from the other side than up: their mean is the place along the ring.
    along = ((up + down - nside + shift + 1) // 2) % (4 * nside)
    return np.asarray(2 * nside * (nside - 1) + (ring - 1) * 4 * nside + along)


def _ring_cap(nside: int, z: Float64, turn: Float64) -> Int64:
    """Return the RING number in a cap, whose ring i has 4 i pixels, counted from its pole."""
    up, down = _cap_diagonals(nside, z, turn)
    ring = up + down + 1
    along = np.floor(turn * ring).astype(np.int64) % (4 * ring)
    return np.where(z > 0, 2 * ring * (ring - 1) + along, 12 * nside**2 - 2 * ring * (ring + 1) + along)


def _nested_belt(nside: int, z: Float64, turn: Float64) -> Int64:
    """Return the NESTED number in the equatorial belt: faces 0 to 3 in the north, 4 to 7 astride, 8 to 11 south."""
    up, down = _diagonals(nside, z, turn)
    column, row = up // nside, down // nside
    astride, north, south = 4 + column % 4, column % 4, 8 + row % 4
    face = np.where(column == row, astride, np.where(column < row, north, south))
    return _nested(nside, face, down % nside, nside - 1 - up % nside)


def _nested_cap(nside: int, z: Float64, turn: Float64) -> Int64:
    """Return the NESTED number in a cap; on the edge of its last ring rounding may be off the face by one."""
    up, down = (np.minimum(one, nside - 1) for one in _cap_diagonals(nside, z, turn))
    quarter = np.floor(turn).astype(np.int64)
    north = _nested(nside, quarter, nside - 1 - down, nside - 1 - up)
    return np.where(z > 0, north, _nested(nside, quarter + 8, up, down))


def _nested(nside: int, face: Int64, x: Int64, y: Int64) -> Int64:
    return face * nside**2 + _spread(x, nside) + 2 * _spread(y, nside)


def _spread(number: Int64, nside: int) -> Int64:
    """Return numbers below nside with a zero between any two of their bits."""
    spread = np.zeros_like(number)
    for bit in range(nside.bit_length()):
        spread |= ((number >> bit) & 1) << (2 * bit)
    return spread
