"""What networks see of lenses: images, and what smooth lenses leave of them."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["INPUTS", "maps_of"]

INPUTS = ("image", "residual")
"""Names of the maps."""

Float32 = npt.NDArray[np.float32]


def maps_of(images: Float32, inputs: Sequence[str], residuals: Callable[[Float32], Float32]) -> Float32:
    """Return the maps of some lenses, shape (lens, map, y, x).

    Parameters
    ----------
    images
        Finite, shape (lens, y, x).
    inputs
        Some of `INPUTS`.
    residuals
        Gives residuals of images, where they are wanted.
    """
    return np.stack([images if name == "image" else residuals(images) for name in inputs], axis=1)
