"""The tiles of a store: which boxes belong to a split, and the tiles of samples, each group read once."""

from collections import OrderedDict
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute import StoreReference, refer_to, require_finished
from lensdask.data import LSS_TILES, configuration_hash
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.lss.forward.evolution import Redshifts
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.samples import Boxes, Samples, take_tiles, tile_groups
from lensdask.places import PathLike

__all__ = ["Split", "open_split", "open_tiles"]

_CACHE_BYTES = 2 * 2**30
"""Memory of a process for tiles that were read."""

_READING = Lock()
"""Held while looking at what was read: a training makes mosaics in several threads."""


class Split:
    """The boxes of one split of a store of tiles.

    Parameters
    ----------
    dataset
        The store, open.
    split
        "training", "validation", "likelihood" or "test".

    Raises
    ------
    InputError
        The store has no box of the split.
    """

    def __init__(self, dataset: xr.Dataset, split: str) -> None:
        if dataset.attrs.get("schema") != LSS_TILES.name:
            raise InputError(f"tiles: schema {dataset.attrs.get('schema')!r}; expected {LSS_TILES.name!r}")
        LSS_TILES.validate(dataset)
        self.where = dataset.encoding.get("source", "tiles")
        self._maps = dataset["map"].transpose("cosmology", "seed", "tile", "field", "bin", "y", "x")
        names = dataset["split"].transpose("cosmology", "seed").to_numpy()
        self._places = np.argwhere(names == split)
        if not len(self._places):
            found = ", ".join(np.unique(names))
            raise InputError(f"{self.where}: no simulation for {split}, only for {found}; expected more seeds")
        cosmology = self._places[:, 0]
        omega_m, sigma8 = (dataset[name].to_numpy()[cosmology] for name in ("omega_m", "sigma8"))
        self.boxes = Boxes(omega_m, sigma8, dataset.sizes["tile"])
        self.redshifts = Redshifts(dataset.attrs["redshift"], dataset.attrs["n_of_z"])
        self.n_of_z = configuration_hash({"redshift": self.redshifts.redshift, "n": self.redshifts.n})
        self.pixel_scale = float(dataset.attrs["pixel_scale"])
        self._read: OrderedDict[tuple[int, int], npt.NDArray[np.float32]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to other processes: all but the tiles that were read."""
        return vars(self) | {"_read": OrderedDict()}

    def group(self, box: int, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return some tiles of a box, shape (tile, field, bin, y, x).

        Raises
        ------
        InputError
            A tile has a pixel that is no finite number.
        """
        key = box, start
        with _READING:
            if key in self._read:
                self._read.move_to_end(key)
                return self._read[key]
        cosmology, seed = self._places[box]
        maps = self._maps[cosmology, seed, start:stop].compute(scheduler="synchronous").to_numpy()
        if not np.isfinite(maps).all():
            raise InputError(
                f"{self.where}: tiles of cosmology {cosmology}, seed {seed} are not finite; expected a finished run"
            )
        with _READING:
            while self._read and maps.nbytes * (len(self._read) + 1) > _CACHE_BYTES:
                self._read.popitem(last=False)
            self._read[key] = maps
        return maps

    def take(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Return the tiles of samples, flipped, shape (sample, field, bin, tile, y, x)."""
        size, count = tile_groups(self.boxes.tiles, samples.tile.shape[1])
        groups = np.minimum(samples.tile.min(axis=1) // size, count - 1)
        taken = None
        for box, group in np.unique(np.stack([samples.box, groups], axis=1), axis=0).tolist():
            rows = np.flatnonzero((samples.box == box) & (groups == group))
            start, stop = group * size, self.boxes.tiles if group == count - 1 else (group + 1) * size
            part = samples.rows(rows)
            part = part._replace(box=np.zeros_like(part.box), tile=part.tile - start)
            maps = take_tiles(self.group(box, start, stop)[None], part)
            if taken is None:
                taken = np.empty((len(samples.ids), *maps.shape[1:]), dtype=np.float32)
            taken[rows] = maps
        return np.asarray(taken)

    def mosaics(self, model: ForwardModel) -> int:
        """Return how many mosaics the tiles fill once."""
        return len(self._places) * (self.boxes.tiles // model.tiles)

    def check(self, model: ForwardModel) -> None:
        """Refuse a model that the tiles are not for.

        Raises
        ------
        InputError
            They have another pixel scale, are too few for a mosaic, or a cosmology is outside of the prior.
        """
        if abs(self.pixel_scale / model.pixel_scale - 1) > 1e-6:
            raise InputError(
                f"{self.where}: pixels of {self.pixel_scale} arcmin; expected the {model.pixel_scale} of the model"
            )
        if self.boxes.tiles < model.tiles:
            raise InputError(
                f"{self.where}: {self.boxes.tiles} tiles of each simulation; expected {model.tiles}, those of a "
                f"mosaic of side {model.side}"
            )
        low, high = (np.array([getattr(one, end) for one in model.prior[:2]]) for end in ("low", "high"))
        outside = ~((self.boxes.cosmology >= low) & (self.boxes.cosmology <= high)).all(axis=1)
        if outside.any():
            omega_m, s8 = self.boxes.cosmology[np.argmax(outside)]
            raise InputError(
                f"{self.where}: a cosmology of omega_m {omega_m:.4g}, S8 {s8:.4g}; expected all inside of the prior, "
                f"{low[0]} to {high[0]} and {low[1]} to {high[1]}"
            )


def open_tiles(path: PathLike) -> tuple[xr.Dataset, StoreReference]:
    """Return a store of tiles, and the reference to it.

    Raises
    ------
    InputError
        It is no store, one of something else, or its run is not finished.
    """
    dataset = open_store(path)
    if dataset.attrs["schema"] != LSS_TILES.name:
        raise InputError(f"{path}: a store of {dataset.attrs['schema']}; expected one of {LSS_TILES.name}")
    require_finished(path, "lensdask lss simulate")
    return dataset, refer_to(path, dataset)


@lru_cache(maxsize=4)
def open_split(tiles: StoreReference, split: str) -> Split:
    """Return a split of a store, from memory if this process has opened it before.

    Raises
    ------
    InputError
        As `Split`; or the store is another one than was referred to.
    """
    return Split(tiles.open(), split)
