"""ResNet (He et al. 2016): the network without symmetry that the others are compared with.

With three maps and 1000 outputs `RESNET50_PAPER` is the published ResNet50 of 25,557,032 parameters.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from lensdask.errors import check_number
from lensdask.stronglens.layers.dense import Dense
from lensdask.stronglens.nets.inputs import standardised

__all__ = ["RESNET50_PAPER", "RESNET_SMALL", "ResNet", "ResNetConfig"]


@dataclass(frozen=True)
class ResNetConfig:
    """Sizes of the network."""

    maps: int = 1
    """Maps of an image."""
    outputs: int = 3
    """Numbers that the network gives."""
    width: int = 64
    """Channels of the first stage; each further stage has twice as many, on a quarter of the pixels."""
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Residual blocks of each stage."""
    bottleneck: bool = True
    """Whether blocks are 1 x 1, 3 x 3 and 1 x 1 to four times the channels, else twice 3 x 3."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        for name in ("maps", "outputs", "width"):
            check_number(f"resnet {name}", getattr(self, name), least=1, whole=True)
        for number in self.blocks:
            check_number("resnet blocks", number, least=1, whole=True)


RESNET50_PAPER = ResNetConfig()
"""ResNet50."""

RESNET_SMALL = ResNetConfig(width=32, blocks=(2, 2, 2, 2), bottleneck=False)
"""ResNet18 of half the width, for a CPU."""


def _convolution(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(after))


class Block(nn.Module):
    """Convolutions with batch normalisation, the input added, ReLU.

    Parameters
    ----------
    before, after
        Channels before and after.
    stride
        Of the 3 x 3 convolution that has one.
    bottleneck
        As in `ResNetConfig`.
    """

    def __init__(self, before: int, after: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        inner = after // 4 if bottleneck else after
        if bottleneck:
            steps = [
                _convolution(before, inner, 1),
                _convolution(inner, inner, 3, stride),
                _convolution(inner, after, 1),
            ]
        else:
            steps = [_convolution(before, after, 3, stride), _convolution(after, after, 3)]
        self.steps = nn.Sequential(*(layer for step in steps for layer in (step, nn.ReLU())))[:-1]
        plain = before == after and stride == 1
        self.skip = nn.Identity() if plain else _convolution(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the next features."""
        value: Tensor = nn.functional.relu(self.skip(x) + self.steps(x))
        return value


class ResNet(nn.Module):
    """The network.

    Parameters
    ----------
    config
        Its sizes.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        expansion = 4 if config.bottleneck else 1
        self.first = nn.Sequential(_convolution(config.maps, config.width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        before, blocks = config.width, list[nn.Module]()
        for stage, number in enumerate(config.blocks):
            after = config.width * 2**stage * expansion
            for index in range(number):
                blocks.append(Block(before, after, 2 if stage and not index else 1, config.bottleneck))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.head = Dense(before, config.outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs, shape (lens, output), of images (lens, map, y, x)."""
        value: Tensor = self.head(self.blocks(self.first(standardised(images, 2))).mean((2, 3)))
        return value
