"""Lenses that cannot be simulated, told before a run begins."""

import numpy as np

from lensdask.errors import InputError
from lensdask.stats.poisson import HIGHEST
from lensdask.stronglens.simulation.lenses import area_of, mean_number, missing_area
from lensdask.stronglens.simulation.masses import vortex_half_length
from lensdask.stronglens.simulation.presets import Preset, Signal, Survey
from lensdask.stronglens.simulation.sources import Source, central_brightness

__all__ = ["check_lenses"]

_MOST_SUBHALOES = 10_000
"""Of a lens, on average: each costs some microseconds for each image."""


def check_lenses(preset: Preset, signal: Signal, survey: Survey, size: int) -> None:
    """Refuse lenses that lie outside of their images, weigh less than their substructure, or shine too brightly.

    Raises
    ------
    InputError
        One of them, in a line.
    """
    half = size * survey.pixel_scale / 2
    if preset.source_offset >= half:
        raise InputError(
            f"source_offset: {preset.source_offset:g} arcsec, outside of images of {size} pixels; expected less than "
            f"{half:g} arcsec"
        )
    _check_masses(preset, signal)
    _check_brightness(preset, survey)


def _check_masses(preset: Preset, signal: Signal) -> None:
    theta = preset.deflection_scale * np.array(preset.theta_e)
    number = float(mean_number(theta, signal, preset).max())
    if number > _MOST_SUBHALOES:
        raise InputError(
            f"subhaloes: {number:.0f} in a lens; expected at most {_MOST_SUBHALOES}, with a smaller fraction or larger "
            "masses"
        )
    vortex = float(area_of(signal.vortex_mass, preset)) * np.clip(theta / vortex_half_length(-22.0), None, 1.0)
    heaviest = np.maximum(missing_area(theta, signal, preset), vortex)
    if signal.compensated and (heaviest >= theta**2).any():
        raise InputError("compensated: substructure is heavier than the lens; expected less mass than that of the lens")


def _check_brightness(preset: Preset, survey: Survey) -> None:
    """Refuse more electrons in a pixel than there are Poisson numbers of: lensing makes no surface brighter."""
    ends = survey.electrons(preset.source_magnitude[0]), preset.source_radius[0], preset.source_index[1]
    flux, radius, index = (np.array([end]) for end in ends)
    centre = float(central_brightness(Source(flux, flux, flux, radius, index, flux, flux))[0])
    most = survey.seconds * survey.pixel_scale**2 * (centre + survey.electrons(survey.sky))
    if most >= HIGHEST:
        raise InputError(
            f"source_magnitude: {preset.source_magnitude[0]:g}, {most:.3g} electrons in a pixel of {survey.name}; "
            f"expected a source fainter than {HIGHEST} electrons, or larger"
        )
