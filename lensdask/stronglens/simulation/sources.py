"""The galaxy behind the lens: a Sérsic profile with elliptical isophotes."""

import math
from typing import NamedTuple

from lensdask.arrays import Array, namespace
from lensdask.stronglens.simulation.deflectors import axes_of

__all__ = ["Source", "central_brightness", "log_central_brightness", "sersic", "sersic_b"]


class Source(NamedTuple):
    """An elliptical Sérsic galaxy, one value for each lens."""

    x: Array
    """Place of its centre along x in the source plane, arcsec."""
    y: Array
    """Along y."""
    flux: Array
    """Flux without lensing, electrons per second."""
    radius: Array
    """Half-light radius, arcsec: of the circle with the area of the ellipse."""
    index: Array
    """Sérsic index n."""
    e1: Array
    """First component of the ellipticity, as of a lens."""
    e2: Array
    """Second component."""


def sersic_b(index: Array) -> Array:
    """Return b(n) ≈ 1.9992 n - 0.3271, with which half of the light is within the radius; for n of 0.5 to 10."""
    return 1.9992 * index - 0.3271


def central_brightness(source: Source) -> Array:
    """Return the surface brightness of the centre, electrons per second and arcsec²."""
    return source.flux / source.radius**2 * namespace(source.flux).exp(log_central_brightness(source.index))


def log_central_brightness(index: Array) -> Array:
    """Return the logarithm of the surface brightness of the centre, for a flux and a half-light radius of one.

    Of the total flux F = 2 π n R² e^b b^(-2n) Γ(2n) I(R) of a profile I(r) = I(R) exp(-b [(r / R)^(1/n) - 1]).
    """
    xp = namespace(index)
    return 2 * index * xp.log(sersic_b(index)) - math.log(2 * math.pi) - xp.log(index) - _log_gamma(2 * index)


def _log_gamma(at: Array) -> Array:
    """Return log Γ(x) for x of at least 1, right to 1e-12, in operations of the array standard: Stirling's series."""
    xp = namespace(at)
    shift, product = at + 7, at
    for step in range(1, 7):
        product = product * (at + step)
    inverse = 1 / shift**2
    series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / shift
    return (shift - 0.5) * xp.log(shift) - shift + 0.5 * math.log(2 * math.pi) + series - xp.log(product)


def sersic(x: Array, y: Array, source: Source) -> Array:
    """Return the surface brightness at places in the source plane, electrons per second and arcsec².

    Parameters
    ----------
    x, y
        Places, shape (lens, ...).
    source
        The galaxies.
    """
    xp = namespace(x)
    _, q, cosine, sine = (each[:, None, None] for each in axes_of(source.e1, source.e2))
    dx, dy = x - source.x[:, None, None], y - source.y[:, None, None]
    along, across = cosine * dx + sine * dy, cosine * dy - sine * dx
    square = (q * along**2 + across**2 / q) / source.radius[:, None, None] ** 2
    # (r / R)^(1/n); not 0, whose logarithm has no end.
    power = xp.exp(xp.log(square + 1e-24) / (2 * source.index[:, None, None]))
    return central_brightness(source)[:, None, None] * xp.exp(-sersic_b(source.index)[:, None, None] * power)
