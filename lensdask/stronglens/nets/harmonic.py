"""Harmonic Network (Worrall et al. 2017): complex features of orders 0 and 1, equivariant to turns by any angle.

Convolutions with ReLU on batch-normalised magnitudes, and means of 2 x 2 pixels in between; at the end the
magnitudes of both orders and their mean over the pixels, which are invariants, and two dense layers.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from lensdask.errors import check_number
from lensdask.stronglens.layers.checks import check_odd
from lensdask.stronglens.layers.dense import Dense
from lensdask.stronglens.layers.orders import MagnitudeNorm, OrderConv, magnitudes
from lensdask.stronglens.nets.inputs import standardised

__all__ = ["HARMONIC_PAPER", "HARMONIC_SMALL", "HarmonicConfig", "HarmonicNet"]


@dataclass(frozen=True)
class HarmonicConfig:
    """Sizes of the network."""

    maps: int = 1
    """Maps of an image."""
    outputs: int = 3
    """Numbers that the network gives."""
    channels: tuple[int, ...] = (6, 8, 12, 16, 24)
    """Channels after each convolution, each of a complex map of both orders."""
    kernel: int = 5
    """Pixels on a side of the filters, odd."""
    pooled: tuple[int, ...] = (0, 1, 2)
    """Convolutions, counted from 0, after which 2 x 2 pixels become one."""
    hidden: int = 64
    """Units of the dense layer."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        for name in ("maps", "outputs", "hidden"):
            check_number(f"harmonic {name}", getattr(self, name), least=1, whole=True)
        for number in self.channels:
            check_number("harmonic channels", number, least=1, whole=True)
        check_odd("harmonic kernel", self.kernel)
        for index in self.pooled:
            check_number("harmonic pooled", index, least=0, below=len(self.channels), whole=True)


HARMONIC_SMALL = HarmonicConfig()
"""For a CPU."""

HARMONIC_PAPER = HarmonicConfig(channels=(8, 8, 16, 16, 32, 32, 32), pooled=(1, 3, 5))
"""Seven convolutions with 8 filters at first, as in the code of Worrall et al."""


class HarmonicNet(nn.Module):
    """The network.

    Parameters
    ----------
    config
        Its sizes.
    """

    def __init__(self, config: HarmonicConfig) -> None:
        super().__init__()
        self.config = config
        layers, before = list[nn.Module](), config.maps
        for index, after in enumerate(config.channels):
            layers += [OrderConv(before, after, config.kernel, lifting=index == 0), MagnitudeNorm(after)]
            if index in config.pooled:
                layers.append(nn.AvgPool3d((1, 2, 2)))
            before = after
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(Dense(2 * before, config.hidden), nn.ReLU(), Dense(config.hidden, config.outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs, shape (lens, output), of images (lens, map, y, x)."""
        features = self.features(standardised(images, 2 ** len(self.config.pooled)))
        value: Tensor = self.head(magnitudes(features).mean((3, 4)).flatten(1))
        return value
