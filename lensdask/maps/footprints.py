"""The footprint of a survey on the grid of a field: read from a file, checked, or found from the galaxies."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from lensdask.data.files import refuse_devices
from lensdask.errors import InputError
from lensdask.maps.tangent import tangent_plane
from lensdask.sky.readers import header_scale, sky_coordinates

__all__ = ["checked_footprint", "covered", "place_on_sky", "read_footprint"]

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
        Arcmin, which the header of the file must not contradict. Of its coordinates no more than this is looked at:
        simulated fields and flat catalogues are nowhere on the sky. See `place_on_sky` for what is.

    Raises
    ------
    InputError
        The file cannot be read, holds another value, such as NaN, or has other pixels.
    """
    return _of_file(path, pixel_scale)[0].copy()


def _of_file(path: str | Path, pixel_scale: float) -> tuple[npt.NDArray[np.bool_], fits.Header]:
    """Return a footprint, which others share, and its header."""
    refuse_devices(path, "a FITS or .npy map of 0 and 1")
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a FITS or .npy map of 0 and 1") from error
    return _read(Path(path), changed, pixel_scale)


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int, pixel_scale: float) -> tuple[npt.NDArray[np.bool_], fits.Header]:
    try:
        values, header = _load(path)
    except (OSError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path}: {error}; expected a FITS or .npy map of 0 and 1") from error
    if np.ndim(values) != 2 or not np.isin(values, (0, 1)).all():
        raise InputError(f"{path}: no map of 0 and 1; expected 1 inside the survey and 0 outside")
    scale = header_scale(header, path)
    if scale is not None and abs(scale / pixel_scale - 1) > _SAME_SCALE:
        raise InputError(f"{path}: pixels of {scale:.4g} arcmin; expected those of the maps, {pixel_scale:g}")
    return np.asarray(values).astype(bool), header


def _load(path: Path) -> tuple[npt.NDArray[np.generic], fits.Header]:
    """Return the map in a file and its header, which is empty in a format without."""
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False), fits.Header()
    values, header = fits.getdata(path, header=True)
    return values, header


_NEAR = 0.5
"""Pixels by which those of a file may lie beside those of the maps."""


def place_on_sky(
    path: str | Path, pixel_scale: float, centre: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Return the position of the middle of a footprint, and check that the header of the file does not contradict it.

    Parameters
    ----------
    path, pixel_scale
        As for `read_footprint`.
    centre
        RA and Dec of the middle, degrees; that of the header when not given.

    Returns
    -------
    tuple of float, or None
        RA and Dec, degrees; None where neither says it.

    Raises
    ------
    InputError
        By its coordinates the map is mirrored, turned, on another projection than the tangent plane about its middle,
        or elsewhere, by more than half a pixel in any place; or see `read_footprint`.
    """
    mask, header = _of_file(path, pixel_scale)
    world = sky_coordinates(header, Path(path))
    if world is None:
        return centre
    middle, off = _on_plane(world, mask.shape, pixel_scale)
    # Not the opposite: beyond the edge of a projection it is NaN.
    if not off <= _NEAR:
        raise InputError(
            f"{path}: by its header up to {off:.3g} pixels beside a map with north up and east left; expected such a "
            "map: flip a mirrored one, array[:, ::-1], or leave coordinates out of the header"
        )
    if centre is not None and not np.abs(tangent_plane(*middle, centre)).max() <= _NEAR * pixel_scale:
        where = "RA {:.5f}, Dec {:.5f}".format(*middle)
        raise InputError(f"{path}: by its header the middle is at {where}; expected it at the centre, {centre}")
    return centre or middle


def _on_plane(world: Any, shape: tuple[int, ...], pixel_scale: float) -> tuple[tuple[float, float], float]:
    """Return RA and Dec of the middle of a map, and by how many pixels others lie beside those of the plane there."""
    # The middle and the corners, in pixels from the middle.
    y, x = np.array([(0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)]).T * (np.array(shape)[:, None] / 2)
    places = world.pixel_to_world(x + (shape[1] - 1) / 2, y + (shape[0] - 1) / 2).icrs
    middle = float(places.ra.deg[0]), float(places.dec.deg[0])
    found = np.array(tangent_plane(places.ra.deg, places.dec.deg, middle)) / pixel_scale
    return middle, float(np.abs(found - (x, y)).max())


def checked_footprint(mask: npt.ArrayLike, shape: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    """Return a mask as a footprint.

    Parameters
    ----------
    mask
        1 inside the survey, 0 outside, as masked pixels are.
    shape
        Pixels along y and x that it must have, if they are known.

    Raises
    ------
    InputError
        It holds other values or nothing but 0, or has another shape.
    """
    footprint = np.asarray(np.ma.filled(mask, 0))
    if not np.isin(footprint, (0, 1)).all():
        raise InputError("mask: holds other values; expected 1 inside the survey and 0 outside")
    footprint = footprint.astype(bool)
    if footprint.ndim != 2 or footprint.shape != (shape or footprint.shape):
        raise InputError(f"mask: shape {footprint.shape}; expected {shape or '(y, x)'}, that of the grid")
    if not footprint.any():
        raise InputError("mask: 0 everywhere; expected 1 inside the survey")
    return footprint


_CHANCE = 0.01
"""Expected number of squares in a field that are taken for outside of the footprint while chance alone emptied them."""


def covered(count: Float64) -> npt.NDArray[np.bool_]:
    """Return where the footprint of a catalogue is, from the galaxies in each pixel.

    Outside is what a square without a galaxy covers, the square being so large that chance empties none in a field. At
    an edge of the grid, beyond which nothing is known, a strip along the edge of the area of the square does too.
    Galaxies cluster, and holes smaller than that square are taken for chance: give the survey's own mask where there
    is one.

    Parameters
    ----------
    count
        Galaxies in each pixel, shape (y, x).
    """
    side, empty = _void_side(count), count == 0
    outside = _over_squares(np.logical_or, _over_squares(np.logical_and, empty, side), side)
    for turn in range(4):
        # These are views.
        np.rot90(outside, turn)[:side] |= _strips(np.rot90(empty, turn)[:side], side**2)
    return np.asarray(~outside)


def _over_squares(combine: np.ufunc, values: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.bool_]:
    """Combine each pixel with all in the square of an odd side about it; beyond the edges they are False."""
    # Not by scipy.ndimage, whose import takes longer than the binning of a catalogue.
    for _ in range(2):
        values = np.pad(values, ((side // 2, side // 2), (0, 0)))
        width = 1
        while width < side:
            step = min(width, side - width)
            values = combine(values[:-step], values[step:])
            width += step
        values = values.T
    return values


def _strips(empty: npt.NDArray[np.bool_], area: int) -> npt.NDArray[np.bool_]:
    """Return what rectangles of an area without a galaxy cover, that begin in the first row."""
    found = np.zeros_like(empty)
    for row, line in enumerate(np.logical_and.accumulate(empty, axis=0)):
        begins = line & ~np.roll(line, 1)
        begins[0] = line[0]
        run = np.cumsum(begins) * line
        found[row] = line & (np.bincount(run)[run] * (row + 1) >= area)
    # A strip reaches from its last row to the first.
    return np.asarray(np.logical_or.accumulate(found[::-1], axis=0)[::-1])


def _void_side(count: Float64) -> int:
    """Return the odd side of a square that Poisson statistics leaves empty in less than 1 % of all fields."""
    # The mean of the occupied pixels is the density d of all in the footprint over 1 - exp(-d): Newton's method.
    mean = density = float(count[count > 0].mean())
    for _ in range(20):
        density -= (density - mean * (1 - np.exp(-density))) / (1 - mean * np.exp(-density))
    # The footprint is not larger than the grid.
    density = max(density, float(count.mean()))
    # A square larger than the grid finds nothing, as a larger one would.
    side = min(int(np.ceil(np.sqrt(np.log(count.size / _CHANCE) / density))), int(max(count.shape)))
    return side + 1 - side % 2
