"""The networks of mass maps by name: cards of their weights, and maps made by them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lensdask.arrays import Array, to_numpy
from lensdask.compute import batches_that_fit
from lensdask.maps.fields import ShearMaps
from lensdask.massmap.networks.cha import ChaConfig, ChaNet
from lensdask.massmap.networks.h21 import H21Config, H21Net
from lensdask.massmap.networks.inputs import network_inputs
from lensdask.massmap.networks.miu2net import MIU2Net, MIU2NetConfig
from lensdask.training import Architectures, build_from_card, describe_network, network_of_config

__all__ = ["ARCHITECTURES", "Config", "Network", "build_network", "describe", "make_network", "network_maps", "note_of"]

Config = ChaConfig | H21Config | MIU2NetConfig
"""Configuration of any of the networks."""

Network = ChaNet | H21Net | MIU2Net
"""Any of the networks: takes `network_inputs`, and its output 0 is the convergence."""

ARCHITECTURES: Architectures[Network] = {
    "cha": (ChaConfig, ChaNet),
    "h21": (H21Config, H21Net),
    "miu2net": (MIU2NetConfig, MIU2Net),
}
"""Configuration and network by the name that cards have for them."""


_NOTES = {
    "cha": "Cha et al. 2025 (ApJ 981, 52); theirs is recipes/massmap-cha-paper.toml, other sizes, inputs, scales, "
    "losses and starts are ours",
    "h21": "as far as Cha et al. 2025 describe Hong et al. 2021 (ApJ 923, 266); numbers of channels, kernels, the "
    "factor of the reduction and the skip connections are ours",
    "miu2net": "Han, Zhao, Chen et al. 2026 (arXiv:2601.13538); theirs is recipes/massmap-miu2net-paper.toml, other "
    "sizes, inputs and scales are ours",
}


def make_network(config: Config) -> Network:
    """Return an untrained network."""
    return network_of_config(config, ARCHITECTURES)


def describe(config: Config) -> dict[str, Any]:
    """Return the part of a card that says which network the weights belong to."""
    return describe_network(config, ARCHITECTURES)


def note_of(config: Config) -> str:
    """Return where the architecture of a network comes from, and which of it is ours."""
    return _NOTES[describe(config)["architecture"]]


def build_network(card: dict[str, Any]) -> Network:
    """Return an untrained network of the architecture that a card of weights describes.

    Raises
    ------
    InputError
        The card describes none of the networks.
    """
    return build_from_card(card, ARCHITECTURES)


def network_maps(network: Network, maps: ShearMaps, *, device: str = "cpu", batch: int = 4) -> npt.NDArray[np.float32]:
    """Return the convergence maps that a trained network makes.

    All calls of the network have one number of fields, so that a field has the same map to the bit whatever others are
    with it.

    Parameters
    ----------
    network
        With its weights, on the device.
    maps
        Measured shear, shape (field, y, x), at least one field.
    device
        "cpu" or "cuda".
    batch
        Fields in a call of the network.

    Returns
    -------
    ndarray
        Shape (field, y, x).

    Raises
    ------
    InputError
        The fields are too small for the network.
    """

    def mapped(*parts: Array) -> npt.NDArray[np.float32]:
        outputs = network(network_inputs(network.config, ShearMaps(*parts)).to(device))
        return to_numpy(outputs[:, 0])

    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return np.asarray(batches_that_fit(mapped, tuple(maps), batch), dtype=np.float32)
    finally:
        network.train(training)
