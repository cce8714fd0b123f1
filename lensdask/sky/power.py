"""Power of the convergence for sources at known redshifts: shipped tables, and the theory that made them.

In the Limber approximation the waves along the line of sight average out, and convergence is the projected matter
weighted by how well it lenses::

    C(ℓ) = ∫ dχ W(χ)² P((ℓ + ½) / χ, z(χ))        W(χ) = ρ̄ ⟨1 / Σc⟩ (1 + z)² / χ

with the comoving distance χ, the comoving mean density ρ̄ and the non-linear matter power P of halofit (Takahashi et
al. 2012). Baryons in galaxies and gas are not in it.
"""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.sky.cosmology import (
    MASSIVENUS,
    Cosmology,
    comoving_distance,
    matter_density,
)
from lensdask.sky.sources import Source, find_source, lensing_strength

__all__ = ["MULTIPOLES", "ConvergencePower", "compute_convergence_power", "convergence_power", "pyccl_cosmology"]

Float64 = npt.NDArray[np.float64]

MULTIPOLES = np.geomspace(1.0, 1e5, 101)
"""The ℓ of the tables: 20 per decade, to beyond the waves of pixels of 0.2 arcmin."""

_REDSHIFT_STEPS = 400


@dataclass(frozen=True, eq=False)
class ConvergencePower:
    """The power C(ℓ) of a convergence field."""

    ell: Float64 = field(repr=False)
    """Multipoles in rad⁻¹, increasing, shape (ell,)."""
    power: Float64 = field(repr=False)
    """C(ℓ) in steradian, positive, shape (ell,)."""

    def at(self, ell: npt.ArrayLike) -> Float64:
        """Return the power at any ℓ: a power law between the points and beyond them, and 0 at ℓ = 0."""
        wanted = np.asarray(ell, dtype=np.float64)
        log_ell, log_power = np.log(self.ell), np.log(self.power)
        x = np.log(np.where(wanted > 0, wanted, 1.0))
        left = np.clip(np.searchsorted(log_ell, x) - 1, 0, len(log_ell) - 2)
        slope = np.diff(log_power) / np.diff(log_ell)
        return np.where(wanted > 0, np.exp(log_power[left] + slope[left] * (x - log_ell[left])), 0.0)

    def smoothed(self, sigma: float) -> "ConvergencePower":
        """Return the power of the field smoothed by a Gaussian of standard deviation sigma arcmin."""
        # Beyond 20 standard deviations the power would be no number that has a logarithm.
        exponent = np.minimum((self.ell * sigma * ARCMIN) ** 2, 400.0)
        return ConvergencePower(self.ell, self.power * np.exp(-exponent))


@lru_cache(maxsize=16)
def convergence_power(name: str) -> ConvergencePower:
    """Return the shipped power for a distribution of sources, in the fiducial cosmology of MassiveNuS.

    Parameters
    ----------
    name
        One of `lensdask.sky.sources.SOURCES`. How a table was made is written in it.

    Raises
    ------
    InputError
        There is no such table.
    """
    find_source(name)
    table = json.loads(resources.files("lensdask.sky").joinpath("tables", f"power_{name}.json").read_text())
    return ConvergencePower(np.array(table["ell"]), np.array(table["power"]))


def compute_convergence_power(
    redshift: npt.ArrayLike, n_of_z: npt.ArrayLike, cosmology: Cosmology = MASSIVENUS
) -> ConvergencePower:
    """Return the power for any distribution of sources and any flat ΛCDM cosmology; needs the extra ``theory``.

    Parameters
    ----------
    redshift
        Redshifts of the sources, evenly spaced bins or a single plane, shape (bin,), above 0.
    n_of_z
        Number of galaxies in each bin, in any unit, shape (bin,).
    cosmology
        Its linear power comes from CAMB, through pyccl.

    Returns
    -------
    ConvergencePower
        At `MULTIPOLES`.

    Raises
    ------
    InputError
        The distribution is not one, or pyccl is not installed.
    """
    source = _checked_source(redshift, n_of_z)
    matter = pyccl_cosmology(cosmology)
    edges = np.linspace(0.0, source.redshift.max(), _REDSHIFT_STEPS + 1)
    z = (edges[1:] + edges[:-1]) / 2
    chi, step = comoving_distance(z, cosmology), np.diff(comoving_distance(edges, cosmology))
    weight = matter_density(cosmology) * lensing_strength(z, source, cosmology) * (1 + z) ** 2 / chi
    power = np.zeros(len(MULTIPOLES))
    for at, distance, contribution in zip(z, chi, weight**2 * step, strict=True):
        power += contribution * matter.nonlin_matter_power((MULTIPOLES + 0.5) / distance, 1 / (1 + at))
    return ConvergencePower(MULTIPOLES, power)


def _checked_source(redshift: npt.ArrayLike, n_of_z: npt.ArrayLike) -> Source:
    z, number = np.atleast_1d(redshift).astype(np.float64), np.atleast_1d(n_of_z).astype(np.float64)
    if z.ndim != 1 or z.shape != number.shape:
        raise InputError(f"n_of_z: shape {number.shape} for redshifts {z.shape}; expected two arrays (bin,)")
    if not (z.min() > 0 and np.isfinite(z).all() and (np.diff(z) > 0).all()):
        raise InputError("redshift: expected finite redshifts above 0 that increase")
    if not (np.isfinite(number).all() and number.min() >= 0 and number.sum() > 0):
        raise InputError("n_of_z: expected numbers zero or more, and not all zero")
    return Source(z, number / number.sum())


def pyccl_cosmology(cosmology: Cosmology) -> Any:
    """Return a cosmology as pyccl's, with CAMB's linear power and halofit; massless neutrinos.

    Raises
    ------
    InputError
        pyccl is not installed.
    """
    try:
        import pyccl
    except ImportError as error:
        raise InputError("pyccl is not installed; expected it for theory: pip install 'lensdask[theory]'") from error
    return pyccl.Cosmology(
        Omega_c=cosmology.omega_m - cosmology.omega_b,
        Omega_b=cosmology.omega_b,
        h=cosmology.h,
        sigma8=cosmology.sigma8,
        n_s=cosmology.n_s,
        w0=cosmology.w,
        transfer_function="boltzmann_camb",
        matter_power_spectrum="halofit",
    )
