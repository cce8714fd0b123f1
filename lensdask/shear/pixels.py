"""Whether the pixels of stamps can be measured: what is no image of a galaxy is refused, and its galaxies named."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, namespace, to_numpy
from lensdask.data.catalogues.columns import is_masked, stated_factor
from lensdask.errors import InputError, check_number

__all__ = [
    "FLUX",
    "check_pixels",
    "check_rounding",
    "checked_number",
    "checked_pixel_scale",
    "real_array",
    "refuse_masked",
]

FLUX = "3.631 nJy"
"""The unit of pixels, of zero point 30, as Astropy reads it."""

_LARGEST_PIXEL = 100.0
"""Arcsec; the coarsest surveys of the whole sky have some 20."""

_TOO_BRIGHT = 1e12
"""In units of 3.631 nJy it is the Moon; marks of bad pixels such as 1e20 and ±1e30 are beyond it."""

_TOO_DARK = 100.0
"""In standard deviations of the noise; -999 on a survey's stamps is far beyond it."""

_ROUNDING_IS_NOISE = 0.5
"""Below this standard deviation rounding to whole numbers depends on what it rounds."""

_ROUNDING_COUNTS = 3.0
"""Above this one the variance of rounding, 1/12, is less than a hundredth of that of the noise."""


def real_array(array: Array, name: str, unit: str = "") -> npt.NDArray[Any]:
    """Return real numbers in main memory, of the type that they have.

    Parameters
    ----------
    array
        Of any library, or a Quantity.
    name
        What the message calls it.
    unit
        What a Quantity is converted to, as Astropy writes it; nothing for pure numbers.

    Raises
    ------
    InputError
        They are complex, text or something else, of another unit, or a part of them is masked.
    """
    refuse_masked(array, name)
    factor = stated_factor(name, array, unit)
    values = to_numpy(array)
    if values.dtype.kind not in "iuf":
        raise InputError(f"{name}: {values.dtype}; expected real numbers")
    return values if factor == 1 else values * factor


def refuse_masked(array: Any, name: str, where: str = "in every pixel") -> None:
    """Refuse masked arrays, NumPy's and Astropy's.

    Raises
    ------
    InputError
        It is one.
    """
    if is_masked(array) or (isinstance(array, list | tuple) and any(map(is_masked, array))):
        raise InputError(f"{name}: masked arrays are not supported; expected a value {where}")


def checked_number(value: Any, name: str, unit: str, **limits: Any) -> Any:
    """Return a number, which may be a Quantity, in a unit.

    Parameters
    ----------
    value, name, unit
        As for `real_array`.
    limits
        As for `lensdask.errors.check_number`.

    Raises
    ------
    InputError
        It is no number within the limits, of another unit, or masked.
    """
    refuse_masked(value, name, "that is known")
    if getattr(value, "unit", None) is not None and np.ndim(value) == 0:
        value = float(value.value) * stated_factor(name, value, unit)
    check_number(name, value, **limits)
    return value


def checked_pixel_scale(value: Any) -> float:
    """Return the side of a pixel of stamps in arcsec; it may be a Quantity.

    Raises
    ------
    InputError
        It is not one number from 0.001 to 100, or no angle.
    """
    meaning = "the side of a pixel in arcsec"
    return float(checked_number(value, "pixel_scale", "arcsec", least=1e-3, most=_LARGEST_PIXEL, meaning=meaning))


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
    if noise_sigma >= _ROUNDING_COUNTS:
        return
    # Nearly always the row in the middle tells.
    doubtful = pixels[~(pixels[:, pixels.shape[1] // 2] % 1).any(axis=1)]
    rounded = int(np.count_nonzero(~(doubtful % 1).any(axis=(1, 2))))
    if not rounded:
        return
    of = "" if rounded == len(pixels) else f" of {rounded} of {len(pixels)} stamps"
    what = f"images: all pixels{of} are whole numbers at noise {noise_sigma:g}"
    if noise_sigma < _ROUNDING_IS_NOISE:
        raise InputError(f"{what}; expected images that were not rounded")
    warnings.warn(f"{what}; rounding adds 1/12 to the variance, which noise_sigma must contain", stacklevel=3)
