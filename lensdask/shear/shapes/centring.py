"""Where a galaxy is: its centroid as a smooth function of its pixels, and how that place answers to shear.

Galaxies are seldom in the middle of a stamp. Measured about the middle they look longer towards their place, and that
does not answer to shear as a shape does. So what is measured is e of the deconvolved image V shifted by x_c, where its
flux under a Gaussian of scale s, ``m00 = S(1)`` in the notation of `lensdask.shear.shapes.fpfs`, is the highest: the
first moments under the same Gaussian, ``G_j = dm00/dx_j``, are zero there. Newton's method finds the place.

This e is a function of V like any other, and its response is the chain rule. A shear g_a changes pixels by δ_a, made of
D (image minus renoise), and so moves the place::

    dx_c/dg_a = -(dG/dx_c)^-1 G[δ_a]          d(V shifted)/dg_a = δ_a shifted + dx_c/dg_a . grad V shifted

dG/dx_c and grad V belong to the function, not to the sky: they are those of V. δ_a is about the middle of the stamp;
about x_c it is the same, and ``t_a . grad D`` in addition, where ``t_1 = (-x_c, y_c)`` and ``t_2 = (-y_c, -x_c)``.

A place that is known beforehand moves with the sky: about it nothing is added.
"""

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant, namespace
from lensdask.fourier import half_plane, wave_numbers
from lensdask.shear.shapes.deconvolution import Places, Planes
from lensdask.shear.shapes.fpfs import sum_of

__all__ = ["REACH", "find_places", "places_of"]

Float64 = npt.NDArray[np.float64]

REACH = 1.0
"""Arcsec from the middle of the stamp; a centroid beyond is that of something else."""

_LONGEST = 0.25
"""Of a step to the centroid, arcsec: the flux under a Gaussian has more than one summit."""

_CLIMBS, _STEPS = 2, 10
"""Steps uphill before those of Newton, and all of them."""

_LEAST = 5.0
"""Waves beyond ``_LEAST / s`` have less than 4e-6 of the weight of the longest."""

_CLOSE = 1e-6
"""Arcsec: the last step to a centroid that was found is shorter."""


def places_of(table: Array) -> Places:
    """Return the places of a table: of `find_places`, or (x, y) in arcsec of known places, shape (galaxy, 2)."""
    if table.shape[1] == 2:
        return Places(table)
    xp, shape = namespace(table), (len(table), 2, 2)
    return Places(table[:, :2], xp.reshape(table[:, 2:6], shape), xp.reshape(table[:, 6:10], shape))


def find_places(planes: Planes, pixel_scale: float, sigma: float) -> Array:
    """Return a table of the centroids of stamps, and of what shear does to them.

    Parameters
    ----------
    planes
        V and D about the middle of the stamps, double precision, times ``exp(-u/2)``: see
        `lensdask.shear.shapes.fpfs.Moments`.
    pixel_scale
        Arcsec per pixel.
    sigma
        Scale s of the Gaussian, arcsec.

    Returns
    -------
    Array
        Shape (galaxy, 11): position, t_1, t_2, dx_c/dg1, dx_c/dg2, each (x, y) in arcsec; and 1 where there is a
        centroid within `REACH`. Where there is none, 0, and the place is the middle of the stamp.
    """
    xp, layout = namespace(planes.value), (planes.value.shape[-2], pixel_scale, sigma)
    V, D = (_low(plane, *layout) for plane in planes)
    slopes, curvatures, sheared = (
        constant(weights, *layout, reference=xp.real(V)) for weights in (_slopes, _curvatures, _sheared_slopes)
    )
    position = xp.zeros((len(V), 2), dtype=slopes.dtype, device=slopes.device)
    for step in range(_STEPS):
        there = V * _phase(position, *layout)
        change, is_summit = _step(sum_of(1j * there, slopes), sum_of(there, curvatures), sigma, climb=step < _CLIMBS)
        position = position + change
    phase = _phase(position, *layout)
    curvature, curvature_of_sky = sum_of(V * phase, curvatures), sum_of(D * phase, curvatures)
    x, y = position[:, 0], position[:, 1]
    sky = xp.stack([-x, y, -y, -x], axis=1)
    drift = _drift(curvature, sum_of(1j * D * phase, sheared), curvature_of_sky, sky)
    near = xp.sqrt(x**2 + y**2) < REACH
    found = is_summit & near & (xp.max(xp.abs(change), axis=1) < _CLOSE)
    table = xp.concat([position, sky, drift, xp.ones_like(x)[:, None]], axis=1)
    return xp.where(found[:, None], table, xp.zeros_like(table))


def _low(plane: Array, n: int, pixel_scale: float, sigma: float) -> Array:
    """Return the part of half planes, shape (galaxy, n, n // 2 + 1), whose waves the Gaussian lets through."""
    highest = _highest(n, pixel_scale, sigma)
    low = plane[:, :, : highest + 1]
    return namespace(plane).concat([low[:, : highest + 1, :], low[:, n - highest :, :]], axis=1)


def _highest(n: int, pixel_scale: float, sigma: float) -> int:
    return min(int(_LEAST / sigma * n * pixel_scale / (2 * np.pi)), n // 2 - 1)


def _phase(position: Array, n: int, pixel_scale: float, sigma: float) -> Array:
    """Return what shifts such parts to places, shape (galaxy, 2)."""
    xp = namespace(position)
    i_k1, i_k2 = (constant(_row, n, pixel_scale, sigma, axis, reference=position) for axis in (0, 1))
    along_1, along_2 = xp.exp(i_k1 * position[:, :1]), xp.exp(i_k2 * position[:, 1:])
    return along_2[:, :, None] * along_1[:, None, :]


def _step(slope: Array, curvature: Array, sigma: float, *, climb: bool) -> tuple[Array, Array]:
    """Return the way to go from a place, shape (galaxy, 2), and whether the flux has a summit near it."""
    xp = namespace(slope)
    flux, xx, xy, yy = (curvature[i, ...] for i in range(4))
    determinant = xx * yy - xy**2
    is_summit = (determinant > 0) & (xx < 0)
    # Uphill by what would be the way to the mean of what the Gaussian sees.
    uphill = sigma**2 * slope / xp.where(flux > 0, flux, xp.ones_like(flux) * float("inf"))
    safe = xp.where(is_summit, determinant, xp.ones_like(determinant))
    newton = -xp.stack([yy * slope[0, ...] - xy * slope[1, ...], xx * slope[1, ...] - xy * slope[0, ...]]) / safe
    way = uphill if climb else xp.where(is_summit, newton, uphill)
    length = xp.sqrt(xp.sum(way**2, axis=0))
    return (way / xp.clip(length / _LONGEST, min=1.0)).T, is_summit


def _drift(curvature: Array, of_shear: Array, curvature_of_sky: Array, sky: Array) -> Array:
    """Return dx_c/dg1 and dx_c/dg2, shape (galaxy, 4)."""
    xp = namespace(curvature)
    _, xx, xy, yy = (curvature[i, ...] for i in range(4))
    _, sky_xx, sky_xy, sky_yy = (curvature_of_sky[i, ...] for i in range(4))
    determinant = xx * yy - xy**2
    safe = xp.where(determinant > 0, determinant, xp.ones_like(determinant))
    columns = []
    for a in (0, 1):
        tx, ty = sky[:, 2 * a], sky[:, 2 * a + 1]
        gx = of_shear[2 * a, ...] + tx * sky_xx + ty * sky_xy
        gy = of_shear[2 * a + 1, ...] + tx * sky_xy + ty * sky_yy
        columns += [-(yy * gx - xy * gy) / safe, -(xx * gy - xy * gx) / safe]
    return xp.stack(columns, axis=1)


def _waves(n: int, pixel_scale: float, sigma: float) -> tuple[Float64, Float64]:
    """Return k1 and k2 of the part that `_low` leaves, both of its shape."""
    highest = _highest(n, pixel_scale, sigma)
    k1, k2 = wave_numbers(n, pixel_scale)
    k1, k2 = np.broadcast_arrays(k1[:, : highest + 1], k2[np.r_[: highest + 1, n - highest : n]])
    return k1, k2


def _row(n: int, pixel_scale: float, sigma: float, axis: int) -> npt.NDArray[np.complex128]:
    """Return i k1 or i k2 along its axis."""
    k1, k2 = _waves(n, pixel_scale, sigma)
    return np.asarray(1j * (k1[0], k2[:, 0])[axis], dtype=np.complex128)


def _summed(n: int, pixel_scale: float, *weights: Float64) -> Float64:
    """Return weights as those of S, shape (row, column, weight)."""
    doubled = half_plane(n)[: weights[0].shape[1], None]
    return np.ascontiguousarray(np.stack(weights, axis=-1) * doubled / (n * pixel_scale) ** 2)


def _slopes(n: int, pixel_scale: float, sigma: float) -> Float64:
    """Of dm00/dx and dm00/dy, for i V."""
    return _summed(n, pixel_scale, *_waves(n, pixel_scale, sigma))


def _curvatures(n: int, pixel_scale: float, sigma: float) -> Float64:
    """Of m00 and of its second derivatives along xx, xy and yy."""
    k1, k2 = _waves(n, pixel_scale, sigma)
    return _summed(n, pixel_scale, np.ones_like(k1), -(k1**2), -k1 * k2, -(k2**2))


def _sheared_slopes(n: int, pixel_scale: float, sigma: float) -> Float64:
    """Of dG_x/dg1, dG_y/dg1, dG_x/dg2 and dG_y/dg2 about the place, for i D."""
    k1, k2 = _waves(n, pixel_scale, sigma)
    along, across = sigma**2 * (k1**2 - k2**2), 2 * sigma**2 * k1 * k2
    weights = (along - 1) * k1, (along + 1) * k2, across * k1 - k2, across * k2 - k1
    return _summed(n, pixel_scale, *weights)
