"""Simulated tomographic maps: lazily in memory, or as a resumable run into a store.

The seeds of a cosmology are divided among four sets, so that no network is ever judged by what it learned from. Which
set a seed belongs to depends on its number alone: two stores never disagree. Cosmologies of the calibration set are
for tests alone, whatever the seed: mock surveys at cosmologies that neither networks nor likelihoods have seen.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from lensdask.arrays import to_numpy
from lensdask.compute import Chunks, Device, NewStore, RunOptions, RunResult, Table, Task, run
from lensdask.data import LSS_TILES, common_attributes
from lensdask.errors import InputError, check_choice, check_number, check_seed
from lensdask.lss.parameters import BINS, FIELDS
from lensdask.sky.cosmology import Cosmology
from lensdask.sky.nbody.box import NbodyBox
from lensdask.sky.nbody.lightcone import nbody_tiles
from lensdask.sky.tomography.cosmologies import calibration_cosmologies, choose_cosmologies, is_tabulated
from lensdask.sky.tomography.matter import matter_power
from lensdask.sky.tomography.redshifts import REDSHIFTS, STAGE3_BINS, RedshiftBins
from lensdask.sky.tomography.tiles import LARGEST_SEED, LARGEST_TILE, TileGrid, tomographic_tiles

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SPLITS", "SimulateTiles", "SkyKind", "simulate", "simulate_run", "split_of"]

SPLITS = ("training", "validation", "likelihood", "test")
"""The sets: what networks learn from, what stops them, what the likelihood learns from, and what judges it all."""

_CYCLE = (*SPLITS, "training", "training")
"""Sets of the seeds 0, 1, ...; the next ones begin again. Four seeds have all of them."""

SkyKind = Literal["lognormal", "nbody"]
"""What makes the maps: random fields, or particles under their gravity."""


def split_of(cosmology: Cosmology, number: int) -> str:
    """Return the set that a simulation is in.

    Parameters
    ----------
    cosmology
        Those of the calibration set are for tests.
    number
        Number of the seed.
    """
    point = (cosmology.omega_m, cosmology.sigma8)
    return "test" if (calibration_cosmologies() == point).all(axis=1).any() else _CYCLE[number % len(_CYCLE)]


@dataclass(frozen=True)
class SimulateTiles(Task):
    """Makes the tiles of one simulation after another: of a cosmology all seeds, then of the next."""

    sky: SkyKind
    """What makes the maps."""
    cosmologies: tuple[Cosmology, ...]
    """All of them."""
    seeds: int
    """Simulations of each."""
    tiles: int
    """Tiles of each simulation."""
    bins: RedshiftBins
    """Redshifts of the galaxies."""
    grid: TileGrid
    """The pixels."""
    seed: int
    """Of all random numbers."""
    box: NbodyBox | None = None
    """What is simulated for "nbody"."""

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        check_choice("sky", self.sky, get_args(SkyKind))
        if self.sky == "lognormal" and self.box is not None:
            raise InputError("box: particles, side or steps of a simulation; expected none with sky='lognormal'")
        check_number("seeds", self.seeds, least=1, most=LARGEST_SEED + 1, whole=True)
        check_number("tiles", self.tiles, least=1, most=LARGEST_TILE + 1, whole=True)
        check_seed(self.seed)

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return the tiles of some simulations, of one after another."""
        made = [self.maps(*divmod(at, self.seeds), range(self.tiles), device) for at in range(start, stop)]
        return {"map": np.stack(made)}, None

    def maps(self, cosmology: int, number: int, tiles: range, device: Device = "cpu") -> npt.NDArray[np.float32]:
        """Return some tiles of one simulation, shape (tile, field, bin, y, x).

        Parameters
        ----------
        cosmology, number
            Positions of the cosmology and of the seed.
        tiles
            Numbers of the tiles.
        device
            "cpu" or "cuda".
        """
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
        return LSS_TILES.inner_chunks["tile"] if self.sky == "lognormal" else self.tiles

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each dimension of the maps."""
        side = self.grid.size
        number = (len(self.cosmologies), self.seeds, self.tiles, len(FIELDS), BINS, side, side)
        return dict(zip(LSS_TILES.variables["map"].dims, number, strict=True))

    def coords(self) -> dict[str, Any]:
        """Return the coordinates of the maps."""
        numbers = {dim: np.arange(self.sizes[dim]) for dim in ("cosmology", "seed", "tile")}
        return numbers | {
            "field": np.array(FIELDS),
            "bin": np.arange(1, BINS + 1),
            "omega_m": np.array([one.omega_m for one in self.cosmologies]),
            "sigma8": np.array([one.sigma8 for one in self.cosmologies]),
            "split": np.array([[split_of(one, number) for number in range(self.seeds)] for one in self.cosmologies]),
        }

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the maps, beside the common ones."""
        return {
            "pixel_scale": self.grid.pixel_scale,
            "sky": self.sky,
            "redshift": REDSHIFTS.round(6).tolist(),
            "n_of_z": [list(density) for density in self.bins.density],
            "seed": self.seed,
            "box": [] if self.box is None else [self.box.particles, self.box.side, self.box.steps],
        }


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
    task = SimulateTiles(sky, choose_cosmologies(cosmologies), seeds, tiles, bins, grid or TileGrid(), seed, box)
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
    import dask.array as da
    import xarray as xr

    task = _task(sky, cosmologies, seeds, tiles, bins, grid, seed, box)
    # The first three dimensions are cut, into what is made at once.
    chunks = (1, 1, task.tiles_at_once, *list(task.sizes.values())[3:])
    cut = da.core.normalize_chunks(chunks, tuple(task.sizes.values()))
    maps = da.map_blocks(_block, task, chunks=cut, dtype=np.float32, meta=np.empty((0,) * len(cut), np.float32))
    dims = {name: v.dims for name, v in LSS_TILES.coords.items()}
    coords = {name: (dims[name], values) for name, values in task.coords().items()}
    attributes = common_attributes(LSS_TILES, task.settings()) | task.attributes()
    return LSS_TILES.described(xr.Dataset({"map": (tuple(task.sizes), maps)}, coords, attributes))


def _block(task: SimulateTiles, block_info: Any = None) -> npt.NDArray[np.float32]:
    """Return the maps of one block."""
    (cosmology, _), (number, _), tiles = block_info[None]["array-location"][:3]
    return task.maps(cosmology, number, range(*tiles))[None, None]


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
    store = NewStore(path, LSS_TILES, task.sizes, task.coords(), task.attributes())
    chunks = Chunks(len(task.cosmologies) * seeds, 1, "simulations")
    return run(task, chunks, store, options, label=f"simulate {sky} tiles")
