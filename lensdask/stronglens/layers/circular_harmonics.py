"""Circular harmonics on a small grid: the functions that filters of steerable networks are made of.

A filter R(r) e^{imφ} turned by an angle θ is the same filter times e^{-imθ} (Worrall et al. 2017, equation 4; Weiler &
Cesa 2019, section 2.4). R is a sum of Gaussian rings at whole radii. A ring of radius j has few pixels, which cannot
show a harmonic that turns faster than they lie: orders are limited ring by ring.

Angles are those of the array: from the x axis, the last one, towards growing y. `torch.rot90` over the axes (-1, -2)
turns an array by +90 degrees in this sense.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lensdask.stronglens.layers.checks import check_odd

__all__ = ["Harmonic", "filter_harmonics", "ring_profiles", "sampled"]

_WIDTH = 0.6
"""Standard deviation of a ring, pixels: that of Weiler & Cesa."""


class Harmonic(NamedTuple):
    """One real function of a filter basis.

    Parameters
    ----------
    ring
        Radius of its ring, pixels.
    order
        m, times that it repeats around the centre.
    sine
        Whether it is sin mφ, else cos mφ.
    """

    ring: int
    order: int
    sine: bool


def filter_harmonics(kernel: int) -> tuple[Harmonic, ...]:
    """Return the real functions that a filter of so many pixels on a side is a sum of.

    Up to order 2j on the ring of radius j, at most 4, and at most 2 on the outermost, which the sides of the square
    cut: 6 functions for 3 pixels, 11 for 5, 20 for 7.

    Parameters
    ----------
    kernel
        Pixels on a side, odd.

    Raises
    ------
    InputError
        The number is even, or not positive.
    """
    outermost = _rings(kernel) - 1
    found = list[Harmonic]()
    for ring in range(outermost + 1):
        for order in range(_highest_order(ring, outermost) + 1):
            found += [Harmonic(ring, order, sine) for sine in (False, True)[: 2 if order else 1]]
    return tuple(found)


def sampled(harmonics: tuple[Harmonic, ...], kernel: int, turn: float = 0.0, mirror: bool = False) -> Tensor:
    """Return functions of a basis on the grid, mirrored and then turned.

    Parameters
    ----------
    harmonics
        Which functions.
    kernel
        Pixels on a side, odd.
    turn
        Angle by which the functions are turned, radians.
    mirror
        Whether y is reversed first.

    Returns
    -------
    Tensor
        Shape (function, y, x), float64; each of unit norm before the turn.
    """
    rings = ring_profiles(kernel)
    _, angle = _polar(kernel)
    angle = (angle - turn) * (-1 if mirror else 1)
    functions = []
    for ring, order, sine in harmonics:
        wave = torch.sin(order * angle) if sine else torch.cos(order * angle)
        functions.append(rings[min(order, 1), ring] * wave * (math.sqrt(2) if order else 1))
    return torch.stack(functions)


def ring_profiles(kernel: int) -> Tensor:
    """Return the rings of a filter, of unit norm.

    Parameters
    ----------
    kernel
        Pixels on a side, odd.

    Returns
    -------
    Tensor
        Shape (2, ring, y, x), float64: first for order 0; then for other orders, which are 0 at the centre, where they
        have no angle, and have no ring of radius 0.
    """
    radius, _ = _polar(kernel)
    at = torch.arange(_rings(kernel), dtype=torch.float64)[:, None, None]
    plain = torch.exp(-((radius - at) ** 2) / (2 * _WIDTH**2))
    open_at_centre = plain * (radius > 0) * (at > 0)
    rings = torch.stack([plain, open_at_centre])
    norm = rings.square().sum((-2, -1), keepdim=True).sqrt()
    return rings / torch.where(norm > 0, norm, torch.ones_like(norm))


def _rings(kernel: int) -> int:
    check_odd("kernel", kernel)
    return kernel // 2 + 1


def _highest_order(ring: int, outermost: int) -> int:
    """Return the highest order on a ring."""
    if ring == 0:
        return 0
    return 2 if ring == outermost else min(2 * ring, 4)


def _polar(kernel: int) -> tuple[Tensor, Tensor]:
    """Return distance from the centre, pixels, and angle of the pixels of a filter, float64."""
    along = torch.arange(kernel, dtype=torch.float64) - (kernel - 1) / 2
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.hypot(x, y), torch.atan2(y, x)
