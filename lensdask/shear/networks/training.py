"""Train a D4CNN on simulated galaxies and write its weights with a card that says how they were made."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from lensdask.compute import choose_device, describe_device
from lensdask.data import code_version, load_card, load_into, save_weights
from lensdask.errors import InputError, check_choice, check_number, check_seed
from lensdask.random import Stream, generator
from lensdask.shear.networks.score import ScoreConfig, ScoreSet, make_score_set, score_objective
from lensdask.shear.networks.trainingset import TrainingSet, make_training_set
from lensdask.shear.shapes.d4cnn import D4CNN, PAPER, SHIPPED, D4CNNConfig, build_d4cnn, describe
from lensdask.shear.simulation.catalogue import MAGNITUDE_LIMIT, Catalogue, MockCatalogue, read_catalogue
from lensdask.training import (
    Batch,
    History,
    Objective,
    TrainingConfig,
    check_output,
    read_toml,
    regression,
    replaced,
    train,
)

__all__ = ["Recipe", "read_recipe", "train_d4cnn"]

FIRST_PAIR = 2**40
"""Pairs from here on are for training, so that no test of a network meets a mock galaxy it was trained on."""

VALIDATION_EPOCH = 2**61
"""Epoch whose noise the validation set gets: none that training reaches."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, apart from the rounding of the machine."""

    network: D4CNNConfig = SHIPPED
    """Architecture."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Hyperparameters of the loop."""
    label: Literal["distortion", "fpfs", "score"] = "fpfs"
    """What the network learns: the catalogue's distortion, the FPFS ellipticity of the noiseless stamp, or, without a
    label, to measure shear with the least shape noise (`lensdask.shear.networks.score`)."""
    score: ScoreConfig = field(default_factory=ScoreConfig)
    """Settings of the training by score."""
    signal_to_noise: tuple[float, float] = (5.0, 150.0)
    """Range of the uniform distribution of signal-to-noise. The paper has 5 to 40 (section 2.3.2). Trained on that,
    this network over-weighs the brighter galaxies, which it has never seen, and its response to shear bends: on
    noiseless galaxies m = -5.5e-4 ± 0.7e-4 at g = 0.02."""
    galaxies: int = 10_000
    """Training stamps."""
    validation: int = 1_000
    """Validation stamps."""
    magnitude_limit: float = MAGNITUDE_LIMIT
    """Galaxies are brighter than this in i."""
    seed: int = 0
    """Seed of the weights, the galaxies and the noise."""

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        check_choice("label", self.label, ("distortion", "fpfs", "score"))
        if self.label == "score" and self.training.schedule == "plateau":
            # One per cent of a loss that passes through zero means nothing.
            raise InputError("label: 'score' with the schedule 'plateau'; expected [training] schedule = 'cosine'")
        for name in ("galaxies", "validation"):
            check_number(name, getattr(self, name), least=1, whole=True)
        check_number("magnitude_limit", self.magnitude_limit)
        if len(self.signal_to_noise) != 2 or not 0 < self.signal_to_noise[0] <= self.signal_to_noise[1] < np.inf:
            raise InputError(f"signal_to_noise: {self.signal_to_noise}; expected two positive numbers in order")
        check_seed(self.seed)


def read_recipe(path: Path | None) -> Recipe:
    """Return the recipe of a TOML file; that of the shipped ``d4cnn-fpfs`` when there is none.

    The file may hold the fields of `Recipe` at its top, and tables ``[training]``, ``[score]`` and ``[network]`` with
    those of `TrainingConfig`, `ScoreConfig` and `D4CNNConfig`. ``base = "paper"`` in ``[network]`` starts from the
    paper's network.

    Raises
    ------
    InputError
        The file cannot be read, or has a setting that does not exist.
    """
    if path is None:
        return Recipe()
    content = read_toml(path)
    network = content.pop("network", {})
    if not isinstance(network, Mapping):
        raise InputError(f"{path}: [network]: {network!r}; expected a table")
    network = dict(network)
    base = {"paper": PAPER, "shipped": SHIPPED}.get(str(network.pop("base", "shipped")))
    if base is None:
        raise InputError(f"{path}: [network] has an unknown base; expected paper or shipped")
    default = Recipe()
    parts: dict[str, Any] = {
        "network": replaced(base, network, f"{path}: [network]"),
        "training": replaced(default.training, content.pop("training", {}), f"{path}: [training]"),
        "score": replaced(default.score, content.pop("score", {}), f"{path}: [score]"),
    }
    return replaced(dataclasses.replace(default, **parts), content, str(path))


def _training_sets(
    recipe: Recipe, source: MockCatalogue | Catalogue
) -> tuple[TrainingSet | ScoreSet, TrainingSet | ScoreSet]:
    # One member of each pair: the other one is the same galaxy.
    ids = 2 * (FIRST_PAIR + np.arange(recipe.galaxies + recipe.validation))
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


def _objective(recipe: Recipe) -> Objective:
    if recipe.label == "score":
        return partial(score_objective, config=recipe.score)
    return regression(recipe.training.huber_delta)


def _initial_network(recipe: Recipe, start: Path | None) -> D4CNN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(recipe.seed, Stream.WEIGHTS, 0).integers(2**31)))
        network = D4CNN(recipe.network)
    if start is not None:
        card = load_card(start)
        if card["architecture"] != "d4cnn" or build_d4cnn(card).config != recipe.network:
            raise InputError(f"{start}: weights of another network; expected that of the recipe")
        load_into(network, start)
    return network


def train_d4cnn(
    path: Path,
    recipe: Recipe,
    *,
    catalogue: Path | None = None,
    start: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    on_epoch: Callable[[int, History], None] | None = None,
) -> History:
    """Train a network and write ``path`` (safetensors) with its card, a JSON file beside it.

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
        Replace an existing file.
    on_epoch
        Called with 0 once the input is accepted, then after each epoch with the number done and the loss curves.

    Raises
    ------
    InputError
        The file exists, its name does not end in .safetensors, or the device is not there.
    """
    check_output(path, overwrite)
    chosen = choose_device(device)
    limit = recipe.magnitude_limit
    source = MockCatalogue(limit) if catalogue is None else read_catalogue(catalogue, limit)
    network = _initial_network(recipe, start).to(chosen)
    on_epoch = on_epoch or (lambda _done, _history: None)
    on_epoch(0, History())
    began = time.perf_counter()
    training, validation = _training_sets(recipe, source)
    batch = recipe.training.batch

    def on_device(dataset: TrainingSet | ScoreSet, epoch: int) -> Iterator[Batch]:
        return (tuple(part.to(chosen) for part in parts) for parts in dataset.batches(epoch, batch))

    history = train(
        network,
        lambda epoch: on_device(training, epoch),
        list(on_device(validation, VALIDATION_EPOCH)),
        recipe.training,
        objective=_objective(recipe),
        on_epoch=on_epoch,
    )
    card = describe(recipe.network) | {
        "recipe": {k: v for k, v in asdict(recipe).items() if k != "network"},
        "data": "parametric CatSim-like mock" if catalogue is None else f"catalogue {catalogue.name}",
        "galaxies": source.fingerprint,
        "parameters": sum(p.numel() for p in network.parameters()),
        "loss": asdict(history),
        "epochs_done": len(history.training),
        "wall_s": round(time.perf_counter() - began, 1),
        "machine": describe_device(chosen),
        "started_from": None if start is None else load_card(start),
        "date": datetime.now(UTC).date().isoformat(),
        "lensdask": code_version(),
    }
    save_weights(path, network.state_dict(), card)
    return history
