"""How displacements and momenta of particles grow with the scale factor a, to first and second order.

Comoving positions x move with the momentum p = a² dx/dt, in units of the Hubble constant today. To first order in the
displacement, x = q + D(a) ψ₁ and p = F(a) ψ₁; to second order x has D₂ ψ₂ and p has F₂ ψ₂ beside::

    F = a³ E dD/da = a² E D dlnD/dlna         dF/da = 3/2 Ω_m D / (a² E)

with the expansion E = H / H0. The equation on the right is that of linear growth; it makes the steps of FastPM (Feng et
al. 2016) exact for small fluctuations, however long the steps are.
"""

from typing import NamedTuple

import numpy as np

from lensdask.errors import InputError
from lensdask.sky.cosmology import Cosmology, expansion, growth

__all__ = ["GrowthFactors", "growth_factors"]

_EARLY = 1e-4
"""A scale factor so small that there is only matter, and D is proportional to a."""


class GrowthFactors(NamedTuple):
    """Factors at one scale factor."""

    displacement: float
    """D, 1 today."""
    momentum: float
    """F."""
    second_displacement: float
    """D₂, negative."""
    second_momentum: float
    """F₂."""


def growth_factors(scale_factor: float, cosmology: Cosmology) -> GrowthFactors:
    """Return the factors of displacements and momenta.

    D is that of `lensdask.sky.cosmology.growth`. The second order is the fit of Bouchet et al. 1995 for flat ΛCDM,
    D₂ = -3/7 D² Ω_m(a)^(-1/143) and dlnD₂/dlna = 2 Ω_m(a)^(6/11), good to 1e-3 at the redshifts where it is used.

    Parameters
    ----------
    scale_factor
        a = 1 / (1 + z), above 0.
    cosmology
        Flat ΛCDM.

    Raises
    ------
    InputError
        Its dark energy is another.
    """
    if cosmology.w != -1:
        raise InputError(f"w: {cosmology.w}; expected -1 for particles, whose second order is known for Λ alone")
    z, early = 1 / scale_factor - 1, 1 / _EARLY - 1
    rate_of_expansion = float(expansion(z, cosmology))
    matter = cosmology.omega_m / (scale_factor**3 * rate_of_expansion**2)
    linear = float(growth(z, cosmology))
    # Heath's integral D ∝ E ∫ da / (a E)³, differentiated; its factor is that of early times.
    factor = 2.5 * cosmology.omega_m * float(growth(early, cosmology)) / _EARLY
    rate = -1.5 * matter + factor / (scale_factor * rate_of_expansion) ** 2 / linear
    second = -3 / 7 * linear**2 * matter ** (-1 / 143)
    speed = scale_factor**2 * rate_of_expansion
    second_rate = 2 * matter ** (6 / 11)
    return GrowthFactors(linear, speed * linear * rate, second, float(np.asarray(speed * second * second_rate)))
