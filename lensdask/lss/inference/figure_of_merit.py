"""The figure of merit of two parameters: one over the area of the posterior, by three definitions.

- `contour_area`, ``histogram``: the area of the 68 % contour on a fixed grid, as in the released code of the paper.
- `contour_area_kde`: the same contour of a smooth density, which does not depend on a grid.
- `determinant`: √det C of the covariance, which for a Gaussian is that area over 2.279 π.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from lensdask.errors import InputError

__all__ = ["GAUSSIAN_AREA", "GRID", "contour_area", "contour_area_kde", "determinant"]

Float64 = npt.NDArray[np.float64]

GRID = ((0.0, 0.6), (0.4, 1.5))
"""Ω_m and σ₈ of the released histogram, 400 × 400."""

GAUSSIAN_AREA = -2 * math.pi * math.log(1 - 0.68)
"""Area of the 68 % contour of a Gaussian over √det C: 2.279 π."""

_LEAST = 1000
_CELLS, _EXTENT = 256, 6.0


def _pairs(draws: npt.ArrayLike) -> Float64:
    pairs = np.asarray(draws, dtype=np.float64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or len(pairs) < _LEAST:
        raise InputError(f"figure of merit: draws of shape {pairs.shape}; expected a chain of {_LEAST} pairs or more")
    return pairs


def determinant(draws: npt.ArrayLike) -> float:
    """Return √det C of the covariance of draws, shape (draw, 2).

    Raises
    ------
    InputError
        The chain is too short.
    """
    return float(np.sqrt(np.linalg.det(np.cov(_pairs(draws).T))))


def contour_area(
    draws: npt.ArrayLike,
    grid: tuple[tuple[float, float], tuple[float, float]] = GRID,
    cells: int = 400,
    mass: float = 0.68,
) -> float:
    """Return the area of the smallest set of cells of a histogram that holds a share of the draws.

    Noisy, and too small, where the draws are few in a cell.

    Parameters
    ----------
    draws
        Shape (draw, 2).
    grid
        Ranges of the two parameters; draws outside are in no cell.
    cells
        Cells on each side.
    mass
        Share of the draws.

    Raises
    ------
    InputError
        The chain is too short.
    """
    pairs = _pairs(draws)
    counts, *edges = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=cells, range=[list(ends) for ends in grid])
    area = np.prod([axis[1] - axis[0] for axis in edges])
    return float(area * _cells_within(counts, mass))


def _cells_within(density: Float64, mass: float) -> float:
    """Return how many cells, the densest first, hold a share of the whole; the last one counts in part."""
    ordered = np.sort(density, axis=None)[::-1]
    below = ordered.cumsum() / ordered.sum()
    last = int(np.searchsorted(below, mass))
    before = below[last - 1] if last else 0.0
    return float(last + (mass - before) / (below[last] - before))


def contour_area_kde(draws: npt.ArrayLike, mass: float = 0.68) -> float:
    """Return the area of a contour of the density of draws, smoothed by a Gaussian kernel.

    The kernel is the covariance of the draws times h², h = n^(-1/6) (Scott's rule) with n draws. Draws are
    first drawn together about their mean by √(1 - h²), so that the smoothed density has the covariance of the draws and
    the area of a Gaussian is right for any n.

    Parameters
    ----------
    draws
        Shape (draw, 2).
    mass
        Share of the draws.

    Raises
    ------
    InputError
        The chain is too short.
    """
    pairs = _pairs(draws)
    factor = np.linalg.cholesky(np.cov(pairs.T))
    width = len(pairs) ** (-1 / 6)
    white = np.linalg.solve(factor, (pairs - pairs.mean(axis=0)).T) * np.sqrt(1 - width**2)
    counts, *_ = np.histogram2d(white[0], white[1], bins=_CELLS, range=[[-_EXTENT, _EXTENT]] * 2)
    cell = 2 * _EXTENT / _CELLS
    smooth = gaussian_filter(counts, width / cell, mode="constant")
    return float(np.linalg.det(factor) * cell**2 * _cells_within(smooth, mass))
