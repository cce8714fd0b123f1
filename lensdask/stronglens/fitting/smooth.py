"""Images of smooth lenses and their derivatives, in closed form: what a fit needs in every step.

A lens is a vector of twelve numbers, in which images are smooth and which are all of order one: the logarithms of
Einstein radius, flux, half-light radius and Sérsic index; ellipticities, shear and the place of the source as they are.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lensdask.arrays import constant
from lensdask.stronglens.simulation.deflectors import Macro, shear, sie
from lensdask.stronglens.simulation.imaging import blurred, pixels
from lensdask.stronglens.simulation.lenses import Lenses
from lensdask.stronglens.simulation.presets import Survey
from lensdask.stronglens.simulation.sources import log_central_brightness, sersic_b

__all__ = ["LOGARITHMS", "PARAMETERS", "smooth_images", "smooth_images_and_derivatives", "vector_of"]

PARAMETERS = (
    "theta_e",
    "e1",
    "e2",
    "gamma1",
    "gamma2",
    "source_x",
    "source_y",
    "source_flux",
    "source_radius",
    "source_index",
    "source_e1",
    "source_e2",
)
"""Names of the numbers of a lens, in their order."""

LOGARITHMS = ("theta_e", "source_flux", "source_radius", "source_index")
"""Those whose natural logarithms the vector has."""

_STEP = 2e-3
"""Of the ellipticity of the lens, whose derivative is a difference: deflections are nearly linear in it."""
_INDEX_STEP = 1e-2
"""Of the logarithm of the Sérsic index, for the central brightness."""
_LEAST = 1e-12
"""Square of the radius over the half-light radius at the least: its logarithm has no end."""


class _Rays(NamedTuple):
    """Where the pixels of some lenses lie in the source plane, relative to the source, and what they were moved by."""

    macro: Macro
    x: Tensor
    y: Tensor
    alpha_x: Tensor
    alpha_y: Tensor
    dx: Tensor
    dy: Tensor


class _Profile(NamedTuple):
    """The brightness of the source at these places, and how it falls with the square ρ of the scaled radius."""

    squares: Tensor
    scale: Tensor
    rho: Tensor
    log_rho: Tensor
    decline: Tensor
    brightness: Tensor
    slope: Tensor


def vector_of(lenses: Lenses) -> npt.NDArray[np.float64]:
    """Return the vectors of smooth lenses, shape (lens, parameter)."""
    values = dict(zip(PARAMETERS, (*lenses.macro, *lenses.source[:2], *lenses.source[2:]), strict=True))
    return np.stack([np.log(value) if name in LOGARITHMS else value for name, value in values.items()], axis=1)


def smooth_images(vector: Tensor, survey: Survey, size: int) -> Tensor:
    """Return images without noise, with the PSF of a survey: those of `lensed_images` to rounding.

    Parameters
    ----------
    vector
        Of the lenses, shape (lens, parameter).
    survey
        Pixels and PSF.
    size
        Pixels on a side.

    Returns
    -------
    Tensor
        Electrons per second in each pixel, shape (lens, size, size).
    """
    columns = vector.unbind(1)
    images: Tensor = blurred(_profile(_rays(columns, survey, size), columns, survey).brightness, survey)
    return images


def smooth_images_and_derivatives(vector: Tensor, survey: Survey, size: int) -> tuple[Tensor, Tensor]:
    """Return images and their derivatives with respect to the vector, shape (parameter, lens, size, size).

    Parameters
    ----------
    vector, survey, size
        As for `smooth_images`.
    """
    columns = vector.unbind(1)
    rays = _rays(columns, survey, size)
    profile = _profile(rays, columns, survey)
    parts = [profile.brightness, *_by_lens(rays, profile, columns), *_by_source(rays, profile, columns)]
    made = blurred(torch.stack(parts).flatten(0, 1), survey).unflatten(0, (len(parts), -1))
    return made[0], made[1:]


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]


def _rays(columns: tuple[Tensor, ...], survey: Survey, size: int) -> _Rays:
    """Trace the pixels back to the source."""
    x, y = constant(pixels, size, survey.pixel_scale, reference=columns[0])[:, None, :, :]
    macro = Macro(columns[0].exp(), *columns[1:5])
    alpha_x, alpha_y = sie(x, y, macro)
    shear_x, shear_y = shear(x, y, macro)
    dx, dy = x - alpha_x - shear_x - _column(columns[5]), y - alpha_y - shear_y - _column(columns[6])
    return _Rays(macro, x, y, alpha_x, alpha_y, dx, dy)


def _profile(rays: _Rays, columns: tuple[Tensor, ...], survey: Survey) -> _Profile:
    """Return S = F C(n) / R² exp(-b ρ^(1 / 2n)), with ρ quadratic in place and ellipticity of the source.

    With q = (1 - e) / (1 + e), ρ = (q u² + v² / q) / R² along and across its major axis is
    ρ = [(1 + e²) (x² + y²) - 2 e1 (x² - y²) - 4 e2 x y] / (1 - e²) / R².
    """
    flux, radius, index, e1, e2 = columns[7:]
    square = e1**2 + e2**2
    squares = rays.dx**2 + rays.dy**2
    scale = _column(torch.exp(-2 * radius) / (1 - square))
    turned = _column(e1) * (rays.dx**2 - rays.dy**2) + _column(2 * e2) * (rays.dx * rays.dy)
    rho = (_column(1 + square) * squares - 2 * turned) * scale + _LEAST
    n, log_rho = index.exp(), rho.log()
    decline = _column(sersic_b(n)) * torch.exp(log_rho * _column(0.5 / n))
    height = flux + log_central_brightness(n) - 2 * radius + 2 * math.log(survey.pixel_scale)
    brightness = torch.exp(_column(height) - decline)
    return _Profile(squares, scale, rho, log_rho, decline, brightness, -brightness * decline * _column(0.5 / n) / rho)


def _gradient(rays: _Rays, profile: _Profile, columns: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Return the derivative of the brightness with respect to the place in the source plane."""
    e1, e2 = _column(columns[10]), _column(columns[11])
    round_, along = 1 + e1**2 + e2**2, 2 * profile.slope * profile.scale
    x = along * (round_ * rays.dx - 2 * (e1 * rays.dx + e2 * rays.dy))
    return x, along * (round_ * rays.dy - 2 * (e2 * rays.dx - e1 * rays.dy))


def _by_lens(rays: _Rays, profile: _Profile, columns: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the derivatives with respect to the lens and the place of the source: those of the rays."""
    x, y = _gradient(rays, profile, columns)
    parts = [-(x * rays.alpha_x + y * rays.alpha_y)]
    for name in ("e1", "e2"):
        value = getattr(rays.macro, name)
        more, less = (sie(rays.x, rays.y, rays.macro._replace(**{name: value + step})) for step in (_STEP, -_STEP))
        parts.append((x * (less[0] - more[0]) + y * (less[1] - more[1])) / (2 * _STEP))
    return [*parts, y * rays.y - x * rays.x, -(x * rays.y + y * rays.x), -x, -y]


def _by_source(rays: _Rays, profile: _Profile, columns: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the derivatives with respect to flux, size, index and ellipticity of the source."""
    index, e1, e2 = columns[9:]
    n, flat = index.exp(), _column(1 - e1**2 - e2**2)
    central = [log_central_brightness((index + step).exp()) for step in (_INDEX_STEP, -_INDEX_STEP)]
    height = (central[0] - central[1]) / (2 * _INDEX_STEP)
    # b is linear in n: its slope is b(n + 1) - b(n).
    steeper = _column((sersic_b(n + 1) - sersic_b(n)) / sersic_b(n))
    by_index = _column(height) - profile.decline * (steeper * _column(n) - profile.log_rho * _column(0.5 / n))
    turned = rays.dx**2 - rays.dy**2, 2 * (rays.dx * rays.dy)
    shapes = [
        profile.slope
        * (2 * profile.scale * (_column(e) * profile.squares - along) + profile.rho * (2 * _column(e) / flat))
        for e, along in zip((e1, e2), turned, strict=True)
    ]
    by_radius = profile.brightness * (profile.decline * _column(1 / n) - 2)
    return [profile.brightness, by_radius, profile.brightness * by_index, *shapes]
