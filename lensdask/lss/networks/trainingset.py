"""What compressors learn from: mosaics made of tiles as they are needed, by the id of the mosaic.

Training and validation have boxes of their own, and ids that begin at `FIRST_TRAINING` and `FIRST_VALIDATION`, where no
prediction, whose ids count from 0, comes to. All networks of one seed see the same mosaics in the same order.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from lensdask.arrays import to_torch
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.mosaics import mosaic
from lensdask.lss.forward.observation import observe
from lensdask.lss.forward.samples import Samples, draw_samples
from lensdask.lss.kept_spectra import KeptSpectra
from lensdask.lss.networks.units import to_units
from lensdask.lss.spectra import ell_edges, power_spectra
from lensdask.lss.tiles import Split
from lensdask.training import Batch

__all__ = ["FIRST_TRAINING", "FIRST_VALIDATION", "Mosaics", "network_inputs", "seen"]

FIRST_TRAINING = 2**50
"""Mosaics from here on are for training."""

FIRST_VALIDATION = 2**51
"""Mosaics from here on are for validation."""

_PART = 4
"""Mosaics that a thread makes at once: few enough to stay in its cache."""


def network_inputs(kinds: tuple[str, ...], maps: torch.Tensor, model: ForwardModel, cross: str) -> Batch:
    """Return what a network takes of smoothed maps.

    Parameters
    ----------
    kinds
        "spectra", "tiles", "mosaic": the `inputs` of a configuration.
    maps
        From `lensdask.lss.forward.observe`, shape (sample, channel, tile, y, x).
    model
        Its pixel scale, and the multipole above which there is nothing but rounding.
    cross
        "signed" or "modulus".
    """

    def spectra() -> torch.Tensor:
        found: torch.Tensor = power_spectra(maps, model.pixel_scale, cross)
        if model.ell_max is not None:
            found[..., ell_edges(maps.shape[-1], model.pixel_scale)[:-1] >= model.ell_max] = 0.0
        return found

    made: dict[str, Callable[[], torch.Tensor]] = {
        "spectra": spectra,
        "tiles": lambda: maps,
        "mosaic": lambda: mosaic(maps),
    }
    return tuple(made[kind]() for kind in kinds)


def seen(split: Split, samples: Samples, model: ForwardModel, seed: int, device: str) -> torch.Tensor:
    """Return what a survey sees of samples, shape (sample, channel, tile, y, x), on a device."""
    # On a CPU NumPy is the faster.
    tiles = split.take(samples) if device == "cpu" else to_torch(split.take(samples), device)
    return to_torch(observe(tiles, samples, model, split.redshifts, seed).maps, device)


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
    kept: KeptSpectra | None = None
    """Their spectra, where the network takes nothing else and they have been made before."""

    def batch(self, first: int, count: int) -> Batch:
        """Return the inputs of the mosaics from an id on, and their parameters in the units of the networks."""
        if self.device != "cpu" or self.kept is not None:
            return self._made(range(first, first + count))
        parts = [range(at, min(at + _PART, first + count)) for at in range(first, first + count, _PART)]
        with ThreadPoolExecutor(os.cpu_count(), "mosaics") as threads:
            return tuple(torch.cat(each) for each in zip(*threads.map(self._made, parts), strict=True))

    def _made(self, ids: range) -> Batch:
        samples = draw_samples(ids, self.split.boxes, self.model, self.seed)
        if self.kept is not None:
            spectra = self.kept.take(samples.ids, self.model.probe, self.cross)
            made: Batch = (torch.from_numpy(spectra).to(self.device),)
        else:
            with torch.no_grad():
                maps = seen(self.split, samples, self.model, self.seed, self.device)
                made = network_inputs(self.inputs, maps, self.model, self.cross)
        theta = torch.from_numpy(to_units(samples.theta, self.model.prior)).float().to(self.device)
        return (*made, theta)

    def batches(self, first: int, count: int, batch: int) -> Iterator[Batch]:
        """Yield so many mosaics from an id on, in batches."""
        for start in range(0, count, batch):
            yield self.batch(first + start, min(batch, count - start))
