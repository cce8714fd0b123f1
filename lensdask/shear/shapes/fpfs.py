"""FPFS: ellipticity, flux and their shear responses from four Gaussian-weighted moments.

The image is deconvolved and projected on polar shapelets in Fourier space. With ``u = k² s²`` and
``S(w) = sum over k of Re[F[image] / P exp(-u/2) w] / (n² scale²)``::

    m00  = S(1)                               m40  = S(1 - 2u + u²/2)
    m22c = S(-s² (k1² - k2²) / sqrt2)         m22s = S(-s² 2 k1 k2 / sqrt2)
    m44c = S(s⁴ (k1⁴ - 6 k1² k2² + k2⁴) / sqrt24)    m44s = S(s⁴ 4 k1 k2 (k1² - k2²) / sqrt24)

    e1 = m22c / (m00 + C)      e2 = m22s / (m00 + C)      flux = 2 pi s² m00

Under shear the moments move into each other, which gives the responses in closed form (Li & Mandelbaum 2023)::

    dm00/dg1 = -sqrt2 m22c                              dm00/dg2 = -sqrt2 m22s
    dm22c/dg1 = (m00 - m40) / sqrt2 - sqrt3 m44c        dm22s/dg2 = (m00 - m40) / sqrt2 + sqrt3 m44c
    dm22c/dg2 = dm22s/dg1 = -sqrt3 m44s

Values are taken from image + renoise, derivatives from image - renoise.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant, like, namespace, to_numpy
from lensdask.errors import check_number
from lensdask.fourier import half_plane, sample_plane, wave_numbers
from lensdask.shear.shapes.deconvolution import (
    Places,
    double_psf,
    moved,
    planes_of,
    shifted,
    truncated_inverse,
    turned_psf,
)

__all__ = ["FPFS", "Moments", "fpfs_shapes", "make_moments", "sum_of"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FPFS:
    """Settings of the estimator. Numbers measured with other settings cannot be compared."""

    sigma: float = 0.52
    """Scale s of the shapelets, arcsec."""
    C: float = 8.4
    """Weighting constant added to m00, flux at zero point 30; it tames faint galaxies."""

    def __post_init__(self) -> None:
        """Refuse a scale that is none, and a constant that could make a flux of 0."""
        check_number("fpfs sigma", self.sigma, above=0, meaning="arcsec")
        check_number("fpfs C", self.C, least=0)


@dataclass(frozen=True)
class Moments:
    """The linear map from pixels to the six moments, for the PSF and for the PSF turned by 90 degrees."""

    kernel: Array
    """``exp(-u/2) / P``, which multiplies planes: shape (n, n // 2 + 1), or one for each stamp or each of some PSFs."""
    kernel90: Array
    """The same for the turned PSF."""
    pixels: Float64 | None
    """Weights in real space, shape (n, n, 6), or (psf, n, n, 6), where stamps share PSFs."""
    pixels90: Float64 | None
    """The same for the turned PSF."""
    pixel_scale: float
    """Arcsec per pixel."""
    settings: FPFS
    """Scale and weighting constant that the moments are for."""
    index: npt.NDArray[np.int64] | None = None
    """Which of some PSFs each stamp has; all have the one, or their own, when none."""

    def pick(self, index: npt.NDArray[np.int64]) -> "Moments":
        """Return the moments of stamps that have one of several shared PSFs each, given by its index."""
        if self.pixels is None or self.pixels90 is None:
            raise ValueError("moments of one PSF per stamp; expected moments made with shared=True")
        return replace(self, index=index)

    def of_stamps(self, array: Array) -> Array:
        """Return kernels or weights of PSFs as those of the stamps; no more is copied than is asked for."""
        return array if self.index is None else array[self.index]


def _gaussian(n: int, pixel_scale: float, sigma: float) -> Float64:
    k1, k2 = wave_numbers(n, pixel_scale)
    return np.asarray(np.exp(-(k1**2 + k2**2) * sigma**2 / 2))


def _polynomials(n: int, pixel_scale: float, sigma: float) -> Float64:
    """Return the six w of the module's formulas over the half plane, shape (6, n, n // 2 + 1)."""
    k1, k2 = wave_numbers(n, pixel_scale)
    u = (k1**2 + k2**2) * sigma**2
    x, y = k1 * sigma, k2 * sigma
    return np.stack(
        [
            np.ones_like(u),
            1 - 2 * u + u**2 / 2,
            -(x**2 - y**2) / np.sqrt(2),
            -2 * x * y / np.sqrt(2),
            (x**4 - 6 * x**2 * y**2 + y**4) / np.sqrt(24),
            4 * x * y * (x**2 - y**2) / np.sqrt(24),
        ]
    )


def _weights(n: int, pixel_scale: float, sigma: float) -> Float64:
    """Return what sums the six moments over the half plane, shape (n, n // 2 + 1, 6)."""
    scaled = _polynomials(n, pixel_scale, sigma) * half_plane(n) / (n * pixel_scale) ** 2
    return np.ascontiguousarray(np.moveaxis(scaled, 0, -1))


def _pixel_weights(kernel: Array, pixel_scale: float, sigma: float) -> Float64:
    """Return real-space weights: S(w) is linear in the pixels, and this is its matrix."""
    n = kernel.shape[-2]
    polynomials = _polynomials(n, pixel_scale, sigma) / pixel_scale**2
    plane = polynomials.reshape(6, *(1,) * (kernel.ndim - 2), *polynomials.shape[1:]) * to_numpy(kernel)
    # Re sum_k F[image] W = sum_x image(x) F^-1[conj W](x) n²; the 1/n² of S is that of the inverse transform.
    pixels = np.asarray(sample_plane(np.conj(plane), pixel_scale, n, pixel_scale))
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1))


def make_moments(psf: Array, *, pixel_scale: float, settings: FPFS | None = None, shared: bool = False) -> Moments:
    """Prepare the moments of stamps that share one PSF, or have one each.

    Parameters
    ----------
    psf
        PSF image including the pixel, sum 1, centred on the origin, shape (n, n) or (galaxy, n, n).
    pixel_scale
        Arcsec per pixel.
    settings
        Scale and weighting constant.
    shared
        Whether a stack of PSFs, shape (psf, n, n), is not one per stamp but a few for many stamps, to choose among with
        `Moments.pick`: weights in real space take longer to prepare and far less to apply.
    """
    settings = settings or FPFS()
    psf = double_psf(psf)
    gaussian = constant(_gaussian, psf.shape[-1], pixel_scale, settings.sigma, reference=psf)
    kernel, kernel90 = (gaussian * truncated_inverse(p, pixel_scale) for p in (psf, turned_psf(psf)))
    if psf.ndim > 2 and not shared:
        return Moments(kernel, kernel90, None, None, pixel_scale, settings)
    pixels, pixels90 = (_pixel_weights(one, pixel_scale, settings.sigma) for one in (kernel, kernel90))
    return Moments(kernel, kernel90, pixels, pixels90, pixel_scale, settings)


def _project(images: Array, pixels: Array) -> Array:
    """Return the six moments of stamps, shape (6, galaxy): one matrix product."""
    xp = namespace(images)
    # In double: single-precision products err to one side with the kernels of some processors, and c by 1e-7.
    # A product for each row of pixels is too small for BLAS to share it out among threads, which may change bits.
    images = xp.astype(images, xp.float64)
    pixels = like(pixels, images)
    if pixels.ndim > 3:
        each = xp.matmul(images[:, :, None, :], pixels)
        return xp.sum(each[:, :, 0, :], axis=1).T
    rows = xp.matmul(xp.permute_dims(images, (1, 0, 2)), pixels)
    return xp.sum(rows, axis=0).T


def sum_of(plane: Array, weights: Array) -> Array:
    """Return sums of half planes, shape (galaxy, n, m), times weights, shape (n, m, sum): shape (sum, galaxy)."""
    xp = namespace(plane)
    # As in `_project`.
    rows = xp.matmul(xp.permute_dims(xp.real(plane), (1, 0, 2)), weights)
    return xp.sum(rows, axis=0).T


def _moments(
    images: Array, moments: Moments, renoise: Array | None, places: Places | None
) -> tuple[Array, Array, list[Array]]:
    """Return the moments of V; those of D; and what shear adds to those of V at places, for g1 and g2."""
    if moments.pixels is not None and places is None:
        value = response = _project(images, moments.of_stamps(moments.pixels))
        if renoise is not None:
            second = _project(renoise, moments.of_stamps(moments.pixels90))
            value, response = value + second, value - second
        return value, response, []
    images = namespace(images).astype(images, namespace(images).float64)
    kernels = moments.of_stamps(moments.kernel), moments.of_stamps(moments.kernel90)
    planes = planes_of(images, *kernels, renoise)
    weights = constant(_weights, images.shape[-1], moments.pixel_scale, moments.settings.sigma, reference=images)
    if places is None:
        return sum_of(planes.value, weights), sum_of(planes.response, weights), []
    planes = shifted(planes, places.position, moments.pixel_scale)
    added = [sum_of(plane, weights) for plane in moved(planes, places, moments.pixel_scale)]
    return sum_of(planes.value, weights), sum_of(planes.response, weights), added


def fpfs_shapes(images: Array, moments: Moments, renoise: Array | None = None, places: Places | None = None) -> Array:
    """Return ellipticity, flux and their shear responses.

    Parameters
    ----------
    images
        Observed stamps, shape (galaxy, n, n), NumPy, CuPy or torch.
    moments
        From `make_moments`.
    renoise
        Independent noise with the variance of the image noise, same shape; none for noiseless images.
    places
        Where the galaxies are, about which they are measured; the middle of the stamp when none.

    Returns
    -------
    Array
        Shape (9, galaxy): e1, e2, de1_dg1, de1_dg2, de2_dg1, de2_dg2, flux, dflux_dg1, dflux_dg2.
    """
    xp = namespace(images)
    value, response, added = _moments(images, moments, renoise, places)
    scale = value[0] + moments.settings.C
    e1, e2 = value[2] / scale, value[3] / scale
    m00, m40, m22c, m22s, m44c, m44s = response
    trace, cross = (m00 - m40) / 2**0.5, -(3**0.5) * m44s
    dm00 = [-(2**0.5) * m22c, -(2**0.5) * m22s]
    dm22c, dm22s = [trace - 3**0.5 * m44c, cross], [cross, trace + 3**0.5 * m44c]
    for a, extra in enumerate(added):
        for derivative, k in ((dm00, 0), (dm22c, 2), (dm22s, 3)):
            derivative[a] = derivative[a] + extra[k]
    de1 = [(d - e1 * s) / scale for d, s in zip(dm22c, dm00, strict=True)]
    de2 = [(d - e2 * s) / scale for d, s in zip(dm22s, dm00, strict=True)]
    area = 2 * np.pi * moments.settings.sigma**2
    return xp.stack([e1, e2, *de1, *de2, area * value[0], area * dm00[0], area * dm00[1]])
