"""The PSF of a coadd: from a file or a model, on the stamps of its objects."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from lensdask.arrays import Array
from lensdask.errors import InputError

__all__ = ["on_stamps", "psfs_of_model", "read_psf_file"]

Float64 = npt.NDArray[np.float64]

_SAME_SCALE = 1e-3
"""By how much of it the pixel scale of a PSF may differ from that of the coadd."""


def read_psf_file(path: str | Path, pixel_scale: float) -> Float64:
    """Return the first image of a FITS file, whose header must not state another pixel scale than that of the coadd.

    Raises
    ------
    InputError
        It cannot be read, has no image, or states another pixel scale.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            images = [(hdu.data, hdu.header) for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2]
    except OSError as error:
        raise InputError(f"{path}: {error}; expected a FITS image of the PSF") from error
    if not images:
        raise InputError(f"{path}: no image of two axes; expected the PSF")
    pixels, header = images[0]
    stated = _stated_scale(header)
    if stated is not None and abs(stated / pixel_scale - 1) > _SAME_SCALE:
        raise InputError(f"{path}: {stated:.5g} arcsec per pixel; expected {pixel_scale:.5g}, as of the coadd")
    return np.asarray(pixels, dtype=np.float64)


def _stated_scale(header: fits.Header) -> float | None:
    """Return arcsec per pixel by a header, none where it states none."""
    for name in ("PIXSCALE", "PIXELSCL"):
        if name in header:
            return float(header[name])
    wcs = WCS(header)
    return 3600 * float(np.sqrt(wcs.proj_plane_pixel_area().value)) if wcs.has_celestial else None


def psfs_of_model(psf: Callable[[float, float], Array], x: Float64, y: Float64) -> Float64:
    """Return the PSFs of a model, a function of x and y in pixels, at places, shape (place, n, n).

    Raises
    ------
    InputError
        Some are of another shape.
    """
    images = [np.asarray(psf(float(a), float(b)), dtype=np.float64) for a, b in zip(x, y, strict=True)]
    for a, b, image in zip(x, y, images, strict=True):
        if image.shape != images[0].shape or image.ndim != 2:
            raise InputError(f"psf: shape {image.shape} at ({a:.1f}, {b:.1f}); expected (n, n), the same everywhere")
    return np.stack(images)


def on_stamps(psf: Float64, size: int) -> Float64:
    """Return PSFs, shape (..., n, n), on stamps of an even size.

    Where n is odd, the middle is moved from that of a pixel to a corner of four, by half a pixel of x and y.

    Raises
    ------
    InputError
        They are no square images.
    """
    if psf.ndim not in (2, 3) or psf.shape[-1] != psf.shape[-2]:
        raise InputError(f"psf: shape {psf.shape}; expected (n, n) or (object, n, n)")
    n = psf.shape[-1]
    if n % 2:
        # The mean of a pixel and its neighbours is in the middle between them: a shift of half a pixel in x and y.
        waves = np.fft.fftfreq(n + 1)
        padded = np.pad(psf, [(0, 0)] * (psf.ndim - 2) + [(0, 1), (0, 1)])
        shift = np.exp(-1j * np.pi * (waves + waves[:, None]))
        shift[(n + 1) // 2] = shift[:, (n + 1) // 2] = 0.0
        psf, n = np.fft.ifft2(np.fft.fft2(padded) * shift).real, n + 1
    edge = (size - n) // 2
    if edge < 0:
        return psf[..., -edge:edge, -edge:edge]
    return np.pad(psf, [(0, 0)] * (psf.ndim - 2) + [(edge, edge)] * 2)
