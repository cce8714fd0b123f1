"""From a network to the part of a card that describes it, and back."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from lensdask.data import load_card, load_into
from lensdask.errors import InputError

__all__ = ["Architectures", "build_from_card", "describe_network", "network_from_weights", "network_of_config"]

N = TypeVar("N", bound=nn.Module)

Architectures = Mapping[str, tuple[type[Any], Callable[[Any], N]]]
"""Dataclass of the configuration, and what makes a network of it, by the name that cards have for the architecture."""


def _name_of(config: Any, architectures: Architectures[N]) -> str:
    return next(name for name, (kind, _) in architectures.items() if isinstance(config, kind))


def network_of_config(config: Any, architectures: Architectures[N]) -> N:
    """Return an untrained network of a configuration, one of those in `architectures`."""
    return architectures[_name_of(config, architectures)][1](config)


def describe_network(config: Any, architectures: Architectures[N]) -> dict[str, Any]:
    """Return the entries "architecture" and "config" of a card."""
    return {"architecture": _name_of(config, architectures), "config": asdict(config)}


def build_from_card(card: Mapping[str, Any], architectures: Architectures[N]) -> N:
    """Return an untrained network of the architecture that a card describes.

    Parameters
    ----------
    card
        With the entries "architecture" and "config".
    architectures
        Those of the pillar.

    Raises
    ------
    InputError
        The card describes none of them.
    """
    name, settings = card["architecture"], card["config"]
    if name not in architectures:
        raise InputError(f"card of the weights: architecture {name!r}; expected {', '.join(architectures)}")
    if not isinstance(settings, dict):
        raise InputError(f"card of the weights: config is {settings!r}; expected the settings of a {name} network")
    config, make = architectures[name]
    # JSON has no tuples.
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    try:
        return make(config(**values))
    except (TypeError, AttributeError) as error:
        raise InputError(f"card of the weights: config does not describe a {name} network: {error}") from error


def network_from_weights(path: Path, config: Any, architectures: Architectures[N]) -> N:
    """Return the network of a configuration with the weights of an earlier training.

    Parameters
    ----------
    path
        File of the weights.
    config
        The network that the weights must be of.
    architectures
        Those of the pillar.

    Raises
    ------
    InputError
        The weights cannot be read, or belong to another network.
    """
    card = load_card(path)
    if card["architecture"] == _name_of(config, architectures):
        # A new network draws random weights, which the caller's random numbers must not notice.
        with torch.random.fork_rng(devices=[]):
            network = build_from_card(card, architectures)
        if network.config == config:
            load_into(network, path)
            return network
    raise InputError(f"{path}: weights of a different network; expected the network of the recipe")
