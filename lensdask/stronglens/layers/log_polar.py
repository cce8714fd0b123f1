"""Layers for log-polar maps, in which turns of the image are cyclic shifts and mirrors reverse the angle.

Fields are (sample, field, g, angle, radius), with two maps g each: a mirror of the image reverses the angle of the maps
and exchanges them. That is the regular representation of a group of two elements, on top of a convolution that is
cyclic in angle: together all turns by whole steps of the grid, and all mirrors.
"""

import math

import torch
from torch import Tensor, nn

from lensdask.stronglens.layers.canonical import pad_angle
from lensdask.stronglens.layers.regular import RegularBatchNorm

__all__ = ["MirrorBlock", "MirrorConv"]


class MirrorConv(nn.Module):
    """Convolution to fields of two maps, of such fields or of plain log-polar maps.

    Parameters
    ----------
    before, after
        Fields, or maps, before; fields after.
    kernel
        Points on a side of the filters, odd.
    lifting
        Whether the input is (sample, map, angle, radius).
    """

    def __init__(self, before: int, after: int, kernel: int, *, lifting: bool = False) -> None:
        super().__init__()
        self.kernel, self.lifting = kernel, lifting
        parts = 1 if lifting else 2
        deviation = math.sqrt(2 / (before * parts * kernel**2))
        self.weight = nn.Parameter(torch.randn(after, before, parts, kernel, kernel) * deviation)

    def forward(self, x: Tensor) -> Tensor:
        """Return fields, shape (sample, field, 2, angle, radius), of as many points as the input."""
        maps = x if self.lifting else x.flatten(1, 2)
        # The mirrored filter: reversed in angle, for exchanged maps.
        both = torch.stack([self.weight, self.weight.flip(2, 3)], 1)
        found = nn.functional.conv2d(pad_angle(maps, self.kernel // 2), both.flatten(2, 3).flatten(0, 1))
        return torch.unflatten(found, 1, (-1, 2))


class MirrorBlock(nn.Module):
    """Two convolutions of 3 x 3 with batch normalisation, the input added, ReLU.

    Parameters
    ----------
    before, after
        Fields before and after; where they differ the input is first brought to as many.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Sequential(MirrorConv(before, after, 3), RegularBatchNorm(after), nn.ReLU())
        self.second = nn.Sequential(MirrorConv(after, after, 3), RegularBatchNorm(after))
        self.skip = nn.Identity() if before == after else MirrorConv(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the next fields."""
        value: Tensor = nn.functional.relu(self.skip(x) + self.second(self.first(x)))
        return value
