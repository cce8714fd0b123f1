"""What mass maps are like by themselves: the distribution of κ, its correlation, and maps that noise makes.

Maps and masks are those of `lensdask.maps.statistics.metrics`; every function returns a row for each map.
"""

import numpy as np

from lensdask.maps.statistics.metrics import Float64, Maps, footprint
from lensdask.stats import correlation

__all__ = ["NULL_STATISTICS", "correlation_functions", "null_statistics", "pdf"]

NULL_STATISTICS = ("lowest", "highest", "mean", "std", "skewness", "mode")
"""What `null_statistics` returns of a map: its range, its first moments, and its most frequent value."""

_MODE_BINS_PER_STD, _MODE_WINDOW = 10, 5


def pdf(maps: Maps, edges: Float64, mask: Maps | None = None) -> Float64:
    """Return the probability density of κ in each map.

    Parameters
    ----------
    maps
        Shape (field, y, x).
    edges
        Edges of the bins of κ, rising.
    mask
        Footprint; everything when none.

    Returns
    -------
    ndarray
        Density per unit of κ, shape (field, bin). Pixels beyond the edges count for the norm: densities over some
        range do not depend on where the bins end.

    Raises
    ------
    InputError
        See `footprint`.
    """
    inside = footprint(maps, mask=mask)
    counts = [np.histogram(one[here], edges)[0] / here.sum() for one, here in zip(maps, inside, strict=True)]
    return np.array(counts) / np.diff(edges)


def correlation_functions(
    maps: Maps, pixel_scale: float, edges: Float64, mask: Maps | None = None
) -> tuple[Float64, Float64]:
    """Return the autocorrelation ξ(θ) of κ in each map.

    Parameters
    ----------
    maps
        Shape (field, y, x).
    pixel_scale, edges
        Arcmin; edges of the bins of θ.
    mask
        Footprint; everything when none.

    Returns
    -------
    tuple
        Mean θ of the pairs in each bin, of the first field, arcmin, and ξ, shape (field, bin).

    Raises
    ------
    InputError
        See `footprint`.
    """
    inside = footprint(maps, mask=mask)
    found = [correlation(m, here, pixel_scale=pixel_scale, edges=edges) for m, here in zip(maps, inside, strict=True)]
    return found[0][0], np.array([xi for _, xi in found])


def null_statistics(maps: Maps, mask: Maps | None = None) -> Float64:
    """Return `NULL_STATISTICS` of maps made from noise alone, shape (field, 6).

    Parameters
    ----------
    maps
        Shape (field, y, x).
    mask
        Footprint; everything when none.

    Raises
    ------
    InputError
        See `footprint`.
    """
    inside = footprint(maps, mask=mask)
    return np.array([_one_null(one[here].astype(np.float64)) for one, here in zip(maps, inside, strict=True)])


def _one_null(values: Float64) -> list[float]:
    mean, std = values.mean(), values.std()
    if std == 0:
        return [mean, mean, mean, 0.0, 0.0, mean]
    skewness = ((values - mean) ** 3).mean() / std**3
    return [values.min(), values.max(), mean, std, skewness, _mode(values, std)]


def _mode(values: Float64, std: float) -> float:
    """Return the most frequent value: the top of a histogram, averaged over half a standard deviation."""
    step = std / _MODE_BINS_PER_STD
    edges = np.arange(values.min() - step, values.max() + 2 * step, step)
    counts = np.histogram(values, edges)[0]
    top = np.argmax(np.convolve(counts, np.ones(_MODE_WINDOW), mode="same"))
    return float(edges[top] + step / 2)
