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

from lensdask.arrays import Array, constant, namespace
from lensdask.conventions import FWHM_PER_SIGMA
from lensdask.fourier import coordinates, sample_plane, wave_numbers
from lensdask.shear.shapes.deconvolution import (
    Places,
    double_psf,
    moved,
    planes_of,
    shifted,
    truncated_inverse,
    turned_psf,
)

__all__ = ["Grid", "Resmoothed", "Resmoother", "make_resmoother", "resmooth"]


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


def resmooth(
    images: Array, resmoother: Resmoother, renoise: Array | None = None, places: Places | None = None
) -> Resmoothed:
    """Return resmoothed images and the shear response of their pixels.

    Parameters
    ----------
    images
        Observed stamps, shape (galaxy, n, n), NumPy, CuPy or torch.
    resmoother
        From `make_resmoother`.
    renoise
        Independent noise with the variance of the image noise, same shape; none for noiseless images.
    places
        Where the galaxies are, if not in the middle: there they are in the resmoothed images.
    """
    planes, scale = planes_of(images, resmoother.kernel, resmoother.kernel90, renoise), resmoother.pixel_scale
    if places is not None:
        planes = shifted(planes, places.position, scale)
    value, response = planes
    multipliers = constant(_multipliers, images.shape[-1], scale, resmoother.sigma, reference=value)
    of_shear = [response * multipliers[i, ...] for i in range(4)]
    if places is not None:
        for a, extra in enumerate(moved(planes, places, scale)):
            of_shear[a] = of_shear[a] + extra
    sampled = sample_plane(namespace(images).stack([value, *of_shear]), scale, *resmoother.grid)
    # The array API standard does not iterate over arrays.
    value, G1, G2, J1, J2 = (sampled[i, ...] for i in range(5))
    x1 = constant(coordinates, *resmoother.grid, reference=value)
    x2 = x1[:, None]
    return Resmoothed(value, G1 + x1 * J1 - x2 * J2, G2 + x2 * J1 + x1 * J2)
