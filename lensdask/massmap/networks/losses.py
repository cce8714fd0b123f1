"""What the networks are trained to make small.

A loss takes a network's outputs, shape (field, output, y, x), the true convergence, shape (field, y, x), and the
footprint, of that shape, 1 where pixels count, and returns the mean over the fields.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.fourier import half_plane, multipoles

__all__ = ["Loss", "cha_loss", "miu2net_loss", "ring_powers"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From outputs, convergence and mask to a number."""

LARGEST_MULTIPOLE = 3290.0
"""Where the ring powers of MIU²Net's loss end: 16 waves across its fields of 1.75 degrees."""

PIXEL_WEIGHT = 1e4
"""Weight of the square residuals in MIU²Net's loss."""

RING_WEIGHT = 10 * 50 / (0.41 * ARCMIN) ** 2
"""Weight of the ring powers, sr⁻¹. The published code divides the sum over a ring by all pixels of the transform, which
are 0.41 arcmin apart, rather than by the ring's modes, 50 in the mean, and then multiplies by 10."""


def cha_loss(exponent: float = 6.0) -> Loss:
    """Return the weighted square residuals of Cha et al. 2025 (equations 6 to 8), summed over the pixels.

    The weight is ω = 1 + |κ| / max κ, to some power, with the largest true convergence of the field inside the mask. A
    high power makes the network take care of the peaks, a millionth of the sky.

    Parameters
    ----------
    exponent
        Power of the weight: 6, or 1 for the loss of H21.
    """

    def loss(outputs: Tensor, kappa: Tensor, mask: Tensor) -> Tensor:
        inside = kappa * mask
        largest = inside.amax((-2, -1), keepdim=True)
        # A field without mass has no peak to prefer.
        weight = 1 + torch.where(largest > 0, inside.abs() / largest.clamp(min=1e-12), 0.0)
        return (mask * weight**exponent * (outputs[:, 0] - kappa) ** 2).sum((-2, -1)).mean()

    return loss


def miu2net_loss(pixel_scale: float, *, ring_weight: float = 3.0, largest_multipole: float = LARGEST_MULTIPOLE) -> Loss:
    """Return the loss of MIU²Net, summed over all outputs: square residuals, and the difference of ring powers.

    The published pixel term is a Huber loss that turns linear at 50; a convergence is never as large, so it is half the
    mean square residual, times 1e4. The ring term is the mean of |C' - C| over the rings of `ring_powers`, with a
    weight that makes it as large as the published one. That one has two flaws, which are mended here: it divides the
    sum over a ring by the number of all modes instead of the ring's, so that wide rings outweigh narrow ones, and its
    rings are centred half a mode beside zero.

    Parameters
    ----------
    pixel_scale
        Arcmin.
    ring_weight
        Weight of the ring powers: 0 in the first stage of the published training, 3 in the second.
    largest_multipole
        Where the rings end.
    """

    def loss(outputs: Tensor, kappa: Tensor, mask: Tensor) -> Tensor:
        true, mask = kappa[:, None], mask[:, None].to(kappa.dtype)
        residual = mask * (outputs - true)
        share = mask.mean((-2, -1), keepdim=True).clamp(min=1e-12)
        pixels = PIXEL_WEIGHT * 0.5 * (residual**2 / share).mean((-2, -1))
        if not ring_weight:
            return pixels.sum(dim=1).mean()
        found, wanted = (ring_powers(maps * mask, pixel_scale, largest_multipole) for maps in (outputs, true))
        rings = RING_WEIGHT * ring_weight * (found - wanted).abs().mean(dim=-1)
        return (pixels + rings).sum(dim=1).mean()

    return loss


def ring_powers(maps: Tensor, pixel_scale: float, largest_multipole: float = LARGEST_MULTIPOLE) -> Tensor:
    """Return the power of maps on large scales: means of |FFT|² over rings one fundamental wave wide.

    Ring r, from 1 on, has the modes of r to r + 1 waves across the field.

    Parameters
    ----------
    maps
        Shape (..., y, x).
    pixel_scale
        Arcmin.
    largest_multipole
        Where the last ring ends, rad⁻¹, to the nearest whole number of rings.

    Returns
    -------
    Tensor
        C(ℓ) in steradian, shape (..., ring).

    Raises
    ------
    InputError
        The field is too small to hold a ring.
    """
    height, width = maps.shape[-2:]
    modes, shares = _rings(height, width, pixel_scale, largest_multipole, maps.device, maps.dtype)
    plane = torch.fft.rfft2(maps).flatten(-2)[..., modes]
    powers: Tensor = (plane.real**2 + plane.imag**2) @ shares
    return powers


@lru_cache(maxsize=16)
def _rings(
    height: int, width: int, pixel_scale: float, largest: float, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return the modes of the rings, indices into the half plane, and the share of each in the power of each ring."""
    l1, l2 = multipoles((height, width), pixel_scale)
    fundamental = 2 * math.pi / (max(height, width) * pixel_scale * ARCMIN)
    rings = round(largest / fundamental)
    if rings < 2:
        raise InputError(
            f"field of {height} x {width} pixels: no ring of modes below l = {largest:g}; expected a larger one"
        )
    ring = np.floor(np.hypot(l1, l2) / fundamental + 1e-6).astype(np.int64).ravel()
    times = np.tile(half_plane(width), height)
    modes = np.flatnonzero((ring >= 1) & (ring < rings))
    shares = (ring[modes, None] == np.arange(1, rings)) * times[modes, None]
    # A field whose pixels are coarse has no modes in the last rings.
    shares = shares / np.maximum(shares.sum(axis=0), 1.0) * (pixel_scale * ARCMIN) ** 2 / (height * width)
    return torch.from_numpy(modes).to(device), torch.from_numpy(shares).to(device, dtype)
