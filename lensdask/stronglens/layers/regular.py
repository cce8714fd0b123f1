"""Layers whose features turn with the image: steerable convolutions in the regular representation of C_N or D_N.

A field has one map for each element g of the group: N turns, and N turned mirrors for D_N. Turning the image by 2π/N
turns the maps and exchanges them. A convolution keeps this if its filter for the maps g of the output and h of the
input is that of g⁻¹h, turned by g (Weiler & Cesa 2019, equation 3 for the regular representation) ::

    K[g, h](x) = κ[g⁻¹h](g⁻¹x),      κ[u] = Σ_b w[u, b] ψ_b

with ψ_b the circular harmonics of `lensdask.stronglens.layers.circular_harmonics`, whose turned versions are known
everywhere and not interpolated. Of an image itself, κ has one part only (lifting). On square images with an even
number of pixels quarter turns are exact, since pixels, filters and the means of 2 x 2 pixels turn into each other;
other turns are approximate.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lensdask.errors import check_number
from lensdask.stronglens.layers.circular_harmonics import filter_harmonics, sampled

__all__ = ["RegularBatchNorm", "RegularConv", "TurnGroup", "pool_group"]


@dataclass(frozen=True)
class TurnGroup:
    """Turns by multiples of 2π/N, with mirrors or without. Element f N + k mirrors y if f is 1, then turns k times."""

    turns: int = 8
    """N."""
    mirrors: bool = False
    """Whether mirrors belong to the group: D_N in place of C_N."""

    def __post_init__(self) -> None:
        """Refuse what is no group."""
        check_number("turns", self.turns, least=1, whole=True)

    @property
    def order(self) -> int:
        """Number of elements."""
        return self.turns * (2 if self.mirrors else 1)

    def relative(self) -> Tensor:
        """Return the index of g⁻¹h, shape (g, h): (k, f)⁻¹(l, e) = (±(l - k), f + e), the minus for a mirror f."""
        index = torch.arange(self.order)
        turn, mirror = index % self.turns, index // self.turns
        sign = 1 - 2 * mirror[:, None]
        turns = sign * (turn[None, :] - turn[:, None])
        flips = (mirror[None, :] + mirror[:, None]) % 2
        return flips * self.turns + turns % self.turns

    def basis(self, kernel: int) -> Tensor:
        """Return the functions of a filter turned by each element, shape (g, function, y, x), float64."""
        harmonics = filter_harmonics(kernel)
        step = 2 * math.pi / self.turns
        return torch.stack(
            [sampled(harmonics, kernel, (g % self.turns) * step, g >= self.turns) for g in range(self.order)]
        )


class RegularConv(nn.Module):
    """Convolution to fields of the regular representation, of such fields or of images.

    Filters are built of the weights wherever gradients are wanted, and kept for all later calls elsewhere.

    Parameters
    ----------
    group
        The turns.
    before, after
        Fields, or maps of the image, before; fields after.
    kernel
        Pixels on a side of the filters, odd.
    lifting
        Whether the input is an image, shape (sample, map, y, x), rather than fields, (sample, field, g, y, x).
    """

    basis: Tensor
    relative: Tensor

    def __init__(self, group: TurnGroup, before: int, after: int, kernel: int, *, lifting: bool = False) -> None:
        super().__init__()
        self.kernel, self.lifting = kernel, lifting
        basis = group.basis(kernel)
        relative = group.relative()
        # Both follow from the configuration: files of weights do without.
        self.register_buffer("basis", basis.to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("relative", torch.zeros(group.order, 1).long() if lifting else relative, persistent=False)
        parts = 1 if lifting else group.order
        # Functions have unit norm: this is the variance of He et al. 2015 for filters of so many inputs.
        deviation = math.sqrt(2 / (before * parts * basis.shape[1]))
        self.weight = nn.Parameter(torch.randn(after, before, parts, basis.shape[1]) * deviation)
        self._kept: tuple[tuple[object, ...], Tensor] | None = None

    def filters(self) -> Tensor:
        """Return the filters of a plain convolution, shape (after g, before h, y, x)."""
        weight = self.weight
        if torch.is_grad_enabled() and weight.requires_grad:
            return self._built()
        # The version counts changes in place: steps of an optimiser, loaded weights.
        key = (weight._version, weight.data_ptr(), weight.device, weight.dtype)
        if self._kept is None or self._kept[0] != key:
            self._kept = key, self._built()
        return self._kept[1]

    def _built(self) -> Tensor:
        # In full precision whatever the training: kept filters must not depend on it.
        with torch.autocast(self.weight.device.type, enabled=False):
            built = torch.einsum("ocghb,gbyx->ogchyx", self.weight[:, :, self.relative], self.basis)
        return built.flatten(2, 3).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return fields, shape (sample, field, g, y, x), of as many pixels as the input."""
        maps = x if self.lifting else x.flatten(1, 2)
        found = nn.functional.conv2d(maps, self.filters(), padding=self.kernel // 2)
        return torch.unflatten(found, 1, (self.weight.shape[0], -1))


class RegularBatchNorm(nn.BatchNorm3d):
    """Batch normalisation with one mean and variance for all maps of a field, of (sample, field, g, y, x)."""


def pool_group(fields: Tensor) -> Tensor:
    """Return the greatest of the maps of each field, which does not change with turns: (sample, field, y, x)."""
    return fields.amax(2)
