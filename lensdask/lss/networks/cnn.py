"""The convolutional compressor of Kacprzak & Fluri 2022, section III: a mosaic of maps in, a summary out.

Convolutions of stride 2 bring the mosaic from 384 to 24 pixels on a side; residual layers follow, and one dense layer.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from lensdask.errors import check_number
from lensdask.lss.networks.loss import outputs_of

__all__ = ["CNN_PAPER", "CNN_SMALL", "CnnConfig", "MosaicCnn", "Residual"]


@dataclass(frozen=True)
class CnnConfig:
    """Sizes of the network."""

    maps: int = 8
    """Maps of the mosaic: 4 for one probe, 8 for both."""
    size: int = 384
    """Pixels on a side of the mosaic."""
    parameters: int = 7
    """Parameters of the summary."""
    channels: int = 128
    """Feature maps."""
    kernel: int = 5
    """Pixels on a side of the kernels, odd."""
    reductions: int = 4
    """Convolutions of stride 2."""
    residuals: int = 10
    """Residual layers of two convolutions each."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        for name in ("maps", "size", "parameters", "channels", "reductions"):
            check_number(f"cnn {name}", getattr(self, name), least=1, whole=True)
        check_number("cnn residuals", self.residuals, least=0, whole=True)
        check_number("cnn kernel", self.kernel, least=1, whole=True)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the network takes."""
        return ("mosaic",)


CNN_PAPER = CnnConfig()
"""12,029,987 parameters with 8 maps and 7 parameters; 13,430,838 with 9 parameters."""

CNN_SMALL = CnnConfig(channels=16, residuals=2)
"""For a CPU."""


class Residual(nn.Module):
    """Convolution, ReLU, convolution, the input added, ReLU.

    Parameters
    ----------
    convolution
        Class of the convolution: of maps or of spectra.
    channels
        Feature maps.
    kernel
        Width of the kernels, odd.
    """

    def __init__(self, convolution: type[nn.Conv1d] | type[nn.Conv2d], channels: int, kernel: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels, kernel, padding=kernel // 2)
        self.second = convolution(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the next features, of the same shape."""
        value: Tensor = nn.functional.relu(x + self.second(nn.functional.relu(self.first(x))))
        return value


class MosaicCnn(nn.Module):
    """The network.

    Parameters
    ----------
    config
        Its sizes.
    """

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        maps, size = config.maps, config.size
        for _ in range(config.reductions):
            layers += [nn.Conv2d(maps, config.channels, config.kernel, stride=2, padding=config.kernel // 2), nn.ReLU()]
            maps, size = config.channels, -(-size // 2)
        layers += [Residual(nn.Conv2d, config.channels, config.kernel) for _ in range(config.residuals)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(size * size * config.channels, outputs_of(config.parameters))

    def forward(self, mosaic: Tensor) -> Tensor:
        """Return the outputs, shape (sample, n + n (n + 1) / 2), of mosaics (sample, map, y, x)."""
        value: Tensor = self.head(self.features(mosaic).flatten(1))
        return value
