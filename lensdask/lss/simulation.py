"""Simulated tomographic maps: lazily in memory, or as a resumable run into a store."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from lensdask.arrays import to_numpy
from lensdask.compute import Device, RunOptions, RunResult
from lensdask.data import LSS_TILES
from lensdask.errors import InputError, check_choice, check_seed
from lensdask.lss.tile_task import TileTask, lazy_tiles, run_tiles
from lensdask.sky.nbody.box import NbodyBox
from lensdask.sky.nbody.lightcone import nbody_tiles
from lensdask.sky.tomography.cosmologies import choose_cosmologies, is_tabulated
from lensdask.sky.tomography.matter import matter_power
from lensdask.sky.tomography.redshifts import STAGE3_BINS, RedshiftBins
from lensdask.sky.tomography.tiles import TileGrid, tomographic_tiles

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SimulateTiles", "SkyKind", "simulate", "simulate_run"]

SkyKind = Literal["lognormal", "nbody"]
"""What makes the maps: random fields, or particles under their gravity."""


@dataclass(frozen=True)
class SimulateTiles(TileTask):
    """Makes the tiles of one simulation after another: of a cosmology all seeds, then of the next."""

    sky: SkyKind
    """What makes the maps."""
    seed: int
    """Of all random numbers."""
    box: NbodyBox | None = None
    """What is simulated for "nbody"."""

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        check_choice("sky", self.sky, get_args(SkyKind))
        if self.sky == "lognormal" and self.box is not None:
            raise InputError("box: particles, side or steps of a simulation; expected none with sky='lognormal'")
        super().__post_init__()
        check_seed(self.seed)

    def maps(self, cosmology: int, number: int, tiles: range, device: Device = "cpu") -> npt.NDArray[np.float32]:
        """Return some tiles of one simulation; see `TileTask.maps`."""
        make = tomographic_tiles if self.sky == "lognormal" else partial(nbody_tiles, box=self.box)
        made = make(
            tiles,
            self.cosmologies[cosmology],
            number=number,
            bins=self.bins,
            grid=self.grid,
            seed=self.seed,
            device=device,
        )
        return to_numpy(made)

    @property
    def tiles_at_once(self) -> int:
        """How many tiles it is best to make together: those of a simulated box, whose steps are the work."""
        return LSS_TILES.inner_chunks["tile"] if self.sky == "lognormal" else super().tiles_at_once

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the maps, beside the common ones."""
        box = [] if self.box is None else [self.box.particles, self.box.side, self.box.steps]
        return super().attributes() | {"sky": self.sky, "seed": self.seed, "box": box}


def _task(
    sky: SkyKind,
    cosmologies: int | str | Path,
    seeds: int,
    tiles: int,
    bins: RedshiftBins,
    grid: TileGrid | None,
    seed: int,
    box: NbodyBox | None,
) -> SimulateTiles:
    if sky == "nbody":
        box = box or NbodyBox()
    chosen = choose_cosmologies(cosmologies)
    task = SimulateTiles(chosen, seeds, tiles, bins, grid or TileGrid(), sky=sky, seed=seed, box=box)
    # Before a run is started: one cosmology that is not in the table says whether the theory is installed.
    for untold in [one for one in task.cosmologies if not is_tabulated(one)][:1]:
        matter_power(untold)
    return task


def simulate(
    *,
    sky: SkyKind = "lognormal",
    cosmologies: int | str | Path = 57,
    seeds: int = 6,
    tiles: int = 100,
    bins: RedshiftBins = STAGE3_BINS,
    grid: TileGrid | None = None,
    seed: int = 0,
    box: NbodyBox | None = None,
) -> "xr.Dataset":
    """Return simulated tomographic maps, made when they are computed; `lensdask.write` stores them.

    Parameters
    ----------
    sky
        What makes the maps: "lognormal" shells, quick and right in all two-point statistics; or "nbody", light cones
        through simulated boxes, where matter is filaments and haloes as far as the box resolves them: see
        `lensdask.sky.nbody.lightcone` for what it does not.
    cosmologies
        As for `lensdask.sky.choose_cosmologies`: how many of the grid, ``"calibration"``, or a file.
    seeds
        Simulations of each cosmology; they are of the sets of `split_of`.
    tiles
        Tiles of each simulation.
    bins
        Redshifts of the galaxies.
    grid
        The pixels.
    seed
        Of all random numbers. The maps of a cosmology, seed and tile do not depend on which others there are.
    box
        Particles, side and steps of the simulations; for "nbody" alone. A simulation is one box, and takes as long for
        one of its tiles as for all: lazily, it is made once for each piece that is computed alone.

    Returns
    -------
    Dataset
        Of the schema ``lss_tiles``.

    Raises
    ------
    InputError
        A number is out of its range, or the matter power of a cosmology is not known.
    """
    return lazy_tiles(_task(sky, cosmologies, seeds, tiles, bins, grid, seed, box))


def simulate_run(
    path: Path,
    *,
    sky: SkyKind = "lognormal",
    cosmologies: int | str | Path = 57,
    seeds: int = 6,
    tiles: int = 100,
    bins: RedshiftBins = STAGE3_BINS,
    grid: TileGrid | None = None,
    seed: int = 0,
    box: NbodyBox | None = None,
    options: RunOptions | None = None,
) -> RunResult:
    """Simulate a store of tomographic maps, one cosmology and seed after another.

    Parameters
    ----------
    path
        Store to write, schema ``lss_tiles``.
    sky, cosmologies, seeds, tiles, bins, grid, seed, box
        As for `simulate`.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        The output exists, a number is out of its range, or the matter power of a cosmology is not known.
    """
    task = _task(sky, cosmologies, seeds, tiles, bins, grid, seed, box)
    return run_tiles(task, path, options, f"simulate {sky} tiles")
