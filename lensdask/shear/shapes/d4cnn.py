"""D4CNN: a convolutional network whose ellipticity turns with the galaxy exactly.

One backbone F sees the eight turned and mirrored versions of the resmoothed image (the orbit of the group D4). Its
feature maps are averaged with a Gaussian of D4-symmetric weights, which leaves scalars, and the scalars of the orbit
are summed with the signs by which e1 and e2 change under each operation (Lin, Li et al. 2026, equations 24 to 26). Two
bias-free tanh networks, odd functions, turn the sums into e1 and e2. Equivariance thus holds for any backbone; it is
exact up to the order of a sum of eight numbers. Every module is smooth, so that the shear response exists. Two
ablations of the paper, a ReLU backbone and a plain CNN without the orbit, are settings of the same network.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lensdask.conventions import FWHM_PER_SIGMA
from lensdask.errors import InputError, check_choice, check_number
from lensdask.fourier import coordinates
from lensdask.shear.shapes.resmooth import Grid
from lensdask.training import Architectures, build_from_card, describe_network

__all__ = ["ARCHITECTURES", "D4CNN", "PAPER", "SMALL", "D4CNNConfig", "Layer", "build_d4cnn", "describe", "orbit"]

SIGNS = torch.tensor(
    [[1, -1, 1, -1, 1, -1, 1, -1], [1, -1, 1, -1, -1, 1, -1, 1]],
    dtype=torch.float32,
)
"""Signs of e1 and of e2 under 1, R, R², R³, P, PR, PR², PR³ (R turns by 90 degrees, P mirrors y)."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": nn.functional.gelu, "relu": nn.functional.relu}
"""Activations by name."""


_LARGEST = 4096
"""Of channels, kernels and grids; beyond it is a mistake."""


@dataclass(frozen=True)
class D4CNNConfig:
    """Architecture of a D4CNN and the images it expects."""

    channels: tuple[int, ...] = (32, 32, 32, 32, 32)
    """Channels of each convolution."""
    strides: tuple[int, ...] = (1, 1, 1, 1, 1)
    """Step of each convolution in grid points."""
    kernel_size: int = 3
    """Side of the convolution kernels."""
    residual: float = 0.1
    """Weight of a convolution that is added to its own input."""
    layer_norm: bool = True
    """Whether layer norm follows each convolution."""
    activation: Literal["gelu", "relu"] = "gelu"
    """``relu`` has a broken derivative, which the response does not allow for: an ablation (section 4)."""
    equivariant: bool = True
    """Without it the backbone sees the image alone, not its orbit: the plain CNN, an ablation (section 4)."""
    hidden: int = 32
    """Width of the odd output networks."""
    pooling_fwhm: float = 2.0
    """FWHM of the pooling Gaussian, arcsec."""
    flux_fwhm: float = 1.5
    """FWHM of the Gaussian that weighs the flux for the brightness normalisation, arcsec."""
    window_fwhm: float = 0.0
    """FWHM of the Gaussian window on the image, arcsec, which dims neighbours; 0 for none."""
    grid_points: int = 64
    """Points on a side of the resmoothed image."""
    grid_spacing: float = 0.2
    """Distance between these points, arcsec."""
    kernel_fwhm: float = 0.85
    """FWHM of the resmoothing kernel, arcsec."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        for name in ("pooling_fwhm", "flux_fwhm", "grid_spacing", "kernel_fwhm"):
            check_number(f"network: {name}", getattr(self, name), above=0, meaning="arcsec")
        check_number("network: window_fwhm", self.window_fwhm, least=0, meaning="0 for no window")
        check_number("network: residual", self.residual)
        numbers = (*self.channels, *self.strides, self.kernel_size, self.hidden, self.grid_points)
        for number in numbers:
            check_number("network: a size", number, least=1, most=_LARGEST, whole=True)
        if not self.channels or len(self.channels) != len(self.strides):
            raise InputError(
                f"network: channels {self.channels}, strides {self.strides}; expected as many of one as of the other"
            )
        check_choice("network: activation", self.activation, ACTIVATIONS)
        if self.kernel_size % 2 == 0 or self.grid_points % (2 * math.prod(self.strides)):
            raise InputError(
                f"network: kernel_size {self.kernel_size}, {self.grid_points} grid points, strides {self.strides}; "
                "expected an odd size, and points that the strides divide into an even number"
            )

    @property
    def grid(self) -> Grid:
        """Grid of the resmoothed image."""
        return Grid(self.grid_points, self.grid_spacing)

    @property
    def kernel_sigma(self) -> float:
        """Standard deviation of the resmoothing kernel, arcsec."""
        return self.kernel_fwhm / FWHM_PER_SIGMA


PAPER = D4CNNConfig()
"""The network of the paper: five layers of 32 channels on the 64 x 64 pixels of the stamp."""

SMALL = D4CNNConfig(channels=(16, 32, 32, 32), strides=(1, 2, 1, 1), residual=1.0, grid_points=20, grid_spacing=0.4)
"""The network shipped as ``d4cnn``: the inner 8 arcsec on a 0.4 arcsec grid, a fiftieth of the arithmetic."""


def orbit(images: Tensor) -> Tensor:
    """Return the eight D4 versions of images, in the order of `SIGNS`.

    Parameters
    ----------
    images
        Shape (galaxy, n, n), indexed [y, x].

    Returns
    -------
    Tensor
        Shape (galaxy, 8, n, n).
    """
    # rot90 over (x, y) turns anticlockwise, because y grows upwards.
    turned = [torch.rot90(images, k, dims=(-1, -2)) for k in range(4)]
    return torch.stack(turned + [image.flip(-2) for image in turned], dim=1)


def _gaussian(grid: Grid, fwhm: float) -> Tensor:
    """Return D4-symmetric weights exp(-r²/2s²) on a grid, shape (points, points)."""
    x = torch.from_numpy(coordinates(*grid))
    sigma = fwhm / FWHM_PER_SIGMA
    return torch.exp(-(x**2 + x[:, None] ** 2) / (2 * sigma**2)).float()


class Layer(nn.Module):
    """Convolution, layer norm and activation, added to the input where the shapes agree.

    Parameters
    ----------
    inputs, outputs
        Channels before and after.
    stride
        Step of the convolution in grid points.
    config
        The rest of the architecture.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, config: D4CNNConfig) -> None:
        super().__init__()
        size = config.kernel_size
        # With a step of two an even kernel keeps the coarse grid centred on the origin.
        self.convolution = nn.Conv2d(inputs, outputs, size + stride - 1, stride, padding=size // 2)
        self.norm = nn.GroupNorm(1, outputs) if config.layer_norm else nn.Identity()
        self.activation = ACTIVATIONS[config.activation]
        self.residual = config.residual if inputs == outputs and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of maps, shape (image, channel, y, x)."""
        y = self.activation(self.norm(self.convolution(x)))
        return y if self.residual is None else x + self.residual * y


class D4CNN(nn.Module):
    """Ellipticity of resmoothed images.

    Parameters
    ----------
    config
        Architecture.
    """

    pooling: Tensor
    flux_weight: Tensor
    window: Tensor
    signs: Tensor

    def __init__(self, config: D4CNNConfig) -> None:
        super().__init__()
        self.config = config
        inputs = (1, *config.channels[:-1])
        self.backbone = nn.Sequential(
            *(Layer(i, o, s, config) for i, o, s in zip(inputs, config.channels, config.strides, strict=True))
        )
        self.log_softening = nn.Parameter(torch.tensor(3.0))
        width = config.channels[-1]
        self.odd = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, config.hidden, bias=False),
                nn.Tanh(),
                nn.Linear(config.hidden, 1, bias=False),
            )
            for _ in range(2)
        )
        stride = math.prod(config.strides)
        coarse = Grid(config.grid_points // stride, config.grid_spacing * stride)
        pooling = _gaussian(coarse, config.pooling_fwhm)
        self.register_buffer("pooling", pooling / pooling.sum(), persistent=False)
        flux_weight = _gaussian(config.grid, config.flux_fwhm) * config.grid_spacing**2
        self.register_buffer("flux_weight", flux_weight, persistent=False)
        window = _gaussian(config.grid, config.window_fwhm) if config.window_fwhm else torch.ones(())
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("signs", SIGNS / 8 if config.equivariant else torch.ones(2, 1), persistent=False)

    def flux(self, f_h: Tensor) -> Tensor:
        """Return the Gaussian-weighted flux F of images, shape (..., 1, 1)."""
        return (f_h * self.flux_weight).sum((-2, -1), keepdim=True)

    def brightness(self, flux: Tensor) -> Tensor:
        """Return sqrt(F² + C²) with a learned C."""
        return torch.sqrt(flux**2 + torch.exp(2 * self.log_softening))

    def normalise(self, f_h: Tensor) -> Tensor:
        """Return images divided by their brightness, seen through the window.

        Bright galaxies lose their brightness, which says nothing of their shape; images without flux stay finite.
        """
        return f_h * self.window / self.brightness(self.flux(f_h))

    def members(self, images: Tensor) -> Tensor:
        """Return what the backbone sees of images: their orbit, or each alone, shape (galaxy, member, n, n)."""
        return orbit(images) if self.config.equivariant else images[:, None]

    def forward(self, f_h: Tensor) -> Tensor:
        """Return (e1, e2) of resmoothed images.

        Parameters
        ----------
        f_h
            Resmoothed images on the configuration's grid, shape (galaxy, points, points), flux at zero point 30.

        Returns
        -------
        Tensor
            Shape (galaxy, 2).
        """
        members = self.members(self.normalise(f_h))
        maps = self.backbone(members.flatten(0, 1)[:, None])
        features = (maps * self.pooling).sum((-2, -1)).unflatten(0, (-1, members.shape[1]))
        spins = torch.einsum("so,goc->sgc", self.signs, features)
        return torch.cat([head(spin) for head, spin in zip(self.odd, spins, strict=True)], dim=-1)


ARCHITECTURES: Architectures[D4CNN] = {"d4cnn": (D4CNNConfig, D4CNN)}
"""Configuration and network by the name that cards have for them."""


def build_d4cnn(card: dict[str, Any]) -> D4CNN:
    """Return an untrained network of the architecture that a card of weights describes.

    Raises
    ------
    InputError
        The card does not describe a D4CNN.
    """
    return build_from_card(card, ARCHITECTURES)


def describe(config: D4CNNConfig) -> dict[str, Any]:
    """Return the part of a card that says which network the weights belong to."""
    return describe_network(config, ARCHITECTURES)
