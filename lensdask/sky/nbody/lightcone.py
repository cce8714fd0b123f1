"""Tomographic tiles of a light cone through a simulated box: convergence, intrinsic alignment, matter contrast.

The light cone is boxes one behind the other, each along an axis, shifted and flipped at random, by tile. Their whole
depth is seen: the ends of a thinner piece would lose 2 to 5 % of the power of long waves. Half a box is a shell, which
shows the particles at the time that light passed the shell's middle, in two slices as wide as their angle at their own
middle. A map is ∫ W δ dχ along unbent lines of sight (Born)::

    map = Σ_slices δ_slice ∫ W dχ        over the slice

with the kernels of `lensdask.sky.tomography.kernels`.

What the maps do not have:

- All tiles of a box are made of the same matter, and one tile shows the same box thirteen times: waves of the size
  of the box, and rare haloes, come as they are in that one box. Draw conclusions from several boxes. A tile is wider
  than the box beyond a distance of 11.5 sides, where its edges show the same matter.
- Forces are those of a mesh, whose haloes are too wide. `lensdask.sky.nbody.descent` makes up for most of it, by
  constants that are fitted to the power of the default box, not to spectra of tiles: κ4κ4 and δ1κ4 are within 10 % of
  halofit for 100 < ℓ < 600 (5 % low at 350, 6 and 7 % at 550). Spectra of nearby matter remain lower: κ1κ1 is 4 % low
  at 150 and 17 % at 550. The farther δ3δ3 is within 3 %.
- Nothing is correlated across the faces between two boxes, and what a slice cuts is seen twice, away from the centre
  of the tile.
- Particles are counted, so maps have their shot noise, of power Σ_slices (∫ W dχ)² V / (N χ² Δχ) for N particles in the
  volume V; less while they keep the order of the grid that they start in. At ℓ = 550 it is 2 % of the power of δ in the
  third bin and 8 % of that of κ in the first, for the default box; at ℓ = 1000 it is 4 % and 20 %.
- Cells of slices are a quarter of a pixel, but not below 1/16 of a cell of the force mesh, where there is nothing: the
  nearest slice alone, whose weight is next to 0.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import array_api_compat
import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, index_like, like, namespace
from lensdask.conventions import ARCMIN
from lensdask.errors import InputError, check_seed
from lensdask.random import Stream, words
from lensdask.sky.cosmology import Cosmology, comoving_distance
from lensdask.sky.nbody.box import NbodyBox, box_key
from lensdask.sky.nbody.descent import descended
from lensdask.sky.nbody.planes import SLICES, integral_image, rectangle_means, slice_counts
from lensdask.sky.nbody.steps import simulate_box
from lensdask.sky.tomography.kernels import field_kernels
from lensdask.sky.tomography.redshifts import REDSHIFTS, STAGE3_BINS, RedshiftBins
from lensdask.sky.tomography.tiles import LARGEST_TILE, TileGrid

__all__ = ["Shell", "light_cone_shells", "nbody_tiles"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_CELLS_PER_PIXEL = 4
_CELLS_PER_MESH_CELL = 16

_NODES = 8
"""Points of the Gauss-Legendre integral over a slice."""


class Shell(NamedTuple):
    """A shell of the light cone: its near and its far slice."""

    scale_factor: float
    """a = 1 / (1 + z) at its middle."""
    chi: Float64
    """Comoving distance of the middle of each slice, Mpc, shape (2,)."""
    weight: Float64
    """∫ W dχ over each slice, shape (field, bin, 2)."""
    cells: int
    """Cells of its slices over the side of the box."""


def light_cone_shells(cosmology: Cosmology, box: NbodyBox, bins: RedshiftBins, grid: TileGrid) -> list[Shell]:
    """Return the shells from redshift 1.75 to the observer.

    Parameters
    ----------
    cosmology
        Flat ΛCDM.
    box
        Its side.
    bins
        The galaxies.
    grid
        The pixels.
    """
    fine = np.linspace(0.0, REDSHIFTS[-1] + 1, 4001)
    distance = comoving_distance(fine, cosmology)
    farthest, thickness = float(comoving_distance(REDSHIFTS[-1], cosmology)), 2 * box.side / SLICES
    shells = []
    for near in reversed(np.arange(0.0, farthest, thickness)):
        edges = near + np.linspace(0.0, thickness, SLICES // 2 + 1)
        chi = (edges[1:] + edges[:-1]) / 2
        middle = float(np.interp(near + thickness / 2, distance, fine))
        weight = _weights(np.minimum(edges, farthest), distance, fine, bins, cosmology)
        finest = math.ceil(box.side * _CELLS_PER_PIXEL / (chi[0] * grid.pixel_scale * ARCMIN))
        shells.append(Shell(1 / (1 + middle), chi, weight, min(finest, _CELLS_PER_MESH_CELL * box.mesh)))
    return shells


def _weights(edges: Float64, distance: Float64, redshift: Float64, bins: RedshiftBins, cosmology: Cosmology) -> Float64:
    """Return ∫ W dχ between edges in χ, shape (field, bin, slice)."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(edges)[:, None] / 2
    z = np.interp(edges[:-1, None] + half * (x + 1), distance, redshift)
    kernels = field_kernels(z.ravel(), bins, cosmology)
    return np.asarray((kernels.reshape(*kernels.shape[:2], *z.shape) * half * w).sum(axis=-1))


class _Places(NamedTuple):
    """Where in the box each tile sees one shell; arrays of shape (tile,)."""

    axis: Int64
    """The line of sight."""
    half: Int64
    """Which half of the box, 0 or 1."""
    turned: Int64
    """1 where the half is seen from its far side."""
    transposed: Int64
    """1 where y and x are exchanged."""
    flip: Int64
    """1 or -1 along y and x, shape (tile, 2)."""
    shift: Float64
    """Centre along y and x, in sides of the box, shape (tile, 2)."""


def _places(keys: Int64, shells: int, seed: int) -> list[_Places]:
    """Return the places of all shells from the last to the nearest; those of a tile depend on its key alone."""
    boxes = -(-shells // 2)
    drawn = words(keys, 3 * boxes, seed, Stream.PLACEMENT).reshape(len(keys), boxes, 3)
    return [_places_of(drawn[:, shell // 2], shell % 2) for shell in reversed(range(shells))]


def _places_of(drawn: Int64, second: int) -> _Places:
    """Return the places of the first or the second half of a box."""
    choice = drawn[:, 0] // 3
    half, turned, transposed, flip_y, flip_x = ((choice >> bit) & 1 for bit in range(5))
    flip = 1 - 2 * np.stack([flip_y, flip_x], axis=1)
    shift = drawn[:, 1:].astype(np.float64) * 2.0**-32
    return _Places(drawn[:, 0] % 3, half ^ second, turned, transposed, flip, shift)


def _tile_keys(tiles: Int64, cosmology: Cosmology, number: int) -> Int64:
    """Return the id of each tile, by which its places are drawn: 37 bits of the box, 20 of the tile."""
    if tiles.ndim != 1 or not len(tiles) or tiles.min() < 0 or tiles.max() > LARGEST_TILE:
        raise InputError(f"tiles: expected one or more numbers from 0 to {LARGEST_TILE}")
    return (box_key(cosmology, number) << 20) | tiles


def nbody_tiles(
    tiles: npt.ArrayLike,
    cosmology: Cosmology,
    *,
    number: int = 0,
    bins: RedshiftBins = STAGE3_BINS,
    grid: TileGrid | None = None,
    box: NbodyBox | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Array:
    """Return tiles of noise-free maps, all of one simulated box; see the caveats of this module.

    The box takes a minute and more, whatever the number of tiles: ask for all of them at once.

    Parameters
    ----------
    tiles
        Numbers of the tiles, 0 to `LARGEST_TILE`, shape (tile,), at least one. A tile depends on its number, on the
        cosmology, `number` and `seed` alone.
    cosmology
        One of `lensdask.sky.tomography_cosmology`.
    number
        Number of the box, 0 to `LARGEST_SEED`.
    bins
        Redshifts of the galaxies.
    grid
        The pixels; its padding is not used.
    box
        Particles, size and steps of the box.
    seed
        Seed of the run.
    device
        "cpu", where maps are NumPy's, or "cuda", where they are torch's.

    Returns
    -------
    Array
        float32, shape (tile, field, bin, y, x), fields in the order of `field_kernels`.

    Raises
    ------
    InputError
        A number is out of its range, or the matter power is not known.
    """
    check_seed(seed)
    grid, box = grid or TileGrid(), box or NbodyBox()
    keys = _tile_keys(np.asarray(tiles, dtype=np.int64), cosmology, number)
    shells = light_cone_shells(cosmology, box, bins, grid)
    times = [shell.scale_factor for shell in shells]
    moved = simulate_box(cosmology, box, times, number=number, seed=seed, device=device)
    maps: Array = 0.0
    shown = zip(descended(moved, box), shells, _places(keys, len(shells), seed), strict=True)
    for position, shell, places in shown:
        near, far = _seen(position, shell, places, box, grid)
        for part, weight in ((near, shell.weight[..., 0]), (far, shell.weight[..., 1])):
            maps = maps + like(weight[:, :, None, None], part) * part[:, None, None, :, :]
    return maps


def _seen(position: Array, shell: Shell, places: _Places, box: NbodyBox, grid: TileGrid) -> Array:
    """Return the density contrast that tiles see in both slices of a shell, float32, shape (2, tile, y, x)."""
    xp, tiles = namespace(position), len(places.axis)
    seen = xp.zeros((2 * tiles, grid.size, grid.size), dtype=xp.float32, device=array_api_compat.device(position))
    for tile, slice_of_shell, means in _looks(position, shell, places, box, grid):
        seen[index_like(slice_of_shell * tiles + tile, seen)] = xp.astype(means, xp.float32)
    return xp.reshape(seen, (2, tiles, grid.size, grid.size))


def _looks(
    position: Array, shell: Shell, places: _Places, box: NbodyBox, grid: TileGrid
) -> Iterator[tuple[Int64, Int64, Array]]:
    """Yield, for one slice of the box after another, which tiles see it, as which slice of the shell, and what."""
    for axis in np.unique(places.axis).tolist():
        for number, counts in enumerate(slice_counts(position, box.mesh, axis, shell.cells)):
            tile = np.flatnonzero((places.axis == axis) & (places.half == number // 2))
            if len(tile):
                slice_of_shell = (number % 2) ^ places.turned[tile]
                edges = _edges(tile, shell.chi[slice_of_shell], shell.cells, places, box, grid)
                image = integral_image(counts, box.particles**3)
                y, x = (like(each, image) for each in edges)
                yield tile, slice_of_shell, _transposed(rectangle_means(image, y, x), places.transposed[tile])


def _edges(
    tile: Int64, chi: Float64, cells: int, places: _Places, box: NbodyBox, grid: TileGrid
) -> tuple[Float64, Float64]:
    """Return the edges of the pixels along y and x in cells, each of shape (tile, size + 1)."""
    pixel = chi[:, None] * grid.pixel_scale * ARCMIN * (cells / box.side) * places.flip[tile]
    edges = places.shift[tile, :, None] * cells + pixel[..., None] * (np.arange(grid.size + 1) - grid.size / 2)
    return edges[:, 0], edges[:, 1]


def _transposed(maps: Array, which: Int64) -> Array:
    """Return maps of which some, where `which` is 1, have y and x exchanged."""
    xp = namespace(maps)
    return xp.where(index_like(which[:, None, None], maps) == 1, xp.permute_dims(maps, (0, 2, 1)), maps)
