"""From lenses to images: rays traced back to the source, the PSF, and the noise of a survey."""

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant, index_like, like, namespace
from lensdask.conventions import FWHM_PER_SIGMA
from lensdask.fourier import coordinates
from lensdask.random import Stream, normals
from lensdask.stats.poisson import poisson_counts
from lensdask.stronglens.simulation.deflectors import line, points, pseudo_jaffe, shear, sie
from lensdask.stronglens.simulation.lenses import Lenses
from lensdask.stronglens.simulation.presets import Survey
from lensdask.stronglens.simulation.sources import sersic

__all__ = ["blurred", "deflection", "lensed_images", "noise_variance", "noisy", "pixels"]

Float64 = npt.NDArray[np.float64]

_TRUNCATION = 5
"""Standard deviations at which the PSF ends, as in lenstronomy."""


def deflection(x: Array, y: Array, lenses: Lenses) -> tuple[Array, Array]:
    """Return the whole deflection, arcsec.

    Parameters
    ----------
    x, y
        Places in the image, as for `lensdask.stronglens.simulation.deflectors`.
    lenses
        Of the same library and precision.
    """
    parts = [sie(x, y, lenses.macro), shear(x, y, lenses.macro)]
    if lenses.points is not None:
        parts.append(points(x, y, lenses.points))
    if lenses.haloes is not None:
        parts.append(pseudo_jaffe(x, y, lenses.haloes))
    if lenses.line is not None:
        parts.append(line(x, y, lenses.line))
    alpha_x, alpha_y = parts[0]
    for more_x, more_y in parts[1:]:
        alpha_x, alpha_y = alpha_x + more_x, alpha_y + more_y
    return alpha_x, alpha_y


def lensed_images(lenses: Lenses, survey: Survey, size: int, reference: Array) -> Array:
    """Return images without noise, with the PSF of a survey.

    Light is taken at the centres of pixels, as lenstronomy does without supersampling.

    Parameters
    ----------
    lenses
        Parameters of NumPy; or of the library of the reference, which then stay there, and gradients with them.
    survey
        Pixels and PSF.
    size
        Pixels on a side.
    reference
        Any array: its library, device and precision are those of the images.

    Returns
    -------
    Array
        Electrons per second in each pixel, shape (lens, size, size).
    """
    # mypy takes the parts of a lens, tuples of arrays, for one type without a constructor of arrays.
    placed = Lenses(*(None if p is None else type(p)(*(like(each, reference) for each in p)) for p in lenses))  # type: ignore[arg-type]
    x, y = constant(pixels, size, survey.pixel_scale, reference=reference)[:, None, :, :]
    alpha_x, alpha_y = deflection(x, y, placed)
    images = survey.pixel_scale**2 * sersic(x - alpha_x, y - alpha_y, placed.source)
    return blurred(images, survey)


def pixels(size: int, pixel_scale: float) -> Float64:
    """Return x and y of the centres of all pixels, arcsec, shape (2, size, size).

    Rows as long as an image take NumPy a third of the time.
    """
    at = coordinates(size, pixel_scale)
    return np.stack([np.broadcast_to(at, (size, size)), np.broadcast_to(at[:, None], (size, size))])


def blurred(images: Array, survey: Survey) -> Array:
    """Return images convolved with the Gaussian PSF, which is taken at the centres of pixels.

    Beyond an edge the image goes on as it ends there: `scipy.ndimage.gaussian_filter` with ``mode="nearest"``.

    Parameters
    ----------
    images
        Shape (lens, n, n).
    survey
        Pixels and PSF.
    """
    if survey.psf_fwhm == 0:
        return images
    sigma = survey.psf_fwhm / FWHM_PER_SIGMA / survey.pixel_scale
    kernel = constant(_along_axis, images.shape[-1], sigma, reference=images)
    return kernel @ images @ namespace(images).permute_dims(kernel, (1, 0))


def _along_axis(n: int, sigma: float) -> Float64:
    """Return the matrix that convolves n pixels with a Gaussian, sigma in pixels."""
    half = int(_TRUNCATION * sigma + 0.5)
    offset = np.arange(-half, half + 1)
    weight = np.exp(-(offset**2) / (2 * sigma**2))
    matrix = np.zeros((n, n))
    for step, share in zip(offset, weight / weight.sum(), strict=True):
        np.add.at(matrix, (np.arange(n), np.clip(np.arange(n) + step, 0, n - 1)), share)
    return matrix


def noisy(images: Array, survey: Survey, ids: npt.NDArray[np.int64], seed: int) -> Array:
    """Return images as a survey sees them, without their mean sky: Poisson numbers of electrons, and read noise.

    Parameters
    ----------
    images
        Electrons per second, shape (lens, y, x).
    survey
        Exposure, sky, read noise.
    ids
        Ids of the lenses.
    seed
        Seed of the run.

    Returns
    -------
    Array
        Electrons per second, of the variance of `noise_variance`.
    """
    xp, seconds, sky = namespace(images), survey.seconds, _sky(survey)
    electrons = poisson_counts(seconds * (images + sky), ids, seed, Stream.PHOTONS)
    count = images.shape[-2] * images.shape[-1]
    white = xp.reshape(normals(index_like(ids, images), count, seed, Stream.NOISE), images.shape)
    read = survey.read_noise * survey.exposures**0.5
    return (electrons + read * xp.astype(white, images.dtype)) / seconds - sky


def noise_variance(images: Array, survey: Survey) -> Array:
    """Return the variance of the noise of pixels of I, (I + sky) / t + exposures · read noise² / t².

    Parameters
    ----------
    images
        Electrons per second without noise; below 0 counts as 0.
    survey
        Exposure time t of all exposures together, sky, read noise.
    """
    read = survey.exposures * survey.read_noise**2 / survey.seconds
    return (namespace(images).clip(images, 0.0, None) + (_sky(survey) + read)) / survey.seconds


def _sky(survey: Survey) -> float:
    """Return the electrons per second of the sky in a pixel."""
    return survey.electrons(survey.sky) * survey.pixel_scale**2
