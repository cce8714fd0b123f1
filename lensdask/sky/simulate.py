"""Simulated skies: convergence and reduced shear of a field, with the haloes in it where there are any.

The sky is made on a periodic area larger than the field. Its shear is exact there, and mass outside of the field
shears the field as it does on the sky; then the field is cut out.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, like, namespace
from lensdask.conventions import ARCMIN
from lensdask.errors import check_choice, check_number
from lensdask.sky.cosmology import angular_diameter_distance
from lensdask.sky.haloes import Points, diffuse_power, draw_haloes, halo_population
from lensdask.sky.lensing import reduced_shear, shear_of_convergence
from lensdask.sky.lognormal import (
    check_field,
    check_shift,
    empty_convergence,
    least_shift,
    lognormal_maps,
    padded_size,
    smooth_periodic,
)
from lensdask.sky.painting import paint_haloes
from lensdask.sky.power import convergence_power
from lensdask.sky.sources import find_source, lensing_strength

__all__ = ["Generator", "Haloes", "Sky", "SkyConfig", "check_sky", "halo_slots", "simulate_sky"]

Float64 = npt.NDArray[np.float64]

Generator = Literal["lognormal", "halo"]
"""What makes the convergence."""

_FLATTEST = 0.25
"""Least part of the shift that the field between haloes has: it cannot be flat, however much mass they hold."""


@dataclass(frozen=True)
class SkyConfig:
    """Which sky is simulated; the defaults are the grid and the resolution of the MassiveNuS maps (Liu et al. 2018)."""

    generator: Generator = "lognormal"
    """A "lognormal" field is quick and has the right power and one-point statistics, but no haloes; "halo" is haloes of
    known mass and redshift in a diffuse lognormal field."""
    source: str = "zs1.0"
    """Redshifts of the sources, one of `lensdask.sky.sources.SOURCES`."""
    size: int = 512
    """Pixels on each side of a field."""
    pixel_scale: float = 0.41015625
    """Arcmin per pixel; 512 of the default are 3.5 degrees."""
    padding: float = 2.0
    """Side of the periodic area over that of the field."""
    resolution: float = 0.45
    """Standard deviation, in arcmin, of the Gaussian that smooths the convergence, as the finite number of particles
    and pixels does in a simulation. 0 for none."""
    shift: float | None = None
    """Minus the least convergence there can be before smoothing; by default that of the sources. Much less is
    refused, since no field of their power can have it."""
    minimum_mass: float = 1e13
    """Least M200m of the haloes, Msun; lighter ones are part of the diffuse field."""
    catalogue_mass: float = 3e13
    """Least M200m of the haloes that are listed, Msun."""

    def __post_init__(self) -> None:
        """Refuse what can be refused without a look at the power of the sky, at which `check_sky` looks."""
        check_choice("generator", self.generator, get_args(Generator))
        find_source(self.source)
        check_field(self.size, self.pixel_scale, self.padding, self.resolution)
        if self.shift is not None:
            check_number("shift", self.shift, above=0)
        check_number("minimum_mass", self.minimum_mass, least=1e11, most=1e15, meaning="Msun")
        if self.generator == "halo":
            check_number("catalogue_mass", self.catalogue_mass, least=self.minimum_mass, most=1e15, meaning="Msun")


class Haloes(NamedTuple):
    """The haloes in the fields, the most massive first; rows are filled up with NaN. Float64, shape (field, halo)."""

    mass: Float64
    """M200m, Msun."""
    redshift: Float64
    """Redshift."""
    x: Float64
    """Arcmin from the centre of the field, to the right."""
    y: Float64
    """Arcmin from the centre of the field, upwards."""


class Sky(NamedTuple):
    """Fields of sky. Maps are float32, shape (field, y, x), NumPy's on the CPU and torch's on "cuda"."""

    kappa: Array
    """Convergence."""
    g1: Array
    """Reduced shear along x and y."""
    g2: Array
    """Reduced shear along the diagonals."""
    haloes: Haloes | None
    """The haloes in the fields, of the generator that has them."""


def simulate_sky(ids: npt.ArrayLike, config: SkyConfig, seed: int, device: str = "cpu") -> Sky:
    """Return the convergence of fields and its exact reduced shear.

    Parameters
    ----------
    ids
        Ids of the fields, 0 to 2^63, shape (field,), at least one. A field depends on its id and the seed alone.
    config
        Which sky.
    seed
        Seed of the run.
    device
        "cpu" or "cuda".

    Raises
    ------
    InputError
        The configuration is not one.
    """
    check_sky(config)
    simulated = [_simulate_field(int(one), config, seed, device) for one in np.atleast_1d(ids)]
    xp = namespace(simulated[0][0])
    kappa, g1, g2 = (xp.stack([field[part] for field in simulated]) for part in range(3))
    if config.generator == "lognormal":
        return Sky(kappa, g1, g2, None)
    return Sky(
        kappa, g1, g2, Haloes(*(np.stack(rows) for rows in zip(*(field[3] for field in simulated), strict=True)))
    )


def check_sky(config: SkyConfig) -> None:
    """Refuse a sky that cannot be made, before anything is: takes a Fourier transform of the padded area.

    Raises
    ------
    InputError
        No lognormal field has the shift and the power of this sky.
    """
    check_shift(_shift(config), _least_shift(config))


def _shift(config: SkyConfig) -> float:
    return empty_convergence(find_source(config.source)) if config.shift is None else config.shift


def _least_shift(config: SkyConfig) -> float:
    """Return the shift that is too small by a hair."""
    area, scale = padded_size(config.size, config.padding), config.pixel_scale
    if config.generator == "lognormal":
        return least_shift(area=area, pixel_scale=scale, power=convergence_power(config.source))
    least = least_shift(area=area, pixel_scale=scale, power=diffuse_power(config.source, config.minimum_mass))
    return min(least + _mean_of_haloes(config), least / _FLATTEST)


def _mean_of_haloes(config: SkyConfig) -> float:
    """Return the mean convergence of the haloes, which a line of sight that meets none misses."""
    population = halo_population(config.source, config.minimum_mass)
    return float(population.number @ population.convergence)


def _simulate_field(
    one: int, config: SkyConfig, seed: int, device: str
) -> tuple[Array, Array, Array, tuple[Float64, ...] | None]:
    """Return convergence, reduced shear and listed haloes of one field."""
    if config.generator == "lognormal":
        kappa, haloes = _lognormal_area(one, config, seed, device), None
    else:
        kappa, haloes = _halo_area(one, config, seed, device)
    g1, g2 = reduced_shear(kappa, *shear_of_convergence(kappa))
    field = slice(0, config.size)
    return kappa[field, field], g1[field, field], g2[field, field], haloes


def _lognormal_area(one: int, config: SkyConfig, seed: int, device: str) -> Array:
    return lognormal_maps(
        [one],
        size=padded_size(config.size, config.padding),
        pixel_scale=config.pixel_scale,
        power=convergence_power(config.source),
        shift=_shift(config),
        seed=seed,
        padding=1.0,
        resolution=config.resolution,
        device=device,
    )[0]


def _halo_area(one: int, config: SkyConfig, seed: int, device: str) -> tuple[Array, tuple[Float64, ...]]:
    """Return haloes and the diffuse field between them, smoothed, and the listed haloes."""
    source = find_source(config.source)
    population = halo_population(config.source, config.minimum_mass)
    shift, mean = _shift(config), _mean_of_haloes(config)
    area = padded_size(config.size, config.padding)
    diffuse = lognormal_maps(
        [one],
        size=area,
        pixel_scale=config.pixel_scale,
        power=diffuse_power(config.source, config.minimum_mass),
        shift=max(shift - mean, _FLATTEST * shift),
        seed=seed,
        padding=1.0,
        device=device,
    )[0]
    points = draw_haloes(one, population, area * config.pixel_scale * ARCMIN, seed)
    strength = lensing_strength(points.redshift, source) / angular_diameter_distance(points.redshift) ** 2
    painted = paint_haloes(
        points, points.mass * strength / (config.pixel_scale * ARCMIN) ** 2, area, config.pixel_scale
    )
    kappa = smooth_periodic(diffuse + like(painted - mean, diffuse), config.pixel_scale, config.resolution)
    return kappa, _listed(points, area, config)


def _listed(points: Points, area: int, config: SkyConfig) -> tuple[Float64, ...]:
    """Return mass, redshift, x and y of the haloes in the field, as many as there are slots."""
    x, y = ((place * area - config.size / 2) * config.pixel_scale for place in (points.x, points.y))
    half = config.size * config.pixel_scale / 2
    inside = np.flatnonzero((points.mass >= config.catalogue_mass) & (np.abs(x) < half) & (np.abs(y) < half))
    slots = halo_slots(config)
    chosen = inside[np.argsort(-points.mass[inside], kind="stable")][:slots]
    rows = []
    for column in (points.mass, points.redshift, x, y):
        row = np.full(slots, np.nan)
        row[: len(chosen)] = column[chosen]
        rows.append(row)
    return tuple(rows)


def halo_slots(config: SkyConfig) -> int:
    """Return how many haloes a row of `Haloes` has room for: six standard deviations above the expected number.

    In the one field in 1e9 with more, the least massive are not listed.

    Raises
    ------
    InputError
        The configuration is not one.
    """
    check_sky(config)
    cells = halo_population(config.source, config.minimum_mass)
    solid_angle = (config.size * config.pixel_scale * ARCMIN) ** 2
    listed = cells.log_mass + cells.log_mass_step / 2 > math.log10(config.catalogue_mass)
    expected = float(cells.number[listed].sum()) * solid_angle
    return math.ceil(expected + 6 * math.sqrt(expected) + 6)
