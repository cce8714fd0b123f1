"""Train a compressor on mosaics of simulated tiles, and write its weights with a card that says how they were made."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lensdask.compute import StoreReference, torch_settings
from lensdask.compute.room import require_memory
from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.lss.kept_spectra import open_spectra
from lensdask.lss.networks.architectures import ARCHITECTURES, build_network
from lensdask.lss.networks.hybrid import HybridConfig, HybridNetwork
from lensdask.lss.networks.loss import summary_loss
from lensdask.lss.networks.power import PowerNetwork, SpectraInputs
from lensdask.lss.networks.recipe import Recipe
from lensdask.lss.networks.trainingset import FIRST_TRAINING, FIRST_VALIDATION, Mosaics
from lensdask.lss.tiles import open_split, open_tiles
from lensdask.random import Stream, generator
from lensdask.training import (
    Batch,
    Examples,
    History,
    Lesson,
    Trained,
    network_from_weights,
    read_ahead,
    train_to_file,
)

__all__ = ["train"]

_FITTED = 256
"""Mosaics, at most, whose spectra set the scaling of the inputs."""


def _objective(model: nn.Module, batch: Batch) -> Tensor:
    return summary_loss(model(*batch[:-1]), batch[-1])


def _mosaics(
    tiles: StoreReference, split: str, recipe: Recipe, device: str, spectra: Mapping[str, str | Path]
) -> Mosaics:
    found, inputs = open_split(tiles, split), recipe.network.inputs
    found.check(recipe.model)
    kept = open_spectra(Path(spectra[split])) if split in spectra else None
    if kept is not None:
        if inputs != ("spectra",):
            raise InputError(f"spectra: a network of {' and '.join(inputs)}; expected one of spectra alone")
        kept.check(tiles, split, recipe.model, recipe.seed)
    return Mosaics(found, recipe.model, inputs, recipe.cross, recipe.seed, device, kept)


def _power_of(start: Path, recipe: Recipe) -> PowerNetwork | None:
    """Return the network of spectra that a hybrid goes on from; none where weights are of the same architecture."""
    card = load_card(start)
    if not isinstance(recipe.network, HybridConfig) or card.get("architecture") != "power":
        return None
    network = network_from_weights(start, build_network(card).config, ARCHITECTURES)
    assert isinstance(network, PowerNetwork)  # noqa: S101  of the card
    return network


def _kept(mosaics: Mosaics, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """Return the function that gives the mosaics of the first epoch in every epoch, each time in another order."""
    each = sum(part.nbytes for part in mosaics.batch(FIRST_TRAINING, 1))
    require_memory(float(each * recipe.mosaics), f"training, {recipe.mosaics} mosaics")
    whole = [torch.cat(parts) for parts in zip(*mosaics.batches(FIRST_TRAINING, recipe.mosaics, 64), strict=True)]

    def batches(epoch: int) -> Iterator[Batch]:
        order = generator(recipe.seed, Stream.FIELD, epoch).permutation(recipe.mosaics)
        for start in range(0, recipe.mosaics, recipe.training.batch):
            rows = torch.from_numpy(order[start : start + recipe.training.batch]).to(whole[0].device)
            yield tuple(part[rows] for part in whole)

    return batches


def _fresh(mosaics: Mosaics, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """Return the function that gives mosaics of its own for every epoch, made while the network learns."""

    def batches(epoch: int) -> Iterator[Batch]:
        first = FIRST_TRAINING + epoch * recipe.mosaics
        return read_ahead(mosaics.batches(first, recipe.mosaics, recipe.training.batch))

    return batches


# One thread for the network: the others make its mosaics, and where there are too many, all of them wait.
@torch_settings()
def train(
    path: str | Path,
    recipe: Recipe,
    *,
    tiles: str | Path,
    spectra: Mapping[str, str | Path] | None = None,
    start: str | Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    on_epoch: Callable[[int, History], None] | None = None,
) -> Trained:
    """Train a compressor and write ``path`` (safetensors) with its card, a JSON file beside it.

    After every epoch the state is kept in ``NAME.checkpoint`` beside the weights until they are written. An interrupted
    training goes on from it with `resume`, to bit-identical weights.

    Parameters
    ----------
    path
        File of the weights, ``*.safetensors``.
    recipe
        Architecture, forward model and hyperparameters.
    tiles
        Store of the schema ``lss_tiles``; its splits "training" and "validation" are taken.
    spectra
        Stores of the schema ``lss_spectra`` by split, for a network that takes nothing else: its mosaics are read from
        them in place of being made, to the same weights.
    start
        Weights to go on from, of the same network, in place of random ones. Their card becomes part of the new one. A
        hybrid may go on from a network of spectra as well: it gives the same summaries until its convolutions have
        learned to better them.
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
        The file exists, its name does not end in .safetensors, the device is not there, the tiles or the weights to go
        on from do not fit the recipe, or an interrupted training of another recipe was to be resumed.
    """
    dataset, reference = open_tiles(Path(tiles))

    # A hybrid may go on from a network of spectra, which is another architecture.
    power = None if start is None else _power_of(Path(start), recipe)
    began = {} if power is None or start is None else {"began_from": load_card(start)["sha256"]}

    def prepare(device: str) -> Lesson:
        training, validation = (
            _mosaics(reference, name, recipe, device, spectra or {}) for name in ("training", "validation")
        )

        def initialise(network: nn.Module) -> None:
            if power is not None and isinstance(network, HybridNetwork):
                network.begin_from(power)
            elif isinstance(scaling := getattr(network, "scaling", None), SpectraInputs):
                scaling.fit(training.batch(FIRST_TRAINING, min(_FITTED, recipe.mosaics))[0].cpu())

        def examples() -> Examples:
            checks = list(validation.batches(FIRST_VALIDATION, recipe.validation, recipe.training.batch))
            return Examples((_fresh if recipe.fresh else _kept)(training, recipe), checks)

        return Lesson(
            architectures=ARCHITECTURES,
            objective=_objective,
            clip_percentile=recipe.clip_percentile,
            examples=examples,
            data={"tiles_hash": reference.hash, "n_of_z": training.split.n_of_z} | began,
            notes={"tiles": Path(tiles).name, "sky": dataset.attrs["sky"]},
            initialise=initialise,
        )

    return train_to_file(
        path,
        recipe,
        prepare,
        start=start if power is None else None,
        device=device,
        overwrite=overwrite,
        resume=resume,
        on_epoch=on_epoch,
    )
