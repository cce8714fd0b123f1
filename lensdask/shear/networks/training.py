"""Train a D4CNN on simulated galaxies and write its weights with a card that says how they were made."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.compute.room import require_memory
from lensdask.errors import InputError
from lensdask.shear.networks.recipe import Recipe
from lensdask.shear.networks.score import ScoreSet, make_score_set, score_objective
from lensdask.shear.networks.trainingset import TrainingSet, make_training_set
from lensdask.shear.networks.wideset import WideSet, make_wide_set
from lensdask.shear.shapes.d4cnn import ARCHITECTURES
from lensdask.shear.simulation.catsim import CatSim, MockCatSim, read_catsim
from lensdask.shear.simulation.observation import Observation
from lensdask.training import Batch, Examples, History, Lesson, Objective, Trained, regression, train_to_file

__all__ = ["train"]

FIRST_PAIR = 2**40
"""Pairs from here on are for training, so that no test of a network meets a mock galaxy it was trained on."""

VALIDATION_EPOCH = 2**61
"""Epoch whose noise the validation set gets: none that training reaches."""


def _training_sets(
    recipe: Recipe, source: MockCatSim | CatSim
) -> tuple[TrainingSet | ScoreSet, TrainingSet | ScoreSet]:
    count, side = recipe.galaxies + recipe.validation, Observation().size
    require_memory(4.0 * count * side**2, f"training, {count} galaxies")
    # One member of each pair: the other one is the same galaxy.
    ids = 2 * (FIRST_PAIR + np.arange(count))
    options: dict[str, Any] = {
        "grid": recipe.network.grid,
        "kernel_fwhm": recipe.network.kernel_fwhm,
        "seed": recipe.seed,
    }

    def made(ids: npt.NDArray[np.int64]) -> TrainingSet | ScoreSet:
        if recipe.label == "score":
            return make_score_set(source, ids, config=recipe.score, **options)
        return make_training_set(source, ids, label=recipe.label, signal_to_noise=recipe.signal_to_noise, **options)

    return made(ids[: recipe.galaxies]), made(ids[recipe.galaxies :])


def _examples(recipe: Recipe, source: MockCatSim | CatSim, device: str) -> Examples:
    training: TrainingSet | ScoreSet | WideSet
    validation: TrainingSet | ScoreSet | WideSet
    if recipe.population == "wide":
        training, validation = (
            make_wide_set(count, recipe.network, recipe.score, recipe.seed, device)
            for count in (recipe.galaxies, recipe.validation)
        )
    else:
        training, validation = _training_sets(recipe, source)

    def on_device(dataset: TrainingSet | ScoreSet | WideSet, epoch: int) -> Iterator[Batch]:
        batches = dataset.batches(epoch, recipe.training.batch)
        return (tuple(part.to(device) for part in parts) for parts in batches)

    return Examples(partial(on_device, training), list(on_device(validation, VALIDATION_EPOCH)))


def _objective(recipe: Recipe) -> Objective:
    if recipe.label == "score":
        return partial(score_objective, config=recipe.score)
    return regression(recipe.training.huber_delta)


def train(
    path: str | Path,
    recipe: Recipe,
    *,
    catalogue: str | Path | None = None,
    start: str | Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    on_epoch: Callable[[int, History], None] | None = None,
) -> Trained:
    """Train a network and write ``path`` (safetensors) with its card, a JSON file beside it.

    After every epoch the state is kept in ``NAME.checkpoint`` beside the weights until they are written. An interrupted
    training goes on from it with `resume`, to bit-identical weights.

    Parameters
    ----------
    path
        File of the weights, ``*.safetensors``.
    recipe
        Architecture, training set and hyperparameters.
    catalogue
        The user's CatSim file; the parametric mock when none.
    start
        Weights to go on from; random ones when none. Their card becomes part of the new one.
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
        The file exists, its name does not end in .safetensors, the device is not there, the weights to start from are
        of another network, or an interrupted training of another recipe was to be resumed.
    """

    def prepare(device: str) -> Lesson:
        limit, wide = recipe.magnitude_limit, recipe.population == "wide"
        if wide and catalogue is not None:
            raise InputError(f"catalogue {catalogue}: the recipe's population is 'wide'; expected no catalogue")
        source = MockCatSim(limit) if catalogue is None else read_catsim(Path(catalogue), limit)
        name = "parametric CatSim-like mock" if catalogue is None else f"catalogue {Path(catalogue).name}"
        data = {"data": "wide family of galaxies"} if wide else {"data": name, "galaxies": source.fingerprint}
        return Lesson(
            architectures=ARCHITECTURES,
            objective=_objective(recipe),
            examples=lambda: _examples(recipe, source, device),
            data=data,
        )

    return train_to_file(
        path, recipe, prepare, start=start, device=device, overwrite=overwrite, resume=resume, on_epoch=on_epoch
    )
