"""Mosaics: the tiles of a sample side by side in one map, row by row, and back."""

from math import isqrt

from lensdask.arrays import Array, namespace
from lensdask.errors import InputError

__all__ = ["mosaic", "unmosaic"]


def mosaic(maps: Array) -> Array:
    """Return mosaics of tiles.

    Parameters
    ----------
    maps
        Shape (sample, channel, tile, y, x), a square number of tiles.

    Returns
    -------
    Array
        Shape (sample, channel, side y, side x).

    Raises
    ------
    InputError
        No square number of tiles.
    """
    samples, channels, tiles, height, width = maps.shape
    side = isqrt(tiles)
    if side**2 != tiles:
        raise InputError(f"tiles of a mosaic: {tiles}; expected a square number")
    xp = namespace(maps)
    rows = xp.reshape(maps, (samples, channels, side, side, height, width))
    return xp.reshape(xp.permute_dims(rows, (0, 1, 2, 4, 3, 5)), (samples, channels, side * height, side * width))


def unmosaic(mosaics: Array, side: int) -> Array:
    """Return the tiles of mosaics, shape (sample, channel, tile, y, x).

    Parameters
    ----------
    mosaics
        Shape (sample, channel, y, x).
    side
        Tiles along each side.

    Raises
    ------
    InputError
        The mosaics have no such number of tiles.
    """
    samples, channels, height, width = mosaics.shape
    if side < 1 or height % side or width % side:
        raise InputError(f"mosaics: {height} x {width} pixels; expected multiples of {side} tiles on a side")
    xp = namespace(mosaics)
    shape = height // side, width // side
    rows = xp.reshape(mosaics, (samples, channels, side, shape[0], side, shape[1]))
    return xp.reshape(xp.permute_dims(rows, (0, 1, 2, 4, 3, 5)), (samples, channels, side**2, *shape))
