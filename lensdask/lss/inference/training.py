"""Training of a likelihood on summaries: its recipe, which samples choose the best epoch, and the weights."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lensdask.compute import torch_settings
from lensdask.data import load_card
from lensdask.errors import InputError, check_choice, check_number, check_seed
from lensdask.lss.inference.density import ARCHITECTURES, DENSITIES, ConditionalDensity
from lensdask.lss.inference.flow import FlowConfig
from lensdask.lss.inference.likelihood import AT_ONCE, Likelihood, load_likelihood
from lensdask.lss.inference.mixture import MixtureConfig
from lensdask.lss.inference.prior import COSMOLOGY, hull_of
from lensdask.lss.inference.summaries import Summaries
from lensdask.random import Stream, generator
from lensdask.training import Batch, Examples, History, Lesson, TrainingConfig, network_of_config, train_to_file

__all__ = ["LikelihoodRecipe", "Split", "fit_likelihood", "likelihood_recipe", "split_summaries"]

_NEVER = 10**9

_FEW = 8
"""With fewer cosmologies than this inside of the hull, whole ones cannot be spared for the validation."""


@dataclass(frozen=True)
class LikelihoodRecipe:
    """All that decides a likelihood, beside the summaries."""

    network: MixtureConfig | FlowConfig
    """Which network, of which size."""
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=20,
            batch=500,
            learning_rate=5e-4,
            weight_decay=0.0,
            minimum_rate=0.0,
            schedule="cosine",
            validate_every=_NEVER,
            micro_batch=AT_ONCE,
            clip_norm=5.0,
        )
    )
    """Hyperparameters of the loop: one validation an epoch, the best epoch is kept."""
    seed: int = 0
    """Seed of weights, of the split, and of the order of the samples."""
    validation: float = 0.25
    """Share of the samples for the validation (App. C)."""
    most_per_epoch: int = 100_000
    """Samples in an epoch, at the most; larger sets take several epochs to go through."""

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        check_seed(self.seed)
        check_number("likelihood validation", self.validation, above=0, below=1)
        check_number("likelihood most_per_epoch", self.most_per_epoch, least=1, whole=True)


def likelihood_recipe(density: str, parameters: int, *, epochs: int | None = None, seed: int = 0) -> LikelihoodRecipe:
    """Return the recipe of a density by name.

    Parameters
    ----------
    density
        "mdn" or "flow".
    parameters
        Number of parameters.
    epochs, seed
        As in the recipe; its own number of epochs when none.

    Raises
    ------
    InputError
        There is none of this name.
    """
    check_choice("density", density, DENSITIES)
    recipe = LikelihoodRecipe(DENSITIES[density](parameters), seed=seed)
    if epochs is None:
        return recipe
    settings = {**vars(recipe.training), "epochs": epochs}
    return LikelihoodRecipe(recipe.network, TrainingConfig(**settings), seed)


class Split(NamedTuple):
    """Which samples train, and which choose the best epoch."""

    training: npt.NDArray[np.bool_]
    """Shape (sample,)."""
    unit: str
    """What was kept together: cosmologies, or parameter sets."""


def split_summaries(summaries: Summaries, share: float, seed: int) -> Split:
    """Split samples into those for training and those for validation, never two of one cosmology on both sides.

    A likelihood that has learned its cosmologies by heart shows this only at others. Cosmologies at corners of the hull
    all train: nothing can be learned from what is outside of the simulations. Where there are fewer than eight others,
    whole sets of parameters are kept together instead.

    Parameters
    ----------
    summaries
        To be split.
    share
        Share of the validation.
    seed
        Of the choice.
    """
    rng = generator(seed, Stream.TRAINING, 2**62)
    cosmologies = summaries.cosmologies
    inner = np.empty(0, dtype=np.int64)
    if len(cosmologies) >= _FEW:
        corners = (cosmologies[:, None] == hull_of(cosmologies)[None]).all(axis=-1).any(axis=-1)
        # Groups are numbered in the order of the cosmologies.
        inner = np.flatnonzero(~corners)
    by_cosmology = len(inner) >= _FEW
    groups = summaries.groups(COSMOLOGY if by_cosmology else None)
    order = rng.permutation(inner if by_cosmology else groups.max() + 1)
    counts = np.bincount(groups)[order].cumsum()
    enough = int(np.searchsorted(counts, share * len(groups))) + 1
    chosen = order[: max(1, min(enough, len(order) // 2))]
    return Split(~np.isin(groups, chosen), "cosmologies" if by_cosmology else "parameter sets")


def negative_log_likelihood(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean of -log p(z | θ) over a batch of scaled summaries and parameters."""
    assert isinstance(model, ConditionalDensity)  # noqa: S101  the loop is for any module
    z, x = batch
    return -model.scaled_log_prob(z, x).mean()


def fit_likelihood(
    path: Path,
    summaries: Summaries,
    recipe: LikelihoodRecipe,
    *,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    on_epoch: Callable[[int, History], None] | None = None,
) -> Likelihood:
    """Train a density network on summaries, write it with its card, and return it.

    Parameters
    ----------
    path
        File of the weights, ``*.safetensors``.
    summaries
        Simulations.
    recipe
        Network, hyperparameters, seed.
    device
        "auto", "cpu" or "cuda".
    overwrite
        Replace an existing file.
    resume
        Go on with an interrupted training, or take the likelihood if it is finished.
    on_epoch
        Called with 0 once the input is accepted, then after each epoch with the number done and the loss curves.

    Raises
    ------
    InputError
        The file exists or is of other summaries, a summary never changes, or the loss was not finite.
    """
    for name, values in zip(summaries.names, summaries.summary.T, strict=True):
        if not values.max() > values.min():
            raise InputError(f"{summaries.where}: the summary {name} is {values[0]:.4g} throughout; expected a range")
    split = split_summaries(summaries, recipe.validation, recipe.seed)

    def prepare(chosen: str) -> Lesson:
        return _lesson(summaries, split, recipe, chosen)

    if not (resume and path.exists() and _is_finished(path, prepare("cpu"), recipe)):
        with torch_settings():
            train_to_file(path, recipe, prepare, device=device, overwrite=overwrite, resume=resume, on_epoch=on_epoch)
    return load_likelihood(path, device)


def _is_finished(path: Path, lesson: Lesson, recipe: LikelihoodRecipe) -> bool:
    """Return whether weights are there, and those that are wanted."""
    card = load_card(path)
    settings = {name: value for name, value in asdict(recipe).items() if name != "network"}
    wanted = {**lesson.data, "recipe": settings, "config": asdict(recipe.network)}
    # Through JSON, which knows no tuples.
    if any(card.get(name) != value for name, value in json.loads(json.dumps(wanted)).items()):
        raise InputError(f"{path}: a likelihood of other samples or settings; replace it with overwrite=True")
    return True


def _lesson(summaries: Summaries, split: Split, recipe: LikelihoodRecipe, device: str) -> Lesson:
    theta, summary = torch.from_numpy(summaries.theta), torch.from_numpy(summaries.summary)
    training = torch.from_numpy(split.training)

    def set_up(network: nn.Module) -> None:
        assert isinstance(network, ConditionalDensity)  # noqa: S101  of ARCHITECTURES
        network.set_up(theta[training], summary[training])

    def examples() -> Examples:
        # For its scalings, which are those of the network in training.
        model = network_of_config(recipe.network, ARCHITECTURES)
        set_up(model)
        model.to(device)
        z, x = model.scaled_summary(summary.to(device)), model.scaled_theta(theta.to(device))
        known, held = training.nonzero()[:, 0], (~training).nonzero()[:, 0]
        # A summary of the validation may lie too far outside of the training range to have a z.
        held = held[torch.isfinite(z[held]).all(dim=-1).cpu()]
        held = held[:: -(-len(held) // recipe.most_per_epoch)]

        def batches(epoch: int) -> Iterator[Batch]:
            for rows in _rows_of_epoch(len(known), epoch, recipe):
                chosen = known[torch.from_numpy(rows)]
                yield z[chosen], x[chosen]

        return Examples(batches, [(z[held], x[held])])

    return Lesson(
        architectures=ARCHITECTURES,
        objective=negative_log_likelihood,
        examples=examples,
        data={
            "summaries": summaries.configuration_hash,
            "samples_sha256": summaries.sha256,
            "compressor_sha256": summaries.compressor_sha256,
            "parameters_of_model": list(summaries.names),
            "training_samples": int(split.training.sum()),
            "validation_samples": int((~split.training).sum()),
            "validation_apart": split.unit,
        },
        initialise=set_up,
    )


def _rows_of_epoch(count: int, epoch: int, recipe: LikelihoodRecipe) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of each batch of an epoch: the next part of a random order, and a new order after the last."""
    parts = -(-count // recipe.most_per_epoch)
    order = generator(recipe.seed, Stream.TRAINING, epoch // parts).permutation(count)
    chosen = np.array_split(order, parts)[epoch % parts]
    for start in range(0, len(chosen), recipe.training.batch):
        yield chosen[start : start + recipe.training.batch]
