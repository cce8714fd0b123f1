"""PSFs of anybody's: read, checked, and shifted to the centre of the stamp."""

import warnings
from collections.abc import Sequence
from typing import Any

import galsim
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lensdask.arrays import Array
from lensdask.conventions import stamp_origin
from lensdask.errors import InputError
from lensdask.fourier import centred_rfft2, coordinates, sample_plane, wave_numbers
from lensdask.shear.pixels import real_array

__all__ = ["centred_psf", "check_psf", "read_psf"]

Float64 = npt.NDArray[np.float64]

_CENTRING = 0.25
"""Tolerated offset of a PSF in pixels; one on pixel n // 2 is off by 0.7, which biases m by -14 %."""

_CENTRED = 2e-3
"""Offset in pixels that is left alone; it biases m by 1e-4, 0.05 pixels by 2.6e-3 and 0.24 by 2e-2."""

_NORMALISATION = 0.05
"""A PSF stamp loses light beyond its edge, 0.1 % for the default; more than 5 % is another mistake."""

_LOST_LIGHT = 0.005
"""Light beyond the edge of a PSF stamp of which to warn; 0.8 % bias m by 1.2e-3 and 1.7 % by 5e-3."""

_SAME_SCALE = 1e-3
"""By how much of it pixel scales may differ."""


def read_psf(psf: Array | galsim.Image | Sequence[galsim.Image], pixel_scale: float) -> Float64:
    """Return the pixels of PSFs; images of GalSim must have the pixel scale of the stamps, if they have one.

    Raises
    ------
    InputError
        They are no real numbers, or of another pixel scale.
    """
    images: Sequence[Any] = psf if isinstance(psf, list | tuple) else [psf]
    if not all(isinstance(image, galsim.Image) for image in images):
        return real_array(psf, "psf").astype(np.float64)
    for image in images:
        scale = image.wcs and float(image.wcs.pixelArea(image_pos=image.true_center)) ** 0.5
        if scale and abs(scale / pixel_scale - 1) > _SAME_SCALE:
            raise InputError(f"psf: {scale:.5g} arcsec per pixel; expected {pixel_scale:g}, as of the stamps")
    if len({image.array.shape for image in images}) > 1:
        raise InputError("psf: images of several sizes; expected one")
    arrays = np.stack([real_array(image.array, "psf") for image in images]).astype(np.float64)
    return arrays if isinstance(psf, list | tuple) else arrays[0]


def check_psf(psf: Float64, stamp: tuple[int, ...], count: int) -> None:
    """Refuse what is no PSF on the pixels of stamps, and warn of one that lacks light.

    Parameters
    ----------
    psf
        From `read_psf`.
    stamp
        Shape (n, n) of a stamp.
    count
        Number of PSFs where there is a stack of them.

    Raises
    ------
    InputError
        The shape is another, the sum is not 1, or the centroid is far from the centre.
    """
    if psf.shape not in (stamp, (count, *stamp)):
        raise InputError(f"psf: shape {psf.shape}; expected {stamp} or {(count, *stamp)}, the pixels of the stamps")
    if not np.isfinite(psf).all():
        raise InputError("psf: pixels are not finite; expected numbers")
    sums = np.atleast_1d(psf.sum(axis=(-2, -1)))
    worst = sums[np.argmax(np.abs(sums - 1))]
    if abs(worst - 1) > _NORMALISATION:
        raise InputError(f"psf: the pixels sum to {worst:.4g}; expected 1 within {_NORMALISATION:.0%}")
    offset, middle = np.hypot(*_centroid(psf)).max(), stamp_origin(psf.shape[-1])
    if offset > _CENTRING:
        raise InputError(
            f"psf: its centroid is {offset:.2f} pixels from ({middle}, {middle}); expected the geometric centre "
            "of the stamp, on both axes: shift stamps and PSF by half a pixel if they are centred on a pixel"
        )
    lost = _lost_light(psf)
    if lost > _LOST_LIGHT:
        warnings.warn(
            f"psf: about {lost:.1%} of its light is beyond the edge of the stamp, which biases shear; expected larger "
            "stamps of galaxies and PSF",
            stacklevel=3,
        )


def centred_psf(psf: Float64) -> Float64:
    """Return PSFs, shape (..., n, n), with their centroids in the geometric centre; what is shifted is told.

    Waves are shifted, as in a periodic image, so nothing is interpolated.
    """
    dx, dy = _centroid(psf)
    is_off = np.hypot(dx, dy) > _CENTRED
    if not is_off.any():
        return psf
    n, worst = psf.shape[-1], np.hypot(dx, dy).max()
    k1, k2 = wave_numbers(n, 1.0)
    plane = centred_rfft2(psf) * np.exp(1j * (k1 * dx[..., None, None] + k2 * dy[..., None, None]))
    # The waves of Nyquist's frequency are not measured, and cannot be shifted.
    plane[..., n // 2, :] = plane[..., :, n // 2] = 0
    what = f"{np.count_nonzero(is_off)} centroids are up to" if psf.ndim > 2 else "its centroid is"
    line = f"psf: {what} {worst:.2g} pixels from the centre of the stamp; shifted to it, where the galaxies must be too"
    warnings.warn(line, stacklevel=3)
    return np.where(is_off[..., None, None], sample_plane(plane, 1.0, n, 1.0), psf)


def _centroid(psf: Float64) -> tuple[Float64, Float64]:
    """Return x and y of the centroids of PSFs from the centre, in pixels."""
    x = coordinates(psf.shape[-1], 1.0)
    flux = psf.sum(axis=(-2, -1))
    return np.asarray((psf.sum(axis=-2) @ x) / flux), np.asarray((psf.sum(axis=-1) @ x) / flux)


def _lost_light(psf: Float64) -> float:
    """Return the part of the light of PSFs that is beyond the edge of their stamps.

    It is what the sum lacks of 1, or, for PSFs of unit sum, what the mean brightness of the edge tells: outside of an
    area A a profile that falls as r^-5, a Moffat of slope 2.5, has 2 A / 3 times the brightness at its edge. The edge
    is that of the stamp, or of the zeros around a PSF that was cut smaller.
    """
    mean = psf.reshape(-1, *psf.shape[-2:]).mean(axis=0)
    inside = mean != 0
    edge = inside & ~ndimage.binary_erosion(inside)
    return float(max(1 - mean.sum(), 2 / 3 * np.count_nonzero(inside) * mean[edge].mean()))
