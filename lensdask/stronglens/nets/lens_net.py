"""The lens-net: residual layers on log-polar maps, which do not notice turns or mirrors of the image.

Around the centre of a lens its arcs lie along the angle, whatever its position angle, and a ring of any size is
sampled as finely as it is thick. Residual blocks of `lensdask.stronglens.layers.log_polar` follow, with means of 2 x 2
points in between; at the end mean and greatest value over angles and mirrors, for each radius the same filters.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lensdask.errors import check_number
from lensdask.stronglens.layers.canonical import log_polar, log_polar_quarter
from lensdask.stronglens.layers.checks import check_multiple
from lensdask.stronglens.layers.dense import Dense
from lensdask.stronglens.layers.log_polar import MirrorBlock, MirrorConv
from lensdask.stronglens.layers.regular import RegularBatchNorm, pool_group
from lensdask.stronglens.nets.inputs import standardised

__all__ = ["LENS_NET_LARGE", "LENS_NET_SMALL", "LensNet", "LensNetConfig"]


@dataclass(frozen=True)
class LensNetConfig:
    """Sizes of the network."""

    maps: int = 1
    """Maps of an image."""
    outputs: int = 3
    """Numbers that the network gives."""
    angles: int = 128
    """Angles of the log-polar grid: a multiple of 4 x 2^stages."""
    radii: int = 48
    """Radii of the grid: a multiple of 2^stages."""
    inner: float = 1 / 16
    """Smallest radius, in half sides of the image."""
    outer: float = 1.0
    """Largest radius."""
    fields: tuple[int, ...] = (8, 12, 24, 32)
    """Fields of the first convolution, and of each stage after it, of half as many angles and radii."""
    blocks: int = 1
    """Residual blocks of a stage."""
    dropout: float = 0.1
    """Chance of a feature to be left out in training, before the dense layer."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        for name in ("maps", "outputs", "blocks"):
            check_number(f"lens-net {name}", getattr(self, name), least=1, whole=True)
        for number in self.fields:
            check_number("lens-net fields", number, least=1, whole=True)
        reduced = 2 ** (len(self.fields) - 1)
        for name, step in (("angles", 4 * reduced), ("radii", reduced)):
            check_multiple(f"lens-net {name}", getattr(self, name), step)
        check_number("lens-net inner", self.inner, above=0, below=self.outer)
        check_number("lens-net dropout", self.dropout, least=0, below=1)


LENS_NET_SMALL = LensNetConfig()
"""For a CPU."""

LENS_NET_LARGE = LensNetConfig(angles=192, radii=64, fields=(32, 64, 96, 128), blocks=2)
"""For a GPU."""


class LensNet(nn.Module):
    """The network.

    Parameters
    ----------
    config
        Its sizes.
    """

    quarter: Tensor

    def __init__(self, config: LensNetConfig) -> None:
        super().__init__()
        self.config = config
        quarter = log_polar_quarter(config.angles, config.radii, config.inner, config.outer)
        self.register_buffer("quarter", quarter.to(torch.get_default_dtype()), persistent=False)
        first, *stages = config.fields
        layers: list[nn.Module] = [MirrorConv(config.maps, first, 5, lifting=True), RegularBatchNorm(first), nn.ReLU()]
        before = first
        for after in stages:
            layers.append(nn.AvgPool3d((1, 2, 2)))
            for _ in range(config.blocks):
                layers.append(MirrorBlock(before, after))
                before = after
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(config.dropout), Dense(2 * before, config.outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs, shape (lens, output), of images (lens, map, y, x)."""
        fields = pool_group(self.features(log_polar(standardised(images, 2), self.quarter)))
        value: Tensor = self.head(torch.cat([fields.mean((2, 3)), fields.amax((2, 3))], 1))
        return value
