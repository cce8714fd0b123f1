"""The haloes between us and the sources: how many there are, where, and what their lensing adds to the power.

Haloes are Poisson points: uniform on the sky, their numbers in mass and redshift those of the mass function of Tinker
et al. (2008) for M200m (a shipped table), their concentrations the mean relation of Duffy et al. (2008), without its
scatter. They do not cluster, with each other or with the diffuse field between them; what that would add to the power
is given to the diffuse field (see `diffuse_power`).
"""

import json
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.random import Stream, generator
from lensdask.sky.cosmology import MASSIVENUS, SPEED_OF_LIGHT, angular_diameter_distance, comoving_distance, expansion
from lensdask.sky.nfw import Halo, nfw_transform, scale_angle
from lensdask.sky.power import MULTIPOLES, ConvergencePower, convergence_power
from lensdask.sky.sources import find_source, lensing_strength

__all__ = [
    "Points",
    "Population",
    "concentration",
    "diffuse_power",
    "draw_haloes",
    "halo_density",
    "halo_population",
    "one_halo_power",
]

Float64 = npt.NDArray[np.float64]

_REDSHIFT_STEP = 0.04
_MASS_STEP = 0.05
"""In log10 of the mass."""
_NEAREST = 0.02
"""Redshift in front of which there are no haloes; a field of 12 deg² holds 0.015 clusters above 1e14 Msun there."""
_HEAVIEST = 15.8


class Population(NamedTuple):
    """The haloes in front of the sources, in cells of redshift and log10 of the mass."""

    redshift: Float64
    """Middle of each cell, shape (cell,)."""
    redshift_step: Float64
    """Width of each cell."""
    log_mass: Float64
    """Middle of each cell, log10 of M200m in Msun."""
    log_mass_step: Float64
    """Width of each cell."""
    number: Float64
    """Expected haloes in each cell per steradian."""
    convergence: Float64
    """Integral of the convergence of one halo of the cell over the sky, in steradian."""


@lru_cache(maxsize=1)
def _mass_function() -> tuple[Float64, Float64, Float64]:
    table = json.loads(resources.files("lensdask.sky").joinpath("tables", "mass_function.json").read_text())
    return np.array(table["redshift"]), np.array(table["log10_mass"]), np.array(table["log10_density"])


def halo_density(mass: npt.ArrayLike, redshift: npt.ArrayLike) -> Float64:
    """Return the mass function dn / dlog10 M of Tinker et al. (2008) in the fiducial cosmology of MassiveNuS.

    Parameters
    ----------
    mass
        M200m, Msun, 1e11 to 1e16; it broadcasts with the redshift.
    redshift
        0 to 4.

    Returns
    -------
    ndarray
        Haloes per comoving Mpc³ and decade of mass, from a shipped table.
    """
    z_grid, m_grid, log_density = _mass_function()
    z, m = np.broadcast_arrays(np.asarray(redshift, np.float64), np.log10(np.asarray(mass, np.float64)))
    z_place = np.clip(np.interp(z, z_grid, np.arange(len(z_grid))), 0, len(z_grid) - 1 - 1e-9)
    m_place = np.clip(np.interp(m, m_grid, np.arange(len(m_grid))), 0, len(m_grid) - 1 - 1e-9)
    i, j = z_place.astype(int), m_place.astype(int)
    u, v = z_place - i, m_place - j
    low = (1 - v) * log_density[i, j] + v * log_density[i, j + 1]
    high = (1 - v) * log_density[i + 1, j] + v * log_density[i + 1, j + 1]
    return np.asarray(10.0 ** ((1 - u) * low + u * high), dtype=np.float64)


def concentration(mass: npt.ArrayLike, redshift: npt.ArrayLike) -> Float64:
    """Return the mean concentration of haloes of M200m Msun, relaxed or not: Duffy et al. (2008), table 1."""
    pivot = 2e12 / MASSIVENUS.h
    m, z = np.asarray(mass, dtype=np.float64), np.asarray(redshift, dtype=np.float64)
    return np.asarray(10.14 * (m / pivot) ** -0.081 * (1 + z) ** -1.01, dtype=np.float64)


@lru_cache(maxsize=16)
def halo_population(source: str, minimum_mass: float) -> Population:
    """Return the haloes in front of the sources.

    Parameters
    ----------
    source
        One of `lensdask.sky.sources.SOURCES`.
    minimum_mass
        Least M200m, Msun, 1e11 to 1e15.

    Raises
    ------
    InputError
        The source is unknown or the mass is not in its range.
    """
    if not 1e11 <= minimum_mass <= 1e15:
        raise InputError(f"minimum_mass: {minimum_mass:g} Msun; expected 1e11 to 1e15")
    sources = find_source(source)
    z_edges = _edges(_NEAREST, float(sources.redshift.max()), _REDSHIFT_STEP)
    m_edges = _edges(float(np.log10(minimum_mass)), _HEAVIEST, _MASS_STEP)
    z, log_m = ((edges[1:] + edges[:-1])[:, None] / 2 for edges in (z_edges, m_edges))
    dz, dm = (np.diff(edges)[:, None] for edges in (z_edges, m_edges))
    # Comoving volume per steradian: χ² c dz / H.
    hubble = 100 * MASSIVENUS.h * expansion(z)
    volume = comoving_distance(z) ** 2 * SPEED_OF_LIGHT / hubble * dz
    number = volume * halo_density(10.0**log_m.T, z) * dm.T
    strength = lensing_strength(z[:, 0], sources)[:, None] / angular_diameter_distance(z) ** 2
    columns = (z, dz, log_m.T, dm.T, number, 10.0**log_m.T * strength)
    return Population(*(np.broadcast_to(column, number.shape).ravel() for column in columns))


def _edges(start: float, stop: float, step: float) -> Float64:
    """Return evenly spaced edges, not more than a step apart."""
    return np.linspace(start, stop, int(np.ceil((stop - start) / step)) + 1)


def one_halo_power(cells: Population) -> ConvergencePower:
    """Return the power of the haloes alone, Σ n κ(ℓ)² over the cells, for Poisson points exact."""
    mass = 10.0**cells.log_mass
    c = concentration(mass, cells.redshift)
    angle = scale_angle(Halo(mass, c, cells.redshift)) * ARCMIN
    weight = cells.number * cells.convergence**2
    power = [weight @ nfw_transform(ell * angle, c) ** 2 for ell in MULTIPOLES]
    return ConvergencePower(MULTIPOLES, np.array(power))


@lru_cache(maxsize=16)
def diffuse_power(source: str, minimum_mass: float) -> ConvergencePower:
    """Return the power that the field between the haloes must have, so that both together have that of theory.

    Where the haloes alone have more than theory, which can be on the smallest scales, a thousandth of the theory is
    left: the total is then too high there.
    """
    theory = convergence_power(source).at(MULTIPOLES)
    rest = theory - one_halo_power(halo_population(source, minimum_mass)).power
    return ConvergencePower(MULTIPOLES, np.maximum(rest, 1e-3 * theory))


class Points(NamedTuple):
    """Haloes drawn on a square of sky."""

    mass: Float64
    """M200m, Msun, shape (halo,)."""
    redshift: Float64
    """Shape (halo,)."""
    x: Float64
    """Position from 0 to 1, in sides of the square."""
    y: Float64
    """Likewise."""


def draw_haloes(object_id: int, population: Population, side: float, seed: int) -> Points:
    """Return the haloes of one field, Poisson in number.

    Parameters
    ----------
    object_id
        Id of the field.
    population
        Their mass function.
    side
        Side of the square of sky, rad.
    seed
        Seed of the run.
    """
    random = generator(seed, Stream.HALO, object_id)
    expected = np.cumsum(population.number) * side**2
    cell_place, m, z, x, y = random.random((5, random.poisson(expected[-1])))
    cell = np.searchsorted(expected, cell_place * expected[-1], side="right")
    log_mass = population.log_mass[cell] + (m - 0.5) * population.log_mass_step[cell]
    redshift = population.redshift[cell] + (z - 0.5) * population.redshift_step[cell]
    return Points(10.0**log_mass, redshift, x, y)
