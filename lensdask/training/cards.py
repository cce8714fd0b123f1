"""From a network to the part of a card that describes it, and back."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from lensdask.data import load_card, load_into
from lensdask.errors import InputError

__all__ = ["Architectures", "build_from_card", "describe_network", "network_from_weights", "network_of_config"]

N = TypeVar("N", bound=nn.Module)

Architectures = Mapping[str, tuple[type[Any], Callable[[Any], N]]]
"""Dataclass of the configuration, and what makes a network of it, by the name that cards have for the architecture."""


_MOST_WEIGHTS = 1_000_000_000
"""Of a network that is no mistake; the largest of the published ones has 30 million."""

_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn}
"""What makes the weights of layers."""


def _name_of(config: Any, architectures: Architectures[N]) -> str:
    return next(name for name, (kind, _) in architectures.items() if isinstance(config, kind))


def network_of_config(config: Any, architectures: Architectures[N]) -> N:
    """Return an untrained network of a configuration, one of those in `architectures`.

    Raises
    ------
    InputError
        It is too large.
    """
    return _made(architectures[_name_of(config, architectures)][1], config)


class _Modest(TorchFunctionMode):
    """Refuses a network, before any memory is taken for it, whose weights together are more than `_MOST_WEIGHTS`."""

    def __init__(self) -> None:
        super().__init__()
        self._weights = 0

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count what layers ask for."""
        if function in _FACTORIES and args:
            self._weights += math.prod(args[0] if isinstance(args[0], Sequence) else args)
            if self._weights > _MOST_WEIGHTS:
                raise MemoryError(f"more than {_MOST_WEIGHTS} weights")
        return function(*args, **(kwargs or {}))


def _made(make: Callable[[Any], N], config: Any) -> N:
    try:
        with _Modest():
            return make(config)
    except (MemoryError, OverflowError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"network: cannot be made ({reason}); expected a smaller one") from error


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
        The card describes none of them, or one that is too large.
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
        return _made(make, config(**values))
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
