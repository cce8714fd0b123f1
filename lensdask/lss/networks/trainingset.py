"""What compressors learn from: mosaics made of tiles as they are needed, by the id of the mosaic.

Training and validation have boxes of their own, and ids that begin at `FIRST_TRAINING` and `FIRST_VALIDATION`, where no
prediction, whose ids count from 0, comes to. All networks of one seed see the same mosaics in the same order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from lensdask.arrays import Array, to_torch
from lensdask.lss.forward import ForwardModel, Samples, draw_samples, mosaic, observe
from lensdask.lss.networks.units import to_units
from lensdask.lss.spectra import power_spectra
from lensdask.lss.tiles import Split
from lensdask.training import Batch

__all__ = ["FIRST_TRAINING", "FIRST_VALIDATION", "Mosaics", "network_inputs", "seen"]

FIRST_TRAINING = 2**50
"""Mosaics from here on are for training."""

FIRST_VALIDATION = 2**51
"""Mosaics from here on are for validation."""


def network_inputs(kinds: tuple[str, ...], maps: torch.Tensor, pixel_scale: float, cross: str) -> Batch:
    """Return what a network takes of smoothed maps.

    Parameters
    ----------
    kinds
        "spectra", "tiles", "mosaic": the `inputs` of a configuration.
    maps
        From `lensdask.lss.forward.observe`, shape (sample, channel, tile, y, x).
    pixel_scale
        Arcmin.
    cross
        "signed" or "modulus".
    """
    made: dict[str, Callable[[], Array]] = {
        "spectra": lambda: power_spectra(maps, pixel_scale, cross),
        "tiles": lambda: maps,
        "mosaic": lambda: mosaic(maps),
    }
    return tuple(made[kind]() for kind in kinds)


def seen(split: Split, samples: Samples, model: ForwardModel, seed: int, device: str) -> torch.Tensor:
    """Return what a survey sees of samples, shape (sample, channel, tile, y, x), on a device."""
    tiles = to_torch(split.take(samples), device)
    maps: torch.Tensor = observe(tiles, samples, model, split.redshifts, seed).maps
    return maps


@dataclass(frozen=True)
class Mosaics:
    """Mosaics of a split, as a network takes them."""

    split: Split
    """The tiles."""
    model: ForwardModel
    """What is seen of them."""
    inputs: tuple[str, ...]
    """What the network takes."""
    cross: str
    """Kind of the cross spectra."""
    seed: int
    """Seed of the forward model."""
    device: str
    """Where they are made and kept."""

    def batch(self, first: int, count: int) -> Batch:
        """Return the inputs of the mosaics from an id on, and their parameters in the units of the networks."""
        samples = draw_samples(np.arange(first, first + count), self.split.boxes, self.model, self.seed)
        with torch.no_grad():
            maps = seen(self.split, samples, self.model, self.seed, self.device)
            made = network_inputs(self.inputs, maps, self.model.pixel_scale, self.cross)
        theta = torch.from_numpy(to_units(samples.theta, self.model.prior)).float().to(self.device)
        return (*made, theta)

    def batches(self, first: int, count: int, batch: int) -> Iterator[Batch]:
        """Yield so many mosaics from an id on, in batches."""
        for start in range(0, count, batch):
            yield self.batch(first + start, min(batch, count - start))
