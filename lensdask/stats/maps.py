"""Statistics of maps: power, moments, peaks and the correlation function, on the flat sky.

Maps are arrays ``(..., y, x)`` of square pixels; angles are in arcmin, multipoles ℓ in rad⁻¹. All of these describe a
map as it is: nothing is smoothed, and no window of the field is corrected for.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, namespace, to_numpy
from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.fourier import half_plane, multipoles

__all__ = ["correlation", "local_maxima", "map_moments", "ring_power"]

Float64 = npt.NDArray[np.float64]


def ring_power(
    maps: Array, pixel_scale: float, edges: npt.ArrayLike, other: Array | None = None
) -> tuple[Float64, Float64]:
    """Return the flat-sky power of maps, C(ℓ) = |κ(ℓ)|² / area, as true means over rings of multipoles.

    Every wave of the full plane counts once, and a ring is divided by the number of its own waves.

    Parameters
    ----------
    maps
        Shape (..., y, x).
    pixel_scale
        Arcmin per pixel.
    edges
        Edges of the rings in ℓ, increasing, shape (ring + 1,). The lower edge belongs to a ring.
    other
        Maps of the same shape; the real part of the cross power is returned when given.

    Returns
    -------
    ell_mean
        Mean ℓ of the waves in each ring, shape (ring,); NaN for a ring without waves.
    power
        In steradian, shape (..., ring); NaN for a ring without waves.

    Raises
    ------
    InputError
        The edges do not increase, or the maps are of different shapes.
    """
    bounds = _increasing(edges, "edges")
    if other is not None and other.shape != maps.shape:
        raise InputError(f"other: shape {tuple(other.shape)}; expected {tuple(maps.shape)}, that of the maps")
    ny, nx = maps.shape[-2:]
    xp = namespace(maps)
    planes = xp.fft.rfftn(maps, axes=(-2, -1))
    partner = planes if other is None else xp.fft.rfftn(other, axes=(-2, -1))
    product = to_numpy(xp.real(planes * xp.conj(partner))) * (pixel_scale * ARCMIN) ** 2 / (nx * ny)
    l1, l2 = multipoles((ny, nx), pixel_scale)
    ell = np.hypot(l1, l2)
    weight = np.broadcast_to(half_plane(nx), ell.shape)
    sums = _binned_sums(ell, bounds, np.stack([weight, weight * ell]))
    with np.errstate(invalid="ignore"):
        return sums[1] / sums[0], _binned_sums(ell, bounds, weight * product) / sums[0]


def _binned_sums(radius: Float64, bounds: Float64, values: Float64) -> Float64:
    """Return sums of values, shape (..., y, x), over bins of the radius, shape (y, x): shape (..., bin)."""
    bins = len(bounds) - 1
    number = np.digitize(radius, bounds) - 1
    inside = (number >= 0) & (number < bins)
    rows = values.reshape(-1, *radius.shape)[:, inside]
    sums = [np.bincount(number[inside], row, minlength=bins) for row in rows]
    return np.reshape(sums, (*values.shape[:-2], bins))


def map_moments(maps: Array) -> tuple[Float64, Float64]:
    """Return the standard deviation and the skewness ⟨(κ - ⟨κ⟩)³⟩ / σ³ of the pixels of each map.

    Parameters
    ----------
    maps
        Shape (..., y, x).

    Returns
    -------
    std, skewness
        Shape (...).
    """
    values = to_numpy(maps).astype(np.float64)
    deviation = values - values.mean(axis=(-2, -1), keepdims=True)
    std = np.sqrt((deviation**2).mean(axis=(-2, -1)))
    return std, (deviation**3).mean(axis=(-2, -1)) / std**3


def local_maxima(
    values: npt.ArrayLike,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Return the peaks of a map: pixels higher than each of their eight neighbours.

    Pixels on the border are no peaks, since some of their neighbours are unknown; neither are plateaus, nor pixels
    beside a NaN.

    Parameters
    ----------
    values
        Map, shape (y, x).

    Returns
    -------
    y, x
        Pixel indices, int64, shape (peak,), the highest peak first.
    height
        Values there, shape (peak,).
    """
    image = np.asarray(values)
    ny, nx = image.shape
    inner = image[1:-1, 1:-1]
    peak = np.ones(inner.shape, dtype=bool)
    for dy in range(3):
        for dx in range(3):
            if (dy, dx) != (1, 1):
                peak &= inner > image[dy : dy + ny - 2, dx : dx + nx - 2]
    y, x = np.nonzero(peak)
    order = np.argsort(-inner[y, x], kind="stable")
    return y[order] + 1, x[order] + 1, inner[y, x][order]


def correlation(
    values: npt.ArrayLike, mask: npt.ArrayLike | None = None, *, pixel_scale: float, edges: npt.ArrayLike
) -> tuple[Float64, Float64]:
    """Return the correlation function ξ(θ) = ⟨κ(x) κ(x + θ)⟩ over all pairs of pixels.

    The sum over pairs is a product in Fourier space of maps padded with zeros to twice their size, so that no pair
    reaches around the edge; the same product of the mask counts the pairs. The mean of the map is not subtracted. It
    is what TreeCorr's KKCorrelation measures with ``brute=True``, in N log N steps.

    Parameters
    ----------
    values
        Maps, shape (..., y, x). Values where the mask is 0 are not used and may be NaN.
    mask
        Weights of the pixels, zero or more, shape (y, x); all alike when not given.
    pixel_scale
        Arcmin per pixel.
    edges
        Edges of the bins of θ in arcmin, increasing, shape (bin + 1,). A first edge of 0 pairs each pixel with itself
        too.

    Returns
    -------
    theta
        Mean distance of the pairs in each bin, arcmin, shape (bin,); NaN for a bin without pairs.
    xi
        Shape (..., bin); NaN for a bin without pairs.

    Raises
    ------
    InputError
        The edges do not increase, or the mask has another shape than the maps.
    """
    bounds = _increasing(edges, "edges")
    maps = np.asarray(values, dtype=np.float64)
    ny, nx = maps.shape[-2:]
    weight = np.ones((ny, nx)) if mask is None else np.asarray(mask, dtype=np.float64)
    if weight.shape != (ny, nx):
        raise InputError(f"mask: shape {weight.shape}; expected {(ny, nx)}, that of a map")
    pairs = _lagged_products(weight)
    # Where there are no pairs the transforms leave rounding errors.
    some = pairs > 1e-9 * pairs.max()
    products = np.where(some, _lagged_products(np.where(weight > 0, weight * maps, 0.0)), 0.0)
    pairs = np.where(some, pairs, 0.0)
    lag_y, lag_x = (2 * n * np.fft.fftfreq(2 * n) for n in (ny, nx))
    theta = pixel_scale * np.hypot(lag_x[None, :], lag_y[:, None])
    sums = _binned_sums(theta, bounds, np.stack([pairs, pairs * theta]))
    # Every pair stands in both directions in the sums and in the counts alike.
    with np.errstate(invalid="ignore"):
        return sums[1] / sums[0], _binned_sums(theta, bounds, products) / sums[0]


def _lagged_products(maps: Float64) -> Float64:
    """Return sum_x f(x) f(x + lag) for all lags, shape (..., 2 y, 2 x), negative lags last."""
    shape = (2 * maps.shape[-2], 2 * maps.shape[-1])
    planes = np.fft.rfftn(maps, s=shape, axes=(-2, -1))
    return np.asarray(np.fft.irfftn(np.abs(planes) ** 2, s=shape, axes=(-2, -1)), dtype=np.float64)


def _increasing(edges: npt.ArrayLike, name: str) -> Float64:
    bounds = np.asarray(edges, dtype=np.float64)
    if bounds.ndim != 1 or len(bounds) < 2 or not (np.diff(bounds) > 0).all():
        raise InputError(f"{name}: {bounds.tolist()}; expected at least two numbers that increase")
    return bounds
