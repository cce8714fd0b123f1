"""The lens of a dark-matter halo: convergence and shear of NFW profiles, whole or cut at the virial sphere.

The density ρ = ρ_s / (x (1 + x)²) with x = r / r_s (Navarro, Frenk & White 1997) has an infinite mass; cut off at
x = c, the concentration, the sphere holds the mass of the halo exactly (Takada & Jain 2003, MNRAS 344, 857). With
t = 1 / c for the cut halo and t = 0 for the whole one, all projections follow from one integral::

    A(x) = ∫ dy / ((1 + y) √(y² - x²))    y from x to c       s(x) = √(1 - t² x²) / (1 + t)
    F(x) = (A - s) / (1 - x²)             surface density Σ = M F / (2 π r_s² m(c))
    G(x) = ln(x (1 + t) / (1 + √(1 - t² x²))) + A + s - 1 / (1 + t)      mass in the cylinder M G / m(c)
    m(c) = ln(1 + c) - c / (1 + c)

Radii on the sky are in arcmin, masses in Msun.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy.special import sici

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.sky.cosmology import MASSIVENUS, Cosmology, angular_diameter_distance, expansion, matter_density
from lensdask.sky.sources import Source, lensing_strength

__all__ = [
    "Definition",
    "Halo",
    "cylinder_mass",
    "nfw_convergence",
    "nfw_mass",
    "nfw_shear",
    "nfw_transform",
    "scale_angle",
    "surface_density",
    "virial_radius",
]

Float64 = npt.NDArray[np.float64]

Definition = Literal["200m", "200c"]
"""The mass of a halo is that in a sphere of 200 times the mean matter density, or the critical one, at its redshift."""

_NEAR_ONE = 1e-4
"""Both sides of F = 0 / 0 at x = 1 that are interpolated; the error is 1e-8, as large as rounding there."""


class Halo(NamedTuple):
    """One halo, or many of them in arrays that broadcast."""

    mass: npt.ArrayLike
    """Msun."""
    concentration: npt.ArrayLike
    """Radius that holds the mass, over the scale radius."""
    redshift: npt.ArrayLike
    """Above 0."""
    definition: Definition = "200m"
    """Which sphere holds the mass."""


def virial_radius(halo: Halo, cosmology: Cosmology = MASSIVENUS) -> Float64:
    """Return the proper radius of the sphere that holds the mass, Mpc.

    Raises
    ------
    InputError
        The mass is defined in an unknown way.
    """
    if halo.definition not in get_args(Definition):
        raise InputError(f"definition: {halo.definition!r}; expected one of {', '.join(get_args(Definition))}")
    z = np.asarray(halo.redshift, dtype=np.float64)
    density = matter_density(cosmology) * (1 + z) ** 3
    if halo.definition == "200c":
        density = matter_density(cosmology) / cosmology.omega_m * expansion(z, cosmology) ** 2
    mass = np.asarray(halo.mass, dtype=np.float64)
    return np.asarray(np.cbrt(3 * mass / (4 * np.pi * 200 * density)), dtype=np.float64)


def scale_angle(halo: Halo, cosmology: Cosmology = MASSIVENUS) -> Float64:
    """Return the scale radius as seen on the sky, arcmin."""
    distance = angular_diameter_distance(halo.redshift, cosmology)
    scale = virial_radius(halo, cosmology) / np.asarray(halo.concentration, dtype=np.float64)
    return np.asarray(scale / distance / ARCMIN, dtype=np.float64)


def nfw_mass(concentration: npt.ArrayLike) -> Float64:
    """Return m(c), the mass of a sphere of c scale radii in units of 4 π ρ_s r_s³."""
    c = np.asarray(concentration, dtype=np.float64)
    return np.asarray(np.log1p(c) - c / (1 + c), dtype=np.float64)


def _a_and_s(x: Float64, t: Float64) -> tuple[Float64, Float64]:
    """Return A and s of 0 < x <= 1 / t, x other than 1."""
    argument = (1 + t * x**2) / (x * (1 + t))
    inner = np.arccosh(np.maximum(argument, 1.0)) / np.sqrt(np.abs(1 - x**2))
    outer = np.arccos(np.clip(argument, -1.0, 1.0)) / np.sqrt(np.abs(1 - x**2))
    return np.where(x < 1, inner, outer), np.sqrt(np.maximum(1 - (t * x) ** 2, 0.0)) / (1 + t)


def surface_density(x: npt.ArrayLike, concentration: npt.ArrayLike, *, truncated: bool = True) -> Float64:
    """Return F(x), the surface density in units of 2 ρ_s r_s.

    Parameters
    ----------
    x
        Projected radius in scale radii, above 0; it broadcasts with the concentration.
    concentration
        Where the halo is cut, in scale radii, above 1.
    truncated
        Whether it is cut.
    """
    radius, t = np.broadcast_arrays(
        np.asarray(x, dtype=np.float64), (1 / np.asarray(concentration, dtype=np.float64)) if truncated else 0.0
    )

    def away_from_one(at: Float64) -> Float64:
        a, s = _a_and_s(at, t)
        return (a - s) / (1 - at**2)

    inside = np.minimum(radius, 1 / t if truncated else np.inf)
    near = np.abs(inside - 1) < _NEAR_ONE
    low, high = np.where(near, 1 - _NEAR_ONE, inside), np.where(near, 1 + _NEAR_ONE, inside)
    share = np.where(near, (inside - low) / (2 * _NEAR_ONE), 0.0)
    density = (1 - share) * away_from_one(low) + share * away_from_one(high)
    return np.where(t * radius < 1, density, 0.0)


def cylinder_mass(x: npt.ArrayLike, concentration: npt.ArrayLike, *, truncated: bool = True) -> Float64:
    """Return G(x), the mass within the projected radius in units of 4 π ρ_s r_s³; arguments as `surface_density`."""
    radius, t = np.broadcast_arrays(
        np.asarray(x, dtype=np.float64), (1 / np.asarray(concentration, dtype=np.float64)) if truncated else 0.0
    )
    inside = np.minimum(radius, 1 / t if truncated else np.inf)
    # A is smooth at x = 1, its formula is not: move a point that is there by what does not count.
    inside = np.where(np.abs(inside - 1) < 1e-9, 1 - 1e-9, inside)
    a, s = _a_and_s(inside, t)
    root = np.sqrt(np.maximum(1 - (t * inside) ** 2, 0.0))
    return np.asarray(np.log(inside * (1 + t) / (1 + root)) + a + s - 1 / (1 + t), dtype=np.float64)


def nfw_convergence(
    theta: npt.ArrayLike, halo: Halo, source: Source, *, truncated: bool = False, cosmology: Cosmology = MASSIVENUS
) -> Float64:
    """Return the convergence of a halo.

    Parameters
    ----------
    theta
        Distance from its centre, arcmin, above 0; it broadcasts with the halo's entries.
    halo
        The lens.
    source
        Redshifts of the lensed galaxies.
    truncated
        Whether the halo ends at its virial radius.
    cosmology
        Sets the distances.
    """
    x = np.asarray(theta, dtype=np.float64) / scale_angle(halo, cosmology)
    unit = _central_convergence(halo, source, cosmology)
    return unit * surface_density(x, halo.concentration, truncated=truncated)


def nfw_shear(
    theta: npt.ArrayLike, halo: Halo, source: Source, *, truncated: bool = False, cosmology: Cosmology = MASSIVENUS
) -> Float64:
    """Return the tangential shear γt = κ̄(< θ) - κ(θ) of a halo; arguments as `nfw_convergence`.

    At an angle φ about the centre, γ1 = -γt cos 2φ and γ2 = -γt sin 2φ.
    """
    x = np.asarray(theta, dtype=np.float64) / scale_angle(halo, cosmology)
    unit = _central_convergence(halo, source, cosmology)
    mean = 2 * cylinder_mass(x, halo.concentration, truncated=truncated) / x**2
    return unit * (mean - surface_density(x, halo.concentration, truncated=truncated))


def _central_convergence(halo: Halo, source: Source, cosmology: Cosmology) -> Float64:
    """Return the convergence where F = 1: M ⟨1 / Σc⟩ / (2 π r_s² m(c))."""
    scale = virial_radius(halo, cosmology) / np.asarray(halo.concentration, dtype=np.float64)
    mass = np.asarray(halo.mass, dtype=np.float64) / nfw_mass(halo.concentration)
    return np.asarray(mass * lensing_strength(halo.redshift, source, cosmology) / (2 * np.pi * scale**2))


def nfw_transform(wave: npt.ArrayLike, concentration: npt.ArrayLike) -> Float64:
    """Return the Fourier transform of a cut halo, 1 at wave 0 (Cooray & Sheth 2002, equation 81).

    Parameters
    ----------
    wave
        ℓ times the scale angle in rad, above 0; it broadcasts with the concentration.
    concentration
        Where the halo is cut, in scale radii.
    """
    k, c = np.asarray(wave, dtype=np.float64), np.asarray(concentration, dtype=np.float64)
    si_out, ci_out = sici((1 + c) * k)
    si_in, ci_in = sici(k)
    total = np.sin(k) * (si_out - si_in) + np.cos(k) * (ci_out - ci_in) - np.sin(c * k) / ((1 + c) * k)
    return np.asarray(total / nfw_mass(c), dtype=np.float64)
