"""Peaks of a smoothed image, with weights that answer to shear.

An image is deconvolved from its PSF and smoothed with a round Gaussian, as for a measurement (see
`lensdask.shear.shapes.resmooth`), with v the value of a pixel. A pixel p is a detection with the weight of AnaCal
(Li et al. 2024; the local background of its later versions is not subtracted)::

    w = S(v_p - v_min; ω_f) product over q of S(v_p - v_q - ω_v; ω_v)

where q runs over the pixels around p and S(x; ω) rises from 0 at -ω to 1 at ω, smoothly. So a weight is more than 0
only where p is higher than all pixels around it, one detection in a neighbourhood, and goes to 0 where a pixel gains on
it or its flux falls: no detection is cut off. Its response follows from those of the pixels, with the sky sheared about
the pixel p itself::

    dw/dg = w [S'(v_p) dv_p/dg / S(v_p) + sum over q of S'(v_p - v_q) (dv_p/dg - dv_q/dg) / S(v_p - v_q)]
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["Peaks", "SmoothedImage", "disc_around", "find_peaks", "step_of"]

Float64 = npt.NDArray[np.float64]


class SmoothedImage(NamedTuple):
    """A smoothed image and its shear response, each of shape (y, x)."""

    value: Float64
    """v, flux per pixel."""
    dg1: Float64
    """Response to g1 of the sky at the pixel about which it is sheared."""
    dg2: Float64
    """Response to g2."""
    along_1: Float64
    """What a pixel one arcsec off that one along x answers more; -dv/dx of image minus renoise."""
    along_2: Float64
    """The same along y."""


class Peaks(NamedTuple):
    """Detections, in the order of their rows."""

    y: npt.NDArray[Any]
    """Place along y, pixels counted from 0."""
    x: npt.NDArray[Any]
    """Place along x."""
    value: Float64
    """v there."""
    weight: Float64
    """w."""
    response: Float64
    """dw/dg1 and dw/dg2, shape (peak, 2)."""


def disc_around(radius: int) -> npt.NDArray[np.int64]:
    """Return the places (dy, dx) of all pixels around one as near as a radius, shape (pixel, 2)."""
    along = np.arange(-radius, radius + 1)
    squared = along[:, None] ** 2 + along**2
    return np.argwhere((squared > 0) & (squared <= radius**2)) - radius


def find_peaks(
    image: SmoothedImage, jacobian: Float64, disc: npt.NDArray[np.int64], least: float, soft: float, step: float
) -> Peaks:
    """Return the detections of an image that are nowhere nearer to its edges than the disc reaches.

    Parameters
    ----------
    image
        Smoothed image.
    jacobian
        ∂(x, y of the sky)/∂(x, y), arcsec per pixel.
    disc
        Pixels around one, from `disc_around`.
    least, soft, step
        v_min, ω_f and ω_v.
    """
    v, reach = image.value, int(disc.max())
    footprint = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=bool)
    footprint[tuple(disc.T + reach)] = True
    highest = ndimage.maximum_filter(v, footprint=footprint, mode="constant", cval=np.inf)
    y, x = np.nonzero((v > highest) & (v > least - soft))
    around = tuple(place[:, None] + offset for place, offset in zip((y, x), disc.T, strict=True))
    west, north = (row[0] * disc[:, 1] + row[1] * disc[:, 0] for row in jacobian)
    along_1, along_2 = image.along_1[around], image.along_2[around]
    dv = np.stack([image.dg1[y, x], image.dg2[y, x]], axis=-1)
    dq = np.stack(
        [
            image.dg1[around] + west * along_1 - north * along_2,
            image.dg2[around] + north * along_1 + west * along_2,
        ],
        axis=-1,
    )
    value, rise = step_of(v[y, x] - least, soft)
    values, rises = step_of(v[y, x, None] - v[around] - step, step)
    weight = value * values.prod(axis=1)
    logarithmic = (rise / value)[:, None] * dv + np.einsum("pq,pqi->pi", rises / values, dv[:, None] - dq)
    return Peaks(y, x, v[y, x], weight, weight[:, None] * logarithmic)


def step_of(x: Float64, width: float) -> tuple[Float64, Float64]:
    """Return S(x; ω), 3 t² - 2 t³ with t from 0 to 1 over ±ω, and its derivative."""
    t = np.clip(x / (2 * width) + 0.5, 0.0, 1.0)
    return t**2 * (3 - 2 * t), 3 * t * (1 - t) / width
