"""The area on which a field is transformed: empty sky around it, and Gaussian smoothing.

A discrete transform takes a field for one tile of a periodic sky. Empty pixels beside the field keep what leaves one
edge from coming in at the opposite one. They are added after the last row and column: on a periodic area any place is
as good as another, so turns and mirrors of the field remain turns and mirrors of the result.
"""

from math import ceil

import numpy as np
import numpy.typing as npt
from scipy.fft import next_fast_len

from lensdask.arrays import Array, constant, namespace
from lensdask.conventions import ARCMIN
from lensdask.errors import check_number
from lensdask.fourier import multipoles

__all__ = ["area_shape", "gaussian_smoothing", "zero_padded"]


def area_shape(height: int, width: int, padding: float) -> tuple[int, int]:
    """Return the height and width of the area on which a field is transformed.

    Parameters
    ----------
    height, width
        Pixels of the field.
    padding
        Side of the area over that of the field, at least 1; sides are rounded up to what is quick to transform.

    Raises
    ------
    InputError
        The area would be smaller than the field.
    """
    check_number("padding", padding, least=1, meaning="the side of the area over that of the field")
    if padding == 1:
        return height, width
    return next_fast_len(ceil(padding * height), real=True), next_fast_len(ceil(padding * width), real=True)


def zero_padded(maps: Array, shape: tuple[int, int]) -> Array:
    """Return maps (..., y, x) with empty rows and columns added at the end to fill an area."""
    height, width = maps.shape[-2:]
    if (height, width) == shape:
        return maps
    xp = namespace(maps)
    area = xp.zeros((*maps.shape[:-2], *shape), dtype=maps.dtype, device=maps.device)
    area[..., :height, :width] = maps
    return area


def gaussian_smoothing(maps: Array, pixel_scale: float, sigma: float) -> Array:
    """Return periodic maps convolved with a round Gaussian of unit sum.

    Parameters
    ----------
    maps
        Shape (..., y, x).
    pixel_scale, sigma
        Arcmin; sigma is the standard deviation along each axis, and 0 leaves the maps as they are.

    Raises
    ------
    InputError
        sigma is no number from 0 on.
    """
    check_number("smoothing", sigma, least=0, meaning="the standard deviation of a Gaussian in arcmin, 0 for none")
    if sigma == 0:
        return maps
    xp = namespace(maps)
    modes = xp.fft.rfftn(maps, axes=(-2, -1))
    modes = modes * constant(_gaussian, *maps.shape[-2:], float(pixel_scale), float(sigma), reference=maps)
    return xp.fft.irfftn(modes, s=maps.shape[-2:], axes=(-2, -1))


def _gaussian(height: int, width: int, pixel_scale: float, sigma: float) -> npt.NDArray[np.float64]:
    l1, l2 = multipoles((height, width), pixel_scale)
    return np.asarray(np.exp(-((l1**2 + l2**2) * (sigma * ARCMIN) ** 2) / 2))
