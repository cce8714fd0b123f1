"""Trained compressors: what their cards say, and what they make of mosaics."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from lensdask.arrays import to_numpy
from lensdask.compute import NOT_IDENTITY, cached_model
from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.lss.features import BANDS, power_features
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.samples import Samples
from lensdask.lss.kept_spectra import KeptSpectra
from lensdask.lss.networks.architectures import build_network
from lensdask.lss.networks.trainingset import network_inputs, seen
from lensdask.lss.networks.units import from_units
from lensdask.lss.parameters import PROBES
from lensdask.lss.tiles import Split
from lensdask.training import find_weights

__all__ = ["Compressed", "Compressor", "find_compressor", "sky_warning"]

_BATCH = 8
"""Mosaics in a call of the network: always as many, so that a sample is the same to the bit whatever is beside it."""


class Compressed(NamedTuple):
    """What is left of mosaics.

    Parameters
    ----------
    summary
        In the units of the parameters, shape (sample, parameter).
    power
        Logarithms of the power of the maps (see `lensdask.lss.features`), shape (sample, feature).
    """

    summary: npt.NDArray[np.float32]
    power: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Compressor:
    """A trained compressor: small enough to travel with every task."""

    path: str = field(metadata=NOT_IDENTITY)
    """File of the weights."""
    sha256: str
    """Checksum of the weights."""
    summary: str
    """Architecture: "power", "cnn" or "hybrid"."""
    model: ForwardModel
    """The forward model that it was trained on."""
    cross: str
    """Kind of the cross spectra."""
    n_of_z: str
    """Checksum of the redshifts of the galaxies that it was trained on."""
    sky: str = field(default="", metadata=NOT_IDENTITY)
    """What made the tiles that it was trained on, "lognormal" or "nbody"; empty where its card does not say."""

    def check(self, split: Split) -> None:
        """Refuse tiles that the compressor was not trained for.

        Raises
        ------
        InputError
            They have another pixel scale or other galaxies, or cosmologies outside of the prior.
        """
        split.check(self.model)
        if split.n_of_z != self.n_of_z:
            raise InputError(f"{split.where}: another n(z) than that of the compressor; expected the same galaxies")

    @property
    def features(self) -> int:
        """Number of features of a mosaic beside its summary."""
        return PROBES[self.model.probe] * BANDS

    def summaries(
        self, split: Split, samples: Samples, seed: int, device: str = "cpu", kept: KeptSpectra | None = None
    ) -> Compressed:
        """Return the summaries of samples, and the power of their maps.

        Parameters
        ----------
        split
            The tiles.
        samples
            Which of them, and with which parameters.
        seed
            Seed of the forward model.
        device
            "cpu" or "cuda".
        kept
            Spectra of the samples, where they have been made before.
        """
        count = len(samples.ids)
        rows = np.minimum(np.arange(-(-count // _BATCH) * _BATCH), count - 1).reshape(-1, _BATCH)
        parts = [self._of_batch(split, samples.rows(one), seed, device, kept) for one in rows]
        return Compressed(*(np.concatenate(each)[:count] for each in zip(*parts, strict=True)))

    def _of_batch(self, split: Split, samples: Samples, seed: int, device: str, kept: KeptSpectra | None) -> Compressed:
        network: Any = cached_model(build_network, self.path, self.sha256, device)
        with torch.no_grad():
            if kept is None:
                maps = seen(split, samples, self.model, seed, device)
                kinds = dict.fromkeys(("spectra", *network.config.inputs))
                made = dict(zip(kinds, network_inputs(tuple(kinds), maps, self.model, self.cross), strict=True))
            else:
                made = {"spectra": torch.from_numpy(kept.take(samples.ids, self.model.probe, self.cross)).to(device)}
            values = to_numpy(network(*(made[kind] for kind in network.config.inputs))[:, : len(self.model.parameters)])
            power = to_numpy(power_features(made["spectra"].double(), PROBES[self.model.probe]))
        summary = from_units(values.astype(np.float64), self.model.prior)
        return Compressed(summary.astype(np.float32), power.astype(np.float32))


def find_compressor(path: str | Path) -> Compressor:
    """Return the compressor of a file of weights, after reading it once.

    Raises
    ------
    InputError
        The weights cannot be read, or are not those of a compressor.
    """
    found = find_weights(str(path), {}, build_network, f"compressor {str(path)!r}; expected")
    card = load_card(found.location)
    try:
        recipe = card["recipe"]
        known = {one.name for one in fields(ForwardModel)}
        model = ForwardModel(**{name: value for name, value in recipe["model"].items() if name in known})
        settings = card["architecture"], model, str(recipe["cross"]), str(card["n_of_z"]), str(card.get("sky", ""))
        return Compressor(found.location, found.sha256, *settings)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: the card has no recipe of a compressor; expected one from lss train") from error


def sky_warning(learned_from: str, used_on: str) -> list[str]:
    """Return the line that warns of tiles of another kind of sky than a compressor learned from, if they are.

    Parameters
    ----------
    learned_from, used_on
        What made the tiles; empty where nobody knows.
    """
    if not (learned_from and used_on) or learned_from == used_on:
        return []
    return [
        f"the compressor learned from {learned_from} tiles and is used on {used_on} ones: constraints hold, but one "
        f"that learned from {used_on} tiles may make them tighter"
    ]
