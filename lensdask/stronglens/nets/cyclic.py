"""C8: the steerable network in the regular representation (Weiler & Cesa 2019), for any C_N or D_N.

Convolutions with batch normalisation and ReLU, and means of 4 x 4 pixels about every second corner in between, which
overlap so that turns between quarters change less; at the end the greatest over the turns and the mean over the pixels,
which are invariants, and two dense layers.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from lensdask.errors import InputError, check_number
from lensdask.stronglens.layers.checks import check_odd
from lensdask.stronglens.layers.dense import Dense
from lensdask.stronglens.layers.regular import RegularBatchNorm, RegularConv, TurnGroup, pool_group
from lensdask.stronglens.nets.inputs import standardised

__all__ = ["C8_PAPER", "C8_SMALL", "CyclicConfig", "CyclicNet"]


@dataclass(frozen=True)
class CyclicConfig:
    """Sizes of the network."""

    maps: int = 1
    """Maps of an image."""
    outputs: int = 3
    """Numbers that the network gives."""
    turns: int = 8
    """N of the group."""
    mirrors: bool = False
    """Whether the group has mirrors."""
    fields: tuple[int, ...] = (4, 6, 8, 12, 16)
    """Fields after each convolution, each with one map for every element of the group."""
    kernels: tuple[int, ...] = (7, 5, 5, 5, 5)
    """Pixels on a side of the filters of each convolution, odd."""
    pooled: tuple[int, ...] = (0, 1, 2)
    """Convolutions, counted from 0, after which there are half as many pixels on a side."""
    hidden: int = 64
    """Units of the dense layer."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        for name in ("maps", "outputs", "turns", "hidden"):
            check_number(f"c8 {name}", getattr(self, name), least=1, whole=True)
        for number in self.fields:
            check_number("c8 fields", number, least=1, whole=True)
        if len(self.kernels) != len(self.fields):
            raise InputError(
                f"c8 kernels: {len(self.kernels)} numbers; expected {len(self.fields)}, one for each field"
            )
        for number in self.kernels:
            check_odd("c8 kernels", number)
        for index in self.pooled:
            check_number("c8 pooled", index, least=0, below=len(self.fields), whole=True)

    @property
    def group(self) -> TurnGroup:
        """The group."""
        return TurnGroup(self.turns, self.mirrors)


C8_SMALL = CyclicConfig()
"""For a CPU."""

C8_PAPER = CyclicConfig(fields=(24, 48, 48, 96, 96, 64), kernels=(7, 5, 5, 5, 5, 5), pooled=(1, 3, 5))
"""The example of the authors of steerable networks, from which the paper's was made."""


class CyclicNet(nn.Module):
    """The network.

    Parameters
    ----------
    config
        Its sizes.
    """

    def __init__(self, config: CyclicConfig) -> None:
        super().__init__()
        self.config = config
        layers, before = list[nn.Module](), config.maps
        for index, (after, kernel) in enumerate(zip(config.fields, config.kernels, strict=True)):
            layers.append(RegularConv(config.group, before, after, kernel, lifting=index == 0))
            layers += [RegularBatchNorm(after), nn.ReLU()]
            if index in config.pooled:
                layers.append(nn.AvgPool3d((1, 4, 4), (1, 2, 2), (0, 1, 1)))
            before = after
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(Dense(before, config.hidden), nn.ReLU(), Dense(config.hidden, config.outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs, shape (lens, output), of images (lens, map, y, x)."""
        fields = self.features(standardised(images, 2 ** len(self.config.pooled)))
        value: Tensor = self.head(pool_group(fields).mean((2, 3)))
        return value
