"""The background that light travels through: distances, growth, and how well a mass lenses a galaxy.

Flat, with matter and a dark energy of constant equation of state alone, Λ unless said. Distances are in Mpc (without
h), masses in solar masses, surface densities in Msun / Mpc² of proper area.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from astropy.cosmology import FLRW

__all__ = [
    "CHA",
    "LENSING_DENSITY",
    "MASSIVENUS",
    "SPEED_OF_LIGHT",
    "Cosmology",
    "angular_diameter_distance",
    "comoving_distance",
    "critical_density",
    "expansion",
    "growth",
    "inverse_critical_density",
    "matter_density",
]

Float64 = npt.NDArray[np.float64]

SPEED_OF_LIGHT = 299792.458
"""In km / s."""

LENSING_DENSITY = 1.6628917e18
"""c² / (4 π G) in Msun / Mpc: divided by a distance in Mpc it is a surface density."""

_CRITICAL_DENSITY = 2.7753662e11
"""3 (100 km/s/Mpc)² / (8 π G) in Msun / Mpc³: the critical density of h = 1."""


@dataclass(frozen=True)
class Cosmology:
    """A flat universe of matter and dark energy."""

    h: float
    """Hubble constant in 100 km / s / Mpc."""
    omega_m: float
    """Matter density, in critical densities."""
    omega_b: float
    """Baryon density, in critical densities."""
    sigma8: float
    """Linear fluctuations of the matter today in spheres of 8 Mpc / h."""
    n_s: float
    """Slope of the primordial power."""
    w: float = -1.0
    """Pressure of the dark energy over its density: -1 is Λ."""


MASSIVENUS = Cosmology(h=0.7, omega_m=0.3, omega_b=0.046, sigma8=0.8497, n_s=0.97)
"""The MassiveNuS simulations at their fiducial parameters, A_s = 2.1e-9, with massless neutrinos (Liu et al. 2018)."""

CHA = MASSIVENUS
"""Cha et al. 2025: flat with h = 0.7 and Ωm = 0.3, which sets all distances; they give no other number."""


@lru_cache(maxsize=8)
def _background(cosmology: Cosmology) -> "FLRW":
    # A second to import: whoever bins a catalogue needs no distances.
    from astropy.cosmology import FlatLambdaCDM, FlatwCDM

    if cosmology.w == -1:
        return FlatLambdaCDM(H0=100 * cosmology.h, Om0=cosmology.omega_m, Tcmb0=0)
    return FlatwCDM(H0=100 * cosmology.h, Om0=cosmology.omega_m, w0=cosmology.w, Tcmb0=0)


def comoving_distance(redshift: npt.ArrayLike, cosmology: Cosmology = MASSIVENUS) -> Float64:
    """Return comoving distances in Mpc."""
    distance = _background(cosmology).comoving_distance(np.asarray(redshift, dtype=np.float64))
    return np.asarray(distance.value, dtype=np.float64)


def angular_diameter_distance(redshift: npt.ArrayLike, cosmology: Cosmology = MASSIVENUS) -> Float64:
    """Return angular diameter distances in Mpc: a proper length over the angle it is seen under."""
    z = np.asarray(redshift, dtype=np.float64)
    return comoving_distance(z, cosmology) / (1 + z)


def expansion(redshift: npt.ArrayLike, cosmology: Cosmology = MASSIVENUS) -> Float64:
    """Return H(z) / H0 = √(Ωm (1 + z)³ + (1 - Ωm) (1 + z)^(3 + 3w)), where the last factor is 1 for Λ."""
    z = np.asarray(redshift, dtype=np.float64)
    # 1 for Λ, to the bit.
    factor = (1 + z) ** (3 * (1 + cosmology.w))
    return np.asarray(np.sqrt(cosmology.omega_m * (1 + z) ** 3 + factor - cosmology.omega_m * factor), dtype=np.float64)


def growth(redshift: npt.ArrayLike, cosmology: Cosmology = MASSIVENUS) -> Float64:
    """Return the linear growth of matter fluctuations, 1 today.

    Heath (1977): D ∝ H(z) ∫ (1 + z') / H(z')³ dz' from z to infinity, here as an integral over a = 1 / (1 + z). That
    holds for Λ alone; for another w, Silveira & Waga (1994).
    """
    z = np.asarray(redshift, dtype=np.float64)
    if cosmology.w != -1:
        return _growth_of_w(z, cosmology) / _growth_of_w(np.zeros(()), cosmology)
    nodes, weights = np.polynomial.legendre.leggauss(64)

    def unnormalised(at: Float64) -> Float64:
        a_end = 1 / (1 + at[..., None])
        # With a = a_end u², whose integrand is smooth down to u = 0, where it goes as u⁴.
        u = (nodes + 1) / 2
        a = a_end * u**2
        integrand = 2 * a_end * u / (a * expansion(1 / a - 1, cosmology)) ** 3
        return np.asarray(expansion(at, cosmology) * (integrand @ weights) / 2, dtype=np.float64)

    return unnormalised(z) / unnormalised(np.zeros(()))


def _growth_of_w(redshift: Float64, cosmology: Cosmology) -> Float64:
    """Return a ₂F₁(-1 / 3w, (w - 1) / 2w; 1 - 5 / 6w; -Ω_w(a) / Ω_m(a)), which is a at early times."""
    from scipy.special import hyp2f1

    w = cosmology.w
    ratio = (1 / cosmology.omega_m - 1) * (1 + redshift) ** (3 * w)
    return np.asarray(hyp2f1(-1 / (3 * w), (w - 1) / (2 * w), 1 - 5 / (6 * w), -ratio) / (1 + redshift))


def matter_density(cosmology: Cosmology = MASSIVENUS) -> float:
    """Return the mean density of matter today, Msun / Mpc³; the comoving density at all times."""
    return _CRITICAL_DENSITY * cosmology.h**2 * cosmology.omega_m


def critical_density(z_lens: npt.ArrayLike, z_source: npt.ArrayLike, cosmology: Cosmology = MASSIVENUS) -> Float64:
    """Return the surface density Σc = c² / (4 π G) D_s / (D_l D_ls) whose convergence is 1.

    Parameters
    ----------
    z_lens, z_source
        Redshifts of lens and source; they broadcast.
    cosmology
        Sets the distances.

    Returns
    -------
    ndarray
        Msun / Mpc² of proper area at the lens; infinite where the lens is not in front of the source.
    """
    inverse = inverse_critical_density(z_lens, z_source, cosmology)
    return np.divide(1.0, inverse, out=np.full_like(inverse, np.inf), where=inverse > 0)


def inverse_critical_density(
    z_lens: npt.ArrayLike, z_source: npt.ArrayLike, cosmology: Cosmology = MASSIVENUS
) -> Float64:
    """Return 1 / Σc in Mpc² / Msun, 0 where the lens is not in front of the source.

    Its mean over the sources is the lensing strength of a galaxy population; that of Σc would be infinite.
    """
    z_l, z_s = np.asarray(z_lens, dtype=np.float64), np.asarray(z_source, dtype=np.float64)
    lens, source = comoving_distance(z_l, cosmology), comoving_distance(z_s, cosmology)
    # In a flat universe D_ls / D_s = 1 - χ_l / χ_s; a source at redshift 0 is behind nothing.
    share = np.where(source > 0, np.clip(1 - lens / np.where(source > 0, source, 1.0), 0.0, None), 0.0)
    return np.asarray(share * lens / (1 + z_l) / LENSING_DENSITY, dtype=np.float64)
