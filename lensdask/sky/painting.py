"""Convergence maps of many haloes: NFW stamps of a few sizes, added up on a periodic square."""

import numpy as np
import numpy.typing as npt

from lensdask.sky.haloes import Points, concentration
from lensdask.sky.nfw import Halo, scale_angle, surface_density

__all__ = ["paint_haloes"]

Float64 = npt.NDArray[np.float64]

_SOFTENING = 0.35
"""Pixels added in quadrature to the distance: the mean of ln r over a pixel around the centre is that of r = 0.35, so
that a value at the middle of a pixel becomes close to the mean over it, for the logarithmic cusp of NFW."""

_AT_ONCE = 4_000_000
"""Pixels of stamps worked on at a time, which bounds the memory to a few hundred MB."""


def paint_haloes(points: Points, convergence: Float64, area: int, pixel_scale: float) -> Float64:
    """Return the convergence of haloes cut at their virial radius.

    The pixels of each halo add up to its mass exactly.

    Parameters
    ----------
    points
        The haloes; a position of 0 is the lower or left edge of pixel 0, 1 is the upper or right edge of the last.
    convergence
        Integral of the convergence of each halo over the sky, in pixels, shape (halo,).
    area
        Pixels on a side of the square, which is periodic.
    pixel_scale
        Arcmin per pixel.

    Returns
    -------
    ndarray
        Shape (area, area).
    """
    c = concentration(points.mass, points.redshift)
    scale = scale_angle(Halo(points.mass, c, points.redshift)) / pixel_scale
    widest = max(area // 2 - 1, 1)
    reach = np.clip(np.ceil(c * scale).astype(int), 1, widest)
    # Sizes grow by a fifth, so that most pixels of a stamp are used.
    sizes = np.unique(np.ceil(np.geomspace(1, widest, 36)).astype(int))
    size = sizes[np.searchsorted(sizes, reach)]
    total = np.zeros(area * area)
    for half in np.unique(size):
        members = np.flatnonzero(size == half)
        batch = max(1, _AT_ONCE // (2 * half + 1) ** 2)
        for start in range(0, len(members), batch):
            some = members[start : start + batch]
            place = np.stack([points.y[some], points.x[some]]) * area - 0.5
            pixels, values = _stamps(place, int(half), scale[some], c[some], area)
            values *= (convergence[some] / values.sum(axis=1))[:, None]
            total += np.bincount(pixels.ravel(), values.ravel(), minlength=area * area)
    return total.reshape(area, area)


def _stamps(place: Float64, half: int, scale: Float64, c: Float64, area: int) -> tuple[npt.NDArray[np.int64], Float64]:
    """Return flat pixel indices and unnormalised profiles of haloes at places (2, halo), both (halo, pixel)."""
    offset = np.arange(-half, half + 1)
    dy, dx = (axis.ravel() for axis in np.meshgrid(offset, offset, indexing="ij"))
    middle = np.round(place).astype(np.int64)
    y, x = middle[0, :, None] + dy, middle[1, :, None] + dx
    radius = np.sqrt((y - place[0, :, None]) ** 2 + (x - place[1, :, None]) ** 2 + _SOFTENING**2) / scale[:, None]
    # However small a halo is, it is seen in the pixel that holds it.
    centre = dy.size // 2
    radius[:, centre] = np.minimum(radius[:, centre], 0.5 * c)
    values = np.zeros(radius.shape)
    inside = radius < c[:, None]
    values[inside] = surface_density(radius[inside], np.broadcast_to(c[:, None], radius.shape)[inside])
    return (y % area) * area + x % area, values
