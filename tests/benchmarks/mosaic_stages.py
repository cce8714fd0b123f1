"""The stages that a mosaic of large-scale structure goes through, and the networks that take it, in mosaics/s.

Forward passes are of as many mosaics as `lensdask lss predict` has in a call of the network, training steps of as many
as the recipes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from machine import timed

from lensdask.arrays import held_on, to_torch
from lensdask.compute.devices import torch_settings
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.observation import noisy_maps, observe, smoothed
from lensdask.lss.forward.samples import Boxes, draw_samples, take_tiles
from lensdask.lss.networks.architectures import ARCHITECTURES, BASES
from lensdask.lss.networks.loss import summary_loss
from lensdask.lss.networks.recipe import Recipe
from lensdask.lss.networks.trainingset import network_inputs
from lensdask.sky.tomography.redshifts import REDSHIFTS, STAGE3_BINS
from lensdask.training import network_of_config

ELL_MAX = 1500.0
"""Limit in multipole of the recipes that are not the paper's."""

FORWARD, TRAINING = 8, 32
"""Mosaics of a call of a network, and of a step of training."""

NETWORKS = (("power", "small"), ("power", "paper"), ("hybrid", "small"), ("cnn", "small"), ("cnn", "paper"))
SLOW, FEW_CALLS = "cnn paper", 3
"""A network of which a CPU gets few calls: a step of training is two teraflop."""


@dataclass(frozen=True)
class MosaicStage:
    """One stage."""

    name: str
    mosaics: int
    """Mosaics of a call."""
    call: Callable[[], object]


def mosaic_costs(device: str, *, tiny: bool = False) -> dict[str, Any]:
    """Return what the table of mosaics holds; `tiny` for a try whose numbers mean nothing."""
    model, count = (ForwardModel(side=2, ell_max=ELL_MAX), 2) if tiny else (ForwardModel(ell_max=ELL_MAX), TRAINING)
    with torch_settings():
        maps, stages = _forward_model(device, model, count)
        for architecture, size in NETWORKS:
            stages += [] if tiny and size == "paper" else _network(architecture, size, maps, model)
        rows = [_row(stage, device, tiny) for stage in stages]
    return {"tiles": model.tiles, "rows": rows, "failed": int(not bool(torch.isfinite(maps).all()))}


def _row(stage: MosaicStage, device: str, tiny: bool) -> dict[str, Any]:
    few = device == "cpu" and stage.name.startswith(SLOW)
    median, spread = timed(stage.call, device, 2 if tiny else FEW_CALLS if few else 8)
    cost = {"ms": 1e3 * median / stage.mosaics, "spread": 1e3 * spread / stage.mosaics}
    return {"stage": stage.name, "mosaics": stage.mosaics, "per_s": stage.mosaics / median, **cost}


def _forward_model(device: str, model: ForwardModel, count: int) -> tuple[torch.Tensor, list[MosaicStage]]:
    """Return maps of made-up tiles, and the stages that make them and their spectra, where a run has its arrays."""
    rng = np.random.default_rng(3)
    # Contrasts above -1 and convergences of a few hundredths.
    made = np.exp(0.3 * rng.normal(size=(1, 2 * model.tiles, 3, 4, 64, 64))) - 1.05
    made[:, :, :2] *= 0.03
    tiles, bins = held_on(made.astype(np.float32), device), (REDSHIFTS, STAGE3_BINS.n_of_z)
    samples = draw_samples(range(count), Boxes([0.3], [0.8], tiles.shape[1]), model, 0)
    taken = take_tiles(tiles, samples)
    noisy = noisy_maps(taken, samples, model, bins, 0).maps
    maps = to_torch(smoothed(noisy, model, bins), device)
    calls: dict[str, Callable[[], object]] = {
        "tiles of a mosaic": lambda: take_tiles(tiles, samples),
        "noisy maps": lambda: noisy_maps(taken, samples, model, bins, 0),
        "smoothing": lambda: smoothed(noisy, model, bins),
        "forward model": lambda: observe(take_tiles(tiles, samples), samples, model, bins, 0),
        "spectra": lambda: network_inputs(("spectra",), maps, model, "signed"),
    }
    return maps, [MosaicStage(name, count, call) for name, call in calls.items()]


def _network(architecture: str, size: str, maps: torch.Tensor, model: ForwardModel) -> Iterator[MosaicStage]:
    """Yield forward pass and training step of a network, of maps that are there already."""
    fitted = Recipe(network=BASES[architecture][size], model=model).network
    network = network_of_config(fitted, ARCHITECTURES).to(maps.device)
    inputs = network_inputs(fitted.inputs, maps, model, "signed")
    few = [each[:FORWARD] for each in inputs]
    theta = torch.zeros(len(maps), len(model.parameters), device=maps.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(summary_loss(network(*inputs), theta))
        optimizer.step()

    name = f"{architecture} {size}"
    yield MosaicStage(f"{name}, forward pass", len(few[0]), partial(torch.no_grad()(network), *few))
    yield MosaicStage(f"{name}, training step", len(maps), step)
