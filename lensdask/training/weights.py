"""Weights by name: of the networks that come with the package, and of anybody's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from lensdask.compute import cached_model
from lensdask.data import load_card
from lensdask.errors import InputError

__all__ = ["FoundWeights", "find_weights", "weights_file"]


class FoundWeights(NamedTuple):
    """Which weights a task takes: small enough to travel with it.

    Parameters
    ----------
    location
        Name of a shipped network, which every worker finds where lensdask is installed; otherwise the absolute path.
    sha256
        Checksum of the weights.
    """

    location: str
    sha256: str


def weights_file(location: str, shipped: Mapping[str, Path]) -> Path:
    """Return the file of weights on this machine.

    Parameters
    ----------
    location
        Name of a shipped network, or a path.
    shipped
        Files of the shipped networks by name.
    """
    return shipped.get(location, Path(location))


def find_weights(
    name: str, shipped: Mapping[str, Path], build: Callable[[dict[str, Any]], nn.Module], unknown: str
) -> FoundWeights:
    """Return where the weights of a name are, after reading them once.

    Parameters
    ----------
    name
        Name of a shipped network, or the path of a file of weights, ``*.safetensors``.
    shipped
        Files of the shipped networks by name.
    build
        Module-level function from the card of the weights to the network.
    unknown
        How the message begins if there is no such network: what is unknown, and what else was expected.

    Raises
    ------
    InputError
        There is no such network, or its weights cannot be read or do not fit their card.
    """
    path = weights_file(name, shipped)
    if path.suffix != ".safetensors":
        known = f", {', '.join(shipped)} or" if shipped else ""
        raise InputError(f"{unknown}{known} a .safetensors file")
    found = FoundWeights(name if name in shipped else str(path.resolve()), load_card(path)["sha256"])
    # Read now what the workers will read later: damaged weights must not cost a cluster or an older result.
    cached_model(build, weights_file(found.location, shipped), found.sha256, "cpu")
    return found
