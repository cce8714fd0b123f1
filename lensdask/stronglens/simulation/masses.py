"""Masses and what they do: Einstein radii, the mass function of subhaloes, lengths of vortices."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from lensdask.conventions import ARCMIN
from lensdask.sky.cosmology import LENSING_DENSITY, MASSIVENUS, Cosmology, angular_diameter_distance, comoving_distance

__all__ = [
    "DistanceKind",
    "deflection_ratio",
    "einstein_area",
    "mean_mass",
    "power_law_masses",
    "truncation_radius",
    "vortex_half_length",
]

Float64 = npt.NDArray[np.float64]

DistanceKind = Literal["angular-diameter", "luminosity"]
"""Distances of the Einstein radius: the right ones, or those of DeepLenseSim, where it is smaller."""

ARCSEC = ARCMIN / 60
"""One arcsec in rad."""


def einstein_area(
    mass: npt.ArrayLike,
    z_lens: float,
    z_source: float,
    distance: DistanceKind = "angular-diameter",
    cosmology: Cosmology = MASSIVENUS,
) -> Float64:
    """Return the square of the Einstein radius of a point, θ_E² = 4 G M / c² · D_ls / (D_l D_s), in arcsec².

    Parameters
    ----------
    mass
        Solar masses.
    z_lens, z_source
        Redshifts of lens and source.
    distance
        Angular-diameter distances; or luminosity distances with D_ls = D_s - D_l, as DeepLenseSim has it.
    cosmology
        Sets the distances.
    """
    d_l, d_s = comoving_distance([z_lens, z_source], cosmology)
    if distance == "luminosity":
        d_l, d_s = d_l * (1 + z_lens), d_s * (1 + z_source)
        over = (d_s - d_l) / (d_l * d_s)
    else:
        # In a flat universe D_ls / D_s = 1 - χ_l / χ_s.
        over = (1 - d_l / d_s) / float(angular_diameter_distance(z_lens, cosmology))
    # 4 G / c² in Mpc for a solar mass.
    return np.asarray(np.asarray(mass, dtype=np.float64) * over / (np.pi * LENSING_DENSITY) / ARCSEC**2)


def deflection_ratio(z_lens: float, z_source: float, z_reference: float, cosmology: Cosmology = MASSIVENUS) -> float:
    """Return D_ls / D_s of a source over that of a source at another redshift, for one lens."""
    d_l, d_s, d_r = comoving_distance([z_lens, z_source, z_reference], cosmology)
    return float((1 - d_l / d_s) / (1 - d_l / d_r))


def power_law_masses(chance: npt.ArrayLike, slope: float, least: float, most: float) -> Float64:
    """Return masses of dn/dm ∝ m^slope: the inverse of their distribution function.

    Parameters
    ----------
    chance
        Uniform from 0 to 1.
    slope
        Of the mass function.
    least, most
        Its ends, solar masses.
    """
    u, power = np.asarray(chance, dtype=np.float64), slope + 1
    if abs(power) < 1e-9:
        return np.asarray(least * (most / least) ** u)
    # In units of the least mass: no power overflows.
    return np.asarray(least * (1 + u * ((most / least) ** power - 1)) ** (1 / power))


def mean_mass(slope: float, least: float, most: float) -> float:
    """Return the mean of dn/dm ∝ m^slope, in solar masses."""
    ratio = most / least

    def integral(power: float) -> float:
        return float(np.log(ratio) if abs(power) < 1e-9 else (ratio**power - 1) / power)

    return least if ratio == 1 else least * integral(slope + 2) / integral(slope + 1)


def truncation_radius(area: npt.ArrayLike, theta_e: npt.ArrayLike) -> Float64:
    """Return the radius at which the tide of the lens cuts off a subhalo, arcsec.

    A singular isothermal sphere of Einstein radius b that is cut off at s = √(b θ_E) has the mass θ_sub² = b s
    (Dalal & Kochanek 2002), so that s = (θ_sub² θ_E)^(1/3).

    Parameters
    ----------
    area
        Mass of the subhalo: square of its Einstein radius as a point, arcsec².
    theta_e
        Einstein radius of the lens, arcsec.
    """
    return np.asarray(np.cbrt(np.asarray(area, dtype=np.float64) * np.asarray(theta_e, dtype=np.float64)))


def vortex_half_length(log10_mass: npt.ArrayLike) -> Float64:
    """Return the half length of a vortex of ultralight axions, arcsec: l = 0.06″ / 2 · 1e-22 eV / m.

    Parameters
    ----------
    log10_mass
        Decimal logarithm of the axion mass in eV.
    """
    return 0.03 * 10.0 ** (-22 - np.asarray(log10_mass, dtype=np.float64))
