"""What the networks see of a field: which maps, on which scale."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from lensdask.arrays import Array, to_torch
from lensdask.errors import InputError, check_number
from lensdask.maps.fields import ShearMaps, known_shear
from lensdask.sky.lensing import convergence_of_shear

__all__ = ["CHANNELS", "NetworkConfig", "check_network", "count_channels", "network_inputs"]

CHANNELS = {"shear": 2, "weighted": 2, "weight": 1, "error": 1, "mask": 1, "ks": 2}
"""Input maps by name, and the number of channels of each: the mean shear of the pixels, g1 and g2; the shear times its
inverse variance, which is what the best linear estimate is made of; this inverse variance; the mean measurement error
of the galaxies in a pixel; the footprint; and the E and B modes (Kaiser & Squires 1993) of the weighted shear, with as
much empty sky beside the field. The E mode gathers what the shear of the whole field tells of a pixel."""


_LARGEST = 4096
"""Of channels and kernels; beyond it is a mistake."""


class NetworkConfig(Protocol):
    """What the configurations of all networks have."""

    @property
    def inputs(self) -> str:
        """Names of `CHANNELS`, joined by "+"."""

    @property
    def input_scale(self) -> float:
        """Shear that the network sees as 1; the typical noise of a pixel makes inputs of order 1."""

    @property
    def output_scale(self) -> float:
        """Convergence that the network makes of an output of 1."""


def count_channels(inputs: str) -> int:
    """Return the number of channels of input maps.

    Parameters
    ----------
    inputs
        Names of `CHANNELS`, joined by "+", such as "shear+error".

    Raises
    ------
    InputError
        A name is unknown, or given twice.
    """
    names = inputs.split("+")
    if len(set(names)) != len(names) or not set(names) <= CHANNELS.keys():
        raise InputError(f"network: inputs {inputs!r}; expected some of {', '.join(CHANNELS)}, joined by '+'")
    return sum(CHANNELS[name] for name in names)


def check_network(config: NetworkConfig, sizes: tuple[int, ...], fractions: tuple[float, ...] = ()) -> None:
    """Refuse a network that cannot be built.

    Parameters
    ----------
    config
        Configuration.
    sizes
        Its channels, kernels and the like: whole numbers from 1 on.
    fractions
        Its dropout rates and slopes: from 0 to below 1.

    Raises
    ------
    InputError
        With the reason.
    """
    count_channels(config.inputs)
    for name in ("input_scale", "output_scale"):
        check_number(f"network: {name}", getattr(config, name), above=0)
    if not sizes or min(sizes) < 1 or max(sizes) > _LARGEST:
        raise InputError(f"network: sizes {sizes}; expected channels and kernels of at least 1 and at most {_LARGEST}")
    if not all(0 <= fraction < 1 for fraction in fractions):
        raise InputError(f"network: dropout or slope among {fractions}; expected numbers from 0 to below 1")


def network_inputs(config: NetworkConfig, maps: ShearMaps) -> Tensor:
    """Return the channels that a network takes.

    Shears are divided by the configuration's `input_scale` s, and weights, inverse variances, multiplied by s²: with
    the typical noise of a pixel as scale, shear has a variance near 1, and weights have a mean near 1.

    Parameters
    ----------
    config
        Configuration of the network.
    maps
        Shear maps of NumPy or torch, shape (field, y, x). What lies in pixels of weight 0 does not matter.

    Returns
    -------
    Tensor
        Shape (field, channel, y, x), float32, where the maps are held.
    """
    g1, g2, weight, error, mask = (_as_tensor(part) for part in known_shear(maps))
    scale = config.input_scale
    shear, weight = [g1 / scale, g2 / scale], weight * scale**2
    channels: dict[str, list[Tensor]] = {
        "shear": shear,
        "weighted": [weight * part for part in shear],
        "weight": [weight],
        "error": [error / scale],
        "mask": [mask],
    }
    names = config.inputs.split("+")
    if "ks" in names:
        channels["ks"] = _modes(*channels["weighted"])
    return torch.stack([part for name in names for part in channels[name]], dim=1)


def _modes(g1: Tensor, g2: Tensor) -> list[Tensor]:
    """Return the E and B modes of fields with empty sky around them."""
    height, width = g1.shape[-2:]
    around = (0, width, 0, height)
    return [mode[..., :height, :width] for mode in convergence_of_shear(pad(g1, around), pad(g2, around))]


def _as_tensor(array: Array) -> Tensor:
    return (array if isinstance(array, Tensor) else to_torch(array, "cpu")).float()
