"""The networks of mass maps by name: cards of their weights, and maps made by them."""

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lensdask.arrays import Array, in_batches, to_numpy
from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps
from lensdask.massmap.networks.cha import ChaConfig, ChaNet
from lensdask.massmap.networks.h21 import H21Config, H21Net
from lensdask.massmap.networks.inputs import network_inputs
from lensdask.massmap.networks.miu2net import MIU2Net, MIU2NetConfig

__all__ = ["ARCHITECTURES", "Config", "Network", "build_network", "describe", "make_network", "network_maps", "note_of"]

Config = ChaConfig | H21Config | MIU2NetConfig
"""Configuration of any of the networks."""

Network = ChaNet | H21Net | MIU2Net
"""Any of the networks: takes `network_inputs`, and its output 0 is the convergence."""

ARCHITECTURES: dict[str, tuple[type[Config], type[Network]]] = {
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


def _architecture(config: Config) -> str:
    return next(name for name, (kind, _) in ARCHITECTURES.items() if isinstance(config, kind))


def make_network(config: Config) -> Network:
    """Return an untrained network."""
    network: Any = ARCHITECTURES[_architecture(config)][1]
    made: Network = network(config)
    return made


def describe(config: Config) -> dict[str, Any]:
    """Return the part of a card that says which network the weights belong to."""
    return {"architecture": _architecture(config), "config": asdict(config)}


def note_of(config: Config) -> str:
    """Return where the architecture of a network comes from, and which of it is ours."""
    return _NOTES[_architecture(config)]


def build_network(card: dict[str, Any]) -> Network:
    """Return an untrained network of the architecture that a card of weights describes.

    Raises
    ------
    InputError
        The card describes none of the networks.
    """
    name, settings = card["architecture"], card["config"]
    if name not in ARCHITECTURES or not isinstance(settings, dict):
        raise InputError(
            f"card of the weights: architecture {name!r}, config {settings!r}; expected one of "
            f"{', '.join(ARCHITECTURES)} and the fields of its configuration"
        )
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()
    }
    try:
        return make_network(ARCHITECTURES[name][0](**values))
    except (TypeError, AttributeError) as error:
        raise InputError(f"card of the weights: config does not describe a {name} network: {error}") from error


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
            return np.asarray(in_batches(mapped, tuple(maps), batch), dtype=np.float32)
    finally:
        network.train(training)
