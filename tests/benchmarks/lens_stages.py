"""Cost of images of strong lenses and of the networks that see them, in lenses/s: simulation, fits, networks."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from machine import timed

from lensdask.arrays import to_torch
from lensdask.compute.devices import Device, torch_settings
from lensdask.stronglens.fitting.fit import fit_smooth
from lensdask.stronglens.lenses import SimulateLenses
from lensdask.stronglens.nets.architectures import ARCHITECTURES, BASES, network_outputs
from lensdask.stronglens.nets.loss import objective
from lensdask.stronglens.simulation.presets import CLASSES, find_preset, find_signal, find_survey
from lensdask.training import network_of_config

PRESETS = (("physical", "cdm"), ("deeplensesim", "as-coded"))

BATCH = {"cpu": 64, "cuda": 512}
"""Lenses of a call."""

Stages = Iterator[tuple[str, Callable[[], object]]]


def lens_costs(device: Device, *, tiny: bool = False) -> dict[str, Any]:
    """Return what the table of strong lenses holds; `tiny` for a try whose numbers mean nothing."""
    count = 6 if tiny else BATCH[device]
    with torch_settings():
        images = _task(*PRESETS[0]).images(np.arange(count), device)
        stages = [*_simulation(count, device), *_networks(images, device, tiny)]
        if not tiny:
            stages.append(("fit of a smooth lens", partial(fit_smooth, images, find_survey("euclid"), device)))
        rows = [_row(name, count, call, device, tiny) for name, call in stages]
    return {"lenses": count, "rows": rows, "failed": int(not np.isfinite(images).all())}


def _row(name: str, count: int, call: Callable[[], object], device: str, tiny: bool) -> dict[str, Any]:
    median, spread = timed(call, device, 2 if tiny else 8)
    return {"stage": name, "per_s": count / median, "ms": 1e3 * median / count, "spread": 1e3 * spread / count}


def _task(preset: str, signal: str) -> SimulateLenses:
    found = find_preset(preset), find_signal(signal), find_survey("euclid")
    return SimulateLenses(*found, CLASSES, 64, True, 0.0, 1)


def _simulation(count: int, device: Device) -> Stages:
    """Yield the simulation of lenses of all classes, noise included, as a run does it."""
    for preset, signal in PRESETS:
        yield f"simulation, {preset}", partial(_task(preset, signal).images, np.arange(count), device)


def _networks(images: np.ndarray, device: str, tiny: bool) -> Stages:
    """Yield prediction and training step of each network, of images in memory."""
    batch = to_torch(images[:, None], device), to_torch(np.arange(len(images)) % len(CLASSES), device)
    for architecture, sizes in BASES.items():
        for size, config in sizes.items():
            # The large ones take seconds for a step on a CPU.
            if size == "small" or (device == "cuda" and not tiny):
                network: Any = network_of_config(config, ARCHITECTURES).to(device)
                name, count = f"{architecture} {size}", len(images)
                yield (
                    f"{name}, prediction",
                    partial(network_outputs, network, images[:, None], device=device, batch=count),
                )
                yield f"{name}, training step", partial(_step, network, batch)


def _step(network: Any, batch: tuple[torch.Tensor, ...]) -> None:
    network.train()
    network.zero_grad(set_to_none=True)
    torch.autograd.backward(objective("classify")(network, batch))
