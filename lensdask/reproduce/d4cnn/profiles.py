"""Figures 3, 7 and 8: noiseless galaxies of one profile, turned and sheared, as the networks see them.

Rotation test (Figures 3 and 7). A galaxy of distortion e = 0.4 at position angle φ has ``e1 = A cos 2φ`` and
``e2 = A sin 2φ``. The symmetry D4 makes galaxies 90 degrees apart exactly opposite and mirrored ones exactly mirrored;
in between a network has to learn the angles. Without the symmetry the ellipticity may be shifted as a whole.

Shear test (Figure 8). A round galaxy under the shear g has an odd ellipticity ``e(g)`` if the estimator has the
symmetry, since -g is g turned by 90 degrees. Less its linear fit it is ``A g³ - B g`` to the next order. With shears
evenly spread over ±G the fit absorbs the linear part of the cubic, so that ``B = (3/5) A G²``: with A ≈ -0.3
and B of size 5e-4, as published, G is about 0.05, which we use. B comes out with the sign of A.
"""

from collections.abc import Sequence
from typing import Any

import galsim
import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.compute.devices import torch_settings
from lensdask.conventions import flux_from_magnitude
from lensdask.reproduce.d4cnn.networks import ABLATIONS, network
from lensdask.reproduce.d4cnn.published import CUBIC
from lensdask.reproduce.experiment import Job, Outcome
from lensdask.shear.imaging import imaging_of_observation
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.measurement import measure_stamps
from lensdask.shear.simulation.observation import Observation, draw_profiles

__all__ = ["ROTATED", "cubic_fit", "nonlinearity", "rotation_of_cnn", "rotation_of_d4cnn"]

Float64 = npt.NDArray[np.float64]

DISTORTION = 0.4
"""Distortion of the galaxy that is turned."""

LARGEST_SHEAR = 0.05
"""Shears of Figure 8 lie between minus and plus this."""

ROTATED = ("d4cnn-fpfs", "d4cnn")
"""Networks of Figure 3: one that learned ellipticities, as the paper's, and the best one, which learned none."""

ANGLES = {"tiny": 9, "small": 37, "paper": 37}
"""Position angles from -90 to +90 degrees, multiples of 4 and one, so that 0, ±45 and ±90 are among them."""

SHEARS = {"tiny": 9, "small": 41, "paper": 41}
"""Shears of Figure 8 for each component."""

_HALF_LIGHT, _MAGNITUDE = 0.5, 22.0
"""Half-light radius in arcsec and i magnitude of the galaxy, an exponential disc."""

# GalSim's defaults are good to 1e-3 of a pixel, and jump where the size of its transforms changes.
_ACCURATE = galsim.GSParams(folding_threshold=1e-4, maxk_threshold=1e-5, kvalue_accuracy=1e-7)


def _disc() -> galsim.GSObject:
    flux = flux_from_magnitude(_MAGNITUDE)
    return galsim.Exponential(half_light_radius=_HALF_LIGHT, flux=flux, gsparams=_ACCURATE)


def _ellipticities(profiles: Sequence[galsim.GSObject], estimator: str, device: str) -> Float64:
    """Return e1 and e2 of noiseless stamps of profiles, shape (2, profile)."""
    observation = Observation(noise_sigma=0.0)
    ids = np.arange(len(profiles))
    imaging = imaging_of_observation(observation, ids, 0)
    images = draw_profiles(profiles, observation)
    with torch_settings():
        columns = measure_stamps(images, ids, imaging, find_estimator(estimator), seed=0, device=device)
    return columns[:, :2].T


def _turned(job: Job, name: str) -> tuple[Float64, Float64]:
    """Return position angles in degrees, and the ellipticities of a network there, shape (2, angle)."""
    angles = np.linspace(-90.0, 90.0, ANGLES[job.size])
    oriented = [_disc().shear(e=DISTORTION, beta=angle * galsim.degrees) for angle in angles]
    return angles, _ellipticities(oriented, network(job, name), job.device_here)


def _rotation(job: Job, name: str) -> Outcome:
    angles, e = _turned(job, name)
    rows = [
        row(f"e{i + 1}", value, series=f"e{i + 1}", x=float(angle))
        for i in (0, 1)
        for angle, value in zip(angles, e[i], strict=True)
    ]
    return Outcome(_rotation_summary(angles, e) + rows, len(angles))


def _rotation_summary(angles: Float64, e: Float64) -> list[Row]:
    """Return how far ellipticities, shape (2, angle), are from those that turn with the galaxy."""
    quarter = len(angles) // 2
    axes = [0, quarter, 2 * quarter]
    amplitude = (2 * e[0, quarter] - e[0, 0] - e[0, -1]) / 4
    spin = np.stack([np.cos(2 * np.deg2rad(angles)), np.sin(2 * np.deg2rad(angles))])
    residual = np.abs(e - amplitude * spin)
    # +90 degrees is -90 degrees again: counted once in the mean.
    shift = e[:, :-1].mean(axis=1)
    return [
        row("amplitude A", amplitude),
        row("largest sum of two galaxies 90 degrees apart", np.abs(e[:, quarter:] + e[:, : quarter + 1]).max()),
        row("largest residual at 0 and ±90 degrees", residual[:, axes].max()),
        row("largest residual", residual.max()),
        row("shift of e1", shift[0]),
        row("shift of e2", shift[1]),
    ]


def rotation_of_d4cnn(job: Job) -> Outcome:
    """Measure one galaxy at many position angles with a D4CNN (Figure 3), and what the best network leaves."""
    outcome = _rotation(job, ROTATED[0])
    best = [r | {"series": ROTATED[1]} for r in _rotation_summary(*_turned(job, ROTATED[1]))]
    return Outcome(best + outcome.rows, 2 * outcome.objects)


def rotation_of_cnn(job: Job) -> Outcome:
    """Measure one galaxy at many position angles with the plain CNN (Figure 7)."""
    return _rotation(job, "cnn")


def cubic_fit(g: Float64, residual: Float64) -> tuple[Float64, float]:
    """Fit ``residual = A g³ - B g + Q g² + constant`` by least squares.

    Parameters
    ----------
    g
        Shears, shape (n,), symmetric about 0, so that odd and even terms do not mix.
    residual
        Ellipticity less its linear fit, shape (n,).

    Returns
    -------
    tuple
        A, B and Q; and the standard deviation of the residual about the fit. Of noiseless galaxies this is what is
        not cubic, no statistical error.
    """
    scale = np.abs(g).max()
    # In units of the largest shear, where the powers are alike in size.
    columns = np.stack([g**3 / scale**3, -g / scale, g**2 / scale**2, np.ones_like(g)], axis=-1)
    solution = np.linalg.lstsq(columns, residual, rcond=None)[0]
    scatter = np.sqrt(np.sum((residual - columns @ solution) ** 2) / max(len(g) - 4, 1))
    return solution[:3] / np.array([scale**3, scale, scale**2]), float(scatter)


def nonlinearity(job: Job) -> Outcome:
    """Measure a round galaxy under many shears with the three networks (Figure 8)."""
    shears = np.linspace(-LARGEST_SHEAR, LARGEST_SHEAR, SHEARS[job.size])
    sheared = [_disc().shear(g1=g) for g in shears] + [_disc().shear(g2=g) for g in shears]
    summary, points = [], []
    for name, label in ABLATIONS.items():
        e = _ellipticities(sheared, network(job, name), job.device_here).reshape(2, 2, -1)
        for i in (0, 1):
            # Component i of the galaxies that were sheared along it.
            response = e[i, i]
            residual = response - np.polyval(np.polyfit(shears, response, 1), shears)
            summary += _fit_rows(shears, residual, label, i)
            points += [
                row(f"e{i + 1} - linear fit", value, series=label, x=float(g), component=i + 1)
                for g, value in zip(shears, residual, strict=True)
            ]
    return Outcome(summary + points, len(ABLATIONS) * len(sheared))


def _fit_rows(shears: Float64, residual: Float64, label: str, component: int) -> list[Row]:
    values, scatter = cubic_fit(shears, residual)
    # The paper prints a fit for the smooth equivariant network only.
    published = CUBIC if label == ABLATIONS["d4cnn-fpfs"] else {}
    more: dict[str, Any] = {"series": label, "component": component + 1}
    rows = [
        row(f"{name} of e{component + 1}", value, published=published.get(name), **more)
        for name, value in zip(("A", "B", "Q"), values, strict=True)
    ]
    return [*rows, row(f"scatter of e{component + 1} about the fit", scatter, **more)]
