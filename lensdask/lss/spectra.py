"""Power spectra of tiles: all auto and cross spectra of the channels of a sample, as means over its tiles.

Waves are binned by ℓ, lower end excluded and upper end included. Edges are those of the released code: logarithmic, but
no bin narrower than half of the lowest wave of the tile, which is 36 for 5°; so the last bin ends at the Nyquist wave,
2304 for 64 pixels. A bin without waves stays 0. Spectra are multiplied by ℓ (ℓ + 1) / 2π at the middle of the bin.

Cross spectra come in two kinds. ``signed`` is the real part of X Y*, what is usually called the cross spectrum.
``modulus`` is |X Y*| of each wave, averaged afterwards, which is what the released code computes: it has no sign, and
for fields without correlation it is not 0 but π/4 of the geometric mean of their auto spectra. Auto spectra are the
same.

Each map is transformed once; all pairs of a bin are then one matrix product.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant, in_batches, index_like, is_on_cpu, namespace
from lensdask.conventions import ARCMIN
from lensdask.errors import InputError, check_choice
from lensdask.fourier import half_plane, multipoles, plane_of

__all__ = ["ELL_BINS", "ell_edges", "pairs", "power_spectra", "waves"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

ELL_BINS = 20
"""Bins of each spectrum."""


def ell_edges(size: int, pixel_scale: float) -> Float64:
    """Return the edges of the bins in ℓ, shape (bin + 1,).

    Parameters
    ----------
    size
        Pixels on a side of a tile, 16 at least; tiles of fewer than 21 have fewer bins than 20.
    pixel_scale
        Arcmin.

    Raises
    ------
    InputError
        The tile is too small.
    """
    if size < 16:
        raise InputError(f"tiles for spectra: {size} pixels on a side; expected 16 at least")
    unit = np.pi / (size * pixel_scale * ARCMIN)
    # The fewest logarithmic edges that, each moved up to a multiple of the unit, leave enough different ones.
    for number in range(ELL_BINS, 3 * size):
        edges = np.unique(np.ceil(size ** (np.arange(number + 1) / number) - 1e-9))
        if len(edges) >= min(ELL_BINS + 1, size):
            break
    return np.asarray(unit * edges, dtype=np.float64)


def waves(size: int, pixel_scale: float) -> Int64:
    """Return the number of waves in each bin, of the full plane, shape (bin,). Bins of none leave fits."""
    bins, weight = _binned(size, pixel_scale)
    counts = np.bincount(bins, weight, minlength=len(ell_edges(size, pixel_scale)) + 1)
    return counts[1:-1].astype(np.int64)


def pairs(channels: int) -> list[tuple[int, int]]:
    """Return the pairs of channels in the order of their spectra: (0, 0), (0, 1), …, then (1, 1), (1, 2) and so on."""
    return [(i, j) for i in range(channels) for j in range(i, channels)]


def power_spectra(maps: Array, pixel_scale: float, cross: str = "signed") -> Array:
    """Return the power spectra of the channels of each sample.

    Parameters
    ----------
    maps
        Shape (sample, channel, tile, y, x), square tiles.
    pixel_scale
        Arcmin.
    cross
        "signed" or "modulus".

    Returns
    -------
    Array
        ℓ (ℓ + 1) C_ℓ / 2π in the unit of the maps squared, shape (sample, pair, ℓ), with the pairs of `pairs`.

    Raises
    ------
    InputError
        Another kind, maps of another shape, tiles too small.
    """
    check_choice("cross", cross, ("signed", "modulus"))
    if maps.ndim != 5 or maps.shape[-1] != maps.shape[-2]:
        raise InputError(f"maps: shape {tuple(maps.shape)}; expected (sample, channel, tile, y, x), y = x")
    # One after another, the waves of a sample stay in the cache of a CPU.
    batch = 1 if is_on_cpu(maps) else len(maps)
    return in_batches(lambda part: _spectra(part, pixel_scale, cross), (maps,), batch)


def _spectra(maps: Array, pixel_scale: float, cross: str) -> Array:
    """Return what `power_spectra` returns, for maps that are checked."""
    xp, size = namespace(maps), maps.shape[-1]
    order, bounds = _order(size, pixel_scale)
    plane = plane_of(maps)
    # Real and imaginary parts are multiplied and summed alike: as if there were twice the tiles.
    parts = xp.abs(plane) if cross == "modulus" else xp.concat([xp.real(plane), xp.imag(plane)], axis=2)
    weighted = _sorted(parts, index_like(order, maps)) * constant(_weights, size, pixel_scale, reference=maps)
    spectra = [_products(weighted[..., start:stop]) for start, stop in bounds]
    chosen = index_like(np.array([i * maps.shape[1] + j for i, j in pairs(maps.shape[1])]), maps)
    rows = [xp.reshape(each, (len(maps), -1, 1)) for each in spectra]
    return xp.take(xp.concat(rows, axis=2), chosen, axis=1) / maps.shape[2]


def _sorted(part: Array, order: Array) -> Array:
    """Return the waves of half planes (..., y, x) in an order, shape (..., wave)."""
    xp = namespace(part)
    return xp.take(xp.reshape(part, (*part.shape[:-2], -1)), order, axis=-1)


def _products(part: Array) -> Array:
    """Return sums over tiles and waves of products of channels, shape (sample, channel, channel)."""
    xp = namespace(part)
    rows = xp.reshape(part, (*part.shape[:2], -1))
    return rows @ xp.permute_dims(rows, (0, 2, 1))


def _binned(size: int, pixel_scale: float) -> tuple[Int64, Float64]:
    """Return of each wave of the half plane its bin, 0 below the first and the last beyond it, and its weight."""
    l1, l2 = multipoles((size, size), pixel_scale)
    edges = ell_edges(size, pixel_scale) * (1 + 1e-9)
    bins = np.searchsorted(edges, np.hypot(l1, l2), side="left")
    return bins.ravel(), np.broadcast_to(half_plane(size), bins.shape).ravel()


@lru_cache(maxsize=8)
def _order(size: int, pixel_scale: float) -> tuple[Int64, list[tuple[int, int]]]:
    """Return the waves of all bins one bin after another, and where each bin starts and stops."""
    bins, _ = _binned(size, pixel_scale)
    last = len(ell_edges(size, pixel_scale)) - 1
    order = np.argsort(bins, kind="stable")
    stops = np.searchsorted(bins[order], np.arange(last + 1), side="right")
    bounds = [(int(start - stops[0]), int(stop - stops[0])) for start, stop in pairwise(stops)]
    return order[stops[0] : stops[-1]], bounds


def _weights(size: int, pixel_scale: float) -> Float64:
    """Return the square root of what each wave counts, in the order of `_order`, shape (wave,)."""
    bins, weight = _binned(size, pixel_scale)
    order, bounds = _order(size, pixel_scale)
    edges = ell_edges(size, pixel_scale)
    middle = (edges[1:] + edges[:-1]) / 2
    # |X|² times the area of a pixel squared, over the area of the tile.
    scale = middle * (middle + 1) / (2 * np.pi) * (pixel_scale * ARCMIN / size) ** 2
    total = np.maximum(np.bincount(bins, weight, minlength=len(edges) + 1)[1:-1], 1)
    return np.sqrt(weight[order] * np.repeat(scale / total, [stop - start for start, stop in bounds]))
