"""Fields to train networks of mass maps on: simulated as they are needed, or read from a store.

Training, validation and test share no field. Simulated fields have ids that begin at `FIRST_TRAINING` and
`FIRST_VALIDATION`, where no test set, whose ids count from 0, comes to; so every one of them is another piece of sky.
A store is split by id: its highest ids are for validation, and a test set must be another store.

Every epoch shows every field once, in a new order, with new noise where the noise is simulated, and turned or mirrored
by a random element of the symmetry of the square with the signs of a spin-2 field (`lensdask.maps.symmetry`), eight
times as many fields for nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.arrays import Array, index_like
from lensdask.compute.room import require_memory
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps, shear_maps
from lensdask.maps.mock import Survey, observe
from lensdask.maps.symmetry import Symmetry, moved, moved_shear_maps
from lensdask.random import Stream, generator
from lensdask.sky.simulate import SkyConfig, simulate_sky

__all__ = [
    "FIRST_TRAINING",
    "FIRST_VALIDATION",
    "FieldSet",
    "Fields",
    "SimulatedFields",
    "StoredFields",
    "split_store",
    "turned",
]

FIRST_TRAINING = 2**40
"""Simulated fields from here on are for training."""

FIRST_VALIDATION = 2**41
"""Simulated fields from here on are for validation."""

Int64 = npt.NDArray[np.int64]


class Fields(NamedTuple):
    """Some fields: what is measured, and the truth.

    Parameters
    ----------
    maps
        Shear maps, shape (field, y, x).
    kappa
        Convergence, shape (field, y, x).
    """

    maps: ShearMaps
    kappa: Array


class FieldSet(Protocol):
    """Where the fields of a training come from."""

    @property
    def pixel_scale(self) -> float:
        """Arcmin."""

    def batches(self, epoch: int, batch: int) -> Iterator[Fields]:
        """Yield every field of an epoch once, `batch` of them at a time, in an order of the epoch's own."""


@dataclass(frozen=True)
class SimulatedFields:
    """Fields made on the fly: the number of a field decides its sky, its galaxies and its noise."""

    sky: SkyConfig
    """Which sky."""
    survey: Survey
    """Which survey."""
    first: int
    """Id of the first field."""
    count: int
    """Fields in an epoch."""
    seed: int
    """Seed of skies, noise and order."""
    fresh: bool = False
    """Whether every epoch has skies of its own. Else they are made once and kept: 12 bytes per pixel."""
    device: str = "cpu"
    """Where skies are made, "cpu" or "cuda"."""

    def __post_init__(self) -> None:
        """Refuse what memory cannot hold: the order of the fields, and skies that are kept."""
        each = 8.0 + (0 if self.fresh else 12 * self.sky.size**2)
        require_memory(each * self.count, f"training, {self.count} fields of {self.sky.size} x {self.sky.size} pixels")

    @property
    def pixel_scale(self) -> float:
        """Arcmin."""
        return self.sky.pixel_scale

    def batches(self, epoch: int, batch: int) -> Iterator[Fields]:
        """Yield the fields of an epoch with noise that no other epoch has."""
        order = generator(self.seed, Stream.FIELD, self.first + epoch).permutation(self.count)
        for start in range(0, self.count, batch):
            members = np.asarray(order[start : start + batch], dtype=np.int64)
            # Noise never repeats: the observation of a field has a number of its own in every epoch.
            numbers = self.first + epoch * self.count + members
            kappa, g1, g2 = self._skies(numbers) if self.fresh else (part[members] for part in self._kept)
            maps = observe(index_like(numbers, g1), g1, g2, self.survey, self.pixel_scale, self.seed)
            yield Fields(maps, kappa)

    def _skies(self, ids: Int64) -> tuple[Array, Array, Array]:
        sky = simulate_sky(ids, self.sky, self.seed, self.device)
        return sky.kappa, sky.g1, sky.g2

    @cached_property
    def _kept(self) -> tuple[Array, Array, Array]:
        return self._skies(self.first + np.arange(self.count))


@dataclass(frozen=True)
class StoredFields:
    """Fields of a store of the schema ``shear_maps`` with their noise, read in whole chunks in a random order."""

    dataset: xr.Dataset
    """The fields, lazily; the chunks of a Dask array are those of the store."""
    seed: int
    """Seed of the order."""

    @property
    def pixel_scale(self) -> float:
        """Arcmin."""
        return float(self.dataset.attrs["pixel_scale"])

    def batches(self, epoch: int, batch: int) -> Iterator[Fields]:
        """Yield the fields of an epoch: as many chunks as fill a batch are read together, and their fields shuffled."""
        random = generator(self.seed, Stream.FIELD, epoch)
        sizes = self.dataset.g1.chunksizes["field"]
        ends = np.cumsum(sizes)
        chunks = iter(random.permutation(len(sizes)))
        while group := list(islice(chunks, max(1, batch // sizes[0]))):
            parts = [self._read(slice(ends[chunk] - sizes[chunk], ends[chunk])) for chunk in group]
            whole = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
            order = random.permutation(len(whole[0]))
            for start in range(0, len(order), batch):
                *maps, kappa = (array[order[start : start + batch]] for array in whole)
                yield Fields(ShearMaps(*maps), kappa)

    def _read(self, fields: slice) -> tuple[Array, ...]:
        part = self.dataset[[*ShearMaps._fields, "kappa"]].isel(field=fields).compute(scheduler="synchronous")
        return (*shear_maps(part), part.kappa.to_numpy())


def split_store(path: Path, validation: int, seed: int) -> tuple[StoredFields, StoredFields]:
    """Return the fields of a store for training, and those for validation: the highest ids, in whole chunks.

    Parameters
    ----------
    path
        Store of the schema ``shear_maps`` with the true convergence.
    validation
        Fields to validate on, at least.
    seed
        Seed of the order.

    Raises
    ------
    InputError
        The store is of another schema or has no truth, its ids do not increase, so that a field might be in both parts,
        or it has too few chunks to be split.
    """
    dataset = open_store(path)
    if dataset.attrs["schema"] != "shear_maps" or "kappa" not in dataset:
        raise InputError(f"{path}: schema {dataset.attrs['schema']}; expected shear_maps with the true kappa")
    if not (np.diff(dataset.field.to_numpy()) > 0).all():
        raise InputError(f"{path}: the ids of the fields do not increase; expected each field once, in order")
    sizes = np.array(dataset.g1.chunksizes["field"])
    # As many of the last chunks as hold the validation fields.
    last = int(np.searchsorted(np.cumsum(sizes[::-1]), validation)) + 1
    if last >= len(sizes):
        raise InputError(
            f"{path}: {sizes.sum()} fields in {len(sizes)} chunks; expected more chunks than {validation} fields to "
            "validate on take"
        )
    training = int(sizes[:-last].sum())
    parts = dataset.isel(field=slice(None, training)), dataset.isel(field=slice(training, None))
    return StoredFields(parts[0], seed), StoredFields(parts[1], seed)


def turned(fields: Fields, symmetry: Symmetry) -> Fields:
    """Return fields turned and mirrored, shear with the signs that keep it the shear of the mass."""
    return Fields(moved_shear_maps(symmetry, fields.maps), moved(symmetry, fields.kappa))
