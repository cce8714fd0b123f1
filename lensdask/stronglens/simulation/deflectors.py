"""Deflections by masses on one lens plane, in arcsec: pure functions of the place in the image.

A ray seen at θ comes from β = θ - α(θ). All angles are in arcsec; masses are given as the square of the Einstein radius
θ_E that they would have alone as a point, θ_E² = 4 G M / c² · D_ls / (D_l D_s), so that masses add. Ellipticities are
lenstronomy's, e = (1 - q) / (1 + q) of the axis ratio q, with e1 = e cos 2φ and e2 = e sin 2φ of the angle φ from x to
the major axis; so are all other conventions.

`x` has the shape (1, 1, n) or (lens, n, n), `y` (1, n, 1) or (lens, n, n), parameters (lens,). Everything is of one
array library, and of its precision.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lensdask.arrays import Array, namespace
from lensdask.stronglens.simulation.loops import compiled_pseudo_jaffe

__all__ = ["Clumps", "Line", "Macro", "axes_of", "line", "points", "pseudo_jaffe", "shear", "sie"]

_CORE = 0.01
"""Core of a subhalo over its truncation radius."""


class Macro(NamedTuple):
    """The smooth lens: a singular isothermal ellipsoid at the origin, and external shear."""

    theta_e: Array
    """Einstein radius, arcsec: that of the circle with the area of the critical ellipse."""
    e1: Array
    """First component of the ellipticity."""
    e2: Array
    """Second component."""
    gamma1: Array
    """First component of the shear; positive, it stretches images along x."""
    gamma2: Array
    """Second component."""


class Clumps(NamedTuple):
    """Small masses, shape (lens, clump); lenses that have fewer are filled up with masses of 0."""

    x: Array
    """Place along x, arcsec."""
    y: Array
    """Place along y, arcsec."""
    mass: Array
    """Square of the Einstein radius, arcsec²."""
    truncation: Array
    """Radius beyond which the density falls more steeply, arcsec, above 0; of no use to points."""


class Line(NamedTuple):
    """A straight uniform line of mass through the origin."""

    mass: Array
    """Square of the Einstein radius of the whole line, arcsec²."""
    half_length: Array
    """From the origin to either end, arcsec."""
    angle: Array
    """From x to the line, rad."""


def _column(values: Array) -> Array:
    """Return one value for each lens, against the pixels of an image."""
    return values[:, None, None]


def axes_of(e1: Array, e2: Array) -> tuple[Array, Array, Array, Array]:
    """Return (1 - q) / (1 + q), the axis ratio q, and cosine and sine of the angle of the major axis."""
    xp = namespace(e1, e2)
    # Not 0, which has no direction; the limit is reached far earlier.
    e = xp.sqrt(e1**2 + e2**2 + 1e-24)
    angle = xp.atan2(e2, e1) / 2
    return e, (1 - e) / (1 + e), xp.cos(angle), xp.sin(angle)


def sie(x: Array, y: Array, macro: Macro) -> tuple[Array, Array]:
    """Return the deflection of a singular isothermal ellipsoid.

    Kormann, Schneider & Bartelmann (1994), with b = θ_E √q and f² = 1 - q² along the axes of the ellipse:
    α_x = b / f · arctan(f x / ψ), α_y = b / f · artanh(f y / ψ), ψ² = q² x² + y².
    """
    xp = namespace(x)
    e, q, cosine, sine = axes_of(macro.e1, macro.e2)
    # 1 - q² = 4 e / (1 + e)², without the loss of digits.
    f, scale = _column(2 * xp.sqrt(e) / (1 + e)), _column(macro.theta_e * xp.sqrt(q))
    cosine, sine = _column(cosine), _column(sine)
    along, across = cosine * x + sine * y, cosine * y - sine * x
    # At the origin itself, where the deflection has no direction, it is 0.
    f_over_psi = f / xp.sqrt(_column(q) ** 2 * along**2 + across**2 + 1e-24)
    scale = scale / f
    along, across = scale * xp.atan(f_over_psi * along), scale * xp.atanh(f_over_psi * across)
    return cosine * along - sine * across, sine * along + cosine * across


def shear(x: Array, y: Array, macro: Macro) -> tuple[Array, Array]:
    """Return the deflection of external shear, α = (γ1 x + γ2 y, γ2 x - γ1 y)."""
    gamma1, gamma2 = _column(macro.gamma1), _column(macro.gamma2)
    return gamma1 * x + gamma2 * y, gamma2 * x - gamma1 * y


def points(x: Array, y: Array, clumps: Clumps) -> tuple[Array, Array]:
    """Return the deflection of point masses, α = θ_E² r / r², one after another: memory is that of one image."""
    total_x, total_y = _nothing(x, y, clumps), _nothing(x, y, clumps)
    for at_x, at_y, mass, _ in _one_by_one(clumps):
        dx, dy = x - at_x, y - at_y
        strength = mass / (dx**2 + (dy**2 + 1e-30))
        total_x += strength * dx
        total_y += strength * dy
    return total_x, total_y


def pseudo_jaffe(x: Array, y: Array, clumps: Clumps) -> tuple[Array, Array]:
    """Return the deflection of pseudo-Jaffe subhaloes, one after another, for NumPy in a compiled loop if there is one.

    Elíasdóttir et al. (2007), appendix A, with the core c and the truncation radius s:
    α = θ_E² r / (s - c) · [1 / (c + √(c² + r²)) - 1 / (s + √(s² + r²))], which is that of a point far outside.
    """
    xp = namespace(x)
    total_x, total_y = _nothing(x, y, clumps), _nothing(x, y, clumps)
    loop = compiled_pseudo_jaffe() if isinstance(total_x, np.ndarray) else None
    if loop is not None:
        places = (np.ascontiguousarray(each) for each in np.broadcast_arrays(x, y))
        share, core = clumps.mass / ((1 - _CORE) * clumps.truncation), _CORE * clumps.truncation
        loop(*places, np.stack([clumps.x, clumps.y, share, core, clumps.truncation]), total_x, total_y)
        return total_x, total_y
    for at_x, at_y, mass, outer in _one_by_one(clumps):
        dx, dy, core, share = x - at_x, y - at_y, _CORE * outer, mass / ((1 - _CORE) * outer)
        across = dy**2 + core**2
        near, far = xp.sqrt(dx**2 + across), xp.sqrt(dx**2 + (across + (outer**2 - core**2)))
        strength = share / (core + near) - share / (outer + far)
        total_x += strength * dx
        total_y += strength * dy
    return total_x, total_y


def _nothing(x: Array, y: Array, clumps: Clumps) -> Array:
    """Return the deflection of no mass, shape (lens, n, n)."""
    return 0 * (x + y + _column(clumps.x[:, 0]))


def _one_by_one(clumps: Clumps) -> Iterator[tuple[Array, ...]]:
    """Yield the first clump of each lens, then the second of each: their four numbers, against the pixels."""
    xp = namespace(clumps.x)
    placed = [xp.permute_dims(each, (1, 0))[:, :, None, None] for each in clumps]
    for k in range(clumps.x.shape[1]):
        yield tuple(each[k, ...] for each in placed)


def line(x: Array, y: Array, mass: Line) -> tuple[Array, Array]:
    """Return the deflection of a straight uniform line of half length l.

    With z = u + i v along and across the line, α* = θ_E² / (2 l) · [log(z + l) - log(z - l)]: the integral of that of a
    point. It jumps across the line, and differs from that of n points within their distance of the line alone.
    """
    xp = namespace(x)
    cosine, sine = _column(xp.cos(mass.angle)), _column(xp.sin(mass.angle))
    u, v, half = cosine * x + sine * y, cosine * y - sine * x, _column(mass.half_length)
    strength, square = _column(mass.mass) / (2 * half), v**2 + 1e-30
    along = strength / 2 * (xp.log((u + half) ** 2 + square) - xp.log((u - half) ** 2 + square))
    # The angle that the line is seen under.
    across = strength * xp.atan2(2 * half * v, u**2 + v**2 - half**2)
    return cosine * along - sine * across, sine * along + cosine * across
