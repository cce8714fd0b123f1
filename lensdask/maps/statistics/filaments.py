"""Filaments of mass maps by persistent homology: ridges that join maxima over high passes.

Lower a threshold through a map. A region is born at each maximum, and dies at the pass, a saddle, over which it meets a
region with a higher maximum (the elder one survives). The difference of the two heights is its *persistence*: noise
makes maxima of low persistence. A filament climbs from a pass of a persistent maximum to both sides along the steepest
ascent, and ends in a persistent maximum on either side. It is what DisPerSE (Sousbie 2011) draws, which Cha et al. 2025
use with persistence above 3σ; but DisPerSE also draws the ridges that close a loop around a void, and filaments here
form a tree.

Here the maxima and passes come from the basins of attraction of the map: each pixel belongs to the maximum to which
steepest ascent leads, and two basins meet at the highest of their neighbouring pixels. Joining basins from the highest
pass down is the same as lowering the threshold pixel by pixel (the maximum spanning tree of the basins), so maxima,
passes and arcs belong to one another to the pixel. Neighbours are the eight pixels about one. Equal heights are told
apart by the place in the map.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from lensdask.maps.statistics.metrics import Float64, Maps, footprint

__all__ = ["Persistence", "find_filaments", "persistence_pairs", "share_near"]

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

_HALF_OF_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))


class Persistence(NamedTuple):
    """Maxima of a map and the passes at which they end, the most persistent first."""

    maximum: Int64
    """Pixels (y, x), shape (pair, 2)."""
    saddle: Int64
    """Pixels (y, x) of the passes; (-1, -1) for a maximum that never ends, the highest of a connected footprint."""
    persistence: Float64
    """κ of the maximum less that of the pass; infinite without a pass."""


class _Tree(NamedTuple):
    """Basins joined at their passes; pixels are flat indices."""

    uphill: Int64
    """Next pixel of the steepest ascent from each pixel; itself at maxima."""
    basin: Int64
    """The maximum of each pixel; -1 outside of the footprint."""
    ended: Int64
    """The lower of the two maxima that each pass joins, shape (pass,)."""
    passes: Int64
    """The pixel of the pass and its neighbour in the other basin, shape (pass, 2)."""
    persistence: Float64
    """Of the maxima that end, shape (pass,)."""


def persistence_pairs(kappa: Maps, mask: Maps | None = None) -> Persistence:
    """Return the maxima of a map with the passes at which they end.

    Parameters
    ----------
    kappa
        One map, shape (y, x).
    mask
        Not 0 inside the footprint; everything is when none.

    Raises
    ------
    InputError
        The map is not finite inside the mask, or nothing is inside.
    """
    tree = _merge_tree(kappa, footprint(kappa[None], mask=mask)[0])
    endless = np.setdiff1d(tree.basin[tree.basin >= 0], tree.ended)
    order = np.argsort(-tree.persistence, kind="stable")
    maximum = np.concatenate([endless, tree.ended[order]])
    saddle = _places(tree.passes[order, 0], kappa.shape)
    return Persistence(
        _places(maximum, kappa.shape),
        np.concatenate([np.full((len(endless), 2), -1), saddle]),
        np.concatenate([np.full(len(endless), np.inf), tree.persistence[order]]),
    )


def find_filaments(kappa: Maps, persistence: float, mask: Maps | None = None) -> list[Int64]:
    """Return the arcs that join persistent maxima over the passes at which they end, the most persistent first.

    Where the ascent from a pass reaches a maximum of less persistence, the arc goes on over the pass of that one, until
    it reaches a persistent maximum.

    Parameters
    ----------
    kappa
        One map, shape (y, x).
    persistence
        Least persistence of a maximum, in units of κ: a few standard deviations of the noise of the map.
    mask
        Not 0 inside the footprint; everything is when none.

    Returns
    -------
    list
        Pixels (y, x) of each arc in order, shape (n, 2), from maximum to maximum; neighbours touch.

    Raises
    ------
    InputError
        As for `persistence_pairs`.
    """
    tree = _merge_tree(kappa, footprint(kappa[None], mask=mask)[0])
    is_kept = tree.persistence >= persistence
    onward = _ways_to_persistent_maxima(tree, is_kept)
    arcs = []
    for number in np.flatnonzero(is_kept)[np.argsort(-tree.persistence[is_kept], kind="stable")]:
        first, second = (_ascent(tree, pixel, onward) for pixel in tree.passes[number])
        arcs.append(_places(np.array(_without_loops([*reversed(first), *second])), kappa.shape))
    return arcs


def share_near(arcs: list[Int64], others: list[Int64], distance: float) -> float:
    """Return the share of the pixels of arcs that lie within a distance of other arcs.

    With the truth as the others it is the purity of filaments, the other way round their completeness. Arcs found by
    chance lie near others too: compare with those of another field.

    Parameters
    ----------
    arcs, others
        As `find_filaments` returns them.
    distance
        Pixels.

    Returns
    -------
    float
        NaN without arcs; 0 without others.
    """
    if not arcs:
        return float("nan")
    if not others:
        return 0.0
    nearest, _ = cKDTree(np.concatenate(others)).query(np.concatenate(arcs))
    return float(np.mean(nearest <= distance))


def _places(pixels: Int64, shape: tuple[int, ...]) -> Int64:
    """Return flat indices as (y, x), shape (n, 2)."""
    return np.stack(np.unravel_index(pixels, shape), axis=-1).astype(np.int64)


def _neighbours(shape: tuple[int, ...]) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice], float]]:
    """Give each pair of pixels that touch once: as slices of the one and of the other, with their distance."""
    for step in _HALF_OF_NEIGHBOURS:
        here = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(step, shape, strict=True))
        there = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(step, shape, strict=True))
        yield (here[0], here[1]), (there[0], there[1]), float(np.hypot(*step))


def _ranks(kappa: Maps) -> Int64:
    """Return the place of each pixel among all by height: heights without ties."""
    rank = np.empty(kappa.size, dtype=np.int64)
    rank[np.argsort(kappa, axis=None, kind="stable")] = np.arange(kappa.size)
    return rank.reshape(kappa.shape)


def _steepest_ascent(kappa: Float64, rank: Int64, inside: Bool) -> Int64:
    """Return the neighbour of each pixel to which the map rises most per distance, flat; itself at maxima."""
    own = np.arange(kappa.size).reshape(kappa.shape)
    target, steepest = own.copy(), np.full(kappa.shape, -np.inf)
    for one, other, distance in _neighbours(kappa.shape):
        for here, there in ((one, other), (other, one)):
            rises = inside[there] & (rank[there] > rank[here])
            slope = np.where(rises, (kappa[there] - kappa[here]) / distance, -np.inf)
            better = slope > steepest[here]
            steepest[here] = np.where(better, slope, steepest[here])
            target[here] = np.where(better, own[there], target[here])
    return target.ravel()


def _basins(uphill: Int64, inside: Bool) -> Int64:
    """Return the maximum that steepest ascent leads to from each pixel, -1 outside."""
    basin = uphill
    while not np.array_equal(further := basin[basin], basin):
        basin = further
    return np.where(inside.ravel(), basin, -1)


def _highest_passes(rank: Int64, basin: Int64) -> Int64:
    """Return the highest pass between each two basins, from the highest down: lower pixel and higher, shape (n, 2)."""
    own, of = np.arange(rank.size).reshape(rank.shape), basin.reshape(rank.shape)
    touching = []
    for one, other, _ in _neighbours(rank.shape):
        meet = (of[one] != of[other]) & (of[one] >= 0) & (of[other] >= 0)
        touching.append(np.stack([own[one][meet], own[other][meet]], axis=-1))
    pairs, height = np.concatenate(touching), rank.ravel()
    pairs = np.take_along_axis(pairs, np.argsort(height[pairs], axis=-1), axis=-1)
    pairs = pairs[np.lexsort((height[pairs[:, 1]], height[pairs[:, 0]]))[::-1]]
    sides = np.sort(basin[pairs], axis=-1)
    first = np.unique(sides[:, 0] * rank.size + sides[:, 1], return_index=True)[1]
    return pairs[np.sort(first)]


def _merge_tree(kappa: Maps, inside: Bool) -> _Tree:
    height = np.where(inside, kappa, 0.0).astype(np.float64)
    rank = _ranks(height)
    uphill = _steepest_ascent(height, rank, inside)
    basin = _basins(uphill, inside)
    elder = {int(maximum): int(maximum) for maximum in np.unique(basin[basin >= 0])}
    ended, passes = [], []
    order = rank.ravel()
    for low, high in _highest_passes(rank, basin):
        roots = {_root(elder, int(basin[low])), _root(elder, int(basin[high]))}
        if len(roots) == 2:
            younger, survivor = sorted(roots, key=lambda maximum: order[maximum])
            elder[younger] = survivor
            ended.append(younger)
            passes.append((low, high))
    tops, saddles = np.array(ended, dtype=np.int64), np.array(passes, dtype=np.int64).reshape(-1, 2)
    flat = height.ravel()
    return _Tree(uphill, basin, tops, saddles, flat[tops] - flat[saddles[:, 0]])


def _root(elder: dict[int, int], maximum: int) -> int:
    """Return the highest maximum of the region of a maximum, and shorten the way there."""
    while elder[maximum] != maximum:
        elder[maximum] = elder[elder[maximum]]
        maximum = elder[maximum]
    return maximum


def _climb(tree: _Tree, pixel: int) -> list[int]:
    """Return the pixels of the steepest ascent from a pixel to its maximum."""
    way = [pixel]
    while tree.uphill[way[-1]] != way[-1]:
        way.append(int(tree.uphill[way[-1]]))
    return way


def _ways_to_persistent_maxima(tree: _Tree, is_kept: Bool) -> dict[int, tuple[int, int] | None]:
    """Return for each maximum the pass to leave it by towards a persistent one: its pixel on this side, then beyond.

    Joined over the passes that are not kept, basins form groups with one persistent maximum each, whose entry is none.
    """
    links: dict[int, list[tuple[int, int]]] = {}
    for low, high in tree.passes[~is_kept].tolist():
        links.setdefault(int(tree.basin[low]), []).append((low, high))
        links.setdefault(int(tree.basin[high]), []).append((high, low))
    persistent = np.setdiff1d(tree.basin[tree.basin >= 0], tree.ended[~is_kept])
    ways: dict[int, tuple[int, int] | None] = dict.fromkeys(persistent.tolist())
    waiting = deque(ways)
    while waiting:
        for near, far in links.get(waiting.popleft(), []):
            maximum = int(tree.basin[far])
            if maximum not in ways:
                ways[maximum] = (far, near)
                waiting.append(maximum)
    return ways


def _ascent(tree: _Tree, pixel: int, onward: dict[int, tuple[int, int] | None]) -> list[int]:
    """Return the way from a pixel to a persistent maximum, over passes of maxima that are not."""
    way = _climb(tree, int(pixel))
    while (step := onward[way[-1]]) is not None:
        near, beyond = step
        way += [*_climb(tree, near)[-2::-1], *_climb(tree, beyond)]
    return way


def _without_loops(way: list[int]) -> list[int]:
    """Return a way without the detours that lead back to a pixel on it."""
    kept: list[int] = []
    place: dict[int, int] = {}
    for pixel in way:
        if pixel in place:
            for dropped in kept[place[pixel] + 1 :]:
                del place[dropped]
            del kept[place[pixel] + 1 :]
        else:
            place[pixel] = len(kept)
            kept.append(pixel)
    return kept
