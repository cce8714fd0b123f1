"""Train a network of mass maps on simulated fields, and write its weights with a card that says how they were made."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lensdask.arrays import to_numpy, to_torch
from lensdask.data import file_sha256
from lensdask.errors import InputError
from lensdask.maps.symmetry import SYMMETRIES
from lensdask.massmap.networks.architectures import ARCHITECTURES, Config, note_of
from lensdask.massmap.networks.cha import ChaNet
from lensdask.massmap.networks.inputs import network_inputs
from lensdask.massmap.networks.losses import Loss, cha_loss, miu2net_loss
from lensdask.massmap.networks.recipe import Recipe
from lensdask.massmap.networks.trainingset import (
    FIRST_TRAINING,
    FIRST_VALIDATION,
    Fields,
    FieldSet,
    SimulatedFields,
    StoredFields,
    split_store,
    turned,
)
from lensdask.massmap.networks.wiener_start import start_as_wiener
from lensdask.random import Stream, generator
from lensdask.sky.power import convergence_power
from lensdask.sky.simulate import check_sky
from lensdask.training import Batch, Examples, History, Lesson, Trained, read_ahead, train_to_file

__all__ = ["train"]

_TURNS = 2**42
"""Epoch numbers from here on key turns and mirrors, those below the order of the fields."""


def _start(network: nn.Module, recipe: Recipe, fields: FieldSet) -> None:
    """Change the random weights of a network as the recipe says; what the noise is the fields tell."""
    if recipe.start == "random":
        return
    if not isinstance(network, ChaNet):
        raise InputError("start: 'wiener'; expected a network of architecture cha")
    maps = next(fields.batches(0, 1)).maps
    noise = float(to_numpy(maps.weight)[to_numpy(maps.mask) > 0].mean()) ** -0.5
    # Smoothed as the sky is: the filter is for what the network is to find.
    power = convergence_power(recipe.sky.source).smoothed(recipe.sky.resolution)
    start_as_wiener(network, power, noise=noise, pixel_scale=recipe.sky.pixel_scale)


def _objective(recipe: Recipe) -> Callable[[nn.Module, Batch], torch.Tensor]:
    loss: Loss = cha_loss(recipe.exponent)
    if recipe.loss == "miu2net":
        loss = miu2net_loss(recipe.sky.pixel_scale, ring_weight=recipe.ring_weight)
    return lambda model, batch: loss(model(batch[0]), batch[1], batch[2])


def _field_sets(recipe: Recipe, maps: Path | None, device: str) -> tuple[FieldSet, FieldSet]:
    """Return the fields for training and those for validation."""
    if maps is None:
        common: dict[str, Any] = {"sky": recipe.sky, "survey": recipe.survey, "seed": recipe.seed, "device": device}
        training = SimulatedFields(first=FIRST_TRAINING, count=recipe.fields, fresh=recipe.fresh, **common)
        return training, SimulatedFields(first=FIRST_VALIDATION, count=recipe.validation, **common)
    stored = split_store(maps, recipe.validation, recipe.seed)
    if stored[0].pixel_scale != recipe.sky.pixel_scale:
        raise InputError(
            f"{maps}: pixels of {stored[0].pixel_scale} arcmin; expected the {recipe.sky.pixel_scale} of the recipe"
        )
    source = stored[0].dataset.attrs["source"]
    if source not in (None, recipe.sky.source):
        raise InputError(f"{maps}: galaxies of source {source}; expected the {recipe.sky.source} of the recipe")
    return stored


def _batch(fields: Fields, config: Config, device: str) -> Batch:
    """Return what the network sees, the truth, and where it counts."""
    kappa, mask = (to_torch(part, device).float() for part in (fields.kappa, fields.maps.mask))
    return network_inputs(config, fields.maps).to(device), kappa, mask


def _epochs(fields: FieldSet, recipe: Recipe, device: str) -> Callable[[int], Iterator[Batch]]:
    """Return the function that gives the batches of an epoch, made ahead and each turned or mirrored at random."""

    def made(epoch: int) -> Iterator[Batch]:
        random = generator(recipe.seed, Stream.FIELD, _TURNS + epoch)
        for batch in fields.batches(epoch, recipe.training.batch):
            symmetry = SYMMETRIES[int(random.integers(len(SYMMETRIES)))]
            yield _batch(turned(batch, symmetry), recipe.network, device)

    def batches(epoch: int) -> Iterator[Batch]:
        # What dropout leaves out depends on the epoch alone, so that a training may be interrupted.
        torch.manual_seed(int(generator(recipe.seed, Stream.WEIGHTS, 1 + epoch).integers(2**31)))
        return read_ahead(made(epoch))

    return batches


def _data(recipe: Recipe, fields: tuple[FieldSet, FieldSet], maps: Path | None) -> dict[str, Any]:
    """Return what the card says of the fields."""
    training, validation = fields
    if isinstance(training, StoredFields) and isinstance(validation, StoredFields) and maps is not None:
        ids = [part.dataset.field.to_numpy() for part in (training, validation)]
        attributes = {k: training.dataset.attrs[k] for k in ("density", "sigma_e", "source", "seed")}
        spans = {"training": [int(ids[0][0]), int(ids[0][-1])], "validation": [int(ids[1][0]), int(ids[1][-1])]}
        content = training.dataset.attrs["configuration_hash"]
        return {"store": maps.name, "configuration_hash": content, **attributes, "ids": spans}
    skies = recipe.fields * (recipe.training.epochs if recipe.fresh else 1)
    starts = {"training": (FIRST_TRAINING, skies), "validation": (FIRST_VALIDATION, recipe.validation)}
    spans = {name: [first, first + count - 1] for name, (first, count) in starts.items()}
    footprint = recipe.survey.footprint
    return {"store": None, "ids": spans, "footprint_sha256": None if footprint is None else file_sha256(footprint)}


def train(
    path: str | Path,
    recipe: Recipe,
    *,
    maps: str | Path | None = None,
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
        Architecture, sky, survey and hyperparameters.
    maps
        Store of the schema ``shear_maps`` with the true convergence to train on in place of simulated fields. Its
        noise is the same in every epoch.
    start
        Weights to go on from, of the same network, in place of the initial ones of the recipe. Their card becomes part
        of the new one.
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
        The file exists, its name does not end in .safetensors, the device is not there, the store or the weights to go
        on from do not fit the recipe, or an interrupted training of another recipe was to be resumed.
    """
    store = None if maps is None else Path(maps)

    def prepare(device: str) -> Lesson:
        training, validation = fields = _field_sets(recipe, store, device)
        if store is None:
            check_sky(recipe.sky)

        def examples() -> Examples:
            checks = [_batch(part, recipe.network, device) for part in validation.batches(0, recipe.training.batch)]
            return Examples(_epochs(training, recipe, device), checks)

        return Lesson(
            architectures=ARCHITECTURES,
            objective=_objective(recipe),
            examples=examples,
            data={"data": _data(recipe, fields, store)},
            notes={"note": note_of(recipe.network), "pixel_scale": recipe.sky.pixel_scale},
            initialise=lambda network: _start(network, recipe, validation),
        )

    return train_to_file(
        path, recipe, prepare, start=start, device=device, overwrite=overwrite, resume=resume, on_epoch=on_epoch
    )
