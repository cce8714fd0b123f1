"""Tomographic maps of simulated skies that a user has: shells of CosmoGrid or Gower Street, or maps that are projected.

See `lensdask.sky.fullsky.description` for the file that lists them. Simulations of a cosmology are of the sets of
`lensdask.lss.split_of` by their place in its list.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lensdask.compute import NOT_IDENTITY, Device, RunOptions, RunResult
from lensdask.data import check_unchanged
from lensdask.lss.tile_task import TileTask, lazy_tiles, run_tiles
from lensdask.sky.fullsky.description import Source, read_description
from lensdask.sky.fullsky.files import file_mark
from lensdask.sky.fullsky.patches import check_tiles
from lensdask.sky.fullsky.tiles import check_first_map, check_fullsky, fullsky_files, fullsky_tiles
from lensdask.sky.tomography.redshifts import STAGE3_BINS, RedshiftBins
from lensdask.sky.tomography.tiles import TileGrid

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CutSkies", "read_skies", "read_skies_run"]


@dataclass(frozen=True)
class CutSkies(TileTask):
    """Cuts the tiles of one simulation after another out of its full sky."""

    source: Source
    """How simulations lie in files."""
    marks: tuple[tuple[str, ...], ...]
    """What tells the files of each simulation from others, (cosmology, seed)."""
    paths: tuple[tuple[str, ...], ...] = field(metadata=NOT_IDENTITY)
    """Where they are, (cosmology, seed)."""

    def maps(self, cosmology: int, number: int, tiles: range, device: Device = "cpu") -> npt.NDArray[np.float32]:  # noqa: ARG002  reading is for processors
        """Return some tiles of one simulation; see `TileTask.maps`."""
        path, wanted = Path(self.paths[cosmology][number]), self.marks[cosmology][number]
        found = file_mark(fullsky_files(path, self.source, self.bins))
        check_unchanged(path, found, wanted, "simulation")
        about = self.cosmologies[cosmology]
        return fullsky_tiles(tiles, path, self.source, about, bins=self.bins, grid=self.grid)

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the maps, beside the common ones."""
        w = [one.w for one in self.cosmologies]
        return super().attributes() | {"sky": self.source.format, "seed": 0, "box": [], "w": w}


def _warn(line: str) -> None:
    """Warn whoever calls the function that called `_task`."""
    warnings.warn(line, stacklevel=4)


def _task(
    description: str | Path, tiles: int, bins: RedshiftBins, grid: TileGrid | None, warn: Callable[[str], None]
) -> CutSkies:
    skies, grid = read_description(description), grid or TileGrid()
    source, listed = skies.source, list(zip(skies.cosmologies, skies.simulations, strict=True))
    check_tiles(tiles, grid)
    lost = [check_fullsky(Path(path), source, cosmology, bins) for cosmology, paths in listed for path in paths]
    coarse = check_first_map(Path(skies.simulations[0][0]), source, bins, grid)
    told = [line for line in (coarse, *lost) if line]
    if told:
        more = f" (and {len(told) - 1} more such lines)" if len(told) > 1 else ""
        warn(f"{told[0]}{more}")
    marks = tuple(
        tuple(file_mark(fullsky_files(Path(path), source, bins)) for path in paths) for paths in skies.simulations
    )
    seeds = len(skies.simulations[0])
    return CutSkies(skies.cosmologies, seeds, tiles, bins, grid, source, marks, skies.simulations)


def read_skies(
    description: str | Path,
    *,
    tiles: int = 100,
    bins: RedshiftBins = STAGE3_BINS,
    grid: TileGrid | None = None,
    warn: Callable[[str], None] = _warn,
) -> "xr.Dataset":
    """Return tomographic maps of full skies in files, made when they are computed; `lensdask.write` stores them.

    Of shells, the convergence is Born's, Σ δ ∫ W dχ over the shells, and so are alignment and contrast, with the
    kernels of `lensdask.sky.field_kernels` for the galaxies of `bins`. Tiles are squares that do not overlap, on
    tangent planes, north up and west to the right; see `lensdask.sky.fullsky.patches`.

    Parameters
    ----------
    description
        TOML file that lists the simulations; see `lensdask.sky.fullsky.description`.
    tiles
        Tiles of each simulation; at most 1,554 of 5 degrees.
    bins
        Redshifts of the galaxies; for maps that are projected already, those that they were projected with.
    grid
        The pixels.
    warn
        What is told that HEALPix pixels are wider than those of tiles, or that shells end a little early.

    Returns
    -------
    Dataset
        Of the schema ``lss_tiles``. A simulation is read once for each block that is computed alone.

    Raises
    ------
    InputError
        The description is none, a file is missing or another than it says, shells overlap, leave a gap, end before the
        galaxies do or are not of their cosmology, pixels are more than twice as wide as a tile's, or there are not so
        many tiles.
    """
    return lazy_tiles(_task(description, tiles, bins, grid, warn))


def read_skies_run(
    path: Path,
    description: str | Path,
    *,
    tiles: int = 100,
    bins: RedshiftBins = STAGE3_BINS,
    grid: TileGrid | None = None,
    warn: Callable[[str], None] = _warn,
    options: RunOptions | None = None,
) -> RunResult:
    """Write a store of tomographic maps of full skies in files, one simulation after another.

    A run that is resumed wants the files as they were; they may lie elsewhere.

    Parameters
    ----------
    path
        Store to write, schema ``lss_tiles``.
    description, tiles, bins, grid, warn
        As for `read_skies`.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        As `read_skies`, or the output exists.
    """
    task = _task(description, tiles, bins, grid, warn)
    return run_tiles(task, path, options, f"cut {task.source.format} skies")
