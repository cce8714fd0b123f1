"""Noise of the images, and the second noise realisation that the measurement adds.

Correlated noise
----------------
The pixels of a coadd are correlated. Their covariance is ``sigma² C(x - x')`` with a correlation function C, and the
noise power per mode of the stamp is ``sigma² S(k)``, where ``S(k) = sum_x C(x) exp(-i k.x)``. Noise is drawn white and
multiplied by ``sqrt(S)`` in Fourier space; like the resmoothing this takes the stamp for periodic, which changes
nothing but its rim. The renoise has C turned by 90 degrees: together with the turned PSF of
`lensdask.shear.shapes.resmooth` this makes the power of its noise after resmoothing, ``S90 |K90|²``, that of the image
noise, ``S |K|²``, turned, so that the sum of both is the same along x and y, and no additive bias is left.

A correlation function is held in the order of the fast Fourier transform: lag (0, 0) is element [0, 0], lag dy, dx is
element ``[dy % n, dx % n]``. So ``np.fft.ifft2(np.mean(np.abs(np.fft.fft2(noise)) ** 2, axis=0)).real`` of blank
stamps, divided by its element [0, 0], is one. (The geometric centre of a stamp lies between pixels, and no lag does.)

Exchanged noise
---------------
At the noise of a survey the error of m comes from the noise in the analytic response, not from the galaxies. With n
the noise of the image, r the renoise, and R the turn by 90 degrees that takes the first galaxy A of an orthogonal pair
to the second one, B, the resmoothed image (value V, response D; see `lensdask.shear.shapes.resmooth`) of A is::

    V_A = G_A + n K + r K90          D_A = G_A + (n K - r K90)

``exchanged`` noise gives B the noise images of its partner, exchanged and turned: image noise R r and renoise R n.
Since K90 is K turned, ``(R r) K = R (r K90)``; for a PSF that half a turn leaves as it is, ``(R n) K90 = R (n K)``
too. B under the shear -g is A under +g turned, so that, term by term::

    V_B(-g) = R V_A(+g)              D_B(-g) = R [G_A(+g) - (n K - r K90)]

The ellipticity of B is that of A with the opposite sign, and the noise of its response enters with the opposite sign.
The mean response of the pair is the gradient of e at the noisy V along the *noiseless* response of the galaxy, which is
the derivative of the noisy e with respect to g: what noise is left in it is the noise of e(+g) - e(-g), and cancels in
m to the order g². In the same way c cancels.

No mean is changed by this, whatever the PSF and the estimator: R r has the law of n, R n has the law of r, and the
two are independent, so each galaxy by itself has an image noise and a renoise like any other. Only galaxies of one
pair depend on each other, and they are one unit of the bootstrap. A wrong noise level, a wrong sign or a wrong order
of offset and shear biases m as much as with independent noise.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, in_batches, like, namespace
from lensdask.conventions import FWHM_PER_SIGMA
from lensdask.errors import InputError, check_choice, check_number
from lensdask.random import Stream, normals

__all__ = [
    "Noise",
    "NoiseOfPairs",
    "check_correlation",
    "draw_image_noise",
    "draw_noise",
    "draw_renoise",
    "gaussian_correlation",
    "kernel_of_renoise",
]

Float64 = npt.NDArray[np.float64]

_BATCH = 64
"""Images per Fourier transform of correlated noise."""

NoiseOfPairs = Literal["independent", "exchanged"]
"""Whether galaxies 2p and 2p + 1 have noise of their own, or the same two noise images, exchanged and turned."""


@dataclass(frozen=True)
class Noise:
    """The law of the noise of images."""

    sigma: float
    """Standard deviation per pixel; 0 for noiseless images."""
    correlation: Float64 | None = None
    """Correlation function of the image noise, shape (n, n), lag (0, 0) first; white noise when none."""
    of_pairs: NoiseOfPairs = "independent"
    """How the noise of the two members of an orthogonal pair is drawn."""

    def __post_init__(self) -> None:
        """Refuse what is no noise."""
        check_number("noise_sigma", self.sigma, least=0)
        check_choice("noise_of_pairs", self.of_pairs, get_args(NoiseOfPairs))


def draw_noise(ids: Array, size: int, sigma: float, seed: int, stream: Stream | Array) -> Array:
    """Return white Gaussian noise keyed by galaxy id, shape (galaxy, size, size), float32, where the ids are held."""
    return namespace(ids).reshape(normals(ids, size**2, seed, stream), (-1, size, size)) * sigma


def draw_image_noise(ids: Array, size: int, noise: Noise, seed: int) -> Array:
    """Return the noise of the images of simulated galaxies, shape (galaxy, size, size), where the ids are held.

    Parameters
    ----------
    ids
        Galaxy ids, in any order, int64 of NumPy, CuPy or torch; they key the noise.
    size
        Pixels on a side.
    noise
        Law of the noise.
    seed
        Seed of the simulation.
    """
    return _draw_of_pairs(ids, size, noise, seed, Stream.NOISE, Stream.RENOISE)


def draw_renoise(ids: Array, size: int, noise: Noise, seed: int) -> Array:
    """Return the second noise realisation, independent of the image's, with the parameters of `draw_image_noise`."""
    return _draw_of_pairs(ids, size, noise, seed, Stream.RENOISE, Stream.NOISE)


def _draw_of_pairs(ids: Array, size: int, noise: Noise, seed: int, own: Stream, exchanged: Stream) -> Array:
    second = ids % 2 * (noise.of_pairs == "exchanged")
    streams = own + second * (exchanged - own)
    drawn = draw_noise(ids - second, size, noise.sigma, seed, streams)
    if noise.correlation is not None:
        # White noise needs no turn, since its law is that of the turned one.
        drawn = _turned_where(streams == Stream.RENOISE, _correlated(drawn, noise.correlation))
    return drawn if noise.of_pairs == "independent" else _turned_where(second == 1, drawn)


def _correlated(images: Array, correlation: Float64) -> Array:
    """Return white images with the modes of a correlation function."""
    xp = namespace(images)
    amplitude = np.sqrt(np.maximum(_power(correlation), 0.0))[:, : images.shape[-1] // 2 + 1]
    factor = like(amplitude, xp.empty(0, dtype=xp.float64, device=images.device))

    def coloured(white: Array) -> Array:
        modes = xp.fft.rfftn(xp.astype(white, xp.float64), axes=(-2, -1)) * factor
        return xp.astype(xp.fft.irfftn(modes, s=white.shape[-2:], axes=(-2, -1)), xp.float32)

    return in_batches(coloured, (images,), _BATCH)


def _turned_where(chosen: Array, images: Array) -> Array:
    """Return images of which those chosen, shape (galaxy,), are turned."""
    return namespace(images).where(chosen[:, None, None], _turned(images), images)


def _turned(images: Array) -> Array:
    """Return images turned by +90 degrees, as the second galaxy of a pair is: from x to y, which grows upwards."""
    xp = namespace(images)
    return xp.matrix_transpose(xp.flip(images, axis=-2))


def _power(correlation: Float64) -> Float64:
    """Return the noise power of each mode, 1 on average, shape (n, n)."""
    return np.asarray(np.fft.fft2(correlation).real)


def kernel_of_renoise(correlation: Float64) -> Float64:
    """Return what white noise is convolved with to have a correlation function turned by 90 degrees.

    Parameters
    ----------
    correlation
        Shape (n, n), lag (0, 0) first.

    Returns
    -------
    Float64
        Shape (n + 1, n + 1) with the middle at lag (0, 0), n even.
    """
    n = len(correlation)
    kernel = np.fft.ifft2(np.sqrt(np.maximum(_power(correlation), 0.0))).real
    # An odd number of pixels has a middle; it is even, so that its first row and column are its last ones too.
    whole = np.pad(np.fft.fftshift(kernel), ((0, 1), (0, 1)), mode="wrap")
    whole[[0, n]] /= 2
    whole[:, [0, n]] /= 2
    return np.asarray(_turned(whole))


def gaussian_correlation(size: int, pixel_scale: float, fwhm: float, e1: float, e2: float) -> Float64:
    """Return the correlation function of white noise smoothed with an elliptical Gaussian.

    It is the kernel correlated with itself: a Gaussian of the same shape, sqrt(2) times as wide.

    Parameters
    ----------
    size
        Pixels on a side of the stamp.
    pixel_scale
        Arcsec per pixel.
    fwhm
        Full width at half maximum of the kernel, arcsec; of the circle of the same area if it is elliptical.
    e1, e2
        Ellipticity (distortion) of the kernel.

    Returns
    -------
    Float64
        Shape (size, size), lag (0, 0) first.
    """
    lags = np.fft.fftfreq(size, 1 / size) * pixel_scale
    x, y = lags, lags[:, None]
    # x' Q^-1 x with the covariance Q = s² [[1 + e1, e2], [e2, 1 - e1]] / sqrt(1 - e²).
    squared = ((1 - e1) * x**2 - 2 * e2 * x * y + (1 + e1) * y**2) / np.sqrt(1 - e1**2 - e2**2)
    kernel = np.exp(-squared * FWHM_PER_SIGMA**2 / fwhm**2 / 2)
    correlation = np.fft.ifft2(np.abs(np.fft.fft2(kernel)) ** 2).real
    return np.asarray(correlation / correlation[0, 0])


_ROUNDING = 1e-6
"""Tolerance of the checks of a correlation function, which may have been single precision."""


def check_correlation(correlation: Float64, size: int) -> None:
    """Refuse what is no correlation function of noise on stamps with `size` pixels on a side.

    Raises
    ------
    InputError
        It has another shape, is not 1 at lag (0, 0), is not even, or has modes of negative power.
    """
    where, rounding = "noise_correlation", _ROUNDING
    if correlation.shape != (size, size) or not np.isfinite(correlation).all():
        raise InputError(f"{where}: shape {correlation.shape}; expected numbers of shape {(size, size)}, as the stamps")
    if abs(correlation[0, 0] - 1) > rounding:
        raise InputError(f"{where}: {correlation[0, 0]:.4g} at lag (0, 0), element [0, 0]; expected 1 there")
    opposite = np.roll(correlation[::-1, ::-1], 1, axis=(0, 1))
    if np.abs(correlation - opposite).max() > rounding:
        raise InputError(f"{where}: lags (dy, dx) and (-dy, -dx) differ; expected point symmetry")
    power = _power(correlation)
    if power.min() < -rounding * power.max():
        raise InputError(f"{where}: negative power {power.min():.2g}; expected a Fourier transform of zero or more")
