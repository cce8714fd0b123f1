"""The footprint of a survey on the grid of a field: read from a file, checked, or found from the galaxies."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.ndimage import maximum_filter, minimum_filter

from lensdask.errors import InputError
from lensdask.sky.readers import header_scale

__all__ = ["checked_footprint", "covered", "read_footprint"]

Float64 = npt.NDArray[np.float64]

_SAME_SCALE = 1e-3
"""By how much of a side the pixels of a file may differ: less than a pixel over a field."""


def read_footprint(path: str | Path, pixel_scale: float) -> npt.NDArray[np.bool_]:
    """Return the footprint in a file, FITS or .npy, read again if the file has changed.

    Parameters
    ----------
    path
        A map of 1 inside the survey and 0 outside, shape (y, x); on the sky the first row is the southern one and the
        first column the eastern one.
    pixel_scale
        Arcmin, which the header of the file must not contradict.

    Raises
    ------
    InputError
        The file cannot be read, holds another value, such as NaN, or has other pixels.
    """
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a FITS or .npy map of 0 and 1") from error
    return _read(Path(path), changed, pixel_scale).copy()


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int, pixel_scale: float) -> npt.NDArray[np.bool_]:
    is_plain = path.suffix == ".npy"
    try:
        values = np.load(path, allow_pickle=False) if is_plain else fits.getdata(path)
    except (OSError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path}: {error}; expected a FITS or .npy map of 0 and 1") from error
    if values is None or np.ndim(values) != 2 or not np.isin(values, (0, 1)).all():
        raise InputError(f"{path}: no map of 0 and 1; expected 1 inside the survey and 0 outside")
    scale = None if is_plain else _scale(path)
    if scale is not None and abs(scale / pixel_scale - 1) > _SAME_SCALE:
        raise InputError(f"{path}: pixels of {scale:.4g} arcmin; expected those of the maps, {pixel_scale:g}")
    return np.asarray(values).astype(bool)


def _scale(path: Path) -> float | None:
    """Return arcmin per pixel, where the header says it."""
    with fits.open(path, memmap=False) as units:
        images: list[Any] = [unit for unit in units if unit.is_image and unit.header["NAXIS"] == 2]
        return header_scale(images[0].header, path) if images else None


def checked_footprint(mask: npt.ArrayLike, shape: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    """Return a mask as a footprint.

    Parameters
    ----------
    mask
        1 inside the survey, 0 outside.
    shape
        Pixels along y and x that it must have, if they are known.

    Raises
    ------
    InputError
        It holds other values or nothing but 0, or has another shape.
    """
    footprint = np.asarray(mask)
    if not np.isin(footprint, (0, 1)).all():
        raise InputError("mask: holds other values; expected 1 inside the survey and 0 outside")
    footprint = footprint.astype(bool)
    if footprint.ndim != 2 or footprint.shape != (shape or footprint.shape):
        raise InputError(f"mask: shape {footprint.shape}; expected {shape or '(y, x)'}, that of the grid")
    if not footprint.any():
        raise InputError("mask: 0 everywhere; expected 1 inside the survey")
    return footprint


_CHANCE = 0.01
"""Expected number of places in a field that are taken for outside of the footprint while chance alone emptied them."""


def covered(count: Float64) -> npt.NDArray[np.bool_]:
    """Return where the footprint of a catalogue is, from the galaxies in each pixel.

    Outside is what a square without a galaxy covers, the square being so large that chance empties none in a field.
    Galaxies cluster, and holes smaller than that square are taken for chance: give the survey's own mask where there
    is one.

    Parameters
    ----------
    count
        Galaxies in each pixel, shape (y, x).
    """
    side = _void_side(count)
    # Nothing is known beyond the grid, so squares may reach over its edge.
    empty = np.pad(count == 0, side, constant_values=True)
    outside = maximum_filter(minimum_filter(empty, side), side)
    return np.asarray(~outside[side:-side, side:-side])


def _void_side(count: Float64) -> int:
    """Return the odd side of a square that Poisson statistics leaves empty in less than 1 % of all fields."""
    # The mean of the occupied pixels is the density d of all in the footprint over 1 - exp(-d): Newton's method.
    mean = density = float(count[count > 0].mean())
    for _ in range(20):
        density -= (density - mean * (1 - np.exp(-density))) / (1 - mean * np.exp(-density))
    # The footprint is not larger than the grid.
    density = max(density, float(count.mean()))
    # A square as large as the grid finds what a larger one would.
    side = min(int(np.ceil(np.sqrt(np.log(count.size / _CHANCE) / density))), int(max(count.shape)))
    return side + 1 - side % 2
