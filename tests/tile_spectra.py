"""Auto and cross spectra of tiles, measured and expected, and how probable the difference of the two is."""

import numpy as np
import numpy.typing as npt
from scipy.stats import f as fisher

from lensdask.conventions import ARCMIN
from lensdask.fourier import half_plane, multipoles
from lensdask.sky import TileGrid, pixel_window
from lensdask.sky.cosmology import Cosmology
from lensdask.sky.tomography.redshifts import STAGE3_BINS
from lensdask.sky.tomography.shells import matter_shells

Float64 = npt.NDArray[np.float64]

PAIRS = np.triu_indices(12)
"""The two maps of each of the 78 spectra."""


def band_means(plane: npt.NDArray, grid: TileGrid, edges: Float64) -> npt.NDArray:
    """Return the mean over the modes of each band of ℓ, from half planes (..., n, n // 2 + 1)."""
    l1, l2 = multipoles((grid.size, grid.size), grid.pixel_scale)
    weight = np.broadcast_to(half_plane(grid.size), (grid.size, grid.size // 2 + 1))
    band = np.digitize(np.hypot(l1, l2), edges) - 1
    matrix = np.stack([weight * (band == b) for b in range(len(edges) - 1)])
    return np.tensordot(plane, matrix / matrix.sum(axis=(1, 2), keepdims=True), axes=((-2, -1), (1, 2)))


def measured_spectra(tiles: npt.NDArray, grid: TileGrid, edges: Float64) -> Float64:
    """Return the spectra of each tile, its mean subtracted, in steradian, shape (tile, pair, band)."""
    maps = tiles.reshape(len(tiles), 12, grid.size, grid.size).astype(np.float64)
    found = []
    for one in maps:
        plane = np.fft.rfft2(one - one.mean(axis=(1, 2), keepdims=True))
        cross = (plane[PAIRS[0]] * plane[PAIRS[1]].conj()).real
        found.append(band_means(cross, grid, edges))
    return np.stack(found) * (grid.pixel_scale * ARCMIN / grid.size) ** 2


def expected_spectra(
    cosmology: Cosmology, grid: TileGrid, edges: Float64, *, area: int | None = None, windowed: bool = True
) -> Float64:
    """Return what they are on average: input power times pixel window, through the mode coupling of a cut tile.

    A tile is a periodic area of `area` pixels, by default that of the grid, times a square. So its modes have the
    transform of the correlation function times the overlap of two such squares. Its mean is the mode ℓ = 0, which no
    other has a part of. Shape (pair, band).
    """
    shells, n, scale, area = matter_shells(cosmology), grid.size, grid.pixel_scale, area or grid.area
    window = pixel_window(area, scale) if windowed else np.ones(())
    l1, l2 = multipoles((area, area), scale)
    lag = np.arange(-n + 1, n)
    coupled = []
    for power in shells.power:
        wanted = power.at(np.hypot(l1, l2)) * window**2 / (scale * ARCMIN) ** 2
        correlation = np.fft.irfft2(wanted, s=(area, area))
        overlap = np.zeros((2 * n, 2 * n))
        rows, columns = np.ix_(lag, lag)
        overlap[rows, columns] = correlation[rows, columns] * (n - np.abs(rows)) * (n - np.abs(columns))
        # Of twice the modes every other is one of the tile.
        coupled.append(np.fft.fft2(overlap).real[::2, : n + 1 : 2])
    bands = band_means(np.stack(coupled), grid, edges) * (scale * ARCMIN / n) ** 2
    weights = shells.weights(STAGE3_BINS).reshape(12, -1)
    return np.asarray((weights[PAIRS[0]] * weights[PAIRS[1]]) @ bands)


def probability(samples: Float64, expected: Float64) -> float:
    """Return how often the mean of so many samples would be farther from what is expected: Hotelling's T².

    The χ² of the mean with the covariance of the samples themselves, whose own error makes it follow an F distribution.
    Intrinsic alignment and matter are nearly one field, so some combinations of spectra hardly vary, down to what is
    lost in rounding; those with less than a thousandth of the variance of a spectrum are left out. Any other limit from
    0.1 to 1e-14 gives a like probability, none gives nonsense.
    """
    samples, expected = samples.reshape(len(samples), -1), expected.ravel()
    scaled = (samples - expected) / samples.std(axis=0)
    variance, directions = np.linalg.eigh(np.corrcoef(scaled, rowvar=False))
    kept = scaled @ directions[:, variance > 1e-3]
    number, size = kept.shape
    t2 = number * float((kept.mean(axis=0) ** 2 / kept.var(axis=0, ddof=1)).sum())
    return float(fisher.sf(t2 * (number - size) / (size * (number - 1)), size, number - size))
