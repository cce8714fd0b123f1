"""What all that makes tomographic tiles shares: a lazy dataset, or a resumable run, one simulation after another.

The seeds of a cosmology are divided among four sets, so that no network is ever judged by what it learned from. Which
set a seed belongs to depends on its number alone: two stores never disagree. Cosmologies of the calibration set are
for tests alone, whatever the seed: mock surveys at cosmologies that neither networks nor likelihoods have seen.
"""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lensdask.compute import Chunks, Device, NewStore, RunOptions, RunResult, Table, Task, run
from lensdask.data import LSS_TILES, common_attributes
from lensdask.errors import check_number
from lensdask.lss.parameters import BINS, FIELDS
from lensdask.sky.cosmology import Cosmology
from lensdask.sky.tomography.cosmologies import calibration_cosmologies
from lensdask.sky.tomography.redshifts import REDSHIFTS, RedshiftBins
from lensdask.sky.tomography.tiles import LARGEST_SEED, LARGEST_TILE, TileGrid

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SPLITS", "TileTask", "lazy_tiles", "run_tiles", "split_of"]

SPLITS = ("training", "validation", "likelihood", "test")
"""The sets: what networks learn from, what stops them, what the likelihood learns from, and what judges it all."""

_CYCLE = (*SPLITS, "training", "training")
"""Sets of the seeds 0, 1, ...; the next ones begin again. Four seeds have all of them."""


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
class TileTask(Task):
    """Makes the tiles of one simulation after another: of a cosmology all seeds, then of the next."""

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

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        check_number("seeds", self.seeds, least=1, most=LARGEST_SEED + 1, whole=True)
        check_number("tiles", self.tiles, least=1, most=LARGEST_TILE + 1, whole=True)

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return the tiles of some simulations, of one after another."""
        made = [self.maps(*divmod(at, self.seeds), range(self.tiles), device) for at in range(start, stop)]
        return {"map": np.stack(made)}, None

    @abstractmethod
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

    @property
    def tiles_at_once(self) -> int:
        """How many tiles it is best to make together: all, where what they are cut from is the work."""
        return self.tiles

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
        """Return the attributes of the maps, beside the common ones and those of what made them."""
        return {
            "pixel_scale": self.grid.pixel_scale,
            "redshift": REDSHIFTS.round(6).tolist(),
            "n_of_z": [list(density) for density in self.bins.density],
        }


def lazy_tiles(task: TileTask) -> "xr.Dataset":
    """Return maps that are made when they are computed, of the schema ``lss_tiles``."""
    import dask.array as da
    import xarray as xr

    # The first three dimensions are cut, into what is made at once.
    chunks = (1, 1, task.tiles_at_once, *list(task.sizes.values())[3:])
    cut = da.core.normalize_chunks(chunks, tuple(task.sizes.values()))
    maps = da.map_blocks(_block, task, chunks=cut, dtype=np.float32, meta=np.empty((0,) * len(cut), np.float32))
    dims = {name: v.dims for name, v in LSS_TILES.coords.items()}
    coords = {name: (dims[name], values) for name, values in task.coords().items()}
    attributes = common_attributes(LSS_TILES, task.settings()) | task.attributes()
    return LSS_TILES.described(xr.Dataset({"map": (tuple(task.sizes), maps)}, coords, attributes))


def _block(task: TileTask, block_info: Any = None) -> npt.NDArray[np.float32]:
    """Return the maps of one block."""
    (cosmology, _), (number, _), tiles = block_info[None]["array-location"][:3]
    return task.maps(cosmology, number, range(*tiles))[None, None]


def run_tiles(task: TileTask, path: Path, options: RunOptions | None, label: str) -> RunResult:
    """Write a store of maps, schema ``lss_tiles``, one cosmology and seed after another.

    Parameters
    ----------
    task
        What makes them.
    path
        The store.
    options
        Cluster, device, resumption.
    label
        Name of the run, for people.

    Raises
    ------
    InputError
        The output exists, or a simulation is refused.
    """
    store = NewStore(path, LSS_TILES, task.sizes, task.coords(), task.attributes())
    return run(task, Chunks(len(task.cosmologies) * task.seeds, 1, "simulations"), store, options, label=label)
