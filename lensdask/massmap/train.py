"""Train a network of mass maps on simulated fields, and write its weights with a card that says how they were made."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from lensdask.arrays import to_numpy, to_torch
from lensdask.compute import choose_device, describe_device
from lensdask.data import code_version, configuration_hash, file_sha256, save_weights
from lensdask.errors import InputError
from lensdask.massmap.cha import CHA_PAPER, CHA_SMALL, ChaNet
from lensdask.massmap.h21 import H21_LIKE, H21_SMALL
from lensdask.massmap.inputs import network_inputs
from lensdask.massmap.losses import Loss, cha_loss, miu2net_loss
from lensdask.massmap.miu2net import MIU2NET_PAPER, MIU2NET_SMALL
from lensdask.massmap.mock import NoiseModel
from lensdask.massmap.networks import Config, Network, describe, make_network
from lensdask.massmap.symmetry import SYMMETRIES
from lensdask.massmap.trainingset import (
    FIRST_TRAINING,
    FIRST_VALIDATION,
    Fields,
    FieldSet,
    SimulatedFields,
    StoredFields,
    split_store,
    turned,
)
from lensdask.massmap.wiener_start import start_as_wiener
from lensdask.random import Stream, generator
from lensdask.sky.power import convergence_power
from lensdask.sky.simulate import SkyConfig
from lensdask.training import (
    Batch,
    Checkpoint,
    History,
    TrainingConfig,
    check_output,
    read_ahead,
    read_toml,
    replaced,
    train,
)

__all__ = ["BASES", "SHIPPED_RECIPE", "MassmapRecipe", "read_massmap_recipe", "train_massmap"]

BASES: dict[str, dict[str, Config]] = {
    "cha": {"small": CHA_SMALL, "paper": CHA_PAPER},
    "h21": {"small": H21_SMALL, "paper": H21_LIKE},
    "miu2net": {"small": MIU2NET_SMALL, "paper": MIU2NET_PAPER},
}
"""Networks that a recipe may start from, by architecture and size."""

_TURNS = 2**42
"""Epoch numbers from here on key turns and mirrors, those below the order of the fields."""


@dataclass(frozen=True)
class MassmapRecipe:
    """Everything that decides the weights, apart from the rounding of the machine."""

    network: Config = CHA_SMALL
    """Architecture."""
    sky: SkyConfig = field(default_factory=lambda: SkyConfig(size=128, pixel_scale=0.82))
    """Which sky."""
    noise: NoiseModel = field(default_factory=NoiseModel)
    """Which survey."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Hyperparameters of the loop. `TrainingConfig.huber_delta` has no meaning here."""
    loss: Literal["cha", "miu2net"] = "cha"
    """Weighted square residuals of Cha et al. 2025, or square residuals and ring powers of MIU²Net."""
    exponent: float = 6.0
    """Power of the weight in the loss "cha": 6 in the paper, 1 in H21, 0 for the plain mean square error."""
    ring_weight: float = 3.0
    """Weight of the ring powers in the loss "miu2net"."""
    start: Literal["random", "wiener"] = "random"
    """Initial weights: random, or near the Wiener filter of this sky and survey (`lensdask.massmap.wiener_start`)."""
    fields: int = 4000
    """Simulated fields in an epoch. Of a store all are taken that are not for validation."""
    validation: int = 64
    """Fields for validation, of a store at least."""
    fresh: bool = False
    """Whether every epoch has new skies. Else skies are made once; their noise is new in every epoch either way."""
    seed: int = 0
    """Seed of the weights, the skies, the noise, and the order and orientation of the fields."""

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        if self.loss not in ("cha", "miu2net"):
            raise InputError(f"loss: {self.loss!r}; expected cha or miu2net")
        if self.start not in ("random", "wiener"):
            raise InputError(f"start: {self.start!r}; expected random or wiener")
        if not (0 <= self.exponent < 100 and 0 <= self.ring_weight < 1e6):
            raise InputError(f"exponent {self.exponent}, ring_weight {self.ring_weight}; expected numbers from 0 on")
        if self.fields < 1 or self.validation < 1:
            raise InputError(f"fields: {self.fields} and {self.validation} to validate; expected at least 1")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed: {self.seed}; expected a whole number from 0 to 2^63")


SHIPPED_RECIPE = MassmapRecipe(
    network=dataclasses.replace(
        CHA_SMALL, channels=4, first_kernels=(5, 13, 97), inputs="weighted+weight+ks", input_scale=0.05
    ),
    training=TrainingConfig(
        epochs=5,
        batch=4,
        micro_batch=4,
        learning_rate=5e-5,
        weight_decay=0.0,
        minimum_rate=0.0,
        schedule="cosine",
        validate_every=75,
        clip_norm=1.0,
    ),
    exponent=0.0,
    start="wiener",
    fields=300,
    fresh=True,
)
"""That of the shipped ``cha``, ``recipes/massmap-cha.toml``."""


def read_massmap_recipe(path: Path | None) -> MassmapRecipe:
    """Return the recipe of a TOML file; `SHIPPED_RECIPE` when there is none.

    The file may hold the fields of `MassmapRecipe` at its top, and tables ``[network]``, ``[sky]``, ``[noise]`` and
    ``[training]``. In ``[network]``, `architecture` ("cha", "h21" or "miu2net") and `base` ("small" or "paper") say
    which of `BASES` the other settings change.

    Raises
    ------
    InputError
        The file cannot be read, or has a setting that does not exist.
    """
    if path is None:
        return SHIPPED_RECIPE
    default, content = MassmapRecipe(), read_toml(path)
    parts: dict[str, Any] = {"network": _read_network(content.pop("network", {}), f"{path}: [network]")}
    for name in ("sky", "noise", "training"):
        parts[name] = replaced(getattr(default, name), content.pop(name, {}), f"{path}: [{name}]")
    return replaced(dataclasses.replace(default, **parts), content, str(path))


def _read_network(table: Any, where: str) -> Config:
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: {table!r}; expected a table")
    settings = dict(table)
    architecture, size = str(settings.pop("architecture", "cha")), str(settings.pop("base", "small"))
    if architecture not in BASES or size not in BASES[architecture]:
        raise InputError(
            f"{where}: architecture {architecture!r}, base {size!r}; expected one of {', '.join(BASES)}, small or paper"
        )
    network: Config = replaced(BASES[architecture][size], settings, where)
    return network


def _initial_network(recipe: MassmapRecipe, fields: FieldSet) -> Network:
    """Return the network before training; what the noise is the fields tell."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(recipe.seed, Stream.WEIGHTS, 0).integers(2**31)))
        network = make_network(recipe.network)
    if recipe.start == "wiener":
        if not isinstance(network, ChaNet):
            raise InputError("start: 'wiener'; expected a network of architecture cha")
        maps = next(fields.batches(0, 1)).maps
        noise = float(to_numpy(maps.weight)[to_numpy(maps.mask) > 0].mean()) ** -0.5
        # Smoothed as the sky is: the filter is for what the network is to find.
        power = convergence_power(recipe.sky.source).smoothed(recipe.sky.resolution)
        start_as_wiener(network, power, noise=noise, pixel_scale=recipe.sky.pixel_scale)
    return network


def _objective(recipe: MassmapRecipe) -> Callable[[nn.Module, Batch], torch.Tensor]:
    loss: Loss = cha_loss(recipe.exponent)
    if recipe.loss == "miu2net":
        loss = miu2net_loss(recipe.sky.pixel_scale, ring_weight=recipe.ring_weight)
    return lambda model, batch: loss(model(batch[0]), batch[1], batch[2])


def _field_sets(recipe: MassmapRecipe, maps: Path | None, device: str) -> tuple[FieldSet, FieldSet]:
    """Return the fields for training and those for validation."""
    if maps is None:
        common: dict[str, Any] = {"sky": recipe.sky, "noise": recipe.noise, "seed": recipe.seed, "device": device}
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


def _epochs(fields: FieldSet, recipe: MassmapRecipe, device: str) -> Callable[[int], Iterator[Batch]]:
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


def _data(recipe: MassmapRecipe, fields: tuple[FieldSet, FieldSet], maps: Path | None) -> dict[str, Any]:
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
    footprint = recipe.noise.footprint
    return {"store": None, "ids": spans, "footprint_sha256": None if footprint is None else file_sha256(footprint)}


def train_massmap(
    path: Path,
    recipe: MassmapRecipe,
    *,
    maps: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    on_epoch: Callable[[int, History], None] | None = None,
) -> History:
    """Train a network and write ``path`` (safetensors) with its card, a JSON file beside it.

    After every epoch the state is kept in ``NAME.checkpoint`` beside the weights until they are written. A training
    that was cut off goes on from it with `resume`, to the same weights to the bit.

    Parameters
    ----------
    path
        File of the weights, ``*.safetensors``.
    recipe
        Architecture, sky, survey and hyperparameters.
    maps
        Store of the schema ``shear_maps`` with the true convergence to train on in place of simulated fields. Its
        noise is the same in every epoch.
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
        The file exists, its name does not end in .safetensors, the device is not there, the store does not fit the
        recipe, or an interrupted training of another recipe was to be resumed.
    """
    check_output(path, overwrite or (resume and _checkpoint_of(path).exists()))
    chosen = choose_device(device)
    fields = _field_sets(recipe, maps, chosen)
    data = _data(recipe, fields, maps)
    checkpoint = _checkpoint(path, recipe, data, resume=resume, overwrite=overwrite)
    network = _initial_network(recipe, fields[1]).to(chosen)
    on_epoch = on_epoch or (lambda _done, _history: None)
    on_epoch(0, History())
    began = time.perf_counter()
    with torch.random.fork_rng(devices=[] if chosen == "cpu" else [torch.cuda.current_device()]):
        validation = [_batch(part, recipe.network, chosen) for part in fields[1].batches(0, recipe.training.batch)]
        history = train(
            network,
            _epochs(fields[0], recipe, chosen),
            validation,
            recipe.training,
            objective=_objective(recipe),
            on_epoch=on_epoch,
            checkpoint=checkpoint,
        )
    card = describe(recipe.network) | {
        "pixel_scale": recipe.sky.pixel_scale,
        "recipe": {k: v for k, v in asdict(recipe).items() if k != "network"},
        "data": data,
        "parameters": sum(p.numel() for p in network.parameters()),
        "loss": asdict(history),
        "epochs_done": len(history.training),
        "wall_s": round(time.perf_counter() - began, 1),
        "machine": describe_device(chosen),
        "date": datetime.now(UTC).date().isoformat(),
        "lensdask": code_version(),
    }
    save_weights(path, network.state_dict(), card)
    checkpoint.remove()
    return history


def _checkpoint_of(path: Path) -> Path:
    return path.with_suffix(".checkpoint")


def _checkpoint(
    path: Path, recipe: MassmapRecipe, data: dict[str, Any], *, resume: bool, overwrite: bool
) -> Checkpoint:
    """Return where the state of a training is kept, after a look at what is there."""
    content = describe(recipe.network) | {"recipe": asdict(recipe), "data": data}
    checkpoint = Checkpoint(_checkpoint_of(path), configuration_hash(content))
    if checkpoint.path.exists() and not resume:
        if not overwrite:
            raise InputError(
                f"{checkpoint.path}: an interrupted training; continue it with --resume or replace it with --overwrite"
            )
        checkpoint.remove()
    if resume:
        checkpoint.load()
    return checkpoint
