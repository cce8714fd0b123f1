"""A wide family of galaxies, alone and with neighbours, as sums of Gaussians.

Light that is a sum of elliptical Gaussians stays one under shear and in the convolution with the resmoothing kernel h.
The resmoothed image f_h, which is free of the PSF, is therefore known in closed form at any points: ::

    f_h(x) = s² sum_i F_i N(x; S c_i, S C_i S^T + σ_h² 1)

with fluxes F, centres c, covariances C, the shear S and the pixel scale s. Fresh galaxies cost less than the network
that learns from them.

Galaxies have a Sérsic profile or two with indices from 0.5 to 6, whose centres and angles differ in a part of them, and
knots; ellipticities are those of inclined discs, of spheroids, or with |g| Rayleigh distributed. Half of them have a
neighbour of the same family within 1.2 to 5 arcsec, which shares the shear or does not.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import nnls
from torch import Tensor

from lensdask.conventions import flux_from_magnitude
from lensdask.fourier import coordinates
from lensdask.shear.shapes.resmooth import Grid

__all__ = ["Scenes", "draw_scenes", "resmoothed_scenes", "sersic_mixtures"]

Float64 = npt.NDArray[np.float64]

INDICES = np.geomspace(0.5, 6.0, 12)
"""Sérsic indices of the family."""
WIDTHS = np.geomspace(0.02, 5.0, 8)
"""Standard deviations of the Gaussians of a profile, half-light radii."""
KNOTS = 5
"""Knots of a galaxy that has some."""
MAGNITUDES = (19.0, 25.4)
"""Range of i, with counts that rise as 10^(0.31 i)."""
SEPARATIONS = (1.2, 5.0)
"""Distance of a neighbour, arcsec."""


class Scenes(NamedTuple):
    """Gaussians of galaxies, and of their neighbours, which come last."""

    flux: Float64
    """At zero point 30, shape (scene, gaussian); zero where there is none."""
    centre: Float64
    """Arcsec, shape (scene, gaussian, 2)."""
    covariance: Float64
    """xx, xy and yy, arcsec², shape (scene, gaussian, 3)."""
    neighbour: npt.NDArray[np.bool_]
    """Which Gaussians are a neighbour's, shape (gaussian,)."""
    shared: npt.NDArray[np.bool_]
    """Whether the neighbour is under the same shear, shape (scene,)."""

    def pick(self, part: slice) -> "Scenes":
        """Return some of the scenes."""
        flux, centre, covariance = (values[part] for values in (self.flux, self.centre, self.covariance))
        return Scenes(flux, centre, covariance, self.neighbour, self.shared[part])


@cache
def sersic_mixtures() -> Float64:
    """Return the shares of light of Gaussians of `WIDTHS`, fitted to a Sérsic profile, shape (index, gaussian).

    The fits hold 0.44 to 0.54 of the light within the half-light radius.
    """
    r = np.geomspace(0.01, 8.0, 300)
    gaussians = np.exp(-((r[:, None] / WIDTHS) ** 2) / 2) / (2 * np.pi * WIDTHS**2)
    shares = []
    for n in INDICES:
        # Ciotti and Bertin (1999): half the light is within r = 1.
        b = 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2)
        profile = np.exp(-b * r ** (1 / n))
        light = nnls(gaussians * r[:, None], profile * r / np.sum(profile * r**2))[0]
        shares.append(light / light.sum())
    return np.array(shares)


def _axis_ratios(rng: np.random.Generator, count: int) -> Float64:
    """Draw axis ratios of inclined discs, of spheroids, and of shears with a Rayleigh distribution."""
    u, kind = rng.random(count), rng.choice(3, count, p=[0.45, 0.1, 0.45])
    g = np.minimum(rng.rayleigh(rng.uniform(0.2, 0.35, count)), 0.8)
    return np.choose(kind, [0.22 + 0.78 * u**0.8, 1 - 0.36 * u**1.5, (1 - g) / (1 + g)])


def _covariance(variance: Float64, ratio: Float64, angle: Float64) -> Float64:
    """Return covariances of ellipses with a variance along the major axis, shape (..., 3)."""
    mean, half = variance * (1 + ratio**2) / 2, variance * (1 - ratio**2) / 2
    return np.stack([mean + half * np.cos(2 * angle), half * np.sin(2 * angle), mean - half * np.cos(2 * angle)], -1)


def _draw_galaxies(rng: np.random.Generator, magnitude: Float64) -> tuple[Float64, Float64, Float64]:
    """Draw galaxies about the origin: flux, centre and covariance of their Gaussians."""
    count = len(magnitude)
    radius = 0.4 * np.exp(-0.15 * (magnitude - 24) + rng.normal(0, 0.6, count))
    angle = rng.uniform(0, np.pi, count)
    both = rng.random(count) < 0.5
    knotted = (rng.random(count) < 0.3) * rng.uniform(0, 0.3, count)
    second = np.where(both, rng.random(count) ** 1.5, 0.0)
    shares = [(1 - second) * (1 - knotted), second * (1 - knotted)]
    turned = np.where(rng.random(count) < 0.5, 0.0, rng.normal(0, 0.5, count))
    moved = (rng.random(count) < 0.5)[:, None] * 0.1 * radius[:, None] * rng.normal(size=(count, 2))
    flux, centre, covariance = [], [], []
    for number, share in enumerate(shares):
        half_light = radius * np.exp(rng.normal(-0.7, 0.4, count)) if number else radius
        variance = half_light[:, None] ** 2 * WIDTHS**2
        ratio = _axis_ratios(rng, count)[:, None]
        flux.append(share[:, None] * sersic_mixtures()[rng.integers(len(INDICES), size=count)])
        centre.append(np.repeat((moved * number)[:, None], len(WIDTHS), axis=1))
        covariance.append(_covariance(variance, ratio, angle[:, None] + number * turned[:, None]))
        if not number:
            disc = ratio
    along, across = rng.normal(size=(2, count, KNOTS)) * radius[:, None] * 0.8
    across = across * disc
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    flux.append(np.repeat(knotted[:, None] / KNOTS, KNOTS, axis=1))
    centre.append(np.stack([along * cos - across * sin, along * sin + across * cos], -1))
    size = rng.uniform(0.02, 0.12, (count, KNOTS))
    covariance.append(_covariance(size**2, np.ones(1), np.zeros(1)))
    total = np.array([flux_from_magnitude(m) for m in magnitude])[:, None]
    return total * np.concatenate(flux, 1), np.concatenate(centre, 1), np.concatenate(covariance, 1)


def draw_scenes(rng: np.random.Generator, count: int) -> Scenes:
    """Draw galaxies, half of them with a neighbour.

    Parameters
    ----------
    rng
        Random numbers.
    count
        How many.
    """
    low, high = (10 ** (0.31 * m) for m in MAGNITUDES)
    magnitude = np.log10(low + (high - low) * rng.random(count)) / 0.31
    flux, centre, covariance = _draw_galaxies(rng, magnitude)
    # Lensing moves what is off the origin too, so that a galaxy need not be in the middle.
    centre = centre + rng.uniform(-0.1, 0.1, (count, 1, 2))
    beside = np.minimum(magnitude + rng.normal(0.3, 1.0, count), 27.0)
    their_flux, their_centre, their_covariance = _draw_galaxies(rng, beside)
    distance, direction = rng.uniform(*SEPARATIONS, count), rng.uniform(0, 2 * np.pi, count)
    place = distance[:, None] * np.stack([np.cos(direction), np.sin(direction)], -1)
    has = rng.random(count) < 0.5
    return Scenes(
        np.concatenate([flux, their_flux * has[:, None]], 1),
        np.concatenate([centre, their_centre + place[:, None]], 1),
        np.concatenate([covariance, their_covariance], 1),
        np.repeat([False, True], flux.shape[1]),
        rng.random(count) < 0.5,
    )


def resmoothed_scenes(
    scenes: Scenes, g: Float64, their_g: Float64, *, grid: Grid, sigma: float, pixel_scale: float, device: str
) -> Tensor:
    """Return resmoothed images of scenes under shear.

    Parameters
    ----------
    scenes
        From `draw_scenes`.
    g
        Reduced shears of the galaxies, shape (scene, image, 2).
    their_g
        Those of their neighbours.
    grid
        Points of the images.
    sigma
        Standard deviation of the resmoothing kernel h, arcsec.
    pixel_scale
        Arcsec per pixel: images are in flux per pixel.
    device
        Where to make them.

    Returns
    -------
    Tensor
        Shape (scene, image, points, points), single precision.
    """
    shear = np.where(scenes.neighbour[:, None], their_g[:, :, None], g[:, :, None])
    g1, g2, one = shear[..., 0], shear[..., 1], 1 / np.sqrt(1 - (shear**2).sum(-1))
    a, b, d = one * (1 + g1), one * g2, one * (1 - g1)
    x, y = np.moveaxis(scenes.centre[:, None], -1, 0)
    xx, xy, yy = np.moveaxis(scenes.covariance[:, None], -1, 0)
    cxx = a * a * xx + 2 * a * b * xy + b * b * yy + sigma**2
    cxy = a * b * xx + (a * d + b * b) * xy + b * d * yy
    cyy = b * b * xx + 2 * b * d * xy + d * d * yy + sigma**2
    area = cxx * cyy - cxy**2
    height = scenes.flux[:, None] * pixel_scale**2 / (2 * math.pi * np.sqrt(area))
    numbers = [height, a * x + b * y, b * x + d * y, -cyy / area / 2, cxy / area, -cxx / area / 2]
    packed = torch.from_numpy(np.stack(np.broadcast_arrays(*numbers)).astype(np.float32)).to(device)
    height_, cx, cy, pxx, pxy, pyy = packed[..., None, None]
    points = torch.from_numpy(coordinates(*grid).astype(np.float32)).to(device)
    dx, dy = points - cx, points[:, None] - cy
    exponent = pxx * dx * dx + pyy * dy * dy + pxy * dx * dy
    images: Tensor = (height_ * exponent.exp_()).sum(2)
    return images
