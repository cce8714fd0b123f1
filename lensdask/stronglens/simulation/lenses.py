"""The lenses of a simulation: their numbers, drawn by their ids."""

from math import pi
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.arrays import namespace
from lensdask.random import Stream, words
from lensdask.stats.poisson import poisson_counts
from lensdask.stronglens.simulation.deflectors import Clumps, Line, Macro
from lensdask.stronglens.simulation.masses import (
    einstein_area,
    mean_mass,
    power_law_masses,
    truncation_radius,
    vortex_half_length,
)
from lensdask.stronglens.simulation.presets import Preset, Range, Signal, Survey
from lensdask.stronglens.simulation.sources import Source

__all__ = [
    "Lenses",
    "area_of",
    "as_points",
    "draw_lenses",
    "mean_number",
    "missing_area",
    "turned",
    "with_subhaloes",
    "with_vortex",
]

Float64 = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

_POINTS = 100
"""Points of a vortex that is no line."""
_LOG10_AXION = (-24.0, -22.0)
"""Decimal logarithm of the axion mass in eV."""


class Lenses(NamedTuple):
    """All that decides the images of some lenses before their noise."""

    macro: Macro
    """The smooth lens."""
    source: Source
    """The galaxy behind."""
    points: Clumps | None = None
    """Point masses."""
    haloes: Clumps | None = None
    """Pseudo-Jaffe subhaloes."""
    line: Line | None = None
    """A vortex as a line."""


def _uniform(ids: Ids, count: int, seed: int, stream: Stream) -> Float64:
    """Return numbers between 0 and 1, shape (lens, count); the first ones do not depend on how many there are."""
    number = -(-count // 4)
    # Four words of a counter lie as far apart as there are counters; here they follow each other.
    drawn = words(ids, 4 * number, seed, stream).reshape(len(ids), 4, number).swapaxes(1, 2)
    return np.asarray((drawn.reshape(len(ids), -1)[:, :count] + 0.5) * 2.0**-32, dtype=np.float64)


def draw_lenses(ids: Ids, preset: Preset, survey: Survey, seed: int) -> Lenses:
    """Return smooth lenses and sources.

    Parameters
    ----------
    ids
        Ids of the lenses, which all random numbers are keyed by.
    preset
        What they are drawn from.
    survey
        Its zero point makes magnitudes electrons.
    seed
        Seed of the run.

    Returns
    -------
    Lenses
        Without substructure, float64.
    """
    column = iter(_uniform(ids, 12, seed, Stream.LENS).T)

    def draw(ends: Range) -> Float64:
        return np.asarray(ends[0] + (ends[1] - ends[0]) * next(column))

    theta_e = preset.deflection_scale * draw(preset.theta_e)
    e1, e2 = _components(draw(preset.ellipticity), draw(preset.lens_angle))
    gamma1, gamma2 = _components(preset.deflection_scale * draw(preset.shear), draw(preset.shear_angle))
    x, y = draw((-1.0, 1.0)), draw((-1.0, 1.0))
    if preset.source_area == "disc":
        radius, angle = np.sqrt((x + 1) / 2), pi * y
        x, y = radius * np.cos(angle), radius * np.sin(angle)
    flux = 10 ** (-0.4 * (draw(preset.source_magnitude) - survey.zero_point))
    size, index = draw(preset.source_radius), draw(preset.source_index)
    source_e = _components(draw(preset.source_ellipticity), draw(preset.source_angle))
    place = preset.source_offset * x, preset.source_offset * y
    return Lenses(Macro(theta_e, e1, e2, gamma1, gamma2), Source(*place, flux, size, index, *source_e))


def _components(amplitude: Float64, degrees: Float64) -> tuple[Float64, Float64]:
    """Return the two components of an ellipticity or a shear along a direction."""
    twice = 2 * np.radians(degrees)
    return amplitude * np.cos(twice), amplitude * np.sin(twice)


def area_of(mass: npt.ArrayLike, preset: Preset) -> Float64:
    """Return masses as what they deflect, arcsec²."""
    return preset.deflection_scale * einstein_area(mass, preset.z_lens, preset.z_source, preset.distance)


def mean_number(theta_e: npt.ArrayLike, signal: Signal, preset: Preset) -> Float64:
    """Return the mean number of subhaloes.

    An isothermal lens has the mass θ_E R within R; that where the subhaloes are, times their fraction, over the mean
    mass of one.

    Parameters
    ----------
    theta_e
        Einstein radius of the lens with all its mass, arcsec.
    signal, preset
        What subhaloes are drawn from.
    """
    theta = np.asarray(theta_e, dtype=np.float64)
    if signal.number is not None:
        return np.full_like(theta, signal.number)
    one = area_of(mean_mass(signal.slope, signal.least_mass, signal.most_mass), preset)
    return np.asarray(signal.fraction * theta * (signal.outer_radius - signal.inner_radius) / one)


def missing_area(theta_e: npt.ArrayLike, signal: Signal, preset: Preset) -> Float64:
    """Return the mean mass of the subhaloes within the Einstein radius, arcsec²: what compensation takes away.

    Parameters
    ----------
    theta_e, signal, preset
        As for `mean_number`.
    """
    theta, power = np.asarray(theta_e, dtype=np.float64), 2 if signal.spread == "area" else 1
    inner, outer = signal.inner_radius**power, signal.outer_radius**power
    inside = np.clip((theta**power - inner) / (outer - inner), 0.0, 1.0)
    one = area_of(mean_mass(signal.slope, signal.least_mass, signal.most_mass), preset)
    return mean_number(theta, signal, preset) * inside * one


def with_subhaloes(lenses: Lenses, ids: Ids, signal: Signal, preset: Preset, seed: int) -> Lenses:
    """Return lenses with subhaloes.

    Parameters
    ----------
    lenses
        Smooth ones, of `draw_lenses`.
    ids, preset, seed
        As for `draw_lenses`.
    signal
        What subhaloes are drawn from.
    """
    theta = lenses.macro.theta_e
    mean = mean_number(theta, signal, preset)
    random = signal.number is None
    number = poisson_counts(mean[:, None], ids, seed, Stream.SUBHALO_NUMBER) if random else mean[:, None]
    most = max(int(number.max()), 1)
    mass, place, turn = np.moveaxis(_uniform(ids, 3 * most, seed, Stream.SUBHALO).reshape(len(ids), most, 3), 2, 0)
    area = area_of(power_law_masses(mass, signal.slope, signal.least_mass, signal.most_mass), preset)
    area = np.where(np.arange(most) < number, area, 0.0)
    power = 2 if signal.spread == "area" else 1
    inner, outer = signal.inner_radius**power, signal.outer_radius**power
    radius, angle = (inner + (outer - inner) * place) ** (1 / power), 2 * pi * turn
    # No subhalo, no size: but not 0, which it is divided by.
    truncation = np.where(area > 0, truncation_radius(area, theta[:, None]), 1.0)
    clumps = Clumps(radius * np.cos(angle), radius * np.sin(angle), area, truncation)
    if signal.compensated:
        lenses = _lighter(lenses, missing_area(theta, signal, preset))
    return lenses._replace(points=clumps) if signal.profile == "point" else lenses._replace(haloes=clumps)


def _lighter(lenses: Lenses, area: Float64) -> Lenses:
    """Return lenses whose smooth mass within the Einstein radius is less."""
    theta = np.sqrt(lenses.macro.theta_e**2 - area)
    return lenses._replace(macro=lenses.macro._replace(theta_e=theta))


def with_vortex(lenses: Lenses, ids: Ids, signal: Signal, preset: Preset, seed: int) -> tuple[Lenses, Float64, Float64]:
    """Return lenses with a vortex of ultralight axions through their centres; log10 of the axion masses; its angles.

    Parameters
    ----------
    lenses, ids, signal, preset, seed
        As for `with_subhaloes`.
    """
    mass, turn = _uniform(ids, 2, seed, Stream.SUBHALO).T
    log10_mass = _LOG10_AXION[0] + (_LOG10_AXION[1] - _LOG10_AXION[0]) * mass
    half, angle = vortex_half_length(log10_mass), 2 * pi * turn
    area = np.full(len(ids), area_of(signal.vortex_mass, preset))
    if signal.compensated:
        lenses = _lighter(lenses, area * np.clip(lenses.macro.theta_e / half, None, 1.0))
    vortex = Line(area, half, angle)
    if signal.vortex == "line":
        return lenses._replace(line=vortex), log10_mass, angle
    return lenses._replace(points=as_points(vortex)), log10_mass, angle


def as_points(vortex: Line, number: int = _POINTS) -> Clumps:
    """Return a line as points of equal mass, evenly from one end to the other.

    Parameters
    ----------
    vortex
        The line, arrays of any library.
    number
        How many.
    """
    xp = namespace(vortex.half_length)
    along = vortex.half_length[:, None] * xp.linspace(-1, 1, number, dtype=vortex.half_length.dtype)
    x, y = along * xp.cos(vortex.angle)[:, None], along * xp.sin(vortex.angle)[:, None]
    return Clumps(x, y, vortex.mass[:, None] / number + 0 * x, xp.ones_like(x))


def turned(lenses: Lenses, degrees: float) -> Lenses:
    """Return lenses turned counter-clockwise, with all that is in them and behind.

    Parameters
    ----------
    lenses
        Float64 arrays of NumPy.
    degrees
        The angle.
    """
    angle = float(np.radians(degrees))
    if angle == 0:
        return lenses
    macro, source = lenses.macro, lenses.source
    e1, e2 = _rotated(macro.e1, macro.e2, 2 * angle)
    gamma1, gamma2 = _rotated(macro.gamma1, macro.gamma2, 2 * angle)
    x, y = _rotated(source.x, source.y, angle)
    source_e1, source_e2 = _rotated(source.e1, source.e2, 2 * angle)
    return Lenses(
        macro._replace(e1=e1, e2=e2, gamma1=gamma1, gamma2=gamma2),
        source._replace(x=x, y=y, e1=source_e1, e2=source_e2),
        _clumps_turned(lenses.points, angle),
        _clumps_turned(lenses.haloes, angle),
        None if lenses.line is None else lenses.line._replace(angle=lenses.line.angle + angle),
    )


def _rotated(x: Float64, y: Float64, angle: float) -> tuple[Float64, Float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return cosine * x - sine * y, sine * x + cosine * y


def _clumps_turned(clumps: Clumps | None, angle: float) -> Clumps | None:
    if clumps is None:
        return None
    x, y = _rotated(clumps.x, clumps.y, angle)
    return clumps._replace(x=x, y=y)
