"""Compressors of power spectra: the dense network of Kacprzak & Fluri 2022 and the others of their appendix D.

Each takes all auto- and cross-spectra of the maps, shape (sample, spectrum, bin). Those of the paper take them as they
are. With ``scaling="correlations"`` the auto-spectra go in as logarithms, the cross-spectra as correlations
C_ij / √(C_ii C_jj), which is the same information in numbers of one size, each less its mean and over its standard
deviation in the training set.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lensdask.errors import check_choice, check_number
from lensdask.lss.networks.cnn import Residual
from lensdask.lss.networks.loss import outputs_of

__all__ = [
    "POWER_LOCAL",
    "POWER_LOCAL_XL",
    "POWER_PAPER",
    "POWER_PAPER_XL",
    "POWER_SEPARABLE",
    "POWER_SEPARABLE_XL",
    "POWER_SMALL",
    "PowerConfig",
    "PowerNetwork",
    "SpectraInputs",
]

_FLOOR = 1e-9
"""Of the largest value of an auto-spectrum, added to all: what smoothing leaves far below it is rounding."""

Kind = Literal["dense", "local", "separable"]
Scaling = Literal["none", "correlations"]


@dataclass(frozen=True)
class PowerConfig:
    """Sizes of the network."""

    maps: int = 8
    """Maps whose spectra go in: 4 for one probe, 8 for both."""
    bins: int = 20
    """Bins of multipole."""
    parameters: int = 7
    """Parameters of the summary."""
    kind: Kind = "dense"
    """Dense layers; or convolutions along the multipoles, with weights of their own at each (local) or depthwise and
    then pointwise (separable), followed by residual layers."""
    width: int = 1024
    """Units of a layer."""
    layers: int = 2
    """Dense layers, or residual ones."""
    scaling: Scaling = "none"
    """Spectra as they are, or logarithms and correlations."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        for name in ("maps", "bins", "parameters", "width", "layers"):
            check_number(f"power {name}", getattr(self, name), least=1, whole=True)
        check_choice("power kind", self.kind, get_args(Kind))
        check_choice("power scaling", self.scaling, get_args(Scaling))

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the network takes."""
        return ("spectra",)

    @property
    def spectra(self) -> int:
        """Number of auto- and cross-spectra."""
        return self.maps * (self.maps + 1) // 2


POWER_PAPER = PowerConfig()
"""1,823,779 parameters with 8 maps and 7 parameters, as in the paper."""
POWER_PAPER_XL = PowerConfig(layers=3)
"""2,873,379."""
POWER_LOCAL = PowerConfig(kind="local", width=128, layers=4)
"""734,883."""
POWER_LOCAL_XL = PowerConfig(kind="local", width=256, layers=8)
"""4,224,291."""
POWER_SEPARABLE = PowerConfig(kind="separable", width=128, layers=4)
"""438,415."""
POWER_SEPARABLE_XL = PowerConfig(kind="separable", width=256, layers=8)
"""3,270,799."""
POWER_SMALL = PowerConfig(width=256, scaling="correlations")
"""For few simulations."""


class SpectraInputs(nn.Module):
    """Brings spectra to one size.

    Parameters
    ----------
    maps, bins
        As in `PowerConfig`.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, maps: int, bins: int) -> None:
        super().__init__()
        self._first, self._second = torch.triu_indices(maps, maps)
        self._autos = torch.nonzero(self._first == self._second)[:, 0]
        self.register_buffer("mean", torch.zeros(len(self._first), bins))
        self.register_buffer("deviation", torch.ones(len(self._first), bins))

    def correlations(self, spectra: Tensor) -> Tensor:
        """Return logarithms and correlations of spectra (sample, spectrum, bin), 0 in bins without modes."""
        autos = spectra[:, self._autos.to(spectra.device)].double()
        floor = _FLOOR * autos.amax(2, keepdim=True)
        logarithm = torch.where(autos > 0, autos + floor, 1.0).log()
        first, second = (index.to(spectra.device) for index in (self._first, self._second))
        correlation = spectra.double() * torch.exp(-(logarithm[:, first] + logarithm[:, second]) / 2)
        correlation[:, self._autos.to(spectra.device)] = logarithm
        return correlation.to(spectra.dtype)

    def fit(self, spectra: Tensor) -> None:
        """Set mean and standard deviation to those of a training set."""
        values = self.correlations(spectra)
        self.mean.copy_(values.mean(0))
        deviation = values.std(0)
        # A bin without modes, or a spectrum that never varies, says nothing.
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, spectra: Tensor) -> Tensor:
        """Return numbers of size one, of the same shape."""
        return (self.correlations(spectra) - self.mean) / self.deviation


class _Local(nn.Module):
    """A convolution of stride 2 along the multipoles with other weights at each place."""

    def __init__(self, channels: int, filters: int, length: int) -> None:
        super().__init__()
        self.places = (length - 3) // 2 + 1
        bound = (3 * channels) ** -0.5
        self.weight = nn.Parameter(torch.empty(self.places, 3 * channels, filters).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(self.places, filters))

    def forward(self, x: Tensor) -> Tensor:
        windows = x.unfold(2, 3, 2).permute(2, 0, 1, 3).flatten(2)
        return (torch.bmm(windows, self.weight) + self.bias[:, None]).permute(1, 2, 0)


def _separable(channels: int, filters: int) -> nn.Module:
    depthwise = nn.Conv1d(channels, channels, 3, stride=2, padding=1, groups=channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv1d(channels, filters, 1))


def _dense_layers(config: PowerConfig) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = [nn.Flatten()]
    width = config.spectra * config.bins
    for _ in range(config.layers):
        layers += [nn.Linear(width, config.width), nn.ReLU()]
        width = config.width
    return nn.Sequential(*layers), width


def _convolutions(config: PowerConfig) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = []
    channels, length = config.spectra, config.bins
    for _ in range(2):
        if config.kind == "local":
            local = _Local(channels, config.width, length)
            layers.append(local)
            length = local.places
        else:
            layers.append(_separable(channels, config.width))
            length = -(-length // 2)
        layers.append(nn.ReLU())
        channels = config.width
    layers += [Residual(nn.Conv1d, channels, 3) for _ in range(config.layers)]
    return nn.Sequential(*layers, nn.Flatten()), channels * length


class PowerNetwork(nn.Module):
    """The network.

    Parameters
    ----------
    config
        Its sizes.
    """

    def __init__(self, config: PowerConfig) -> None:
        super().__init__()
        self.config = config
        self.scaling = SpectraInputs(config.maps, config.bins) if config.scaling == "correlations" else None
        self.features, width = _dense_layers(config) if config.kind == "dense" else _convolutions(config)
        self.head = nn.Linear(width, outputs_of(config.parameters))

    def forward(self, spectra: Tensor) -> Tensor:
        """Return the outputs, shape (sample, n + n (n + 1) / 2), of spectra (sample, spectrum, bin)."""
        scaled = spectra if self.scaling is None else self.scaling(spectra)
        value: Tensor = self.head(self.features(scaled))
        return value
