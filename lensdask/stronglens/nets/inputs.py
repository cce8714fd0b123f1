"""What networks see of an image: its pixels in units of its own noise, on a scale that keeps bright arcs in bounds."""

from torch import Tensor

from lensdask.errors import InputError

__all__ = ["standardised"]

_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

_LEAST = 1e-2
"""Least unit over the brightest pixel: noiseless images have no noise to measure by."""


def standardised(images: Tensor, multiple: int) -> Tensor:
    """Return arcsinh((image - median) / σ) of each image, σ its median absolute deviation as that of a normal one.

    Most pixels of a lens hold sky, so that median and σ are those of the noise. Neither changes at all when the pixels
    are turned or mirrored.

    Parameters
    ----------
    images
        Shape (lens, map, y, x).
    multiple
        Number that the sides must be multiples of, for the network.

    Raises
    ------
    InputError
        The images are not square, or their sides no such multiple.
    """
    if images.ndim != 4 or images.shape[2] != images.shape[3] or images.shape[3] % multiple or not images.shape[3]:
        wanted = f"(lens, map, y, x), square with sides a multiple of {multiple} pixels"
        raise InputError(f"images: shape {tuple(images.shape)}; expected {wanted}")
    flat = images.flatten(2)
    centred = flat - flat.median(2, keepdim=True).values
    size = centred.abs()
    sigma = _TO_SIGMA * size.median(2, keepdim=True).values
    unit = sigma.maximum(_LEAST * size.amax(2, keepdim=True))
    # An empty image has no unit; it stays empty.
    return (centred / unit.where(unit > 0, 1.0)).asinh().view_as(images)
