"""Resmoothing with renoise, and the shear response of every resmoothed pixel.

The observed image is deconvolved from its PSF and convolved with a round Gaussian h, so that the anisotropy of the
PSF is gone. A second, independent noise realisation, deconvolved by the PSF turned by 90 degrees, makes the noise
isotropic too, and gives the noise bias of the response an exact counter term (Li 2025; Lin, Li et al. 2026,
section 2.1). With ``K = h / P`` and ``K90`` its counterpart for the turned PSF::

    value      V = F[image] K + F[noise] K90            f_h = F^-1[V]
    response   D = F[image] K - F[noise] K90
    df_h/dg1 = F^-1[s² (k1² - k2²) D] - x1 F^-1[i k1 D] + x2 F^-1[i k2 D]
    df_h/dg2 = F^-1[s² (2 k1 k2)   D] - x2 F^-1[i k1 D] - x1 F^-1[i k2 D]

The opposite signs of the noise in V and D are what cancels the noise bias. The published equations 3 and 14 carry
the same sign twice, lack ``s²`` and reverse the sign of the gradient terms; these forms agree with finite
differences of re-rendered galaxies.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from array_api_compat import is_array_api_obj

from lensdask.arrays import Array, constant, like, namespace
from lensdask.conventions import FWHM_PER_SIGMA
from lensdask.fourier import centred_rfft2, coordinates, sample_plane, wave_numbers

__all__ = ["Grid", "Resmoothed", "Resmoother", "make_resmoother", "resmooth", "truncated_inverse"]

K_LIMIT = 3.0
"""Wave numbers beyond ``K_LIMIT / pixel_scale`` are dropped: the Nyquist row has no Hermitian partner."""


class Grid(NamedTuple):
    """Square output grid centred on the origin."""

    points: int
    """Points on a side."""
    spacing: float
    """Distance between points in arcsec."""


class Resmoothed(NamedTuple):
    """Resmoothed images and their shear response, each of shape (..., points, points)."""

    value: Array
    """f_h, in flux per input pixel."""
    dg1: Array
    """df_h/dg1."""
    dg2: Array
    """df_h/dg2."""


@dataclass(frozen=True)
class Resmoother:
    """Everything of a resmoothing that depends on the PSF alone, ready for many batches."""

    kernel: Array
    """K, complex128: shape (n, n // 2 + 1), (galaxy, n, n // 2 + 1) with one PSF per stamp, or (psf, n, n // 2 + 1)."""
    kernel90: Array
    """K of the PSF turned by 90 degrees."""
    sigma: float
    """Standard deviation of the Gaussian h, arcsec."""
    pixel_scale: float
    """Pixel scale of the input, arcsec."""
    grid: Grid
    """Output grid."""

    def pick(self, index: npt.NDArray[np.int64]) -> "Resmoother":
        """Return the resmoother of stamps that have one of several PSFs each, given by its index."""
        return replace(self, kernel=self.kernel[index], kernel90=self.kernel90[index])


def double_psf(psf: Array) -> Array:
    """Return a PSF in double precision, an array of its own library and device; lists and the like become NumPy's."""
    psf = psf if is_array_api_obj(psf) else np.asarray(psf)
    xp = namespace(psf)
    return xp.astype(psf, xp.float64)


def turned_psf(psf: Array) -> Array:
    """Return a PSF, shape (..., n, n), turned by 90 degrees."""
    xp = namespace(psf)
    return xp.matrix_transpose(xp.flip(psf, axis=-1))


def _is_inside(n: int, pixel_scale: float) -> npt.NDArray[np.float64]:
    """Return 1 for waves below the limit and 0 for the others, shape (n, n // 2 + 1)."""
    return (np.hypot(*wave_numbers(n, pixel_scale)) < K_LIMIT / pixel_scale).astype(np.float64)


def truncated_inverse(psf: Array, pixel_scale: float) -> Array:
    """Return 1/P(k) inside ``K_LIMIT / pixel_scale`` and zero outside, complex128.

    Parameters
    ----------
    psf
        PSF image including the pixel, centred like the stamps, shape (..., n, n), double precision of any library.
    pixel_scale
        Arcsec per pixel.
    """
    inside = constant(_is_inside, psf.shape[-1], pixel_scale, reference=psf) > 0
    xp, transfer = namespace(psf), centred_rfft2(psf)
    safe = xp.where(inside, transfer, xp.ones_like(transfer))
    return xp.where(inside, 1.0 / safe, xp.zeros_like(transfer))


def _gaussian(n: int, pixel_scale: float, sigma: float) -> npt.NDArray[np.float64]:
    """Return the transform of h, shape (n, n // 2 + 1)."""
    k1, k2 = wave_numbers(n, pixel_scale)
    return np.asarray(np.exp(-(k1**2 + k2**2) * sigma**2 / 2))


def make_resmoother(psf: Array, *, pixel_scale: float, fwhm: float = 0.85, grid: Grid | None = None) -> Resmoother:
    """Prepare the resmoothing of stamps that share one PSF, or have one each, or one of a few.

    Parameters
    ----------
    psf
        PSF image including the pixel, sum 1, centred on the origin, shape (n, n) or (galaxy, n, n); or (psf, n, n), to
        choose among with `Resmoother.pick`. The kernels are made by its library, where it is held.
    pixel_scale
        Arcsec per pixel.
    fwhm
        Full width at half maximum of the Gaussian h, arcsec.
    grid
        Output grid; the input pixels when not given. The response is exact at any sample points.
    """
    psf = double_psf(psf)
    n = psf.shape[-1]
    sigma = fwhm / FWHM_PER_SIGMA
    gaussian = constant(_gaussian, n, pixel_scale, sigma, reference=psf)
    return Resmoother(
        kernel=gaussian * truncated_inverse(psf, pixel_scale),
        kernel90=gaussian * truncated_inverse(turned_psf(psf), pixel_scale),
        sigma=sigma,
        pixel_scale=pixel_scale,
        grid=grid or Grid(n, pixel_scale),
    )


def _multipliers(n: int, pixel_scale: float, sigma: float) -> npt.NDArray[np.complex128]:
    """Return what makes G1, G2, J1, J2 of the module's formulas of a plane, shape (4, n, n // 2 + 1)."""
    k1, k2 = wave_numbers(n, pixel_scale)
    return np.stack([sigma**2 * (k1**2 - k2**2), sigma**2 * 2 * k1 * k2, -1j * k1 + 0 * k2, -1j * k2 + 0 * k1])


def _kernel(kernel: Array, planes: Array) -> Array:
    """Return a kernel in the library, device and precision of what it multiplies."""
    return namespace(planes).astype(like(kernel, planes), planes.dtype, copy=False)


def resmooth(images: Array, resmoother: Resmoother, renoise: Array | None = None) -> Resmoothed:
    """Return resmoothed images and the shear response of their pixels.

    Parameters
    ----------
    images
        Observed stamps, shape (galaxy, n, n), NumPy, CuPy or torch.
    resmoother
        From `make_resmoother`.
    renoise
        Independent noise with the variance of the image noise, same shape; none for noiseless images.
    """
    xp = namespace(images)
    planes = centred_rfft2(images)
    value = planes * _kernel(resmoother.kernel, planes)
    response = value
    if renoise is not None:
        second = centred_rfft2(renoise) * _kernel(resmoother.kernel90, planes)
        value, response = value + second, value - second
    scales = images.shape[-1], resmoother.pixel_scale, resmoother.sigma
    multipliers = constant(_multipliers, *scales, reference=value)
    planes = xp.stack([value, *(response * multipliers[i, ...] for i in range(4))])
    sampled = sample_plane(planes, resmoother.pixel_scale, *resmoother.grid)
    # The array API standard does not iterate over arrays.
    value, G1, G2, J1, J2 = (sampled[i, ...] for i in range(5))
    x1 = constant(coordinates, *resmoother.grid, reference=value)
    x2 = x1[:, None]
    return Resmoothed(value, G1 + x1 * J1 - x2 * J2, G2 + x2 * J1 + x1 * J2)
