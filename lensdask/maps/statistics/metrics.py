"""How close mass maps are to the truth: slopes, errors, power, and how all of it is averaged over maps.

Whatever is measured is a table with a row for each map, so that means and errors over maps come from one place. A
*statistic* takes a row, or the sum of all rows, to numbers: applied to the rows it gives the values map by map, and
`pooled` gives those of all maps together with the error that the scatter between maps implies. Pixels of a map are
correlated, maps are not: the map is the unit of every error.

Maps have the shape (field, y, x), square pixels of ``pixel_scale`` arcmin; a mask is 1 inside the footprint, has the
shape of the maps or of one of them, and what lies outside plays no part.
"""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from lensdask.data.catalogues.columns import is_masked
from lensdask.errors import InputError
from lensdask.stats import ring_power
from lensdask.stats.bootstrap import Statistic

__all__ = [
    "PIXEL_STATISTICS",
    "binned_sums",
    "footprint",
    "mean_over_maps",
    "percentiles_over_maps",
    "pixel_statistics",
    "pixel_sums",
    "point_sums",
    "pooled",
    "power_statistics",
    "power_sums",
    "ratios",
    "smoothed",
]

Float64 = npt.NDArray[np.float64]
Maps = npt.NDArray[Any]

PIXEL_STATISTICS = ("slope", "total_slope", "correlation", "rmse", "scatter", "bias")
"""What `pixel_statistics` returns: the slope of the reconstructed κ against the true one by linear regression, which
takes the truth as exact; the slope by total least squares, which takes both as noisy, the principal axis of the pixels;
their coefficient of correlation; root mean square, standard deviation and mean of reconstruction minus truth."""


def footprint(*maps: Maps, mask: Maps | None = None) -> npt.NDArray[np.bool_]:
    """Return which pixels of maps count, shape (field, y, x), after a look at all of them.

    Parameters
    ----------
    *maps
        Of one shape (field, y, x).
    mask
        Not 0 inside; shape (field, y, x), or (y, x) for all fields alike. Everything is inside when none.

    Raises
    ------
    InputError
        A map is a masked array, shapes differ, a field has nothing inside the mask, or a map is not finite there.
    """
    if any(is_masked(array) for array in (*maps, mask)):
        raise InputError("maps: a masked array; expected plain ones, and a mask that is 0 outside")
    shape = maps[0].shape
    if len(shape) != 3 or any(m.shape != shape for m in maps):
        raise InputError(f"maps of shape {', '.join(str(m.shape) for m in maps)}; expected one shape (field, y, x)")
    if mask is not None and mask.shape not in (shape, shape[1:]):
        raise InputError(f"mask of shape {mask.shape}; expected that of the maps, {shape} or {shape[1:]}")
    inside = np.broadcast_to(True if mask is None else np.asarray(mask) != 0, shape)
    empty = np.flatnonzero(~inside.any(axis=(1, 2)))
    if empty.size:
        raise InputError(f"field {empty[0]}: nothing inside the mask; expected at least one pixel")
    for number, one in enumerate(maps):
        wrong = np.flatnonzero((inside & ~np.isfinite(one)).any(axis=(1, 2)))
        if wrong.size:
            raise InputError(f"map {number}, field {wrong[0]}: not finite inside the mask; expected numbers")
    return inside


def pooled(table: Float64, statistic: Statistic) -> tuple[Float64, Float64]:
    """Return a statistic of all maps together, and its error from the scatter between maps.

    The error is that of the jackknife, which leaves out one map after the other: unlike a derivative it never asks for
    the statistic of sums that maps cannot have, such as fewer than no clusters in a bin.

    Parameters
    ----------
    table
        Sums of each map, shape (field, k).
    statistic
        From sums, shape (..., k), to numbers, shape (..., q).

    Returns
    -------
    tuple
        Values and errors, shape (q,). Errors are NaN where there is one map only, and where all rests on one map.
    """
    total, maps = table.sum(axis=0), len(table)
    values = statistic(total)
    if maps < 2:
        return values, np.full_like(values, np.nan)
    without = statistic(total - table)
    # A ratio over nothing is infinite, and has no error.
    with np.errstate(invalid="ignore"):
        deviations = without - without.mean(axis=0)
    return values, np.sqrt((deviations**2).sum(axis=0) * (maps - 1) / maps)


def ratios(sums: Float64) -> Float64:
    """Return the first half of the sums over the second half, shape (..., 2q) to (..., q); NaN for 0 over 0."""
    above, below = np.split(sums, 2, axis=-1)
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def mean_over_maps(values: Float64) -> tuple[Float64, Float64]:
    """Return the mean over maps, and its error.

    Parameters
    ----------
    values
        Shape (field, ...); NaN where a map has no value, which is then left out.

    Returns
    -------
    tuple
        Means and errors, each of the shape (...).
    """
    rows = values.reshape(len(values), -1)
    known = np.isfinite(rows)
    table = np.concatenate([np.where(known, rows, 0.0), known], axis=-1)
    mean, error = pooled(table, ratios)
    return mean.reshape(values.shape[1:]), error.reshape(values.shape[1:])


def percentiles_over_maps(values: Float64, percentages: tuple[float, ...] = (16.0, 50.0, 84.0)) -> Float64:
    """Return percentiles over maps, shape (percentage, ...), of values of shape (field, ...); NaNs are left out."""
    rows = values.reshape(len(values), -1)
    columns = [column[np.isfinite(column)] for column in rows.T]
    empty = np.full(len(percentages), np.nan)
    found = [np.percentile(column, percentages) if column.size else empty for column in columns]
    return np.stack(found, axis=-1).reshape(len(percentages), *values.shape[1:])


def pixel_sums(truth: Maps, kappa: Maps, mask: Maps | None = None) -> Float64:
    """Return the sums from which `pixel_statistics` follow.

    Parameters
    ----------
    truth, kappa
        True and reconstructed convergence, shape (field, y, x).
    mask
        Footprint; everything when none.

    Returns
    -------
    ndarray
        Number of pixels, and the sums of t, d, t², d², t d over them, with the truth t and d = reconstruction - truth;
        shape (field, 6). Sums of d rather than of the reconstruction keep its small squares exact.

    Raises
    ------
    InputError
        The maps do not belong together, see `footprint`.
    """
    inside = footprint(truth, kappa, mask=mask)
    rows = [_sums(one[here], other[here]) for one, other, here in zip(truth, kappa, inside, strict=True)]
    return np.array(rows, dtype=np.float64)


def point_sums(truth: Float64, found: Float64, *, field: npt.NDArray[Any], fields: int) -> Float64:
    """Return the sums of `pixel_sums` for other pairs of numbers, such as the true and the found mass of clusters.

    Parameters
    ----------
    truth, found
        Shape (n,); pairs that are not finite are left out.
    field
        Number of the map that each belongs to, shape (n,).
    fields
        How many maps there are.

    Returns
    -------
    ndarray
        Shape (fields, 6), for `pixel_statistics`.
    """
    known = np.isfinite(truth) & np.isfinite(found)
    parts = [known & (field == number) for number in range(fields)]
    return np.array([_sums(truth[part], found[part]) for part in parts], dtype=np.float64).reshape(fields, 6)


def _sums(truth: npt.NDArray[Any], found: npt.NDArray[Any]) -> list[float]:
    t = truth.astype(np.float64)
    d = found - t
    return [len(t), t.sum(), d.sum(), t @ t, d @ d, t @ d]


def pixel_statistics(sums: Float64) -> Float64:
    """Return `PIXEL_STATISTICS` of sums as `pixel_sums` makes them, shape (..., 6) to (..., 6).

    With the variances T and K of truth and reconstruction and their covariance C, the slopes are C / T and, of the
    principal axis, tan(½ atan2(2 C, T - K)). Both are blind to a constant added to a map.
    """
    n, t, d, tt, dd, td = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        T = tt / n - (t / n) ** 2
        D = np.maximum(dd / n - (d / n) ** 2, 0.0)
        C = T + td / n - t * d / n**2
        K = np.maximum(2 * C - T + D, 0.0)
        total_slope = np.tan(np.arctan2(2 * C, T - K) / 2)
        coefficient = C / np.sqrt(np.maximum(T, 0.0) * K)
        return np.stack([C / T, total_slope, coefficient, np.sqrt(dd / n), np.sqrt(D), d / n], axis=-1)


def smoothed(maps: Maps, sigma: float, pixel_scale: float, mask: Maps | None = None) -> Float64:
    """Return maps smoothed with a Gaussian that knows the mask.

    A pixel becomes the mean of the pixels about it that lie inside the mask and the map, with Gaussian weights: neither
    edges nor holes pull it towards 0.

    Parameters
    ----------
    maps
        Shape (field, y, x).
    sigma
        Standard deviation of the Gaussian, arcmin.
    pixel_scale
        Arcmin.
    mask
        Footprint; everything when none. Outside of it the result is 0.

    Raises
    ------
    InputError
        See `footprint`.
    """
    inside = footprint(maps, mask=mask)
    blur = partial(gaussian_filter, sigma=sigma / pixel_scale, mode="constant")
    result = np.zeros(maps.shape)
    for one, here, out in zip(maps, inside, result, strict=True):
        weight = blur(here.astype(np.float64))
        out[here] = blur(np.where(here, one, 0.0).astype(np.float64))[here] / weight[here]
    return result


def binned_sums(x: Float64, y: Float64, edges: Float64, *, field: npt.NDArray[Any], fields: int) -> Float64:
    """Return sums and counts in bins, map by map: `pooled` with `ratios` makes means of them.

    Completeness is the mean of "was found" in bins of mass; the dynamic range of a method is the mean of what it gives
    in bins of the true κ.

    Parameters
    ----------
    x
        What the bins are of, shape (n,); bin k holds ``edges[k] <= x < edges[k + 1]``, and NaN is in none.
    y
        What is averaged, shape (n,).
    edges
        Edges of the bins, rising.
    field
        Number of the map that each belongs to, shape (n,).
    fields
        How many maps there are.

    Returns
    -------
    ndarray
        Sums of y in each bin, then counts, shape (fields, 2 bins).
    """
    bins = len(edges) - 1
    place = np.searchsorted(edges, x, side="right") - 1
    used = (place >= 0) & (place < bins) & np.isfinite(x) & np.isfinite(y)
    flat = field[used].astype(np.int64) * bins + place[used]
    parts = [np.bincount(flat, w, fields * bins).reshape(fields, bins) for w in (y[used], None)]
    return np.concatenate(parts, axis=-1).astype(np.float64)


def power_sums(
    truth: Maps, kappa: Maps, pixel_scale: float, edges: Float64, mask: Maps | None = None
) -> tuple[Float64, Float64]:
    """Return the power of truth and reconstruction and their cross power in rings of ℓ.

    A mask multiplies both maps. It mixes scales in the same way in both, so that ratios remain meaningful, but the
    powers are those of the masked maps.

    Parameters
    ----------
    truth, kappa
        True and reconstructed convergence, shape (field, y, x).
    pixel_scale
        Arcmin.
    edges
        Edges of the rings in ℓ.
    mask
        Footprint; everything when none.

    Returns
    -------
    tuple
        Mean ℓ of the rings, and C_ℓ of the truth, of the reconstruction, and of both, shape (field, 3 rings).

    Raises
    ------
    InputError
        See `footprint`.
    """
    inside = footprint(truth, kappa, mask=mask)
    t, k = np.where(inside, truth, 0.0), np.where(inside, kappa, 0.0)
    ell, true_power = ring_power(t, pixel_scale, edges)
    _, power = ring_power(k, pixel_scale, edges)
    _, cross = ring_power(t, pixel_scale, edges, k)
    return ell, np.concatenate([true_power, power, cross], axis=-1)


def power_statistics(sums: Float64) -> Float64:
    """Return the power of the reconstruction over the true one, then the coefficient of correlation, in each ring.

    Parameters
    ----------
    sums
        As `power_sums` returns them, shape (..., 3 rings).

    Returns
    -------
    ndarray
        Ratios C_rr / C_tt and coefficients C_tr / √(C_tt C_rr), shape (..., 2 rings).
    """
    true_power, power, cross = np.split(sums, 3, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.concatenate([power / true_power, cross / np.sqrt(true_power * power)], axis=-1)
