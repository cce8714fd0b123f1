"""Shells of matter around the observer, and the power that their sum and the theory give.

The contrast of a shell is the mean of δ along χ. In Limber's approximation shells are independent and have the power ::

    C_s(ℓ) = 1 / Δχ² ∫ P((ℓ + ½) / χ, z(χ)) / χ² dχ        over the shell

A map is the sum of the shells with the weights q = ∫ W dχ, and its power, or that of two maps, is Σ q q' C_s. This
steps where the kernels are smooth; with 48 shells it is the integral ∫ W W' P / χ² dχ to better than 1 %.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lensdask.sky.cosmology import Cosmology, comoving_distance
from lensdask.sky.power import ConvergencePower
from lensdask.sky.tomography.kernels import field_kernels
from lensdask.sky.tomography.matter import matter_power
from lensdask.sky.tomography.redshifts import REDSHIFTS, RedshiftBins

__all__ = ["SHELLS", "SHELL_MULTIPOLES", "Shells", "limber_spectra", "matter_shells", "shell_spectra"]

Float64 = npt.NDArray[np.float64]

SHELLS = 48
"""How many shells there are to redshift 1.75. With 40 of them κ1 × δ3 is 1.2 % off, with 25 some are by 3 %."""

SHELL_MULTIPOLES = np.geomspace(10.0, 5000.0, 100)
"""The ℓ at which the power of shells is known; a power law between and beyond."""

_STRETCH = 0.3
"""How much thinner the first shell is than the mean one: the nearest bins are the narrowest."""

_NODES = 8
"""Points of the Gauss-Legendre integral over a shell."""


@dataclass(frozen=True, eq=False)
class Shells:
    """The shells of one cosmology."""

    cosmology: Cosmology
    """Whose they are."""
    edges: Float64 = field(repr=False)
    """Comoving distances of their ends, Mpc, shape (shell + 1,)."""
    redshift: Float64 = field(repr=False)
    """Redshifts of the points at which integrals over a shell are taken, shape (shell, node)."""
    chi: Float64 = field(repr=False)
    """Their comoving distances, Mpc, shape (shell, node)."""
    step: Float64 = field(repr=False)
    """The weights of the points, which sum to the thickness of a shell, Mpc, shape (shell, node)."""
    power: tuple[ConvergencePower, ...] = field(repr=False)
    """Power of the density contrast of each shell."""

    def weights(self, bins: RedshiftBins) -> Float64:
        """Return the weight of each shell in each map, q = ∫ W dχ, shape (field, bin, shell)."""
        kernels = field_kernels(self.redshift.ravel(), bins, self.cosmology)
        return np.asarray((kernels.reshape(*kernels.shape[:2], *self.step.shape) * self.step).sum(axis=-1))


@lru_cache(maxsize=4)
def matter_shells(cosmology: Cosmology, count: int = SHELLS) -> Shells:
    """Return shells from the observer to redshift 1.75, the nearest thinner than the mean, the farthest thicker.

    Parameters
    ----------
    cosmology
        As for `lensdask.sky.tomography.matter.matter_power`.
    count
        Number of shells.

    Raises
    ------
    InputError
        The matter power is not known.
    """
    fine = np.linspace(0.0, REDSHIFTS[-1], 2001)
    distance = comoving_distance(fine, cosmology)
    u = np.linspace(0.0, 1.0, count + 1)
    edges = distance[-1] * u * (1 - _STRETCH + _STRETCH * u)
    x, w = np.polynomial.legendre.leggauss(_NODES)
    thickness = np.diff(edges)[:, None]
    chi = edges[:-1, None] + thickness * (x + 1) / 2
    step = thickness * w / 2
    redshift = np.interp(chi, distance, fine)
    power = _integrand(chi, redshift, cosmology, SHELL_MULTIPOLES) * step[..., None]
    shell_power = power.sum(axis=1) / thickness**2
    return Shells(
        cosmology, edges, redshift, chi, step, tuple(ConvergencePower(SHELL_MULTIPOLES, one) for one in shell_power)
    )


def _integrand(chi: Float64, redshift: Float64, cosmology: Cosmology, ell: Float64) -> Float64:
    """Return P((ℓ + ½) / χ, z) / χ², shape (..., ell)."""
    matter = matter_power(cosmology).at((ell + 0.5) / chi[..., None], redshift[..., None])
    return np.asarray(matter / chi[..., None] ** 2)


def shell_spectra(ell: npt.ArrayLike, bins: RedshiftBins, cosmology: Cosmology) -> Float64:
    """Return all auto and cross spectra of the maps that are sums of shells.

    Parameters
    ----------
    ell
        Multipoles, shape (ell,).
    bins
        The galaxies.
    cosmology
        As for `lensdask.sky.tomography.matter.matter_power`.

    Returns
    -------
    ndarray
        In steradian, shape (map, map, ell); the maps are the fields, of each field the bins.
    """
    shells = matter_shells(cosmology)
    weights = shells.weights(bins).reshape(-1, SHELLS)
    power = np.stack([one.at(ell) for one in shells.power])
    return np.asarray(np.einsum("as,bs,sl->abl", weights, weights, power))


def limber_spectra(ell: npt.ArrayLike, bins: RedshiftBins, cosmology: Cosmology) -> Float64:
    """Return all auto and cross spectra in Limber's approximation, not in steps.

    Parameters
    ----------
    ell, bins, cosmology
        As for `shell_spectra`.

    Returns
    -------
    ndarray
        As of `shell_spectra`.
    """
    shells = matter_shells(cosmology, 4 * SHELLS)
    kernels = field_kernels(shells.redshift.ravel(), bins, cosmology)
    kernels = kernels.reshape(-1, kernels.shape[-1])
    power = _integrand(shells.chi.ravel(), shells.redshift.ravel(), cosmology, np.asarray(ell, dtype=np.float64))
    step = shells.step.ravel()
    return np.asarray(np.einsum("ac,bc,cl,c->abl", kernels, kernels, power, step, optimize=True))
