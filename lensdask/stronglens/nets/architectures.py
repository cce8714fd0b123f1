"""The networks of strong lenses by name: what cards of weights say of them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lensdask.arrays import Array, to_numpy, to_torch
from lensdask.compute import batches_that_fit
from lensdask.stronglens.nets.cyclic import C8_PAPER, C8_SMALL, CyclicConfig, CyclicNet
from lensdask.stronglens.nets.harmonic import HARMONIC_PAPER, HARMONIC_SMALL, HarmonicConfig, HarmonicNet
from lensdask.stronglens.nets.lens_net import LENS_NET_LARGE, LENS_NET_SMALL, LensNet, LensNetConfig
from lensdask.stronglens.nets.resnet import RESNET50_PAPER, RESNET_SMALL, ResNet, ResNetConfig
from lensdask.stronglens.nets.transformer import ET_PAPER, ET_SMALL, TransformerConfig, TransformerNet
from lensdask.training import Architectures, build_from_card

__all__ = ["ARCHITECTURES", "BASES", "Config", "Network", "build_network", "network_outputs"]

Config = LensNetConfig | ResNetConfig | CyclicConfig | HarmonicConfig | TransformerConfig
"""Configuration of any of the networks."""

Network = LensNet | ResNet | CyclicNet | HarmonicNet | TransformerNet
"""Any of the networks: takes images (lens, map, y, x), gives numbers (lens, output)."""

ARCHITECTURES: Architectures[Network] = {
    "lens-net": (LensNetConfig, LensNet),
    "resnet50": (ResNetConfig, ResNet),
    "c8": (CyclicConfig, CyclicNet),
    "harmonic": (HarmonicConfig, HarmonicNet),
    "et": (TransformerConfig, TransformerNet),
}
"""Configuration and network by the name that cards have for them."""

BASES: dict[str, dict[str, Config]] = {
    "lens-net": {"small": LENS_NET_SMALL, "large": LENS_NET_LARGE},
    "resnet50": {"small": RESNET_SMALL, "paper": RESNET50_PAPER},
    "c8": {"small": C8_SMALL, "paper": C8_PAPER},
    "harmonic": {"small": HARMONIC_SMALL, "paper": HARMONIC_PAPER},
    "et": {"small": ET_SMALL, "paper": ET_PAPER},
}
"""Networks that a recipe may start from, by architecture and size."""


def build_network(card: dict[str, Any]) -> Network:
    """Return an untrained network of the architecture that a card of weights describes.

    Raises
    ------
    InputError
        The card describes none of the networks.
    """
    return build_from_card(card, ARCHITECTURES)


def network_outputs(
    network: Network, maps: npt.NDArray[np.float32], *, device: str = "cpu", batch: int = 64
) -> npt.NDArray[np.float32]:
    """Return the outputs of a trained network.

    All calls of the network have one number of lenses, so that a lens has the same outputs to the bit whatever others
    are with it.

    Parameters
    ----------
    network
        With its weights, on the device.
    maps
        Shape (lens, map, y, x), at least one lens.
    device
        "cpu" or "cuda".
    batch
        Lenses in a call of the network.

    Returns
    -------
    ndarray
        Shape (lens, output).

    Raises
    ------
    InputError
        The maps are not for the network.
    """

    def given(part: Array) -> npt.NDArray[np.float32]:
        return to_numpy(network(to_torch(part, device)))

    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return np.asarray(batches_that_fit(given, (maps,), batch), dtype=np.float32)
    finally:
        network.train(training)
