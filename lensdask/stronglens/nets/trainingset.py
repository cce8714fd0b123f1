"""What networks of strong lenses learn from: the lenses of a store, apart by their ids for training and validation.

A lens is for training or validation by a hash of its id, whatever else the store holds: more lenses leave it there.
All lenses of a training are kept in memory; 90 000 images of 64 x 64 pixels are 1.5 GB.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.arrays import to_torch
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.maps.symmetry import SYMMETRIES, moved
from lensdask.places import PathLike
from lensdask.random import Stream, generator, words
from lensdask.stronglens.nets.loss import CLASSES, Task, units_of
from lensdask.training import Batch

__all__ = ["LensSet", "lens_set", "open_lenses", "split_lenses"]


@dataclass(frozen=True)
class LensSet:
    """Maps of lenses and their labels."""

    ids: npt.NDArray[np.int64]
    """Shape (lens,)."""
    maps: npt.NDArray[np.float32]
    """What a network sees, shape (lens, map, y, x)."""
    labels: npt.NDArray[np.int64]
    """0, 1 or 2, shape (lens,)."""
    units: npt.NDArray[np.float32]
    """Mass in the units of the networks, NaN where there is none, shape (lens,)."""

    def __len__(self) -> int:
        """Return the number of lenses."""
        return len(self.ids)

    def rows(self, rows: npt.NDArray[Any]) -> "LensSet":
        """Return some of the lenses."""
        return LensSet(self.ids[rows], self.maps[rows], self.labels[rows], self.units[rows])

    def for_task(self, task: Task) -> "LensSet":
        """Return the lenses that a task is for: all, or those with a mass."""
        return self if task == "classify" else self.rows(np.isfinite(self.units))

    def batch(self, task: Task, device: str) -> Batch:
        """Return maps, shape (lens, map, y, x), and what the task wants of them."""
        wanted = self.labels if task == "classify" else self.units
        return to_torch(self.maps, device), to_torch(wanted, device)

    def batches(self, task: Task, size: int, device: str) -> Iterator[Batch]:
        """Yield the lenses in batches of nearly equal size, in their order: none of a few for batch normalisation."""
        for rows in np.array_split(np.arange(len(self)), math.ceil(len(self) / size)):
            yield self.rows(rows).batch(task, device)

    def of_epoch(self, seed: int, epoch: int, *, turns: bool) -> "LensSet":
        """Return the lenses in the order of an epoch, with turns each turned and mirrored at random."""
        random = generator(seed, Stream.TRAINING, epoch)
        mixed = self.rows(random.permutation(len(self)))
        if not turns:
            return mixed
        which = random.integers(len(SYMMETRIES), size=len(self))
        for number, symmetry in enumerate(SYMMETRIES):
            mixed.maps[which == number] = moved(symmetry, mixed.maps[which == number])
        return mixed


def open_lenses(path: PathLike) -> xr.Dataset:
    """Return a store of lenses, open.

    Raises
    ------
    InputError
        It is no store, or one of something else.
    """
    dataset = open_store(path)
    if dataset.attrs["schema"] != "lenses":
        raise InputError(f"{path}: a store of {dataset.attrs['schema']}; expected one of lenses")
    return dataset


def lens_set(
    dataset: xr.Dataset,
    where: str,
    maps: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] = lambda images: images[:, None],
) -> LensSet:
    """Return all lenses of a dataset, in memory.

    Parameters
    ----------
    dataset
        With image (lens, y, x), label and log10_mass (lens) and the coordinate lens.
    where
        Its name, for messages.
    maps
        From images, once they are known to be right, to what a network sees; images alone by default.

    Raises
    ------
    InputError
        The images are not square or hold what is no number, or there is another class.
    """
    images = dataset["image"].transpose("lens", "y", "x").to_numpy().astype(np.float32, copy=False)
    labels = dataset["label"].to_numpy().astype(np.int64)
    if images.shape[1] != images.shape[2]:
        raise InputError(f"{where}: images of {images.shape[1]} x {images.shape[2]} pixels; expected square ones")
    bad = ~np.isfinite(images).all(axis=(1, 2))
    if bad.any():
        lens = dataset["lens"].to_numpy()[np.argmax(bad)]
        raise InputError(f"{where}: the image of lens {lens} is not finite; expected a finished run")
    if not np.isin(labels, range(len(CLASSES))).all():
        raise InputError(f"{where}: labels {np.unique(labels).tolist()}; expected 0 to {len(CLASSES) - 1}")
    units = units_of(dataset["log10_mass"].to_numpy().astype(np.float64)).astype(np.float32)
    return LensSet(dataset["lens"].to_numpy().astype(np.int64), maps(images), labels, units)


def split_lenses(lenses: LensSet, fraction: float, per_class: int, seed: int) -> tuple[LensSet, LensSet]:
    """Return the lenses for training and those for validation.

    Parameters
    ----------
    lenses
        All.
    fraction
        Share of them for validation, nearly.
    per_class
        Lenses of each class for training, those of least hash; 0 for all.
    seed
        Seed of the hash.

    Raises
    ------
    InputError
        A part is empty, or a class has fewer lenses than wanted.
    """
    chance = words(lenses.ids, 1, seed, Stream.SPLIT)[:, 0] / 2**32
    training = np.flatnonzero(chance >= fraction)
    if per_class:
        ordered = training[np.argsort(chance[training], kind="stable")]
        chosen = [ordered[lenses.labels[ordered] == label][:per_class] for label in np.unique(lenses.labels)]
        fewest = min(map(len, chosen), default=0)
        if fewest < per_class:
            raise InputError(f"per_class: {per_class}; the lenses for training have {fewest} of a class")
        training = np.sort(np.concatenate(chosen))
    parts = lenses.rows(training), lenses.rows(np.flatnonzero(chance < fraction))
    if not all(map(len, parts)):
        raise InputError(f"lenses: {len(lenses)} of the task; expected enough for training and validation")
    return parts
