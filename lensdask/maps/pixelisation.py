"""From a catalogue of galaxy shapes to maps of shear: the mean of the galaxies in each pixel, and what it is worth.

Frames
    On a flat catalogue x and y are arcmin, x to the right and y upwards, and the shear is in that frame. On the sky a
    map is the gnomonic projection about its centre with **north up and east to the left**, as the sky is seen and as
    images are drawn: x grows to the west. Shear catalogues are measured on such images, so that g1 > 0 lies east to
    west and g2 > 0 north west to south east. A catalogue whose x grows with right ascension needs -g2 here; with the
    wrong sign peaks are lowered, smeared and moved, and much of the power goes into the B mode.
Variance
    The mean of a pixel, sum(v g) / sum(v) over galaxies of weight v, has the variance sigma² sum(v²) / sum(v)² in each
    component, and its inverse is the weight of the pixel. It is also A n_eff / sigma_e², n_eff being the effective
    density of Heymans et al. (2012, MNRAS 427, 146).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute.room import require_memory
from lensdask.data.catalogues.columns import number_in_unit, warn_of_catalogue
from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps, checked_pixel_scale, shear_dataset
from lensdask.maps.footprints import checked_footprint, covered
from lensdask.maps.galaxies import Galaxies, Rows, checked_rows, doubt_of_density, facts_of, on_plane
from lensdask.maps.tangent import near_side

__all__ = ["PixelSums", "bin_blocks", "bin_catalogue", "checked_shape", "pixels_of", "require_pixels"]

Float64 = npt.NDArray[np.float64]


def bin_catalogue(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    g1: npt.ArrayLike,
    g2: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    pixel_scale: float,
    shape: tuple[int, int] | None = None,
    centre: tuple[float, float] | None = None,
    sky: bool = False,
    sigma_e: float | None = None,
    measurement_error: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    drop_outside: bool = False,
    drop_bad: bool = False,
    source: str | None = None,
    warn: Callable[[str], None] = warn_of_catalogue,
) -> xr.Dataset:
    """Average the shear of galaxies in the pixels of one field.

    Columns may be masked, or have a unit (see `lensdask.data.catalogues.columns`): galaxies without a value in one of
    them are left out, with a warning; galaxies of weight 0 are not looked at.

    Parameters
    ----------
    x, y
        Positions in arcmin; with `sky` right ascension and declination in degrees. Shape (galaxy,).
    g1, g2
        Reduced shear (an ellipticity over its response) of each galaxy; on the sky in a frame with north up and east
        left. |g| is below 1, but for the noise of 2 % of the galaxies at most; a pixel whose mean comes out above 1
        counts as empty.
    weight
        Weight of each galaxy in averages, 0 or more; 1 when not given.
    pixel_scale
        Side of the square pixels, arcmin or a Quantity.
    shape
        Pixels along y and x; the fewest about the centre that hold all galaxies, or the mask's, when not given.
    centre
        Position of the centre of the grid, in the unit of x and y; the middle of the galaxies when not given.
    sky
        Whether x and y are right ascension and declination.
    sigma_e
        Intrinsic dispersion of each component; when not given, the dispersion of the catalogue stands for that and the
        measurement error together.
    measurement_error
        Standard deviation of the measurement of each component, shape (galaxy,).
    mask
        1 inside the footprint, shape (y, x). When not given, what is farther from galaxies than chance explains is
        outside.
    drop_outside
        Leave out galaxies off the grid or off the mask, which are an error otherwise; with `centre` and `shape` this
        cuts one field out of a wide catalogue. `tile_catalogue` cuts it into all its fields.
    drop_bad
        Leave out galaxies that are not finite, which are an error otherwise.
    source
        Redshifts of the galaxies, a name of `lensdask.sky.sources.SOURCES`: the Wiener filter asks for their power.
    warn
        Gets a line on galaxies that are left out, and on a density that is hard to believe; by default a Python
        warning.

    Returns
    -------
    Dataset
        Of the schema ``shear_maps``, with one field, ready for the methods.

    Raises
    ------
    InputError
        Columns of different lengths or in another unit, values that are not finite, |g| >= 1 for many, negative weights
        or errors, galaxies off the grid, pixels that are not square, no galaxy at all, a mask of another shape or other
        values.
    """
    rows = checked_rows(x, y, g1, g2, weight, measurement_error, sky=sky, drop_bad=drop_bad, warn=warn)
    places: dict[str, Any] = {"shape": shape, "centre": centre, "sky": sky, "mask": mask, "drop_outside": drop_outside}
    return bin_blocks([rows], pixel_scale=pixel_scale, **places, sigma_e=sigma_e, source=source, warn=warn)


def bin_blocks(
    blocks: Iterable[Rows],
    *,
    pixel_scale: float,
    shape: tuple[int, int] | None = None,
    centre: tuple[float, float] | None = None,
    sky: bool = False,
    sigma_e: float | None = None,
    mask: npt.ArrayLike | None = None,
    drop_outside: bool = False,
    source: str | None = None,
    warn: Callable[[str], None] = warn_of_catalogue,
) -> xr.Dataset:
    """Average the shear of galaxies that need not fit into memory in the pixels of one field.

    The maps are those of `bin_catalogue` to the bit, whatever the sizes of the blocks.

    Parameters
    ----------
    blocks
        A `lensdask.data.tables.ShearCatalogue`, or a list of the columns of some galaxies each; it is gone through two
        times, and once more where neither a shape nor a mask is given.
    pixel_scale, shape, centre, sky, sigma_e, mask, drop_outside, source, warn
        As for `bin_catalogue`.

    Returns
    -------
    Dataset
        As of `bin_catalogue`.

    Raises
    ------
    InputError
        See `bin_catalogue`.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    shape = None if shape is None else checked_shape(shape)
    footprint = None if mask is None else checked_footprint(mask, shape)
    facts = facts_of(blocks, sigma_e, sky=sky)
    middle = facts.middle if centre is None else _checked_centre(centre, "deg" if sky else "arcmin")

    def placed() -> Iterator[Galaxies]:
        return (_about(facts.galaxies(rows), middle, sky, drop_outside) for rows in blocks)

    grid = shape or (_grid_shape(placed(), pixel_scale) if footprint is None else footprint.shape)
    sums, off = PixelSums(grid), 0
    for galaxies in placed():
        pixel, inside = pixels_of(galaxies, grid, pixel_scale)
        if footprint is not None:
            inside &= footprint.ravel()[pixel]
        off += int(np.count_nonzero(~inside))
        sums.add(galaxies.among(inside), pixel[inside])
    _check_inside(off, facts.number, sums, drop_outside)
    maps, count = sums.means(footprint)
    density = float(count.sum() / (maps.mask.sum() * pixel_scale**2))
    if doubt := doubt_of_density(count.sum(), density):
        warn(doubt)
    return shear_dataset(
        ShearMaps(*(array[None] for array in maps)),
        count=count[None],
        pixel_scale=pixel_scale,
        density=density,
        sigma_e=facts.sigma_e,
        source=source,
        centre=middle if sky else None,
    )


def checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the pixels of a grid along y and x, or refuse them.

    Raises
    ------
    InputError
        They are not two whole numbers from 1 on, or so many that the memory does not hold them.
    """
    if len(shape) != 2 or not all(isinstance(side, Integral) and side > 0 for side in shape):
        raise InputError(f"shape: {tuple(shape)}; expected the pixels along y and x, whole numbers of at least 1")
    height, width = int(shape[0]), int(shape[1])
    require_pixels((height, width), "shape: {} x {} pixels")
    return height, width


_PIXEL_BYTES = 72
"""Memory that a pixel takes while shears are averaged, as measured on 4000 x 4000 pixels."""


def require_pixels(sizes: Sequence[int], what: str) -> None:
    """Refuse maps that the memory does not hold.

    Parameters
    ----------
    sizes
        Of their dimensions.
    what
        What they are, for the message, with a pair of braces for each size.

    Raises
    ------
    InputError
        The memory does not hold them.
    """
    # What every machine holds is not worth the import that tells its memory.
    if prod(sizes) > _MOST_PIXELS:
        require_memory(_PIXEL_BYTES * prod(sizes), what.format(*sizes))


def _checked_centre(centre: tuple[float, float], unit: str) -> tuple[float, float]:
    try:
        x, y = (float(number_in_unit("centre", value, unit)) for value in centre)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        what = " ".join(str(centre).split())
        raise InputError(f"centre: {what}; expected two numbers, in the unit of x and y") from error
    if not np.isfinite((x, y)).all():
        raise InputError(f"centre: {(x, y)}; expected two numbers, in the unit of x and y")
    return x, y


def _about(galaxies: Galaxies, middle: tuple[float, float], sky: bool, drop_outside: bool) -> Galaxies:
    """Return galaxies in the plane about the middle of a field, arcmin."""
    if not sky:
        return galaxies._replace(x=galaxies.x - middle[0], y=galaxies.y - middle[1])
    if drop_outside:
        # Of a catalogue that may hold half the sky.
        galaxies = galaxies.among(near_side(galaxies.x, galaxies.y, middle))
    return on_plane(galaxies, middle)


_MOST_PIXELS = 10**8
"""Of a grid that nobody asked for: more are a catalogue of half the sky, or positions in another unit."""


def _grid_shape(blocks: Iterable[Galaxies], pixel_scale: float) -> tuple[int, int]:
    """Return the pixels along y and x that hold all galaxies about the centre."""
    farthest = np.zeros(2)
    for galaxies in blocks:
        both = [np.abs(column).max(initial=0) for column in (galaxies.y, galaxies.x)]
        farthest = np.maximum(farthest, both)
    # A galaxy on an edge must not fall off by rounding.
    height, width = (int(2 * distance / pixel_scale * (1 + 1e-12)) + 1 for distance in farthest)
    if height * width > _MOST_PIXELS:
        raise InputError(
            f"x, y: the galaxies take {height} x {width} pixels; expected {_MOST_PIXELS:.0e} at most, "
            "a shape of your own, or tiles of the sky"
        )
    return height, width


def pixels_of(
    galaxies: Galaxies, shape: tuple[int, int], pixel_scale: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the number of the pixel of each galaxy, row after row, and which galaxies are on the grid."""
    row, column = (
        np.floor(position / pixel_scale + pixels / 2)
        for position, pixels in zip((galaxies.y, galaxies.x), shape, strict=True)
    )
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    return np.where(inside, row * shape[1] + column, 0).astype(np.int64), inside


def _check_inside(off: int, count: int, sums: "PixelSums", drop_outside: bool) -> None:
    if off and not drop_outside:
        beside = f"{off} of {count} galaxies are off the grid of {sums.shape} pixels or its mask"
        raise InputError(f"x, y: {beside}; expected all on it, or to drop what is outside (drop_outside)")
    if not sums.weight.any():
        on = f"no galaxy of a weight above 0 is on the grid of {sums.shape} pixels"
        raise InputError(f"x, y: {on}; expected some, check centre and units")


_BELOW_ONE = 1 - 1e-6
"""Highest |g|² of a pixel: maps are kept as float32, in which it must still be below 1."""


class PixelSums:
    """Sums over the galaxies in each pixel of one field.

    Parameters
    ----------
    shape
        Pixels along y and x.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.weight, self._g1, self._g2, self._error, self._spread, self._count = np.zeros((6, shape[0] * shape[1]))

    def add(self, galaxies: Galaxies, pixel: npt.NDArray[np.int64]) -> None:
        """Add galaxies on the grid, and where they are, from `pixels_of`."""
        weight = galaxies.weight
        # One after the other, so that sums do not depend on where blocks end.
        np.add.at(self.weight, pixel, weight)
        np.add.at(self._g1, pixel, weight * galaxies.g1)
        np.add.at(self._g2, pixel, weight * galaxies.g2)
        np.add.at(self._error, pixel, weight * galaxies.error)
        np.add.at(self._spread, pixel, weight**2 * galaxies.variance)
        np.add.at(self._count, pixel, 1.0)

    def means(self, footprint: npt.NDArray[np.bool_] | None = None) -> tuple[ShearMaps, Float64]:
        """Return the maps of the field, shape (y, x), and the number of galaxies in each pixel.

        Parameters
        ----------
        footprint
            The mask; found from the galaxies when not given.
        """
        total, spread, count = (sums.reshape(self.shape) for sums in (self.weight, self._spread, self._count))
        divisor = np.where(total > 0, total, 1.0)
        g1, g2, error = (sums.reshape(self.shape) / divisor for sums in (self._g1, self._g2, self._error))
        known = (spread > 0) & (g1**2 + g2**2 < _BELOW_ONE)
        g1, g2, error = (np.where(known, mean, 0.0) for mean in (g1, g2, error))
        weight = np.where(known, total**2 / np.where(known, spread, 1.0), 0.0)
        mask = covered(count) if footprint is None else footprint
        return ShearMaps(g1, g2, weight, error, mask.astype(np.int8)), count
