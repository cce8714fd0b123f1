"""Equivariant Transformer (Tai, Bailis & Valiant 2019): images brought to a standard pose, then log-polar coordinates.

Pose predictors find shear and perspective and undo them in turn; the image is read once, at the places of a log-polar
grid moved by all of them. Turns of the image are shifts of that grid, which a convolutional network cyclic in angle and
the greatest value over all places do not notice.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lensdask.errors import check_choice, check_number
from lensdask.stronglens.layers.canonical import (
    CHARTS,
    four_quarters,
    log_polar_quarter,
    pad_angle,
    projective,
    resampled,
)
from lensdask.stronglens.layers.checks import check_multiple
from lensdask.stronglens.layers.pose import PoseSequence
from lensdask.stronglens.nets.inputs import standardised

__all__ = ["ET_PAPER", "ET_SMALL", "TransformerConfig", "TransformerNet"]

_POOLED = 2
"""Convolutions after which 2 x 2 points become one."""


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the network."""

    maps: int = 1
    """Maps of an image."""
    outputs: int = 3
    """Numbers that the network gives."""
    poses: tuple[str, ...] = ("shear_x", "hyperbolic_rotation", "perspective_x", "perspective_y")
    """Transformations that are undone, in order."""
    pose_channels: int = 32
    """Feature maps of the pose predictors."""
    pose_size: int = 64
    """Points of their grids along each coordinate."""
    angles: int = 64
    """Angles of the log-polar grid, a multiple of 16."""
    radii: int = 64
    """Radii of the log-polar grid, a multiple of 4."""
    inner: float = 1 / 32
    """Smallest radius, in half sides of the image."""
    outer: float = 2**0.5
    """Largest radius."""
    channels: int = 32
    """Feature maps."""
    convolutions: int = 7
    """Convolutions of 3 x 3, the last of which gives the outputs."""
    dropout: float = 0.3
    """Chance of a feature to be left out in training, before the fourth convolution and the last."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        for name in ("maps", "outputs", "pose_channels", "pose_size", "channels"):
            check_number(f"et {name}", getattr(self, name), least=1, whole=True)
        check_number("et convolutions", self.convolutions, least=4, whole=True)
        for name, step in (("angles", 16), ("radii", 4), ("pose_size", 4)):
            check_multiple(f"et {name}", getattr(self, name), step)
        check_number("et inner", self.inner, above=0, below=self.outer)
        check_number("et dropout", self.dropout, least=0, below=1)
        for name in self.poses:
            check_choice("et poses", name, tuple(CHARTS))


ET_SMALL = TransformerConfig(pose_channels=8, pose_size=32, radii=32, outer=1.0, channels=24)
"""For a CPU."""

ET_PAPER = TransformerConfig()
"""Transformations and widths of the paper."""


class AngularConv(nn.Module):
    """Convolution of 3 x 3, cyclic in angle.

    Parameters
    ----------
    before, after
        Channels.
    bias
        Whether it has one.
    """

    def __init__(self, before: int, after: int, bias: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, bias=bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (sample, map, angle, radius) of as many points."""
        value: Tensor = self.convolution(pad_angle(maps, 1))
        return value


class TransformerNet(nn.Module):
    """The network.

    Parameters
    ----------
    config
        Its sizes.
    """

    grid: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.poses = PoseSequence(config.poses, config.maps, config.pose_channels, config.pose_size)
        grid = four_quarters(log_polar_quarter(config.angles, config.radii, config.inner, config.outer))
        self.register_buffer("grid", grid.to(torch.get_default_dtype()), persistent=False)
        layers, before = list[nn.Module](), config.maps
        for index in range(config.convolutions - 1):
            layers += [AngularConv(before, config.channels, False), nn.BatchNorm2d(config.channels), nn.ReLU()]
            if index < _POOLED:
                layers.append(nn.AvgPool2d(2))
            if index in (2, config.convolutions - 2):
                layers.append(nn.Dropout(config.dropout))
            before = config.channels
        self.features = nn.Sequential(*layers, AngularConv(before, config.outputs, True))

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs, shape (lens, output), of images (lens, map, y, x)."""
        seen = standardised(images, 2)
        grid = projective(self.grid, self.poses(seen)) if self.config.poses else self.grid
        value: Tensor = self.features(resampled(seen, grid)).amax((2, 3))
        return value
