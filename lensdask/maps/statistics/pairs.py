"""Pairs of clusters: whether the two are told apart, and whether there is matter between them.

Each pair is drawn in its own frame: the line through both is the axis u, the separation is the unit of length, and the
clusters lie at u = -½ and u = +½. Frames of many pairs may be averaged. Two round haloes fill the space between them
too: what each of them puts there it also puts on its far side, so the matter of a bridge is what lies between the two
less what lies at the mirror places beyond the first and beyond the second.
"""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from lensdask.errors import InputError
from lensdask.maps.statistics.metrics import Float64, Maps, footprint
from lensdask.maps.statistics.peaks import Peaks

__all__ = ["CELLS", "PAIR_STATISTICS", "close_pairs", "pair_frames", "pair_statistics"]

Int64 = npt.NDArray[np.int64]

CELLS = 20
"""Cells of a frame per separation."""

PAIR_STATISTICS = ("first", "second", "middle", "bridge")
"""What `pair_statistics` returns: the mean κ of either core and midway between them, and the κ of a bridge."""

_ALONG, _ACROSS = 1.5, 0.5
_CORE, _HALF_WIDTH = 4, 3  # cells


def close_pairs(places: Peaks, separation: tuple[float, float]) -> tuple[Int64, Int64]:
    """Return the pairs of places in the same map with a separation in a range, as two lists of rows.

    Parameters
    ----------
    places
        Peaks or haloes.
    separation
        Least and largest, pixels.

    Returns
    -------
    tuple
        Rows of the higher, and of the lower of each pair.
    """
    first, second = [], []
    for field in np.unique(places.field):
        rows = np.flatnonzero(places.field == field)
        rows = rows[np.argsort(-places.height[rows], kind="stable")]
        i, j = np.triu_indices(len(rows), 1)
        distance = np.hypot(places.y[rows[i]] - places.y[rows[j]], places.x[rows[i]] - places.x[rows[j]])
        used = (distance >= separation[0]) & (distance <= separation[1])
        first.append(rows[i[used]])
        second.append(rows[j[used]])
    if not first:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return np.concatenate(first), np.concatenate(second)


def pair_frames(maps: Maps, first: Peaks, second: Peaks, mask: Maps | None = None) -> Float64:
    """Return the surroundings of pairs, each in its own frame.

    Parameters
    ----------
    maps
        Convergence, shape (field, y, x).
    first, second
        The two places of each pair, in the same map.
    mask
        Footprint; everything when none.

    Returns
    -------
    ndarray
        κ above the mean of the map at the cells |u| <= 1.5, |v| <= 0.5, interpolated between pixels, shape
        (pair, v, u) with `CELLS` cells per separation; NaN beyond the footprint.

    Raises
    ------
    InputError
        See `footprint`; or the two places of a pair are one, or lie in two maps.
    """
    inside = footprint(maps, mask=mask)
    across, along = (np.arange(-CELLS * reach, CELLS * reach + 1) / CELLS for reach in (_ACROSS, _ALONG))
    v, u = np.meshgrid(across, along, indexing="ij")
    frames = np.empty((len(first.field), *u.shape))
    for row, field in enumerate(first.field):
        y, x = (np.array([p[row], q[row]]) for p, q in ((first.y, second.y), (first.x, second.x)))
        if field != second.field[row] or (y[0] == y[1] and x[0] == x[1]):
            raise InputError(f"pair {row}: no two places in one map; expected a separation to measure in")
        axis_y, axis_x = y[1] - y[0], x[1] - x[0]
        rows, columns = y.mean() + u * axis_y + v * axis_x, x.mean() + u * axis_x - v * axis_y
        above = np.where(inside[field], maps[field] - maps[field][inside[field]].mean(dtype=np.float64), np.nan)
        frames[row] = map_coordinates(above, [rows, columns], order=1, mode="constant", cval=np.nan)
    return frames


def pair_statistics(frames: Float64) -> Float64:
    """Return `PAIR_STATISTICS` of pairs, shape (pair, 4).

    Cores are discs of 0.2 separations about the two and about the place midway. The bridge is the mean of κ in the
    strip |v| <= 0.15 between the cores, less the means of its mirror images beyond either cluster. Each mirror image
    also holds a little of the farther cluster, so two round haloes alone give a bridge somewhat below 0: compare with
    the truth.

    Parameters
    ----------
    frames
        As `pair_frames` returns them, or their mean over pairs.

    Returns
    -------
    ndarray
        NaN where a part lies beyond the footprint.
    """
    v, u = np.indices(frames.shape[-2:]) - np.array(frames.shape[-2:])[:, None, None] // 2
    half = CELLS // 2
    discs = [np.hypot(u - place, v) <= _CORE for place in (-half, half, 0)]
    strips = [(np.abs(v) <= _HALF_WIDTH) & (np.abs(u - place) <= half - _CORE) for place in (0, -CELLS, CELLS)]
    first, second, middle, between, before, beyond = (frames[..., part].mean(axis=-1) for part in discs + strips)
    return np.stack([first, second, middle, between - before - beyond], axis=-1)
