"""The hybrid compressor: spectra and convolutional features side by side, and one head over both.

Spectra hold what a Gaussian field has to say and are learned from few simulations; the convolutions add what they
miss. They look at one tile at a time, and their features are averaged over its pixels and over the tiles, since where
a structure lies says nothing. A first layer of products brings in what spectra cannot show: overdense places in which
the convergence is low, for one, are those of intrinsic alignment.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lensdask.errors import InputError, check_number
from lensdask.lss.networks.loss import outputs_of
from lensdask.lss.networks.power import PowerNetwork, SpectraInputs

__all__ = ["HYBRID_SMALL", "HybridConfig", "HybridNetwork"]


@dataclass(frozen=True)
class HybridConfig:
    """Sizes of the network."""

    maps: int = 8
    """Maps of the mosaic: 4 for one probe, 8 for both."""
    bins: int = 20
    """Bins of multipole."""
    parameters: int = 7
    """Parameters of the summary."""
    width: int = 256
    """Units of the dense layers."""
    channels: int = 16
    """Feature maps of the convolutions."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        for name in ("maps", "bins", "parameters", "width", "channels"):
            check_number(f"hybrid {name}", getattr(self, name), least=1, whole=True)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the network takes."""
        return ("spectra", "tiles")

    @property
    def spectra(self) -> int:
        """Number of auto- and cross-spectra."""
        return self.maps * (self.maps + 1) // 2


HYBRID_SMALL = HybridConfig()
"""For a CPU."""


class HybridNetwork(nn.Module):
    """The network.

    Parameters
    ----------
    config
        Its sizes.
    """

    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        self.config = config
        width, channels = config.width, config.channels
        self.scaling = SpectraInputs(config.maps, config.bins)
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(config.spectra * config.bins, width), nn.ReLU())
        self.first = nn.Conv2d(config.maps, 2 * channels, 5, stride=2, padding=2)
        self.second = nn.Conv2d(channels, 2 * channels, 5, stride=2, padding=2)
        self.joint = nn.Sequential(nn.Linear(width + 2 * channels, width), nn.ReLU())
        self.head = nn.Linear(width, outputs_of(config.parameters))

    @torch.no_grad()
    def begin_from(self, power: PowerNetwork) -> None:
        """Take the weights of a network of spectra: outputs are its outputs until the convolutions have learned.

        Parameters
        ----------
        power
            Two dense layers as wide as those here, and scaled inputs of the same maps.

        Raises
        ------
        InputError
            It is another one.
        """
        config, found = self.config, power.config
        same = all(getattr(config, name) == getattr(found, name) for name in ("maps", "bins", "parameters", "width"))
        if not same or (found.kind, found.layers, found.scaling) != ("dense", 2, "correlations"):
            raise InputError(
                f"network to begin from: {found}; expected one of two dense layers of {config.width} units, scaled "
                f"correlations of {config.maps} maps and {config.parameters} parameters"
            )
        features: Any = power.features
        pairs: Any = ((self.scaling, power.scaling), (self.dense, features[:3]), (self.head, power.head))
        for own, other in pairs:
            own.load_state_dict(other.state_dict())
        joint: Any = self.joint[0]
        joint.weight.zero_()
        joint.weight[:, : config.width] = features[3].weight
        joint.bias.copy_(features[3].bias)

    def forward(self, spectra: Tensor, tiles: Tensor) -> Tensor:
        """Return the outputs, shape (sample, n + n (n + 1) / 2).

        Parameters
        ----------
        spectra
            Shape (sample, spectrum, bin).
        tiles
            Smoothed maps of the tiles, shape (sample, map, tile, y, x).
        """
        each = tiles.transpose(1, 2)
        # The product of two linear maps of the pixels: a local moment of second order, then one of third and fourth.
        one, other = self.first(each.flatten(0, 1)).chunk(2, dim=1)
        local = nn.functional.silu(self.second(one * other))
        averaged = local.mean((2, 3)).reshape(*each.shape[:2], -1).mean(1)
        joint = self.joint(torch.cat([self.dense(self.scaling(spectra)), averaged], dim=1))
        value: Tensor = self.head(joint)
        return value
