"""Derivatives of the images of lenses, and what of a signal in them no other parameter can imitate.

Through the simulator itself by automatic differentiation of torch: a lens depends on its own parameters alone, so that
one pass gives the derivative of all images with respect to one parameter of each. Outside all is float64 of NumPy.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from lensdask.errors import InputError
from lensdask.stronglens.simulation.deflectors import Line
from lensdask.stronglens.simulation.imaging import lensed_images
from lensdask.stronglens.simulation.lenses import Lenses, as_points
from lensdask.stronglens.simulation.presets import Survey

__all__ = ["Part", "image_derivatives", "significance"]

T = TypeVar("T", bound=tuple[Any, ...])

Float64 = npt.NDArray[np.float64]

Part = Literal["macro", "source", "line"]
"""Parts of a lens whose every number has a derivative: the smooth lens with shear, the source, a line vortex."""


def image_derivatives(
    lenses: Lenses, survey: Survey, size: int, parts: Sequence[Part], points: bool = False
) -> tuple[Float64, Float64]:
    """Return images without noise, and their derivatives with respect to the numbers of parts of the lenses.

    Parameters
    ----------
    lenses
        Float64 arrays of NumPy. An ellipticity of exactly 0 has no direction, and no derivative.
    survey
        Pixels and PSF.
    size
        Pixels on a side.
    parts
        Which numbers: all of these parts, in the order of their fields.
    points
        Whether lines are simulated as a hundred points each.

    Returns
    -------
    images
        Electrons per second, shape (lens, y, x).
    derivatives
        Electrons per second over the unit of each number, shape (lens, number, y, x).

    Raises
    ------
    InputError
        An image does not change with a number.
    """
    values: dict[str, Any] = {part: _varied(getattr(lenses, part)) for part in parts}
    made = lensed_images(_placed(lenses._replace(**values), points), survey, size, torch.zeros(1, dtype=torch.float64))
    numbers = [number for part in parts for number in values[part]]
    names = [f"{name} of the {part}" for part in parts for name in values[part]._fields]
    # Backwards with weights w of the pixels there is Σ w dI/dp, and backwards from there to the weights dI/dp.
    weights = torch.zeros_like(made, requires_grad=True)
    totals = torch.autograd.grad(made, numbers, weights, create_graph=True)
    slopes = [torch.autograd.grad(total.sum(), weights, retain_graph=True)[0] for total in totals]
    for name, slope in zip(names, slopes, strict=True):
        lengths = slope.flatten(1).norm(dim=1)
        if not bool((lengths.isfinite() & (lengths > 0)).all()):
            raise InputError(
                f"derivatives: images do not change with {name}; expected ellipticities and masses above 0"
            )
    return made.detach().numpy(), torch.stack(slopes, 1).numpy()


def _varied(numbers: T) -> T:
    """Return the numbers of a part of the lenses as tensors that keep their gradients."""
    return type(numbers)(*(torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in numbers))


def _placed(lenses: Lenses, points: bool) -> Lenses:
    """Return lenses with points in the place of lines, where they are wanted."""
    if lenses.line is None or not points:
        return lenses
    line = Line(*(torch.as_tensor(each, dtype=torch.float64) for each in lenses.line))
    return lenses._replace(line=None, points=as_points(line))


def significance(signal: Float64, nuisance: Float64, variance: Float64) -> Float64:
    """Return the signal-to-noise ratio of a change of images after other parameters were fitted to it.

    In units of the noise, r = signal / σ and A = nuisance / σ, that is the length of what is left of r once it is
    projected off the columns of A: S/N² = rᵀ r - rᵀ A (Aᵀ A)⁻¹ Aᵀ r. Of a derivative with respect to a parameter it
    is the inverse of the Cramér–Rao bound on the parameter, all others free: 1 / √(F⁻¹)ₖₖ of the Fisher matrix F.

    Parameters
    ----------
    signal
        Change of the images, shape (lens, y, x).
    nuisance
        Derivatives of the images with respect to the parameters that are fitted, shape (lens, number, y, x).
    variance
        Of the noise of the pixels, shape (lens, y, x).
    """
    sigma = np.sqrt(variance.reshape(len(variance), -1))
    r = signal.reshape(sigma.shape) / sigma
    columns = np.swapaxes(nuisance.reshape(*nuisance.shape[:2], -1) / sigma[:, None], 1, 2)
    # Units of the parameters differ by orders of magnitude; directions do not care.
    basis = np.linalg.qr(columns / np.linalg.norm(columns, axis=1, keepdims=True))[0]
    for _ in range(2):
        # Twice, since the first pass leaves a rounding error of the part that it takes away.
        r = r - (basis @ (np.swapaxes(basis, 1, 2) @ r[:, :, None]))[:, :, 0]
    return np.asarray(np.linalg.norm(r, axis=1))
