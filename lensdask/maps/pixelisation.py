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

from collections.abc import Callable, Sequence
from math import prod
from numbers import Integral

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute.room import require_memory
from lensdask.data.catalogues.columns import number_in_unit, warn_of_catalogue
from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps, checked_pixel_scale, shear_dataset
from lensdask.maps.footprints import checked_footprint, covered
from lensdask.maps.galaxies import Galaxies, checked_galaxies, on_plane, warn_of_density
from lensdask.maps.tangent import near_side

__all__ = ["bin_catalogue", "checked_shape", "pixel_means", "pixels_of", "require_pixels"]

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
    pixel_scale = checked_pixel_scale(pixel_scale)
    shape = None if shape is None else checked_shape(shape)
    galaxies, intrinsic = checked_galaxies(
        x, y, g1, g2, weight, measurement_error, sigma_e, sky=sky, drop_bad=drop_bad, warn=warn
    )
    middle = _middle(galaxies, sky) if centre is None else _checked_centre(centre, "deg" if sky else "arcmin")
    if sky:
        galaxies = on_plane(_near(galaxies, middle) if drop_outside else galaxies, middle)
    else:
        galaxies = galaxies._replace(x=galaxies.x - middle[0], y=galaxies.y - middle[1])
    footprint = None if mask is None else checked_footprint(mask, shape)
    grid = shape or (_grid_shape(galaxies, pixel_scale) if footprint is None else footprint.shape)
    pixel, inside = pixels_of(galaxies, grid, pixel_scale)
    if footprint is not None:
        inside &= footprint.ravel()[pixel]
    _check_inside(galaxies, inside, grid, drop_outside)
    maps, count = pixel_means(galaxies.among(inside), pixel[inside], grid, footprint)
    density = float(count.sum() / (maps.mask.sum() * pixel_scale**2))
    warn_of_density(count.sum(), density, warn)
    return shear_dataset(
        ShearMaps(*(array[None] for array in maps)),
        count=count[None],
        pixel_scale=pixel_scale,
        density=density,
        sigma_e=intrinsic,
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


def _near(galaxies: Galaxies, centre: tuple[float, float]) -> Galaxies:
    """Return the galaxies that can be on a plane about the centre, of a catalogue that may hold half the sky."""
    return galaxies.among(near_side(galaxies.x, galaxies.y, centre))


def _middle(galaxies: Galaxies, sky: bool) -> tuple[float, float]:
    """Return the middle of the smallest box about the galaxies; on the sky RA ends at 360."""
    if not sky:
        return float(galaxies.x.min() + galaxies.x.max()) / 2, float(galaxies.y.min() + galaxies.y.max()) / 2
    turn = np.exp(1j * np.radians(galaxies.x))
    first = float(np.degrees(np.angle(turn.mean())))
    offset = (galaxies.x - first + 180) % 360 - 180
    return (first + float(offset.min() + offset.max()) / 2) % 360, float(galaxies.y.min() + galaxies.y.max()) / 2


_MOST_PIXELS = 10**8
"""Of a grid that nobody asked for: more are a catalogue of half the sky, or positions in another unit."""


def _grid_shape(galaxies: Galaxies, pixel_scale: float) -> tuple[int, int]:
    """Return the pixels along y and x that hold all galaxies about the centre."""
    # A galaxy on an edge must not fall off by rounding.
    height, width = (
        int(2 * np.abs(column).max(initial=0) / pixel_scale * (1 + 1e-12)) + 1 for column in (galaxies.y, galaxies.x)
    )
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


def _check_inside(
    galaxies: Galaxies, inside: npt.NDArray[np.bool_], shape: tuple[int, int], drop_outside: bool
) -> None:
    if not drop_outside and not inside.all():
        off = f"{np.count_nonzero(~inside)} of {len(inside)} galaxies are off the grid of {shape} pixels or its mask"
        raise InputError(f"x, y: {off}; expected all on it, or to drop what is outside (drop_outside)")
    if not galaxies.weight[inside].any():
        on = f"no galaxy of a weight above 0 is on the grid of {shape} pixels"
        raise InputError(f"x, y: {on}; expected some, check centre and units")


_BELOW_ONE = 1 - 1e-6
"""Highest |g|² of a pixel: maps are kept as float32, in which it must still be below 1."""


def pixel_means(
    galaxies: Galaxies,
    pixel: npt.NDArray[np.int64],
    shape: tuple[int, int],
    footprint: npt.NDArray[np.bool_] | None = None,
) -> tuple[ShearMaps, Float64]:
    """Return the maps of one field, shape (y, x), and the number of galaxies in each pixel.

    Parameters
    ----------
    galaxies, pixel
        What is on the grid, some of a weight above 0, and where, from `pixels_of`.
    shape
        Pixels along y and x.
    footprint
        The mask; found from the galaxies when not given.
    """

    def summed(values: Float64) -> Float64:
        sums = np.bincount(pixel, values, minlength=shape[0] * shape[1])
        return np.asarray(sums, dtype=np.float64).reshape(shape)

    total, spread = summed(galaxies.weight), summed(galaxies.weight**2 * galaxies.variance)
    divisor = np.where(total > 0, total, 1.0)
    columns = galaxies.g1, galaxies.g2, galaxies.error
    g1, g2, error = (summed(galaxies.weight * values) / divisor for values in columns)
    known = (spread > 0) & (g1**2 + g2**2 < _BELOW_ONE)
    g1, g2, error = (np.where(known, mean, 0.0) for mean in (g1, g2, error))
    weight = np.where(known, total**2 / np.where(known, spread, 1.0), 0.0)
    count = summed((galaxies.weight > 0).astype(np.float64))
    mask = covered(count) if footprint is None else footprint
    return ShearMaps(g1, g2, weight, error, mask.astype(np.int8)), count
