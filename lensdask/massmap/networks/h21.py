"""A network like that of Hong, Park, Jee et al. 2021 (H21; ApJ 923, 266), the predecessor of Cha et al. 2025.

What is public of it: eleven convolutions, ordinary and transposed in turns, with skip connections after each such pair;
inputs smoothed by a Gaussian, because few galaxies fall in a pixel; and a first convolution that reduces the size of
the map, so that the result has a lower resolution and is interpolated, bicubically, to be compared. The table of its
layers is not at hand: **numbers of channels, sizes of kernels, the factor of the reduction and the kind of the skip
connections, sums, are ours**, and the card of its weights says so. Eleven are: the one that reduces, one more, four
pairs, and the last.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad

from lensdask.errors import InputError, check_number
from lensdask.massmap.networks.inputs import check_network, count_channels
from lensdask.training.large_conv import LargeConv2d, LargeConvTranspose2d

__all__ = ["H21_LIKE", "H21_SMALL", "H21Config", "H21Net"]


@dataclass(frozen=True)
class H21Config:
    """Architecture of an `H21Net` and the maps it expects; all sizes are ours."""

    channels: int = 16
    """Channels of every layer."""
    reduction: int = 4
    """Pixels of the field along a side of a pixel of the network; even."""
    first_kernel: int = 8
    """Side of the first kernels, in pixels of the field; the reduction or an even number more."""
    kernel: int = 25
    """Side of all other kernels, in pixels of the network; odd."""
    pairs: int = 4
    """Pairs of a convolution and a transposed convolution."""
    slope: float = 0.2
    """Slope of the leaky rectifier below 0."""
    dropout: float = 0.25
    """Fraction of the values that training leaves out before each pair."""
    smoothing: float = 1.0
    """Standard deviation of the Gaussian that smooths the inputs, pixels; 0 for none."""
    inputs: str = "shear+error"
    """Input maps, names of `lensdask.massmap.networks.inputs.CHANNELS`."""
    input_scale: float = 0.1
    """Shear that the network sees as 1."""
    output_scale: float = 0.02
    """Convergence that an output of 1 stands for."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        sizes = self.channels, self.reduction, self.first_kernel, self.kernel, self.pairs
        check_network(self, sizes, (self.slope, self.dropout))
        extra = self.first_kernel - self.reduction
        if extra < 0 or extra % 2 or self.kernel % 2 == 0:
            raise InputError(
                f"network: first_kernel {self.first_kernel}, reduction {self.reduction}, kernel {self.kernel}; "
                "expected first_kernel - reduction even and from 0 on, and an odd kernel"
            )
        check_number("network: smoothing", self.smoothing, least=0, meaning="pixels")


H21_LIKE = H21Config()
"""For fields of 512 x 512 pixels of 0.41 arcmin."""

H21_SMALL = H21Config(reduction=2, first_kernel=4, kernel=13, dropout=0.0, smoothing=0.5, input_scale=0.05)
"""For fields of 128 x 128 pixels of 0.82 arcmin, on a CPU."""


class H21Net(nn.Module):
    """Convergence from shear, for fields of any size that the kernels fit in.

    Parameters
    ----------
    config
        Architecture.
    """

    gaussian: Tensor

    def __init__(self, config: H21Config) -> None:
        super().__init__()
        self.config = config
        width, kernel = config.channels, config.kernel
        # Padded so that an output pixel is centred on the pixels that it stands for.
        around = (config.first_kernel - config.reduction) // 2
        self.reduce = nn.Conv2d(
            count_channels(config.inputs), width, config.first_kernel, stride=config.reduction, padding=around
        )
        self.second = LargeConv2d(width, width, kernel, padding="same")
        self.gather = nn.ModuleList(LargeConv2d(width, width, kernel) for _ in range(config.pairs))
        self.spread = nn.ModuleList(LargeConvTranspose2d(width, width, kernel) for _ in range(config.pairs))
        self.last = nn.Conv2d(width, 1, 1)
        self.activation = nn.LeakyReLU(config.slope)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("gaussian", _gaussian(config.smoothing), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return convergence maps, interpolated to the pixels of the field.

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
            The field, reduced, is smaller than the kernels.
        """
        height, width = x.shape[-2:]
        step = self.config.reduction
        filled = pad(smoothed(x, self.gaussian), (0, -width % step, 0, -height % step))
        maps = self.activation(self.second(self.activation(self.reduce(filled))))
        for gather, spread in zip(self.gather, self.spread, strict=True):
            maps = maps + self.activation(spread(self.activation(gather(self.dropout(maps)))))
        coarse = self.config.output_scale * self.last(maps)
        fine = interpolate(coarse, scale_factor=float(step), mode="bicubic", align_corners=False)
        return fine[..., :height, :width]


def _gaussian(sigma: float) -> Tensor:
    """Return a Gaussian of sum 1 out to four standard deviations, pixels apart."""
    reach = math.ceil(4 * sigma)
    x = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-((x / max(sigma, 1e-3)) ** 2) / 2)
    return weights / weights.sum()


def smoothed(maps: Tensor, profile: Tensor) -> Tensor:
    """Return maps (field, channel, y, x) convolved with a profile of odd length along y and along x; zeros outside."""
    channels, reach = maps.shape[1], len(profile) // 2
    weights = profile.expand(channels, 1, 1, -1)
    along_x = conv2d(maps, weights, padding=(0, reach), groups=channels)
    return conv2d(along_x, weights.transpose(2, 3), padding=(reach, 0), groups=channels)
