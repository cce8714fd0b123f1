"""The smooth lens that fits an image best, found by damped Gauss-Newton steps (Levenberg 1944, Marquardt 1963).

A fit begins at that of some thousand drawn lenses whose image is most like the one to fit, and minimises ::

    χ² = Σ (data - image)² / variance + Σ (p - ⟨p⟩)² / width²

with the variance of the noise of the fitted image, and a wide prior that keeps what the image says nothing of near
the middle of the drawn lenses. Steps are as many for all lenses, so that a lens is fitted to the same numbers whatever
others are with it.
"""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lensdask.arrays import Array, to_numpy, to_torch
from lensdask.compute import batches_that_fit
from lensdask.stronglens.fitting.smooth import (
    LOGARITHMS,
    PARAMETERS,
    smooth_images,
    smooth_images_and_derivatives,
    vector_of,
)
from lensdask.stronglens.simulation.imaging import noise_variance
from lensdask.stronglens.simulation.lenses import draw_lenses
from lensdask.stronglens.simulation.presets import PRESETS, Survey

__all__ = ["SMOOTH", "SmoothFit", "fit_smooth"]

Float32 = npt.NDArray[np.float32]

SMOOTH = replace(
    PRESETS["physical"],
    name="fit",
    theta_e=(0.6, 1.8),
    ellipticity=(0.0, 0.25),
    shear=(0.0, 0.1),
    source_offset=0.45,
    source_radius=(0.15, 0.5),
    source_index=(0.6, 2.0),
    source_ellipticity=(0.0, 0.35),
)
"""Where fits begin: lenses of galaxies, wider than any preset."""

_DRAWN = 4096
"""Lenses that a fit may begin at."""
_STEPS = 14
"""Of a fit."""
_WIDTH = 3.0
"""Of the prior, in standard deviations of the drawn lenses."""
_FIRST_DAMPING, _LESS, _MORE = 1e-2, 0.2, 5.0
"""Damping of the first step; its factors after one that was better and one that was not."""
_MOST_ELLIPTIC = 0.6
"""Ellipticity of lens and source that no step exceeds."""
_BOUNDS = {"theta_e": (0.05, 10.0), "source_radius": (0.02, 3.0), "source_index": (0.4, 5.0)}
"""What no step leaves, arcsec and 1."""
_BATCH = {"cpu": 16, "cuda": 512}
"""Lenses that are fitted at once."""


class SmoothFit(NamedTuple):
    """Smooth lenses fitted to images.

    Parameters
    ----------
    parameters
        As in `lensdask.stronglens.fitting.smooth.PARAMETERS`, their own values and no logarithms, shape
        (lens, parameter).
    chi2
        Sum of the squares of the residual, shape (lens,).
    residual
        Data less fit, over the standard deviation of the noise, shape (lens, y, x).
    """

    parameters: Float32
    chi2: Float32
    residual: Float32


class _Library(NamedTuple):
    """Lenses to begin at."""

    vectors: Tensor
    """Shape (drawn, parameter)."""
    norms: Tensor
    """Of their images, shape (drawn,)."""
    images: Tensor
    """Over their norms, shape (drawn, y x)."""
    middle: Tensor
    """Of the prior."""
    width: Tensor
    """Of the prior."""


def fit_smooth(images: Float32, survey: Survey, device: str = "cpu") -> SmoothFit:
    """Fit smooth lenses to images: to the same numbers, to the bit, whatever other images are with one.

    Parameters
    ----------
    images
        Electrons per second without the sky, shape (lens, y, x), square, at least one.
    survey
        Pixels, PSF and noise.
    device
        "cpu" or "cuda".
    """

    def fitted(part: Array) -> Float32:
        with torch.no_grad():
            return to_numpy(_fitted(to_torch(part, device), survey))

    packed = np.asarray(batches_that_fit(fitted, (images,), _BATCH[device]), dtype=np.float32)
    count = len(PARAMETERS)
    return SmoothFit(packed[:, :count], packed[:, count], packed[:, count + 1 :].reshape(images.shape))


def _fitted(images: Tensor, survey: Survey) -> Tensor:
    """Return parameters, χ² and residual in one row for each lens."""
    library = _library(survey, images.shape[-1], str(images.device))
    vector = _begin(images, library)
    damping = torch.full((len(images),), _FIRST_DAMPING, device=images.device)
    for _ in range(_STEPS):
        vector, damping = _step(images, survey, library, vector, damping)
    fitted = smooth_images(vector, survey, images.shape[-1])
    residual = ((images - fitted) / noise_variance(fitted, survey).sqrt()).flatten(1)
    logarithmic = torch.tensor([name in LOGARITHMS for name in PARAMETERS], device=images.device)
    values = torch.where(logarithmic, vector.exp(), vector)
    return torch.cat([values, residual.square().sum(1, keepdim=True), residual], 1)


@cache
def _library(survey: Survey, size: int, device: str) -> _Library:
    # Their fluxes do not count: every fit takes that of its image.
    drawn = torch.from_numpy(vector_of(draw_lenses(np.arange(_DRAWN), SMOOTH, survey, 0))).float().to(device)
    images = torch.cat([smooth_images(part, survey, size).flatten(1) for part in torch.split(drawn, 64)])
    norms = images.norm(dim=1)
    return _Library(drawn, norms, images / norms[:, None], drawn.mean(0), _WIDTH * drawn.std(0))


def _begin(images: Tensor, library: _Library) -> Tensor:
    """Return the drawn lens of the greatest likeness for each image, with the flux of the image."""
    # One after another: in a product of matrices a row is rounded by where it stands in them.
    likeness, which = torch.stack([library.images @ image for image in images.flatten(1)]).max(1)
    vector = library.vectors[which]
    flux = PARAMETERS.index("source_flux")
    brighter = (likeness / library.norms[which]).clamp(min=1e-6)
    return vector.index_add(1, torch.tensor([flux], device=images.device), brighter.log()[:, None])


def _step(images: Tensor, survey: Survey, library: _Library, vector: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vectors after a step, where it lowers χ², and the damping of the next one."""
    size, precision = images.shape[-1], library.width**-2
    fitted, derivatives = smooth_images_and_derivatives(vector, survey, size)
    sigma = noise_variance(fitted, survey).sqrt()
    slopes = (derivatives / sigma).flatten(2).transpose(0, 1)
    residual, away = ((images - fitted) / sigma).flatten(1), vector - library.middle
    curvature = slopes @ slopes.transpose(1, 2) + precision.diag()
    downhill = (slopes @ residual[:, :, None])[:, :, 0] - precision * away
    damped = curvature + torch.diag_embed(damping[:, None] * curvature.diagonal(dim1=1, dim2=2))
    moved = _within(vector + torch.linalg.solve(damped, downhill))
    # Both with the variance of the old fit, so that a fainter lens is no better for its noise.
    now = residual.square().sum(1) + (precision * away.square()).sum(1)
    left = ((images - smooth_images(moved, survey, size)) / sigma).square().sum((1, 2))
    better = left + (precision * (moved - library.middle).square()).sum(1) < now
    return torch.where(better[:, None], moved, vector), damping * torch.where(better, _LESS, _MORE)


def _within(vector: Tensor) -> Tensor:
    """Return vectors within their bounds."""
    columns = dict(zip(PARAMETERS, vector.unbind(1), strict=True))
    for name, ends in _BOUNDS.items():
        columns[name] = columns[name].clamp(*(float(np.log(end)) for end in ends))
    for first, second in (("e1", "e2"), ("source_e1", "source_e2")):
        size = torch.hypot(columns[first], columns[second])
        share = _MOST_ELLIPTIC / size.clamp(min=_MOST_ELLIPTIC)
        columns[first], columns[second] = columns[first] * share, columns[second] * share
    return torch.stack(list(columns.values()), 1)
