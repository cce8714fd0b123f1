"""Train a network of strong lenses on a store, and write its weights with a card that says how they were made."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lensdask.random import Stream, generator
from lensdask.stronglens.evaluation.calibration import calibration
from lensdask.stronglens.fitting.fit import fit_smooth
from lensdask.stronglens.fitting.maps import maps_of
from lensdask.stronglens.fitting.run import kept_residuals, survey_of
from lensdask.stronglens.nets.architectures import ARCHITECTURES
from lensdask.stronglens.nets.loss import check, objective
from lensdask.stronglens.nets.recipe import Recipe
from lensdask.stronglens.nets.trainingset import LensSet, lens_set, open_lenses, split_lenses
from lensdask.training import Batch, Examples, History, Lesson, Trained, read_ahead, train_to_file

__all__ = ["CONDITIONS", "train"]

CONDITIONS = ("survey", "preset", "signal", "noise")
"""Attributes of lenses that the card repeats: what a network was trained for."""


def _epochs(lenses: LensSet, recipe: Recipe, device: str) -> Callable[[int], Iterator[Batch]]:
    """Return the function that gives the batches of an epoch, made ahead."""

    def batches(epoch: int) -> Iterator[Batch]:
        # What dropout leaves out depends on the epoch alone, so that a training may be interrupted.
        torch.manual_seed(int(generator(recipe.seed, Stream.WEIGHTS, 1 + epoch).integers(2**31)))
        mixed = lenses.of_epoch(recipe.seed, epoch, turns=recipe.turns)
        return read_ahead(mixed.batches(recipe.task, recipe.training.batch, device))

    return batches


def train(
    path: str | Path,
    recipe: Recipe,
    *,
    lenses: str | Path,
    fits: str | Path | None = None,
    start: str | Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    on_epoch: Callable[[int, History], None] | None = None,
) -> Trained:
    """Train a network and write ``path`` (safetensors) with its card, a JSON file beside it.

    After every epoch the state is kept in ``NAME.checkpoint`` beside the weights until they are written. An interrupted
    training goes on from it with `resume`, to bit-identical weights. On the validation lenses the best weights are
    calibrated (see `lensdask.stronglens.evaluation.calibration`), for `lensdask.stronglens.classify`.

    Parameters
    ----------
    path
        File of the weights, ``*.safetensors``.
    recipe
        Architecture, task and hyperparameters.
    lenses
        Store of the schema ``lenses``. Lenses for tests are in another, made with another seed.
    fits
        Store of the schema ``lens_fits`` of the same lenses, for a network that sees residuals; when none, smooth
        lenses are fitted here, which takes about 10 ms of a processor for each.
    start
        Weights to go on from, of the same network, in place of random ones. Their card becomes part of the new one.
    device
        "auto", "cpu" or "cuda".
    overwrite
        Replace an existing file of weights, or an interrupted training.
    resume
        Go on with an interrupted training, if there is one.
    on_epoch
        Called with 0 once the input is accepted, then after each epoch with the number done and the loss curves.

    Raises
    ------
    InputError
        The file exists, its name does not end in .safetensors, the device is not there, the lenses are too few or not
        for the network, or an interrupted training of another recipe or other lenses was to be resumed.
    """
    dataset = open_lenses(Path(lenses))

    def prepare(device: str) -> Lesson:
        def residuals(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            if fits is not None:
                return kept_residuals(Path(fits), dataset)
            return fit_smooth(images, survey_of(dataset), device).residual

        seen = partial(maps_of, inputs=recipe.inputs, residuals=residuals)
        every = lens_set(dataset, str(lenses), seen).for_task(recipe.task)
        training, validation = split_lenses(every, recipe.validation, recipe.per_class, recipe.seed)

        def examples() -> Examples:
            checks = list(validation.batches(recipe.task, recipe.training.batch, device))
            return Examples(_epochs(training, recipe, device), checks)

        return Lesson(
            architectures=ARCHITECTURES,
            objective=objective(recipe.task),
            check=check(recipe.task),
            examples=examples,
            data={
                "lenses_hash": dataset.attrs["configuration_hash"],
                "pixels": training.maps.shape[-1],
                "lenses": {"training": len(training), "validation": len(validation)},
                **{name: dataset.attrs[name] for name in ("pixel_scale", *CONDITIONS)},
            },
            notes={"store": Path(lenses).name},
            measured=lambda network: calibration(network, recipe.task, validation, device),
        )

    return train_to_file(
        path, recipe, prepare, start=start, device=device, overwrite=overwrite, resume=resume, on_epoch=on_epoch
    )
