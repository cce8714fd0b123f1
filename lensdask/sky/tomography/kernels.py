"""How much matter at each distance counts in lensing, intrinsic alignment and galaxy clustering.

Kacprzak & Fluri 2022, eqs. 2 to 5, per comoving distance χ, for galaxies with the redshift distribution n(z)::

    W_kappa    = 3/2 Ω_m (H0 / c)² (1 + z) χ ∫ n(z') (1 - χ / χ(z')) dz'     from z to 1.75
    W_kappa_ia = F(z) n(z) dz/dχ          F = -C1 ρ_crit Ω_m / D(z)
    W_delta    = n(z) dz/dχ

A map is ∫ W δ dχ along each line of sight. The galaxies are at intrinsic alignment's amplitude 1.
"""

import numpy as np
import numpy.typing as npt

from lensdask.sky.cosmology import SPEED_OF_LIGHT, Cosmology, comoving_distance, expansion, growth
from lensdask.sky.tomography.redshifts import REDSHIFTS, RedshiftBins

__all__ = ["ALIGNMENT", "field_kernels"]

Float64 = npt.NDArray[np.float64]

ALIGNMENT = 5e-14 * 2.7753662e11
"""C1 ρ_crit: 5e-14 Mpc³ / (h² Msun) times the critical density today."""

_FINE = 20
"""Steps of the lensing integral between two of `REDSHIFTS`."""


def field_kernels(redshift: Float64, bins: RedshiftBins, cosmology: Cosmology) -> Float64:
    """Return the three kernels of the bins in 1 / Mpc.

    Parameters
    ----------
    redshift
        Shape (place,), 0 to 1.75.
    bins
        The galaxies.
    cosmology
        Flat ΛCDM.

    Returns
    -------
    ndarray
        Those of kappa, kappa_ia and delta, in this order, shape (field, bin, place).
    """
    hubble_length = SPEED_OF_LIGHT / (100 * cosmology.h)
    chi = comoving_distance(redshift, cosmology)
    per_distance = expansion(redshift, cosmology) / hubble_length
    delta = np.stack([np.interp(redshift, REDSHIFTS, n) for n in bins.n_of_z]) * per_distance
    kappa = 1.5 * cosmology.omega_m / hubble_length**2 * (1 + redshift) * chi * _efficiency(redshift, bins, cosmology)
    alignment = -ALIGNMENT * cosmology.omega_m / growth(redshift, cosmology)
    return np.stack([kappa, alignment * delta, delta])


def _efficiency(redshift: Float64, bins: RedshiftBins, cosmology: Cosmology) -> Float64:
    """Return ∫ n(z') (1 - χ / χ(z')) dz' over the galaxies behind each place, shape (bin, place)."""
    z = np.linspace(0.0, REDSHIFTS[-1], _FINE * (len(REDSHIFTS) - 1) + 1)
    chi = comoving_distance(z, cosmology)
    # Nothing is in front of a galaxy at redshift 0, whose term is finite for lensing alone.
    inverse = 1 / np.where(chi > 0, chi, np.inf)
    at = comoving_distance(redshift, cosmology)
    found = []
    for n in bins.n_of_z:
        density = np.interp(z, REDSHIFTS, n)
        behind, weighted = (np.interp(redshift, z, _integral_beyond(f, z)) for f in (density, density * inverse))
        found.append(behind - at * weighted)
    return np.clip(np.stack(found), 0.0, None)


def _integral_beyond(values: Float64, z: Float64) -> Float64:
    """Return the integral of a function from each z to the last."""
    steps = np.diff(z) * (values[1:] + values[:-1]) / 2
    return np.append(np.cumsum(steps[::-1])[::-1], 0.0)
