"""MIU²Net: a U²-Net that turns shear into convergence (Han, Zhao, Chen et al. 2026, arXiv:2601.13538).

U²-Net (Qin et al. 2020, Pattern Recognition 106, 107404) is a U of stages each of which is a small U of its own, a
residual U-block: convolutions of 3 x 3 pixels at ever halved resolution, back up again, and the block's first map added
to the last. The inner U's see a large part of the field at every stage, for little arithmetic. MIU²Net halves by
averaging, since the mean of a shear map is a shear map and its maximum is not. Every stage on the way back up gives a
map of its own, six in the paper's, which are joined by one last layer; losses are taken of all seven maps. The output
is linear, because convergence may be negative.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from lensdask.errors import InputError
from lensdask.massmap.networks.inputs import check_network, count_channels

__all__ = ["MIU2NET_PAPER", "MIU2NET_SMALL", "MIU2Net", "MIU2NetConfig"]


@dataclass(frozen=True)
class MIU2NetConfig:
    """Architecture of a `MIU2Net` and the maps it expects. The defaults are the paper's."""

    heights: tuple[int, ...] = (7, 6, 5, 4, 0, 0)
    """Levels of the residual U-blocks on the way down; 0 for the block that dilates its kernels instead of halving."""
    middle: tuple[int, ...] = (32, 32, 64, 128, 256, 256)
    """Channels inside the blocks on the way down."""
    channels: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    """Channels of their results."""
    middle_up: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Channels inside the blocks on the way up, the last to be reached first; of the heights of the way down."""
    channels_up: tuple[int, ...] = (64, 64, 128, 256, 512)
    """Channels of their results."""
    inputs: str = "shear"
    """Input maps, names of `lensdask.massmap.networks.inputs.CHANNELS`."""
    input_scale: float = 1.0
    """Shear that the network sees as 1. Ours: the published network takes shear and gives convergence as they are."""
    output_scale: float = 1.0
    """Convergence that an output of 1 stands for. Ours as well."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        check_network(self, (*self.middle, *self.channels, *self.middle_up, *self.channels_up))
        down, up = (self.heights, self.middle, self.channels), (self.middle_up, self.channels_up)
        stages = len(self.heights)
        if stages < 2 or {len(part) for part in down} != {stages} or {len(part) for part in up} != {stages - 1}:
            raise InputError(
                f"network: {[len(part) for part in down]} stages down, {[len(part) for part in up]} up; expected as "
                "many heights, middle and channels, at least 2, and one less of middle_up and channels_up"
            )
        if any(height != 0 and height < 3 for height in self.heights):
            raise InputError(f"network: heights {self.heights}; expected 0 or at least 3")


MIU2NET_PAPER = MIU2NetConfig()
"""The network of the paper: 43 994 893 parameters, for fields of 256 x 256 pixels of 0.41 arcmin."""

MIU2NET_SMALL = MIU2NetConfig(
    heights=(5, 4, 4, 0),
    middle=(8, 12, 16, 24),
    channels=(16, 24, 32, 48),
    middle_up=(8, 12, 16),
    channels_up=(16, 16, 24),
    inputs="weighted+weight+ks",
    input_scale=0.05,
    output_scale=0.02,
)
"""Four stages of few channels, for fields of 128 x 128 pixels on a CPU."""


class _Layer(nn.Sequential):
    """Convolution of 3 x 3 pixels without bias, batch norm and rectifier."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


def _halved(x: Tensor) -> Tensor:
    """Return maps at half the resolution; an odd last row or column is averaged on its own."""
    return avg_pool2d(x, 2, ceil_mode=True)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """Return maps interpolated to the size of others."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class _Block(nn.Module):
    """Residual U-block: RSU-L of U²-Net, or RSU-4F where the height is 0.

    Parameters
    ----------
    height
        Levels; 0 for four levels of one resolution whose kernels widen instead.
    inputs, middle, outputs
        Channels before, inside and after.
    """

    def __init__(self, height: int, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        levels = height or 4
        self.halves = height > 0
        # The lowest level keeps the resolution of the one above and looks twice as far.
        dilations = [1] * (levels - 1) + [2] if self.halves else [2**level for level in range(levels)]
        self.first = _Layer(inputs, outputs)
        self.down = nn.ModuleList(
            _Layer(middle if level else outputs, middle, dilation) for level, dilation in enumerate(dilations)
        )
        self.up = nn.ModuleList(
            _Layer(2 * middle, middle if level else outputs, dilation) for level, dilation in enumerate(dilations[:-1])
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of maps, shape (field, outputs, y, x)."""
        first = self.first(x)
        levels = [self.down[0](first)]
        for number, layer in enumerate(self.down[1:], start=1):
            halves = self.halves and number < len(self.down) - 1
            levels.append(layer(_halved(levels[-1]) if halves else levels[-1]))
        y = levels.pop()
        for layer in reversed(self.up):
            beside = levels.pop()
            y = layer(torch.cat([_resized(y, beside), beside], dim=1))
        total: Tensor = y + first
        return total


class MIU2Net(nn.Module):
    """Convergence from shear, for fields of any size.

    Parameters
    ----------
    config
        Architecture.
    """

    def __init__(self, config: MIU2NetConfig) -> None:
        super().__init__()
        self.config = config
        before = (count_channels(config.inputs), *config.channels[:-1])
        self.down = nn.ModuleList(
            _Block(*sizes) for sizes in zip(config.heights, before, config.middle, config.channels, strict=True)
        )
        below = (*config.channels_up[1:], config.channels[-1])
        beside = config.channels[:-1]
        self.up = nn.ModuleList(
            _Block(height, under + along, middle, after)
            for height, under, along, middle, after in zip(
                config.heights[:-1], below, beside, config.middle_up, config.channels_up, strict=True
            )
        )
        sides = (*config.channels_up, config.channels[-1])
        self.sides = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for channels in sides)
        self.fuse = nn.Conv2d(len(sides), 1, 1)
        nn.init.constant_(self.fuse.weight, 1 / len(sides))
        nn.init.zeros_(self.fuse.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """Return convergence maps.

        Parameters
        ----------
        x
            Channels of `lensdask.massmap.networks.inputs.network_inputs`, shape (field, channel, y, x).

        Returns
        -------
        Tensor
            The fused map, then those of the stages, from the finest on, shape (field, 1 + stage, y, x).
        """
        stages = [self.down[0](x)]
        for block in self.down[1:]:
            stages.append(block(_halved(stages[-1])))
        y = stages.pop()
        found = [y]
        for block in reversed(self.up):
            beside = stages.pop()
            y = block(torch.cat([_resized(y, beside), beside], dim=1))
            found.append(y)
        maps = [_resized(side(stage), x) for side, stage in zip(self.sides, reversed(found), strict=True)]
        sides = torch.cat(maps, dim=1)
        return self.config.output_scale * torch.cat([self.fuse(sides), sides], dim=1)
