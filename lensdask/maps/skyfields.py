"""Fields side by side that cover the sphere, each the tangent plane of its own centre.

Rows of fields lie between parallels, from the equator to either pole; the n fields of a row are centred on one
declination and evenly spaced in right ascension. Every field has a **part of its own**: the piece between its parallels
and the meridians half way to its neighbours. These parts tile the sphere, so each point has one field of its own; other
fields may hold it as well, along their edges and, as meridians meet, more of them near the poles.

On the plane of a field at Dec d0 a point at Dec d, h away in right ascension, has (x to either side)

    x = sin h / D,  y = (tan d cos d0 - sin d0 cos h) / D,  D = tan d sin d0 + cos d0 cos h.

North of the equator x is largest where the part is nearest to the equator and h largest, y is least at h = 0 on the
parallel below, and largest at the two corners above: a parallel is bent towards the pole. Hence from the parallel
below, d0 = d + atan(b), b being half the height of what the field can spare for its own part; n is the least for which
x stays below half the width, and the row reaches up to

    tan d' = cos(pi / n) tan(d0 + atan b).

So that wide fields near the poles do not climb in ever smaller steps, n is also large enough that d' >= d0.
"""

from math import acos, asin, atan, ceil, cos, degrees, hypot, pi, radians, sin, sqrt, tan
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["SkyFields", "around", "sky_fields"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_EDGE = 1 - 1e-9
"""What a part of its own may fill of its field, so that no point on an edge falls off by rounding."""


class SkyFields(NamedTuple):
    """Fields that cover the sphere, numbered from the south pole, and eastwards from RA 0 in each row."""

    parallels: Float64
    """Declinations between the rows, degrees, ascending from -90 to 90, shape (row + 1,)."""
    dec: Float64
    """Declination of the centres of each row, degrees."""
    columns: Int64
    """Number of fields in each row."""

    def row(self, dec: Float64) -> Int64:
        """Return the row of points."""
        return np.asarray(np.clip(np.searchsorted(self.parallels, dec, side="right") - 1, 0, len(self.dec) - 1))

    def number(self, ra: Float64, row: Int64) -> Int64:
        """Return the number of the field of which points are in the own part; `ra` is from 0 to below 360."""
        column = np.floor(ra / 360 * self.columns[row]).astype(np.int64)
        return np.asarray(self._first[row] + np.minimum(column, self.columns[row] - 1))

    def centre(self, number: int) -> tuple[float, float]:
        """Return RA and Dec of the centre of a field, degrees."""
        row = int(np.searchsorted(self._first, number, side="right")) - 1
        return float((number - self._first[row] + 0.5) * 360 / self.columns[row]), float(self.dec[row])

    @property
    def _first(self) -> Int64:
        """Number of the first field of each row."""
        return np.asarray(np.cumsum(self.columns) - self.columns)


def sky_fields(height: float, width: float) -> SkyFields:
    """Return fields of which each has a part of its own that fits into a rectangle of its plane.

    Parameters
    ----------
    height, width
        Of the rectangle, which is about the centre of the field, in radians (of tangents), below 1.
    """
    rows = _northern_rows(height / 2 * _EDGE, width / 2 * _EDGE)
    upper, centre, columns = (np.array(values) for values in zip(*rows, strict=True))
    return SkyFields(
        np.degrees(np.concatenate([-upper[::-1], [0.0], upper])).clip(-90, 90),
        np.degrees(np.concatenate([-centre[::-1], centre])).clip(-90, 90),
        np.concatenate([columns[::-1], columns]).astype(np.int64),
    )


def _northern_rows(half_height: float, half_width: float) -> list[tuple[float, float, int]]:
    """Return upper parallel and declination of the centres, radians, and number of fields of rows from the equator."""
    pole, rows, lower = pi / 2, list[tuple[float, float, int]](), 0.0
    while lower < pole - atan(min(half_height, half_width)):
        rows.append(_row(lower, half_height, half_width))
        lower = rows[-1][0]
    # One field about the pole holds all the rest.
    return rows if lower >= pole else [*rows, (pole, pole, 1)]


def _row(lower: float, half_height: float, half_width: float) -> tuple[float, float, int]:
    """Return the row above a parallel; see the formulae of the module."""
    centre, top = min(lower + atan(half_height), pi / 2), lower + 2 * atan(half_height)
    # sin h - b cos h = a: the offset in right ascension at which the part is as wide as the field.
    a, b = half_width * tan(lower) * sin(centre), half_width * cos(centre)
    offset = atan(b) + asin(min(a / sqrt(1 + b**2), 1.0))
    over_pole = top >= pi / 2
    if not over_pole:
        offset = min(offset, acos(tan(centre) / tan(top)))
    columns = max(ceil(pi / offset), 2)
    return (pi / 2 if over_pole else atan(cos(pi / columns) * tan(top))), centre, columns


def around(centre: tuple[float, float], height: float, width: float) -> tuple[float, float, float]:
    """Return Dec from and to, and offset of RA to either side, within which a rectangle about a centre lies, degrees.

    Parameters
    ----------
    centre
        RA and Dec, degrees.
    height, width
        As for `sky_fields`.
    """
    reach, dec = atan(hypot(height, width) / 2) + 1e-9, radians(centre[1])
    offset = pi if abs(dec) + reach >= pi / 2 else asin(sin(reach) / cos(dec))
    return degrees(dec - reach), degrees(dec + reach), degrees(offset) + 1e-9
