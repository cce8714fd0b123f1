"""Train a network and write its weights with a card that says how they were made; go on after an interruption."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import nn

from lensdask.code import code_now
from lensdask.compute import choose_device, describe_device
from lensdask.data import code_version, configuration_hash, load_card, save_weights
from lensdask.errors import InputError
from lensdask.random import Stream, generator
from lensdask.training.cards import Architectures, describe_network, network_from_weights, network_of_config
from lensdask.training.checkpoint import Checkpoint
from lensdask.training.recipe import check_output
from lensdask.training.trainer import Batch, Check, History, Objective, TrainingConfig, train

__all__ = ["AnyRecipe", "Examples", "Lesson", "Trained", "train_to_file"]


class AnyRecipe(Protocol):
    """What the recipes of all pillars have: dataclasses of everything that decides the weights."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def network(self) -> Any:
        """Configuration of the network."""

    @property
    def training(self) -> TrainingConfig:
        """Hyperparameters of the loop."""

    @property
    def seed(self) -> int:
        """Random seed."""


class Trained(NamedTuple):
    """What came of a training.

    Parameters
    ----------
    card
        The card of the weights, as it was written.
    history
        Loss curves.
    """

    card: dict[str, Any]
    history: History


class Examples(NamedTuple):
    """What a network learns from, on its device.

    Parameters
    ----------
    batches
        Returns the training batches of an epoch, counted from 0, which depend on the epoch alone.
    validation
        Validation batches.
    """

    batches: Callable[[int], Iterable[Batch]]
    validation: list[Batch]


@dataclass(frozen=True)
class Lesson:
    """What a pillar says of a training."""

    architectures: Architectures[Any]
    """Networks of the pillar."""
    objective: Objective
    """What the training makes small."""
    examples: Callable[[], Examples]
    """Makes or opens what the network learns from; called once everything else is accepted, as it may take long."""
    data: Mapping[str, Any]
    """Entries of the card that say which data these are; an interrupted training goes on with the same only."""
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Entries of the card that decide nothing."""
    check: Check | None = None
    """As for `lensdask.training.train`."""
    clip_percentile: float = 0.0
    """As for `lensdask.training.train`."""
    initialise: Callable[[nn.Module], None] = lambda _network: None
    """Changes the random weights of a new network in place."""
    measured: Callable[[nn.Module], Mapping[str, Any]] = lambda _network: {}
    """Entries of the card that the best weights give on the validation examples; called once, with the network."""


def train_to_file(
    path: str | Path,
    recipe: AnyRecipe,
    prepare: Callable[[str], Lesson],
    *,
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
        Network, hyperparameters, seed, and what else decides the weights.
    prepare
        Returns the lesson for a device, "cpu" or "cuda"; called once the output is accepted.
    start
        Weights to start from, of the recipe's network, in place of random ones. Their card becomes part of the new one.
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
        of another network, or the interrupted training has another recipe or other data.
    """
    path, start = Path(path), None if start is None else Path(start)
    check_output(path, overwrite or (resume and _checkpoint_of(path).exists()))
    chosen = choose_device(device)
    lesson = prepare(chosen)
    started_from = None if start is None else load_card(start)
    checkpoint = Checkpoint(
        _checkpoint_of(path), _fingerprint(recipe, lesson, started_from), code_now(prepare.__module__)
    )
    _refuse_or_load(checkpoint, resume=resume, overwrite=overwrite)
    network = _initial_network(recipe, lesson, start).to(chosen)
    report = on_epoch or (lambda _done, _history: None)
    report(0, History())
    began = time.perf_counter()
    # Training leaves the caller's random numbers alone.
    with torch.random.fork_rng(devices=[] if chosen == "cpu" else [torch.cuda.current_device()]):
        history = train(
            network,
            *lesson.examples(),
            recipe.training,
            objective=lesson.objective,
            check=lesson.check,
            clip_percentile=lesson.clip_percentile,
            on_epoch=report,
            checkpoint=checkpoint,
        )
    done = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "loss": asdict(history),
        "epochs_done": len(history.training),
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(sum(history.cpu_s), 1),
        "machine": describe_device(chosen),
        "date": datetime.now(UTC).date().isoformat(),
        "lensdask": code_version(),
        **lesson.measured(network),
    }
    whole = _intended(recipe, lesson) | {"started_from": started_from} | done
    card = save_weights(path, network.state_dict(), whole)
    checkpoint.remove()
    return Trained(card, history)


def _intended(recipe: AnyRecipe, lesson: Lesson) -> dict[str, Any]:
    """Return the part of the card that is known before the training."""
    settings = {name: value for name, value in asdict(recipe).items() if name != "network"}
    network = describe_network(recipe.network, lesson.architectures)
    return network | {**lesson.notes, "recipe": settings, **lesson.data}


def _initial_network(recipe: AnyRecipe, lesson: Lesson, start: Path | None) -> nn.Module:
    """Return the network before training, on the CPU."""
    if start is not None:
        network: nn.Module = network_from_weights(start, recipe.network, lesson.architectures)
        return network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(recipe.seed, Stream.WEIGHTS, 0).integers(2**31)))
        network = network_of_config(recipe.network, lesson.architectures)
    lesson.initialise(network)
    return network


def _fingerprint(recipe: AnyRecipe, lesson: Lesson, started_from: Mapping[str, Any] | None) -> str:
    """Return the hash of all that decides the weights."""
    # Of the card of the first weights no more than decides the result: numbers measured later may be added to it.
    start = None if started_from is None else started_from["sha256"]
    network = describe_network(recipe.network, lesson.architectures)
    return configuration_hash(network | {"recipe": asdict(recipe), **lesson.data, "started_from": start})


def _checkpoint_of(path: Path) -> Path:
    return path.with_suffix(".checkpoint")


def _refuse_or_load(checkpoint: Checkpoint, *, resume: bool, overwrite: bool) -> None:
    """Look at what an interrupted training left, before anything is computed."""
    if checkpoint.path.exists() and not resume:
        if not overwrite:
            raise InputError(
                f"{checkpoint.path}: an interrupted training; "
                "continue it with resume=True or replace it with overwrite=True"
            )
        checkpoint.remove()
    if resume:
        checkpoint.load()
