"""Tomographic tiles of a full sky: shells weighted and added, or maps that are projected already.

One shell is in memory at a time, 200 MB at nside 2048, and of each tile the numbers of its pixels. The maps have what
the simulation has: boxes that are repeated, and the shot noise of particles. Lines of sight are straight (Born).
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError
from lensdask.sky.cosmology import Cosmology
from lensdask.sky.fullsky.description import FIELDS, Source
from lensdask.sky.fullsky.files import HDF5, check_file, read_sky
from lensdask.sky.fullsky.healpix import Order, nside_of
from lensdask.sky.fullsky.patches import check_resolution, tile_means, tile_pixels
from lensdask.sky.fullsky.shells import read_limits, read_shells, shell_files
from lensdask.sky.fullsky.weights import check_distances, check_neighbours, lost_weight, shell_weights
from lensdask.sky.tomography.redshifts import RedshiftBins
from lensdask.sky.tomography.tiles import TileGrid

__all__ = ["check_first_map", "check_fullsky", "fullsky_files", "fullsky_tiles"]

Float64 = npt.NDArray[np.float64]
Map = npt.NDArray[Any]

_FLOORS = {"counts": 0.0, "contrast": -1.001, "maps": -1e30}
"""Values below are none of what maps hold; HEALPix has -1.6375e30 in pixels that were not seen."""

_TOLD = 1e-3
"""Share of an integral whose loss is worth a word."""


def fullsky_tiles(
    tiles: range, path: Path, source: Source, cosmology: Cosmology, *, bins: RedshiftBins, grid: TileGrid
) -> npt.NDArray[np.float32]:
    """Return tiles of noise-free maps of one simulation.

    Parameters
    ----------
    tiles
        Their numbers, from 0. A tile depends on its number and the grid alone, not on which others there are.
    path
        The simulation: a file or directory, as its format has it.
    source
        Its format.
    cosmology
        Its Ω_m and w.
    bins
        Redshifts of the galaxies; projected maps have their own.
    grid
        The pixels.

    Returns
    -------
    ndarray
        float32, shape (tile, field, bin, y, x), fields in the order of `lensdask.sky.field_kernels`. Means are not
        subtracted.

    Raises
    ------
    InputError
        A file is missing, is another than its format asks for, or has pixels without a value.
    """
    maps = np.zeros((len(tiles), len(FIELDS), len(bins.density), grid.size, grid.size), np.float32)
    for weight, sky, where in _layers(path, source, bins, cosmology):
        nside = nside_of(len(sky), where)
        check_resolution(nside, source.order, grid, where)
        mean = _mean_count(sky, source, where)
        for tile, pixels in zip(maps, _pixels(tiles, grid, nside, source.order), strict=True):
            seen = tile_means(sky, pixels)
            tile += weight[..., None, None] * (seen if mean is None else seen / mean - 1)
    return maps


@lru_cache(maxsize=1)
def _pixels(tiles: range, grid: TileGrid, nside: int, order: Order) -> list[npt.NDArray[np.int32]]:
    return [tile_pixels(tile, grid, nside, order) for tile in tiles]


def _layers(path: Path, source: Source, bins: RedshiftBins, cosmology: Cosmology) -> Iterator[tuple[Float64, Map, str]]:
    """Yield skies with their weights in the maps, shape (field, bin), and what to call them."""
    if source.format == "maps":
        yield from _projected(path, source, len(bins.density))
        return
    limits = read_limits(path, source.format)
    weights = shell_weights(limits, bins, cosmology)
    for number, sky in read_shells(path, source.format, source.order, np.asarray(weights.any(axis=(0, 1)))):
        where = f"{path}, shell from redshift {limits.near[number]:.4g} to {limits.far[number]:.4g}"
        yield weights[..., number], sky, where


def _projected(path: Path, source: Source, bins: int) -> Iterator[tuple[Float64, Map, str]]:
    for field, row in enumerate(_places(path, source, bins)):
        for number, (file, dataset) in enumerate(row):
            weight = np.zeros((len(FIELDS), bins))
            weight[field, number] = 1.0
            yield weight, read_sky(file, dataset, source.order), f"{file}, {dataset}" if dataset else str(file)


def _places(path: Path, source: Source, bins: int) -> list[list[tuple[Path, str | None]]]:
    """Return file and name of each projected map, (field, bin)."""
    names = [[one.replace("{bin}", str(number)) for number in range(1, bins + 1)] for one in source.maps]
    inside = path.suffix in HDF5
    return [[(path, name) if inside else (path / name, None) for name in row] for row in names]


def _mean_count(sky: Map, source: Source, where: str) -> float | None:
    """Return the mean of counts, None where maps are used as they are, and refuse pixels without a value."""
    kind = "maps" if source.format == "maps" else source.content
    total, least = float(sky.sum(dtype=np.float64)), float(sky.min())
    if not (np.isfinite(total) and least >= _FLOORS[kind]):
        raise InputError(f"{where}: a pixel of {least:g} among those of sum {total:g}; expected {_EXPECTED[kind]}")
    if kind != "counts":
        return None
    if total == 0:
        raise InputError(f"{where}: no particles; expected some")
    return total / len(sky)


_EXPECTED = {
    "counts": "particles in each pixel, finite numbers, zero or more",
    "contrast": "a density contrast in each pixel, finite numbers of at least -1",
    "maps": "a finite number in each pixel",
}


def fullsky_files(path: Path, source: Source, bins: RedshiftBins) -> list[Path]:
    """Return all files of a simulation.

    Raises
    ------
    InputError
        They cannot be told.
    """
    if source.format == "maps":
        return list(dict.fromkeys(file for row in _places(path, source, len(bins.density)) for file, _ in row))
    return shell_files(path, source.format)


def check_fullsky(path: Path, source: Source, cosmology: Cosmology, bins: RedshiftBins) -> str | None:
    """Refuse a simulation that has files or shells missing, and return what is to be said of it; no map is read.

    Parameters
    ----------
    path, source, cosmology, bins
        As for `fullsky_tiles`.

    Raises
    ------
    InputError
        A file is missing, shells overlap, leave a gap or end too early, or are not of the cosmology.
    """
    for file in fullsky_files(path, source, bins):
        check_file(file, "a file of the simulation")
    if source.format == "maps":
        return None
    limits, where = read_limits(path, source.format), str(path)
    check_neighbours(limits, where)
    # Gower Street's table has the distances of Λ, whatever the simulation's dark energy.
    check_distances(limits, replace(cosmology, w=-1.0) if source.format == "gower" else cosmology, where)
    lost = lost_weight(limits, bins, cosmology, where)
    return f"{where}: {lost:.2%} of the weight of a map lies outside of the shells" if lost > _TOLD else None


def check_first_map(path: Path, source: Source, bins: RedshiftBins, grid: TileGrid) -> str | None:
    """Refuse maps that are too coarse for tiles, and return what is to be said of their pixels.

    Parameters
    ----------
    path, source, bins, grid
        As for `fullsky_tiles`; of the simulation one map is read.

    Raises
    ------
    InputError
        The map is none or too coarse.
    """
    if source.format == "maps":
        file, dataset = _places(path, source, len(bins.density))[0][0]
        sky = read_sky(file, dataset, source.order)
    else:
        first = np.arange(len(read_limits(path, source.format).near)) == 0
        _, sky = next(read_shells(path, source.format, source.order, first))
    nside = nside_of(len(sky), str(path))
    return check_resolution(nside, source.order, grid, str(path))
