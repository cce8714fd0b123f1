"""The network of Cha, Jee, Hong et al. 2025 (ApJ 981, 52): mass maps of wide fields from few, very wide convolutions.

Shear at a point tells of mass far from it: the kernel between them falls as the inverse square of the distance. Three
convolutions side by side, of 9, 25 and 49 pixels, therefore look at the shear on several scales. Twice a convolution
and a transposed convolution of 49 pixels then gather and spread what was found; between the two, their result is
multiplied by that of the first layer. Each output pixel knows the field within 120 pixels, 49 arcmin at the 0.41
arcmin of the paper.

Where its text and Table 1 disagree the table holds: one multiplication (the text has a skip connection after each pair;
`second_skip` adds the other, without parameters) and dropout in two places. The text leaves open where the activations
stand; here they follow every convolution but the last.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lensdask.massmap.networks.inputs import check_network, count_channels
from lensdask.training.large_conv import LargeConv2d, LargeConvTranspose2d

__all__ = ["CHA_PAPER", "CHA_SMALL", "ChaConfig", "ChaNet"]


@dataclass(frozen=True)
class ChaConfig:
    """Architecture of a `ChaNet` and the maps it expects. The defaults are the paper's."""

    channels: int = 8
    """Channels of each of the first convolutions."""
    first_kernels: tuple[int, ...] = (9, 25, 49)
    """Sides of the first kernels, pixels; odd."""
    large_kernel: int = 49
    """Side of the kernels of the four layers that follow, pixels; also the smallest field."""
    slope: float = 0.2
    """Slope of the leaky rectifier below 0."""
    dropout: float = 0.25
    """Fraction of the values that training leaves out before each pair of wide layers."""
    second_skip: bool = False
    """Whether the second pair is multiplied by what it was given, as the first is."""
    inputs: str = "shear+error"
    """Input maps, names of `lensdask.massmap.networks.inputs.CHANNELS`."""
    input_scale: float = 1.0
    """Shear that the network sees as 1. Ours: the paper's 1 makes inputs of 0.1, whose products hardly change the
    output, and a learning rate of 1e-5 was found to suit."""
    output_scale: float = 1.0
    """Convergence that an output of 1 stands for. Ours as well."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        check_network(self, (self.channels, *self.first_kernels, self.large_kernel), (self.slope, self.dropout))


CHA_PAPER = ChaConfig()
"""The network of Table 1: 5 606 617 parameters, for fields of 512 x 512 pixels of 0.41 arcmin."""

CHA_SMALL = ChaConfig(
    first_kernels=(5, 13, 25),
    large_kernel=25,
    dropout=0.0,
    inputs="weighted+weight+ks",
    input_scale=0.05,
    output_scale=0.02,
)
"""The same reach on the sky at twice the pixel, 0.82 arcmin, for a CPU. Inputs, their scale (that of 33 galaxies per
arcmin²) and no dropout, which is for training sets that end, are ours."""


class ChaNet(nn.Module):
    """Convergence from shear, for fields of any size that the kernels fit in.

    Parameters
    ----------
    config
        Architecture.
    """

    def __init__(self, config: ChaConfig) -> None:
        super().__init__()
        self.config = config
        inputs, width = count_channels(config.inputs), len(config.first_kernels) * config.channels
        self.first = nn.ModuleList(
            LargeConv2d(inputs, config.channels, kernel, padding="same") for kernel in config.first_kernels
        )
        self.gather = nn.ModuleList(LargeConv2d(width, width, config.large_kernel) for _ in range(2))
        self.spread = nn.ModuleList(LargeConvTranspose2d(width, width, config.large_kernel) for _ in range(2))
        self.last = nn.Conv2d(width, 1, 1)
        self.activation = nn.LeakyReLU(config.slope)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return convergence maps.

        Parameters
        ----------
        x
            Channels of `lensdask.massmap.networks.inputs.network_inputs`, shape (field, channel, y, x).

        Returns
        -------
        Tensor
            Shape (field, 1, y, x).

        Raises
        ------
        InputError
            The field is smaller than the large kernel.
        """
        first = torch.cat([self.activation(convolution(x)) for convolution in self.first], dim=1)
        product = self._pair(0, first) * first
        found = self._pair(1, product)
        if self.config.second_skip:
            found = found * product
        kappa: Tensor = self.config.output_scale * self.last(found)
        return kappa

    def _pair(self, number: int, maps: Tensor) -> Tensor:
        """Return maps after dropout, a convolution and a transposed convolution."""
        gathered = self.activation(self.gather[number](self.dropout(maps)))
        spread: Tensor = self.activation(self.spread[number](gathered))
        return spread
