"""Trainings of many networks, as many at once as the cluster has workers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lensdask.compute import NOT_IDENTITY, Chunks, Device, RunOptions, StoreReference, Task, run
from lensdask.errors import InputError
from lensdask.stronglens.nets.recipe import Recipe
from lensdask.stronglens.nets.training import train

__all__ = ["TrainNetworks", "Training", "train_networks"]


@dataclass(frozen=True)
class Training:
    """A network, and what it learns from."""

    recipe: Recipe
    """How it is trained."""
    lenses: StoreReference
    """Images for training and validation."""
    fits: StoreReference | None
    """Smooth lenses that are fitted to them, for a network that sees what they leave."""
    weights: str = field(metadata=NOT_IDENTITY)
    """File to write."""

    def carry_out(self, device: Device) -> None:
        """Train the network; what an interruption left of the training is gone on with."""
        for store in (self.lenses, self.fits):
            if store is not None:
                store.open()
        fits = None if self.fits is None else self.fits.path
        settings: dict[str, Any] = {"device": device, "overwrite": True, "resume": True}
        train(self.weights, self.recipe, lenses=self.lenses.path, fits=fits, **settings)


@dataclass(frozen=True)
class TrainNetworks(Task):
    """Trains networks, each on one thread."""

    trainings: tuple[Training, ...]
    """All of them."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[None, None]:
        """Train some of the networks."""
        for one in self.trainings[start:stop]:
            # Its card is written last: one that lacks it is not finished, and one that has it is not trained again.
            if not Path(one.weights).with_suffix(".json").exists():
                one.carry_out(device)
        return None, None


def train_networks(trainings: Sequence[Training], journal: Path, options: RunOptions) -> None:
    """Train those of the networks whose weights are not there.

    Parameters
    ----------
    trainings
        Longest first, so that the workers end together.
    journal
        File that says how far the run is; of an earlier run it is replaced, as the weights say what is left to do.
    options
        Cluster and device.

    Raises
    ------
    InputError
        A training cannot be done, or was given up.
    """
    missing = tuple(one for one in trainings if not Path(one.weights).with_suffix(".json").exists())
    if not missing:
        return
    journal.parent.mkdir(parents=True, exist_ok=True)
    anew = replace(options, if_exists="overwrite")
    done = run(TrainNetworks(missing), Chunks(len(missing), 1, "networks"), journal, anew, label="train networks")
    for one in done.quarantined:
        raise InputError(f"{missing[one.chunk].weights}: given up, {one.reason}; expected a training that ends")
