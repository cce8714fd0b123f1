"""The noise of an image, from its pixels without sources: how strong it is, and how neighbours go together.

Coadds are sums of resampled exposures: their noise is correlated. White renoise on it biases m by -3 % and c by -1 %.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lensdask.errors import InputError

__all__ = ["correlation_of_noise"]

Float64 = npt.NDArray[np.float64]

_LIMIT = 4.0
"""Standard deviations of a smoothed image beyond which a pixel is a source's; at 2.5 what is left lacks its peaks of
noise, 3 % of the variance where it is correlated."""
_AROUND = 8
"""Pixels around a source that are left out as well."""
_REACH = 6
"""Largest lag, pixels, at which noise goes together."""
_WHITE = 0.01
"""Correlation of neighbours below which noise is taken for white."""
_FEWEST = 10_000
"""Pixels without sources that are needed: they give a correlation to 1 %."""


def correlation_of_noise(image: npt.NDArray[np.floating], size: int) -> tuple[float, Float64 | None]:
    """Return standard deviation and correlation function of the noise of an image.

    Parameters
    ----------
    image
        Background-subtracted, shape (y, x), not finite where it is bad.
    size
        Side n of the correlation function.

    Returns
    -------
    sigma, correlation
        The correlation has shape (n, n), lag (0, 0) first and negative lags last; none for white noise.

    Raises
    ------
    InputError
        Too few pixels are without sources.
    """
    empty = _without_sources(image)
    if (count := np.count_nonzero(empty)) < _FEWEST:
        raise InputError(f"image: {count} pixels without sources; expected {_FEWEST} or more, to measure the noise on")
    values = np.where(empty, image, 0.0)
    # Sources fainter than any limit, and what is left of the background, raise the mean.
    values = np.where(empty, values - values.sum() / count, 0.0)
    lags = [(dy, dx) for dy in range(_REACH + 1) for dx in range(-_REACH, _REACH + 1)]
    found = np.zeros((size, size))
    for dy, dx in lags:
        found[dy, dx] = found[-dy, -dx] = _mean_product(values, empty, dy, dx)
    if not found[0, 0] > 0:
        return 0.0, None
    sigma, correlation = float(np.sqrt(found[0, 0])), found / found[0, 0]
    if max(abs(correlation[0, 1]), abs(correlation[1, 0]), abs(correlation[1, 1])) < _WHITE:
        return sigma, None
    # Measured at few lags, a power spectrum may go below zero.
    power = np.maximum(np.fft.fft2(correlation).real, 0.0)
    correlation = np.fft.ifft2(power).real
    return sigma, correlation / correlation[0, 0]


def _without_sources(image: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    good = np.isfinite(image)
    smooth: Float64 = ndimage.gaussian_filter(np.where(good, image, 0.0).astype(np.float64), 2.0)
    middle = float(np.median(smooth[good]))
    spread = 1.4826 * float(np.median(np.abs(smooth[good] - middle)))
    sources = np.abs(smooth - middle) > _LIMIT * spread
    # A peak of the noise is no source.
    sources = ndimage.binary_opening(sources, iterations=1)
    return np.asarray(good & ~ndimage.binary_dilation(sources | ~good, iterations=_AROUND))


def _mean_product(values: Float64, empty: npt.NDArray[np.bool_], dy: int, dx: int) -> float:
    """Return the mean product of pixels that are dy and dx apart, both without sources."""
    ny, nx = values.shape
    one = np.s_[: ny - dy, max(0, -dx) : nx - max(0, dx)]
    other = np.s_[dy:, max(0, dx) : nx - max(0, -dx)]
    pairs = int(np.sum(empty[one] & empty[other]))
    return float(np.sum(values[one] * values[other])) / max(pairs, 1)
