"""The second noise realisation of a whole coadd, which detection and all its stamps share.

An object is detected, and measured, on the image plus this renoise. What both make of it is one function of the pixels,
and its response to shear is that of the function only if both see the same renoise; so do objects that overlap. White
noise is drawn in squares of pixels keyed by their places on the sky, so that no two tiles of a survey have the same,
but where they overlap.
"""

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS
from scipy.signal import fftconvolve

from lensdask.random import Stream, normals
from lensdask.shear.noise import Noise, kernel_of_renoise

__all__ = ["ids_of_places", "renoise_of_image"]

Float64 = npt.NDArray[np.float64]

_SIDE = 64
"""Pixels on a side of a square."""


def ids_of_places(ra: Float64, dec: Float64) -> npt.NDArray[np.int64]:
    """Return ids that are those of places in degrees, to a milliarcsecond."""
    along, up = (np.rint(3.6e6 * angle).astype(np.int64) for angle in (ra % 360, dec + 90))
    return along << 30 | up


def renoise_of_image(wcs: WCS, shape: tuple[int, int], noise: Noise) -> npt.NDArray[np.float32]:
    """Return a realisation of the noise of an image, turned by 90 degrees where it is correlated.

    Parameters
    ----------
    wcs
        Of the image.
    shape
        Pixels along y and x.
    noise
        Its law.
    """
    ny, nx = shape
    if noise.sigma == 0:
        return np.zeros(shape, np.float32)
    # One square more on every side, from which correlated noise reaches into the image.
    rows, columns = (np.arange(-1, length // _SIDE + 2) for length in shape)
    x, y = np.meshgrid((columns + 0.5) * _SIDE, (rows + 0.5) * _SIDE)
    ids = ids_of_places(*(np.asarray(angle) for angle in wcs.all_pix2world(x.ravel(), y.ravel(), 0)))
    squares = normals(ids, _SIDE**2, 0, Stream.RENOISE).reshape(len(rows), len(columns), _SIDE, _SIDE)
    drawn = squares.swapaxes(1, 2).reshape(len(rows) * _SIDE, len(columns) * _SIDE)
    if noise.correlation is not None:
        drawn = fftconvolve(drawn, kernel_of_renoise(noise.correlation), mode="same")
    inside = drawn[_SIDE : _SIDE + ny, _SIDE : _SIDE + nx]
    return np.asarray(noise.sigma * inside, dtype=np.float32)
