"""Tiles of a full sky: squares on tangent planes that do not overlap, and the HEALPix pixels that they see.

Tiles stand in rings about the poles, north up and west to the right, so that none is mirrored. A tile of half the side
h, on its plane of radius 1, about the declination δ is inside of ± atan2(h, cos δ - h sin δ) in right ascension. In the
north it reaches up to δ + atan h, in the middle of its upper edge, and its lower corners down to
sin δ_min = (sin δ - h cos δ) / √(1 + 2 h²). The first ring is that of the equator, and the corners of each next one are
where the one below ends, so that no two tiles share a direction. At 5 degrees there are 1,554, on 94 % of the sky.

A pixel of a tile is the mean of the HEALPix pixels nearest to points that are evenly spread over it: 4 x 4, and more
where HEALPix pixels are narrower than a quarter of it, so that none is missed. It is smoothed as the HEALPix map is.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.sky.fullsky.healpix import Order, directions, pixel_numbers, pixel_width
from lensdask.sky.tomography.tiles import TileGrid

__all__ = ["LARGEST_NSIDE", "check_resolution", "check_tiles", "tile_centres", "tile_means", "tile_pixels"]

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

LARGEST_NSIDE = 8192
"""Numbers of pixels beyond do not fit into 32 bits."""

_LEAST_POINTS = 4
"""Points of a pixel of a tile along each axis."""

_WIDEST = 2.0
"""Width of a HEALPix pixel over that of a pixel of a tile beyond which maps are refused."""

_GOLDEN = (math.sqrt(5) - 1) / 2


@lru_cache(maxsize=4)
def tile_centres(grid: TileGrid) -> Float64:
    """Return right ascension and declination of all tiles that fit on the sky, degrees, shape (tile, 2).

    Tiles with numbers next to each other are far apart.

    Parameters
    ----------
    grid
        Their pixels.
    """
    half = _half(grid)
    north = [(dec, ra) for dec in _rings(half) for ra in _around(dec, half)]
    both = [*north, *((-dec, ra) for dec, ra in north if dec > 0)]
    centres = np.degrees([(ra, dec) for dec, ra in both])
    # A stride of the golden ratio that shares no divisor with their number visits each once, and neighbours late.
    stride = next(n for n in range(round(_GOLDEN * len(centres)) or 1, 2 * len(centres)) if _coprime(n, len(centres)))
    return np.asarray(centres[np.arange(len(centres)) * stride % len(centres)])


def _coprime(number: int, other: int) -> bool:
    return math.gcd(number, other) == 1


def _half(grid: TileGrid) -> float:
    return grid.size * grid.pixel_scale * ARCMIN / 2


def _rings(half: float) -> list[float]:
    """Return the declinations of the rings from the equator to the north, rad."""
    reach, found = math.atan(half), [0.0]
    while True:
        corner = math.sin(found[-1] + reach) * math.sqrt((1 + 2 * half**2) / (1 + half**2))
        following = reach + math.asin(min(corner, 1.0))
        if corner >= 1 or following + reach > math.pi / 2:
            return found
        found.append(following)


def _around(dec: float, half: float) -> Float64:
    """Return the right ascensions of the tiles of a ring, rad."""
    width = math.atan2(half, math.cos(dec) - half * math.sin(dec))
    # A tile may be as wide as a turn is long, but for rounding.
    count = max(1, math.floor(math.pi / width + 1e-9))
    return np.asarray(2 * math.pi * np.arange(count) / count)


def check_tiles(count: int, grid: TileGrid) -> None:
    """Refuse more tiles than fit on the sky.

    Raises
    ------
    InputError
        There are not so many.
    """
    most = len(tile_centres(grid))
    if not 1 <= count <= most:
        side = grid.size * grid.pixel_scale / 60
        raise InputError(
            f"tiles: {count}; expected a whole number from 1 to {most}, as many of {side:g} degrees as do not overlap "
            "on the sky"
        )


def check_resolution(nside: int, order: Order, grid: TileGrid, where: str) -> str | None:
    """Return what is to be said of maps whose pixels are wider than those of tiles, and refuse far too wide ones.

    Parameters
    ----------
    nside, order
        Of the maps.
    grid
        Pixels of the tiles.
    where
        The maps, for the message.

    Raises
    ------
    InputError
        The pixels are more than twice as wide, or cannot be counted.
    """
    width = pixel_width(nside)
    about = f"{where}: nside {nside}, pixels of {width:.3g} arcmin"
    if nside > LARGEST_NSIDE:
        raise InputError(f"{about}; expected nside {LARGEST_NSIDE} at the most")
    if order == "nested" and nside & (nside - 1):
        raise InputError(f"{about}; expected a power of two for nested pixels")
    if width > _WIDEST * grid.pixel_scale:
        raise InputError(f"{about}; expected at most twice the {grid.pixel_scale:g} arcmin of a tile's pixels")
    if width > grid.pixel_scale:
        return f"{about}, wider than the {grid.pixel_scale:g} of a tile's pixels: they have no power on small scales"
    return None


def tile_pixels(tile: int, grid: TileGrid, nside: int, order: Order) -> Int32:
    """Return the numbers of the HEALPix pixels at the points of a tile.

    Parameters
    ----------
    tile
        Its number.
    grid
        Its pixels.
    nside
        Of the sky.
    order
        How its pixels are counted.

    Returns
    -------
    ndarray
        Shape (y, point along y, x, point along x).
    """
    points = max(_LEAST_POINTS, math.ceil(grid.pixel_scale / pixel_width(nside)))
    count = grid.size * points
    along = (np.arange(count, dtype=np.float64) - (count - 1) / 2) * (grid.pixel_scale * ARCMIN / points)
    ra, dec = tile_centres(grid)[tile].tolist()
    z, longitude = directions((ra, dec), along[None, :], along[:, None])
    numbers = pixel_numbers(nside, z, longitude, order)
    return numbers.astype(np.int32).reshape(grid.size, points, grid.size, points)


def tile_means(sky: npt.NDArray[np.generic], pixels: Int32) -> Float64:
    """Return what a tile sees of a sky: the mean over the points of each of its pixels, shape (y, x).

    Parameters
    ----------
    sky
        Shape (12 nside²,).
    pixels
        From `tile_pixels`.
    """
    return np.asarray(sky[pixels].mean(axis=(1, 3), dtype=np.float64))
