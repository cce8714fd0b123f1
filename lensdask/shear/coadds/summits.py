"""Summits of a smoothed image between its pixels, with weights that answer to shear.

An image is deconvolved from its PSF and smoothed with a round Gaussian of scale s, as for a measurement (see
`lensdask.shear.shapes.resmooth`), with v the value at a place. A summit, where the gradient of v is zero and v is the
highest around, is a detection with the weight ::

    w = S(v - v_min; ω_f) S(κ - ω_c; ω_c)          κ = 2 det H / (v tr H)    H_ij = -s² d²v/dx_i dx_j

where S(x; ω) rises from 0 at -ω to 1 at ω, smoothly. κ is 1 for a point source, less for what is extended or elongated,
and 0 where a summit and the saddle beside it meet and vanish. So no detection is cut off, and its weight has a response
to shear, by the chain rule. With δ_a the response of a pixel to the shear g_a about the summit, and x its place::

    dx/dg_a = s² H^-1 δ_a grad v          dv/dg_a = δ_a v          dH/dg_a = δ_a H + dx/dg_a . grad H

δ_a is that of the sky sheared about a point O, and made of image minus renoise. Were O the summit itself, the renoise
that has moved it there would be in both, and bias m by some per cent at the faint end. So O is the summit of the image
without the renoise. It depends on the noise of the image too, but the mean over the renoise is right for any O that
does not depend on the renoise: its values and its gradient at two places go together with opposite signs.

Nothing here depends on where the pixels are, unlike in weights of pixels (`lensdask.shear.coadds.peaks`), where that
makes most of the noise of the response.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lensdask.fourier import half_plane, wave_numbers
from lensdask.shear.coadds.peaks import Peaks, step_of

__all__ = ["Spectra", "find_summits"]

Float64 = npt.NDArray[np.float64]
Complex128 = npt.NDArray[np.complex128]

_NEWTON = 8
"""Steps to a summit; those of fewer than four find nearly all."""

_CLOSE = 1e-9
"""Pixels; the last step to a summit that was found is shorter."""

_FAR = 1.5
"""Pixels from the highest pixel to the summit at most."""

_LEAST = 5.5
"""Waves beyond ``_LEAST / s`` are left out: the Gaussian leaves 3e-7 of them."""


class Spectra(NamedTuple):
    """Transforms of a smoothed square image."""

    image: Complex128
    """Half plane of the image alone, shape (n, n // 2 + 1)."""
    renoise: Complex128
    """The same of the renoise."""
    jacobian: Float64
    """∂(west, north)/∂(x, y), arcsec per pixel."""
    sigma: float
    """s, arcsec."""


class _Waves(NamedTuple):
    """The waves that count."""

    rows: npt.NDArray[np.int64]
    columns: int
    p1: Float64
    """Along x, rad per pixel."""
    p2: Float64
    """Along y."""
    k1: Float64
    """On the sky, times s, shape (row, column)."""
    k2: Float64
    share: Float64
    """How much a wave counts in a sum over the half plane."""


def find_summits(spectra: Spectra, least: float, soft: float, curvature: float) -> Peaks:
    """Return the summits of an image, taken for periodic.

    Parameters
    ----------
    spectra
        Of the image.
    least, soft, curvature
        v_min and ω_f, in the unit of v, and ω_c.

    Returns
    -------
    Peaks
        With places O between pixels.
    """
    n = len(spectra.image)
    value, response = spectra.image + spectra.renoise, spectra.image - spectra.renoise
    v, waves = np.fft.irfft2(value, s=(n, n)), _waves(spectra)
    # The highest of nine pixels; what is lower than this has no weight, with a margin for the summit between pixels.
    highest = ndimage.maximum_filter(v, size=3, mode="wrap")
    y0, x0 = np.nonzero((v == highest) & (v > 0.8 * (least - soft)))
    # From the sky, over s, to pixels.
    back: Float64 = np.asarray(np.linalg.inv(spectra.jacobian) * spectra.sigma, dtype=np.float64)
    pixel = np.stack([x0, y0], axis=-1).astype(np.float64)
    derivatives, answering = _derivatives(waves), _cut(response, waves)
    planes = _cut(value, waves) * derivatives
    place, found = _climb(planes[:6], pixel, waves, back)
    place = place[found]
    without, is_there = _climb(_cut(spectra.image, waves) * derivatives[:6], place, waves, back)
    origin = np.where(is_there[:, None], without, place)
    values, moves = _at(planes, place, waves), _at(answering * derivatives, place, waves)
    sheared = [_at(answering * _of_shear(waves, a), place, waves) for a in (0, 1)]
    x, y = np.linalg.solve(back, (place - origin).T)
    sheared = [one - _along(moves, *way) for one, way in zip(sheared, ((x, -y), (y, x)), strict=True)]
    weight, answer = _weights(values, sheared, least, soft, curvature)
    kept = weight > 0
    return Peaks(*(part[kept] for part in (origin[:, 1], origin[:, 0], values[0], weight, answer)))


def _climb(planes: Complex128, start: Float64, waves: _Waves, back: Float64) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return the summits near places (x, y), and whether there is one."""
    place, found = start, np.zeros(len(start), dtype=bool)
    for _ in range(_NEWTON):
        _, vx, vy, xx, xy, yy = _at(planes, place, waves)
        determinant = xx * yy - xy**2
        is_summit = (determinant > 0) & (xx < 0)
        safe = np.where(is_summit, determinant, np.inf)
        way = -np.stack([yy * vx - xy * vy, xx * vy - xy * vx], axis=-1) / safe[:, None] @ back.T
        found = is_summit & (np.abs(way).max(axis=-1, initial=0.0) < _CLOSE)
        place = place + way / np.maximum(1.0, 2 * np.hypot(*way.T))[:, None]
        if found.all():
            break
    return place, found & (np.abs(place - start).max(axis=-1, initial=0.0) < _FAR)


def _along(derivatives: Float64, x: Float64, y: Float64) -> Float64:
    """Return the derivative along a way (x, y) of v, x, y, xx, xy and yy, from those of `_derivatives`."""
    _, vx, vy, xx, xy, yy, xxx, xxy, xyy, yyy = derivatives
    return np.asarray(x * np.stack([vx, xx, xy, xxx, xxy, xyy]) + y * np.stack([vy, xy, yy, xxy, xyy, yyy]))


def _waves(spectra: Spectra) -> _Waves:
    n = len(spectra.image)
    p1, p2 = wave_numbers(n, 1.0)
    # k.(J p) is what it is in pixels.
    (a, b), (c, d) = np.linalg.inv(spectra.jacobian).T * spectra.sigma
    low = np.hypot(a * p1 + b * p2, c * p1 + d * p2) < _LEAST
    rows, columns = np.flatnonzero(low.any(axis=1)), int(np.flatnonzero(low.any(axis=0)).max()) + 1
    p1, p2 = p1[:, :columns], p2[rows]
    share = half_plane(n)[:columns] / n**2 * low[rows, :columns]
    return _Waves(rows, columns, p1[0], p2[:, 0], a * p1 + b * p2, c * p1 + d * p2, share)


def _cut(plane: Complex128, waves: _Waves) -> Complex128:
    """Return the waves that count of a half plane, times their share."""
    return np.asarray(plane[waves.rows, : waves.columns] * waves.share)


def _at(planes: Complex128, place: Float64, waves: _Waves) -> Float64:
    """Return the values of planes at places (x, y) in pixels, shape (plane, place)."""
    along_x = np.exp(1j * np.multiply.outer(waves.p1, place[:, 0]))
    along_y = np.exp(1j * np.multiply.outer(waves.p2, place[:, 1]))
    return np.asarray(((planes @ along_x) * along_y).sum(axis=1).real)


def _derivatives(waves: _Waves) -> Complex128:
    """Return what makes v and its derivatives, in arcsec over s, up to the third: x, y, xx, xy, yy, xxx, …, yyy."""
    i, j = 1j * waves.k1, 1j * waves.k2
    one = np.ones_like(i)
    return np.stack([one, i, j, i * i, i * j, j * j, i**3, i * i * j, i * j * j, j**3])


def _of_shear(waves: _Waves, a: int) -> Complex128:
    """Return what makes the responses to g1 or g2 about the summit itself of v and its derivatives: x, y, xx, xy, yy.

    A pixel at (x, y) from the summit answers with ``G1 + x J1 - y J2`` to g1 and ``G2 + y J1 + x J2`` to g2, see
    `lensdask.shear.shapes.resmooth`, in units of s.
    """
    i, j = 1j * waves.k1, 1j * waves.k2
    if a == 0:
        pixel = j * j - i * i
        return np.stack([pixel, i * pixel - i, j * pixel + j, i * i * (pixel - 2), i * j * pixel, j * j * (pixel + 2)])
    pixel = -2 * i * j
    both = i * i + j * j
    return np.stack(
        [
            pixel,
            i * pixel - j,
            j * pixel - i,
            i * i * pixel - 2 * i * j,
            i * j * pixel - both,
            j * j * pixel - 2 * i * j,
        ]
    )


def _weights(
    values: Float64, sheared: list[Float64], least: float, soft: float, curvature: float
) -> tuple[Float64, Float64]:
    """Return the weights of summits and their response, shape (summit, 2)."""
    v, _, _, xx, xy, yy, xxx, xxy, xyy, yyy = values
    determinant, trace = xx * yy - xy**2, -(xx + yy)
    high, d_high = step_of(v - least, soft)
    kappa = 2 * determinant / trace / v
    round_, d_round = step_of(kappa - curvature, curvature)
    response = []
    for of_v, of_x, of_y, of_xx, of_xy, of_yy in sheared:
        dx, dy = -(yy * of_x - xy * of_y) / determinant, -(xx * of_y - xy * of_x) / determinant
        d_xx = of_xx + dx * xxx + dy * xxy
        d_xy = of_xy + dx * xxy + dy * xyy
        d_yy = of_yy + dx * xyy + dy * yyy
        d_determinant, d_trace = d_xx * yy + xx * d_yy - 2 * xy * d_xy, -(d_xx + d_yy)
        d_kappa = (2 * (d_determinant - determinant / trace * d_trace) / trace - kappa * of_v) / v
        response.append(d_high * of_v * round_ + high * d_round * d_kappa)
    return high * round_, np.stack(response, axis=-1)
