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

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.ndimage import maximum_filter, minimum_filter

from lensdask.errors import InputError
from lensdask.massmap.fields import ShearMaps, check_pixel_scale, shear_dataset
from lensdask.stats import ARCMIN

__all__ = ["bin_catalogue", "north_angle", "tangent_plane"]

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
    source: str | None = None,
) -> xr.Dataset:
    """Average the shear of galaxies in the pixels of one field.

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
        Side of the square pixels, arcmin.
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
        Leave out galaxies off the grid or off the mask, which are an error otherwise.
    source
        Redshifts of the galaxies, a name of `lensdask.sky.sources.SOURCES`: the Wiener filter asks for their power.

    Returns
    -------
    Dataset
        Of the schema ``shear_maps``, with one field, ready for the methods.

    Raises
    ------
    InputError
        Columns of different lengths, values that are not finite, |g| >= 1 for many, negative weights or errors,
        galaxies off the grid, pixels that are not square, no galaxy at all.
    """
    check_pixel_scale(pixel_scale)
    galaxies = _columns(x, y, g1, g2, weight, measurement_error)
    middle = _middle(galaxies, sky) if centre is None else (float(centre[0]), float(centre[1]))
    galaxies = (
        _on_sky(galaxies, middle) if sky else galaxies._replace(x=galaxies.x - middle[0], y=galaxies.y - middle[1])
    )
    footprint = None if mask is None else _footprint(mask, shape)
    grid = shape or (_grid_shape(galaxies, pixel_scale) if footprint is None else footprint.shape)
    intrinsic, variance = _variances(galaxies, sigma_e)
    pixel, chosen = _pixels(galaxies, grid, pixel_scale, footprint, drop_outside)
    maps, count = _means(_Galaxies(*(column[chosen] for column in galaxies)), variance[chosen], pixel[chosen], grid)
    footprint = covered(count) if footprint is None else footprint
    maps = maps._replace(mask=footprint.astype(np.int8))
    return shear_dataset(
        ShearMaps(*(array[None] for array in maps)),
        count=count[None],
        pixel_scale=pixel_scale,
        density=float(count.sum() / (footprint.sum() * pixel_scale**2)),
        sigma_e=intrinsic,
        source=source,
        centre=middle if sky else None,
    )


class _Galaxies(NamedTuple):
    """Columns of a catalogue, each of shape (galaxy,)."""

    x: Float64
    y: Float64
    g1: Float64
    g2: Float64
    weight: Float64
    error: Float64


def _columns(x: Any, y: Any, g1: Any, g2: Any, weight: Any, error: Any) -> _Galaxies:
    count = np.size(x)
    weight = np.ones(count) if weight is None else weight
    error = np.zeros(count) if error is None else error
    names = ("x", "y", "g1", "g2", "weight", "measurement_error")
    # FITS columns have another byte order, which makes every later step slow.
    columns = [np.asarray(column, dtype=np.float64) for column in (x, y, g1, g2, weight, error)]
    for name, column in zip(names, columns, strict=True):
        if column.shape != (count,) or not count:
            raise InputError(
                f"{name}: shape {column.shape}; expected one value for each galaxy, {(count,)}, at least one"
            )
        if broken := np.count_nonzero(~np.isfinite(column)):
            raise InputError(f"{name}: not finite for {broken} of {count} galaxies; expected numbers")
    galaxies = _Galaxies(*columns)
    for name, column in zip(names[4:], columns[4:], strict=True):
        if (lowest := column.min()) < 0:
            raise InputError(f"{name}: {lowest:.4g} for a galaxy; expected 0 or more")
    _check_modulus(np.hypot(galaxies.g1, galaxies.g2))
    if not galaxies.weight.any():
        raise InputError("weight: 0 for every galaxy; expected some above 0")
    return galaxies


_STRAY, _STRAYS = 1.5, 0.02
"""Highest |g| of an estimate, and the part of a catalogue whose estimates may be 1 or more: noise over a response."""


def _check_modulus(modulus: Float64) -> None:
    strays = np.count_nonzero(modulus >= 1)
    if strays > _STRAYS * len(modulus) or modulus.max() >= _STRAY:
        raise InputError(
            f"g1, g2: |g| is 1 or more for {strays} of {len(modulus)} galaxies, at most {modulus.max():.3g}; "
            f"expected reduced shears, with noisy estimates below {_STRAY} for {_STRAYS:.0%} of them at most"
        )


def tangent_plane(ra: npt.ArrayLike, dec: npt.ArrayLike, centre: tuple[float, float]) -> tuple[Float64, Float64]:
    """Return the gnomonic projection of points of the sky about a centre, north up and east to the left.

    Parameters
    ----------
    ra, dec
        Degrees.
    centre
        RA and Dec of the point where the plane touches the sky, degrees.

    Returns
    -------
    tuple of Float64
        x to the **west** and y to the north of the centre, arcmin.

    Raises
    ------
    InputError
        A declination is beyond the poles, or a point is 90 degrees or more from the centre.
    """
    if np.any(np.abs(np.append(dec, centre[1])) > 90):
        raise InputError(
            "dec: beyond the poles; expected declinations from -90 to 90 degrees, after the right ascensions"
        )
    right_ascension, declination = np.radians(np.asarray(ra, dtype=np.float64)), np.radians(np.asarray(dec, np.float64))
    ra_0, dec_0 = np.radians(centre)
    east = np.cos(declination) * np.sin(right_ascension - ra_0)
    ahead = np.cos(declination) * np.cos(right_ascension - ra_0)
    depth = np.sin(declination) * np.sin(dec_0) + ahead * np.cos(dec_0)
    if np.any(depth <= 0):
        raise InputError(f"ra, dec: a point is 90 degrees or more from the centre {tuple(centre)}; expected one field")
    north = np.sin(declination) * np.cos(dec_0) - ahead * np.sin(dec_0)
    return -east / depth / ARCMIN, north / depth / ARCMIN


def north_angle(x: Float64, y: Float64, declination: float) -> Float64:
    """Return by how much the direction of north at points of the tangent plane is turned from the y axis.

    Meridians are straight on the plane and meet at the image of the pole, at the height cot(Dec) over the centre. Shear
    measured against north at its own place is that against the y axis times exp(-2i angle).

    Parameters
    ----------
    x, y
        Arcmin, from `tangent_plane`.
    declination
        Of the centre, degrees.

    Returns
    -------
    Float64
        Radians, from x to y.
    """
    sine, cosine = np.sin(np.radians(declination)), np.cos(np.radians(declination))
    return np.asarray(np.arctan2(x * ARCMIN * sine, cosine - y * ARCMIN * sine), dtype=np.float64)


def _on_sky(galaxies: _Galaxies, centre: tuple[float, float]) -> _Galaxies:
    """Return galaxies in the tangent plane, their shear against its axes."""
    x, y = tangent_plane(galaxies.x, galaxies.y, centre)
    turned = (galaxies.g1 + 1j * galaxies.g2) * np.exp(2j * north_angle(x, y, centre[1]))
    return galaxies._replace(x=x, y=y, g1=turned.real, g2=turned.imag)


def _middle(galaxies: _Galaxies, sky: bool) -> tuple[float, float]:
    """Return the middle of the smallest box about the galaxies; on the sky RA ends at 360."""
    if not sky:
        return float(galaxies.x.min() + galaxies.x.max()) / 2, float(galaxies.y.min() + galaxies.y.max()) / 2
    turn = np.exp(1j * np.radians(galaxies.x))
    first = float(np.degrees(np.angle(turn.mean())))
    offset = (galaxies.x - first + 180) % 360 - 180
    return (first + float(offset.min() + offset.max()) / 2) % 360, float(galaxies.y.min() + galaxies.y.max()) / 2


def _grid_shape(galaxies: _Galaxies, pixel_scale: float) -> tuple[int, int]:
    """Return the pixels along y and x that hold all galaxies about the centre."""
    # A galaxy on an edge must not fall off by rounding.
    height, width = (
        int(2 * np.abs(column).max() / pixel_scale * (1 + 1e-12)) + 1 for column in (galaxies.y, galaxies.x)
    )
    return height, width


def _footprint(mask: npt.ArrayLike, shape: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    footprint = np.asarray(mask)
    if not np.isin(footprint, (0, 1)).all():
        raise InputError("mask: holds other values; expected 1 inside the survey and 0 outside")
    footprint = footprint.astype(bool)
    if footprint.ndim != 2 or footprint.shape != (shape or footprint.shape):
        raise InputError(f"mask: shape {footprint.shape}; expected {shape or '(y, x)'}, that of the grid")
    return footprint


def _pixels(
    galaxies: _Galaxies,
    shape: tuple[int, int],
    pixel_scale: float,
    footprint: npt.NDArray[np.bool_] | None,
    drop_outside: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the number of the pixel of each galaxy, row after row, and which galaxies are on the grid and the mask."""
    row, column = (
        np.floor(position / pixel_scale + pixels / 2).astype(np.int64)
        for position, pixels in zip((galaxies.y, galaxies.x), shape, strict=True)
    )
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    pixel = np.where(inside, row * shape[1] + column, 0)
    if footprint is not None:
        inside &= footprint.ravel()[pixel]
    if not drop_outside and not inside.all():
        off = f"{np.count_nonzero(~inside)} of {len(inside)} galaxies are off the grid of {shape} pixels or its mask"
        raise InputError(f"x, y: {off}; expected all on it, or drop_outside=True")
    if not galaxies.weight[inside].any():
        on = f"no galaxy of a weight above 0 is on the grid of {shape} pixels"
        raise InputError(f"x, y: {on}; expected some, check centre and units")
    return pixel, inside


def _variances(galaxies: _Galaxies, sigma_e: float | None) -> tuple[float, Float64]:
    """Return the dispersion of a component of the ellipticity, and the variance of each galaxy with its measurement."""
    if sigma_e is None:
        square = galaxies.weight**2
        total = (square * (galaxies.g1**2 + galaxies.g2**2)).sum() / (2 * square.sum())
        if total == 0:
            raise InputError("sigma_e: not given, and the shears are all 0; expected the dispersion of each component")
        return float(np.sqrt(total)), np.full(len(square), total)
    if not (isinstance(sigma_e, Real) and np.isfinite(sigma_e) and sigma_e > 0):
        raise InputError(f"sigma_e: {sigma_e}; expected a positive number, the dispersion of each component")
    return float(sigma_e), sigma_e**2 + galaxies.error**2


def _means(
    galaxies: _Galaxies, variance: Float64, pixel: npt.NDArray[np.int64], shape: tuple[int, int]
) -> tuple[ShearMaps, Float64]:
    """Return the maps of one field, shape (y, x), with an empty mask, and the counts."""

    def summed(values: Float64) -> Float64:
        sums = np.bincount(pixel, values, minlength=shape[0] * shape[1])
        return np.asarray(sums, dtype=np.float64).reshape(shape)

    total, spread = summed(galaxies.weight), summed(galaxies.weight**2 * variance)
    divisor = np.where(total > 0, total, 1.0)
    columns = galaxies.g1, galaxies.g2, galaxies.error
    g1, g2, error = (summed(galaxies.weight * values) / divisor for values in columns)
    known = (spread > 0) & (g1**2 + g2**2 < 1)
    g1, g2, error = (np.where(known, mean, 0.0) for mean in (g1, g2, error))
    weight = np.where(known, total**2 / np.where(known, spread, 1.0), 0.0)
    return ShearMaps(g1, g2, weight, error, np.zeros(shape)), summed((galaxies.weight > 0).astype(np.float64))


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
    side = int(np.ceil(np.sqrt(np.log(count.size / _CHANCE) / density)))
    return side + 1 - side % 2
