"""Lognormal tiles: convergence, intrinsic alignment and matter contrast in all bins, from the same shells of matter.

The contrast of a shell is a shifted lognormal field (see `lensdask.sky.lognormal`). Its shift is 1, so that δ never
falls below -1, that of a void without matter; but σ / √(e - 1) where that is more, for a standard deviation σ in
pixels, so that the variance of the Gaussian field is 1 at the most. Those are the shells near the observer, where with
a shift of 1 there is no field with the power of the strongest cosmologies, and that of others is in a few rare peaks.
All maps of a tile are weighted sums of its shells, so each auto and cross spectrum is Σ q q' C_s
to within 0.1 %, which `lost_shell_variance` takes. Beyond two points the fields are lognormal and nothing more: there
are no haloes, voids or filaments. At the fiducial cosmology ⟨δ³⟩ / ⟨δ²⟩² of the maps is 5.0, 4.5, 4.1 and 3.9 by bin.

Pixels show their means over the pixel: the power of each shell is multiplied by the squared window of a square pixel,
[sinc(ℓ1 a / 2) sinc(ℓ2 a / 2)]². What such means would alias from waves beyond the Nyquist frequency is not in it, so
the power is exactly this product. A tile is cut from a periodic area of twice its side. The mean over the area, ℓ = 0,
is 0; the mean of a tile is not.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant, held_on, namespace
from lensdask.conventions import ARCMIN
from lensdask.errors import InputError, check_number, check_seed
from lensdask.fourier import multipoles
from lensdask.random import Stream, normals
from lensdask.sky.cosmology import Cosmology
from lensdask.sky.lognormal import check_field, gaussian_power, lognormal_of_noise, padded_size, plane_variance
from lensdask.sky.tomography.redshifts import STAGE3_BINS, RedshiftBins
from lensdask.sky.tomography.shells import SHELLS, matter_shells

__all__ = ["LARGEST_SEED", "LARGEST_TILE", "TileGrid", "lost_shell_variance", "pixel_window", "tomographic_tiles"]

Float64 = npt.NDArray[np.float64]

_LEAST_SHIFT = 1.0

_LARGEST_VARIANCE = 1.0
"""Of the Gaussian field of a shell."""

LARGEST_SEED, LARGEST_TILE = 2**10 - 1, 2**20 - 1
"""Largest number of a simulation's seed and of a tile."""

_BATCH = 8
"""Shells at a time: few enough for the cache of a processor. It divides the number of shells."""


@dataclass(frozen=True)
class TileGrid:
    """The pixels of a tile; by default those of Kacprzak & Fluri 2022, 5 degrees on a side."""

    size: int = 64
    """Pixels on a side, even."""
    pixel_scale: float = 4.6875
    """Arcmin."""
    padding: float = 2.0
    """Side of the periodic area over that of the tile."""

    def __post_init__(self) -> None:
        check_field(self.size, self.pixel_scale, self.padding, 0.0)

    @property
    def area(self) -> int:
        """Pixels on a side of the periodic area."""
        return padded_size(self.size, self.padding)


def tomographic_tiles(
    tiles: npt.ArrayLike,
    cosmology: Cosmology,
    *,
    number: int = 0,
    bins: RedshiftBins = STAGE3_BINS,
    grid: TileGrid | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Array:
    """Return tiles of noise-free maps.

    Parameters
    ----------
    tiles
        Numbers of the tiles, 0 to `LARGEST_TILE`, shape (tile,), at least one. A tile depends on its number, on the
        cosmology, `number` and `seed` alone.
    cosmology
        One of `lensdask.sky.tomography_cosmology`.
    number
        Number of the simulation that the tiles are of, 0 to `LARGEST_SEED`.
    bins
        Redshifts of the galaxies.
    grid
        The pixels.
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
    keys = _keys(np.asarray(tiles, dtype=np.int64), cosmology, number)
    made = [_tile(held_on(key, device), cosmology, bins, grid or TileGrid(), seed) for key in keys]
    return namespace(made[0]).stack(made)


def _keys(tiles: npt.NDArray[np.int64], cosmology: Cosmology, number: int) -> npt.NDArray[np.int64]:
    """Return the id of each shell of each tile, by which its random numbers are drawn, shape (tile, shell)."""
    check_number("number", number, least=0, most=LARGEST_SEED, whole=True)
    if tiles.ndim != 1 or not len(tiles) or tiles.min() < 0 or tiles.max() > LARGEST_TILE:
        raise InputError(f"tiles: expected one or more numbers from 0 to {LARGEST_TILE}")
    # 13, 14, 10, 20 and 6 bits: no two shells of any simulation share numbers.
    omega_m, sigma8 = round(cosmology.omega_m * 10_000), round(cosmology.sigma8 * 10_000)
    first = (((((omega_m << 14) | sigma8) << 10) | int(number)) << 20) | tiles
    return (first[:, None] << 6) | np.arange(SHELLS)


def _tile(keys: Array, cosmology: Cosmology, bins: RedshiftBins, grid: TileGrid, seed: int) -> Array:
    """Return the maps of one tile, shape (field, bin, y, x)."""
    xp, area = namespace(keys), grid.area
    shells = []
    for start in range(0, SHELLS, _BATCH):
        part = slice(start, start + _BATCH)
        white = normals(keys[part], area * area, seed, Stream.SKY).reshape(-1, area, area)
        amplitude = constant(_shell_amplitudes, cosmology, grid, reference=white)[part, ...]
        variance = constant(_shell_variances, cosmology, grid, reference=white)[part, None, None]
        shells.append(lognormal_of_noise(white, amplitude, variance)[:, : grid.size, : grid.size])
    weights = constant(_shell_weights, cosmology, bins, grid, reference=shells[0])
    return xp.tensordot(weights, xp.concat(shells), axes=1)


def pixel_window(size: int, pixel_scale: float) -> Float64:
    """Return the transform of a square pixel on the half plane of a map, shape (size, size // 2 + 1).

    Parameters
    ----------
    size
        Pixels on a side.
    pixel_scale
        Arcmin.
    """
    l1, l2 = multipoles((size, size), pixel_scale)
    width = pixel_scale * ARCMIN / (2 * np.pi)
    return np.asarray(np.sinc(l1 * width) * np.sinc(l2 * width), dtype=np.float64)


class _Fields(NamedTuple):
    """The Gaussian fields of the shells."""

    power: Float64
    """In units of white noise, negative where there is no such field, shape (shell, area, area // 2 + 1)."""
    shift: Float64
    """λ of each shell, shape (shell,)."""


@lru_cache(maxsize=2)
def _gaussian_fields(cosmology: Cosmology, grid: TileGrid) -> _Fields:
    area, window = grid.area, pixel_window(grid.area, grid.pixel_scale)
    l1, l2 = multipoles((area, area), grid.pixel_scale)
    scale = (window / (grid.pixel_scale * ARCMIN)) ** 2
    wanted = [power.at(np.hypot(l1, l2)) * scale for power in matter_shells(cosmology).power]
    variance = np.array([plane_variance(one) for one in wanted])
    shift = np.maximum(_LEAST_SHIFT, np.sqrt(variance / np.expm1(_LARGEST_VARIANCE)))
    power = np.stack([gaussian_power(*each) for each in zip(wanted, shift.tolist(), strict=True)])
    return _Fields(power, shift)


def _shell_amplitudes(cosmology: Cosmology, grid: TileGrid) -> Float64:
    return np.asarray(np.sqrt(np.maximum(_gaussian_fields(cosmology, grid).power, 0.0)))


def _shell_variances(cosmology: Cosmology, grid: TileGrid) -> Float64:
    return np.array([plane_variance(np.maximum(one, 0.0)) for one in _gaussian_fields(cosmology, grid).power])


def _shell_weights(cosmology: Cosmology, bins: RedshiftBins, grid: TileGrid) -> Float64:
    """Return the weight in each map of each lognormal field of shift 1, shape (field, bin, shell)."""
    return matter_shells(cosmology).weights(bins) * _gaussian_fields(cosmology, grid).shift


def lost_shell_variance(cosmology: Cosmology, grid: TileGrid) -> Float64:
    """Return the share of the variance of each shell's Gaussian field that waves of negative power take when set to 0.

    See `lensdask.sky.lognormal.lost_variance`. Shape (shell,).
    """
    powers = _gaussian_fields(cosmology, grid).power
    return np.array([1 - plane_variance(one) / plane_variance(np.maximum(one, 0.0)) for one in powers])
