"""Whether the pixels of stamps can be measured: what is no image of a galaxy is refused, and its galaxies named."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, namespace, to_numpy
from lensdask.errors import InputError

__all__ = ["check_pixels", "check_rounding", "real_array"]

_TOO_BRIGHT = 1e12
"""In units of 3.631 nJy it is the Moon; marks of bad pixels such as 1e20 and ±1e30 are beyond it."""

_TOO_DARK = 100.0
"""In standard deviations of the noise; -999 on a survey's stamps is far beyond it."""

_ROUNDING_IS_NOISE = 0.5
"""Below this standard deviation rounding to whole numbers depends on what it rounds."""

_ROUNDING_COUNTS = 3.0
"""Above this one the variance of rounding, 1/12, is less than a hundredth of that of the noise."""


def real_array(array: Array, name: str) -> npt.NDArray[Any]:
    """Return real numbers in main memory, of the type that they have.

    Raises
    ------
    InputError
        They are complex, text or something else, or a part of them is masked.
    """
    if np.ma.isMaskedArray(array):
        raise InputError(f"{name}: masked arrays are not supported; expected a value in every pixel")
    values = to_numpy(array)
    if values.dtype.kind not in "iuf":
        raise InputError(f"{name}: {values.dtype}; expected real numbers")
    return values


def check_pixels(images: Array, ids: npt.NDArray[np.int64], where: str, noise_sigma: float) -> None:
    """Refuse stamps, shape (galaxy, ..., n, n), that hold no galaxy or marks of bad pixels, and name their galaxies.

    Parameters
    ----------
    images
        Of any library.
    ids
        Ids of the galaxies.
    where
        What the message calls the stamps.
    noise_sigma
        Standard deviation of the noise; a background-subtracted image does not go far below zero.

    Raises
    ------
    InputError
        Pixels are not finite, far beyond what is in the sky, or all the same in a stamp.
    """
    # NumPy's reductions are faster than torch's.
    pixels = to_numpy(images) if str(images.device) == "cpu" else images
    xp = namespace(pixels)
    low, high = (to_numpy(of(pixels, axis=(-2, -1))).reshape(len(ids), -1) for of in (xp.min, xp.max))
    is_broken = ~(np.isfinite(low) & np.isfinite(high))
    _refuse(is_broken, ids, f"{where}: pixels are not finite in galaxy", "expected numbers")
    # Without noise an image is not negative at all, but for the ringing of its renderer.
    deepest = np.maximum(_TOO_DARK * noise_sigma, high / 10) if noise_sigma > 0 else _TOO_DARK * np.abs(high)
    is_mark = (np.maximum(-low, high) > _TOO_BRIGHT) | (-low > deepest)
    extreme = np.where(-low > high, low, high)[is_mark]
    what = f"pixels of {extreme[0]:.4g} at noise {noise_sigma:g}" if extreme.size else ""
    _refuse(is_mark, ids, f"{where}: {what} in galaxy", "expected background-subtracted fluxes, bad pixels replaced")
    _refuse(
        low == high, ids, f"{where}: all pixels are the same in galaxy", "expected stamps with a galaxy: drop these"
    )


def _refuse(is_wrong: npt.NDArray[np.bool_], ids: npt.NDArray[np.int64], what: str, expected: str) -> None:
    broken = ids[is_wrong.any(axis=1)]
    if broken.size:
        more = f" and {broken.size - 5} more" if broken.size > 5 else ""
        raise InputError(f"{what} {', '.join(str(i) for i in broken[:5])}{more}; {expected}")


def check_rounding(pixels: npt.NDArray[np.float32], noise_sigma: float) -> None:
    """Refuse stamps that were rounded to whole numbers at little noise, and warn where rounding adds to the noise.

    Raises
    ------
    InputError
        Rounding depends on the image.
    """
    # Nearly always the first stamp tells.
    if noise_sigma >= _ROUNDING_COUNTS or (pixels[0] % 1).any() or (pixels % 1).any():
        return
    if noise_sigma < _ROUNDING_IS_NOISE:
        raise InputError(
            f"images: all pixels are whole numbers at noise {noise_sigma:g}; expected images that were not rounded"
        )
    warnings.warn(
        f"images: all pixels are whole numbers at noise {noise_sigma:g}; rounding adds 1/12 to the variance, which "
        "noise_sigma must contain",
        stacklevel=3,
    )
