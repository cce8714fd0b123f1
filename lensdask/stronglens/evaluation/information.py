"""How much an image tells of the substructure of its lens, whatever reads it: the smooth lens has to be fitted as well.

Two numbers of each lens: the signal-to-noise ratio of its substructure, and the Cramér–Rao bound on the axion mass
from its vortex. Both have all five numbers of the smooth lens and its shear, and all seven of the source, free.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lensdask.arrays import in_batches
from lensdask.errors import InputError
from lensdask.stronglens.evaluation.derivatives import image_derivatives, significance
from lensdask.stronglens.simulation.checks import check_lenses
from lensdask.stronglens.simulation.deflectors import Line
from lensdask.stronglens.simulation.drawing import draw_class
from lensdask.stronglens.simulation.imaging import lensed_images, noise_variance
from lensdask.stronglens.simulation.masses import vortex_half_length
from lensdask.stronglens.simulation.presets import (
    CLASSES,
    Preset,
    Signal,
    Survey,
    find_preset,
    find_signal,
    find_survey,
)

__all__ = ["mass_bounds", "substructure_snr"]

Float64 = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

_BATCH = 8
"""Lenses whose derivatives are held at once, 0.4 MB each; always as many, so that a lens has the same bits in any."""


def substructure_snr(
    preset: str | Preset,
    survey: str | Survey,
    signal: str | Signal,
    name: str,
    ids: Ids,
    seed: int,
    *,
    size: int = 64,
) -> Float64:
    """Return the signal-to-noise ratio of the substructure of lenses, after the smooth lens was fitted to it.

    The signal is the image with substructure less the one without, projected off the derivatives of the latter with
    respect to the 12 numbers of smooth lens, shear and source: a linear fit. The noise is that of the survey, Poisson
    of the image with substructure, sky and reading.

    Parameters
    ----------
    preset, survey, signal
        Lenses, camera and substructure, by name or as they are.
    name
        Class: "cdm" or "vortex".
    ids
        Of the lenses, as in a simulated store, shape (lens,).
    seed
        Of the simulation.
    size
        Pixels on a side.

    Returns
    -------
    ndarray
        Shape (lens,).

    Raises
    ------
    InputError
        A name is unknown, the lenses cannot be simulated, or their images have no derivatives.
    """
    if name not in CLASSES[1:]:
        raise InputError(f"name: {name!r}; expected {' or '.join(CLASSES[1:])}")
    settings = _found(preset, survey, signal, size)

    def ratios(some: Ids) -> Float64:
        perturbed, smooth = (draw_class(some, each, *settings, 0.0, seed).lenses for each in (name, CLASSES[0]))
        images = lensed_images(perturbed, settings[2], size, np.zeros(1))
        without, slopes = image_derivatives(smooth, settings[2], size, ("macro", "source"))
        return significance(images - without, slopes, noise_variance(images, settings[2]))

    return np.asarray(in_batches(ratios, (ids,), _BATCH))


def mass_bounds(
    preset: str | Preset, survey: str | Survey, signal: str | Signal, ids: Ids, seed: int, *, size: int = 64
) -> Float64:
    """Return the Cramér–Rao bound on the axion mass of lenses with a vortex: no unbiased estimate has less scatter.

    Free beside the length of the vortex are its mass and angle, and the 12 numbers of smooth lens, shear and source;
    images have the noise of the survey. The bound knows no prior, and may exceed that of the masses. A line that is
    longer than the lens is wide has one mass on the length that is seen, whatever its ends; a hundred points in its
    place tell its length by their distances.

    Parameters
    ----------
    preset, survey, signal, ids, seed, size
        As for `substructure_snr`.

    Returns
    -------
    ndarray
        Standard deviation of log10 m, dex, shape (lens,).

    Raises
    ------
    InputError
        As for `substructure_snr`.
    """
    lenses_of, substructure, camera = _found(preset, survey, signal, size)
    settings, points = (lenses_of, replace(substructure, vortex="line"), camera), substructure.vortex == "points"

    def bounds(some: Ids) -> Float64:
        drawn = draw_class(some, "vortex", *settings, 0.0, seed)
        lenses, half_length = drawn.lenses, vortex_half_length(drawn.log10_mass)
        images, slopes = image_derivatives(lenses, camera, size, ("line", "macro", "source"), points=points)
        length = Line._fields.index("half_length")
        # d/d log10 m = -ln 10 · l d/dl, since l is proportional to 1 / m; the sign is of no interest.
        change = math.log(10) * half_length[:, None, None] * slopes[:, length]
        return 1 / significance(change, np.delete(slopes, length, axis=1), noise_variance(images, camera))

    return np.asarray(in_batches(bounds, (ids,), _BATCH))


def _found(
    preset: str | Preset, survey: str | Survey, signal: str | Signal, size: int
) -> tuple[Preset, Signal, Survey]:
    """Return what names stand for, once it is known that it can be simulated."""
    found = find_preset(preset), find_signal(signal), find_survey(survey)
    check_lenses(*found, size)
    return found
