"""Maps of the shear of galaxies as the methods take them: the bundle, its checks, and its dataset.

A field is a rectangle of square pixels; its maps are arrays ``(field, y, x)``, x to the right and y upwards. What a
pixel holds is the mean reduced shear of its galaxies, and how well that is known. Two kinds of pixel know nothing:
those outside the footprint (``mask`` 0: a bright star, the edge of the survey), and those inside it where chance put
no galaxy (``mask`` 1, ``weight`` 0).
"""

import hashlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from lensdask.arrays import Array, namespace, to_numpy
from lensdask.data import SHEAR_MAPS, common_attributes
from lensdask.data.catalogues.columns import is_masked, number_in_unit
from lensdask.errors import InputError, check_number

__all__ = [
    "ShearMaps",
    "check_maps",
    "check_same_shape",
    "checked_pixel_scale",
    "cross_shear",
    "known_shear",
    "refuse_masked_maps",
    "shear_dataset",
    "shear_maps",
    "validate_shear_maps",
]


class ShearMaps(NamedTuple):
    """The measured shear of some fields, arrays of NumPy, CuPy or torch of shape (field, y, x).

    Parameters
    ----------
    g1, g2
        Mean reduced shear of the galaxies in a pixel, in the frame of the array; 0 where there is none.
    weight
        Inverse variance of each of the two components; 0 where there is no galaxy.
    measurement_error
        Mean measurement error of the galaxies in a pixel, for each component; 0 where there is none.
    mask
        1 inside the footprint, 0 outside.
    """

    g1: Array
    g2: Array
    weight: Array
    measurement_error: Array
    mask: Array


def validate_shear_maps(maps: ShearMaps, ids: npt.NDArray[np.int64] | None = None) -> None:
    """Check that maps can be inverted; pixels outside the mask may hold anything.

    Parameters
    ----------
    maps
        Shape (field, y, x).
    ids
        Ids of the fields, for the error; their places when none.

    Raises
    ------
    InputError
        The maps are masked arrays or of different shapes; a value inside the mask is not finite; a weight is negative;
        |g| is 1 or more; nothing is inside the mask, or no galaxy.
    """
    refuse_masked_maps(**maps._asdict())
    check_same_shape(**maps._asdict())
    if len(maps.g1.shape) != 3:
        raise InputError(f"shear maps: shape {tuple(maps.g1.shape)}; expected (field, y, x)")
    # array_api_compat takes longer to import for NumPy than a catalogue to bin, and these two functions are the same.
    xp = np if isinstance(maps.g1, np.ndarray) else namespace(maps.g1)
    inside = maps.mask != 0
    names = np.arange(len(maps.g1)) if ids is None else ids
    _refuse(names, ~xp.any(inside, axis=(1, 2)), "nothing is inside the mask", "a mask of 1 where the survey is")
    for name in ("g1", "g2", "weight", "measurement_error"):
        _refuse(
            names, inside & ~xp.isfinite(getattr(maps, name)), f"{name} is not finite inside the mask", "numbers there"
        )
    _refuse(names, inside & (maps.weight < 0), "a weight is negative", "inverse variances, 0 where there is no galaxy")
    known = inside & (maps.weight > 0)
    _refuse(names, ~xp.any(known, axis=(1, 2)), "no pixel inside the mask has a weight", "at least one galaxy")
    _refuse(names, known & (maps.g1**2 + maps.g2**2 >= 1), "|g| is 1 or more", "a reduced shear below 1")


def _refuse(ids: npt.NDArray[np.int64], broken: Array, what: str, expected: str) -> None:
    """Name the first field with something broken, shape (field,) or (field, y, x)."""
    fields = to_numpy(broken)
    if fields.any():
        number = int(np.argmax(fields.reshape(len(fields), -1).any(axis=1)))
        raise InputError(f"shear maps: field {ids[number]}: {what}; expected {expected}")


def check_same_shape(**arrays: Array) -> None:
    """Refuse maps that do not lie on one grid.

    Raises
    ------
    InputError
        Two shapes differ.
    """
    (first, reference), *others = ((name, tuple(array.shape)) for name, array in arrays.items())
    for name, shape in others:
        if shape != reference:
            raise InputError(f"{name}: shape {shape}; expected that of {first}, {reference}")


def refuse_masked_maps(**arrays: Array) -> None:
    """Refuse masked arrays, NumPy's and Astropy's, of which array libraries would lose the mask.

    Raises
    ------
    InputError
        One of them is.
    """
    for name, array in arrays.items():
        if is_masked(array):
            raise InputError(f"{name}: a masked array; expected a plain one, with 0 and a weight of 0 behind the mask")


def check_maps(known: str | None = None, **arrays: Array) -> None:
    """Refuse maps from which no map of mass follows: Fourier transforms spread what is not finite over all of it.

    Parameters
    ----------
    known
        The one of the maps, weights or a mask, which is 0 where the others hold nothing.
    **arrays
        Maps of one shape, by what errors call them.

    Raises
    ------
    InputError
        Maps are masked, of different shapes, or not finite where anything is known; a weight is negative.
    """
    refuse_masked_maps(**arrays)
    check_same_shape(**arrays)
    for name, array in arrays.items():
        xp = namespace(array)
        broken = ~xp.isfinite(array)
        if known not in (None, name):
            broken = broken & (arrays[str(known)] != 0)
        if bool(xp.any(broken)):
            where = f", or a {known} of 0 there" if known not in (None, name) else ""
            raise InputError(f"{name}: not finite in {int(to_numpy(broken).sum())} pixels; expected numbers{where}")
    if known is not None and bool(namespace(arrays[known]).any(arrays[known] < 0)):
        raise InputError(f"{known}: negative in a pixel; expected 0 or more")


def checked_pixel_scale(pixel_scale: float) -> float:
    """Return the side of a square pixel in arcmin, or refuse it.

    Parameters
    ----------
    pixel_scale
        Arcmin, or a Quantity.

    Raises
    ------
    InputError
        It is not one number from 0.001 to 1000, such as a pair of different sides, or the size in degrees of a pixel of
        an image; or a Quantity that is no angle.
    """
    side = number_in_unit("pixel_scale", pixel_scale, "arcmin")
    check_number("pixel_scale", side, least=1e-3, most=1e3, meaning="the side of a square pixel in arcmin")
    return float(side)


def known_shear(maps: ShearMaps) -> ShearMaps:
    """Return maps that are 0 wherever there is no galaxy or no footprint, whatever stood there."""
    xp = namespace(maps.g1)
    known = (maps.mask != 0) & (maps.weight > 0)
    g1, g2, weight, error = (xp.where(known, array, xp.zeros_like(array)) for array in maps[:4])
    return ShearMaps(g1, g2, weight, error, maps.mask)


def cross_shear(g1: Array, g2: Array) -> tuple[Array, Array]:
    """Return the shear turned by 45 degrees, gamma' = -i gamma: its E mode is the B mode of the original.

    Lensing makes E modes only (to first order), so the map that a method makes of this shear shows its noise, and what
    the instrument left in the data.
    """
    return g2, -g1


def shear_maps(dataset: xr.Dataset) -> ShearMaps:
    """Return the maps of a dataset of the schema ``shear_maps``, in memory."""
    return ShearMaps(*(np.asarray(dataset[name]) for name in ShearMaps._fields))


def _filled(maps: ShearMaps) -> ShearMaps:
    """Return maps without what lies behind the masks of masked arrays."""
    if not any(is_masked(array) for array in maps):
        return maps
    check_same_shape(**maps._asdict())
    arrays = ShearMaps(*(_of_numpy(array) for array in maps))
    hidden = np.logical_or.reduce([np.ma.getmaskarray(array) for array in arrays[:-1]])
    g1, g2, weight, error = (np.where(hidden, 0, np.ma.getdata(array)) for array in arrays[:-1])
    return ShearMaps(g1, g2, weight, error, np.ma.filled(arrays.mask, 0))


def _of_numpy(array: Array) -> Array:
    """Return a masked array of Astropy as one of NumPy, and others as they are."""
    return np.ma.MaskedArray(np.asarray(array.unmasked), array.mask) if hasattr(array, "unmasked") else array


def shear_dataset(
    maps: ShearMaps,
    *,
    count: npt.ArrayLike,
    pixel_scale: float,
    density: float | None = None,
    sigma_e: float | None = None,
    source: str | None = None,
    seed: int | None = None,
    centre: tuple[float, float] | None = None,
) -> xr.Dataset:
    """Return maps as a dataset of the schema ``shear_maps``, ready to be reconstructed or written.

    Parameters
    ----------
    maps
        Shape (field, y, x). Masked pixels of masked arrays know nothing: their weight becomes 0.
    count
        Galaxies in each pixel, same shape.
    pixel_scale
        Arcmin.
    density
        Galaxies per arcmin² of footprint.
    sigma_e
        Dispersion of each component of the ellipticity.
    source
        What was observed, such as a distribution of redshifts; seed: that of a simulation.
    centre
        RA and Dec of the centre of the one field, degrees.

    Raises
    ------
    InputError
        The maps cannot be inverted (see `validate_shear_maps`), or the counts are of another shape.
    """
    pixel_scale = checked_pixel_scale(pixel_scale)
    maps = _filled(maps)
    validate_shear_maps(maps)
    check_same_shape(g1=maps.g1, count=np.asarray(count))
    dims = ("field", "y", "x")
    arrays = {name: to_numpy(array).astype(np.float32, copy=False) for name, array in maps._asdict().items()}
    arrays["mask"] = (to_numpy(maps.mask) != 0).astype(np.int8)
    arrays["count"] = np.asarray(count, dtype=np.float32)
    coords: dict[str, Any] = {"field": pd.RangeIndex(len(maps.g1))}
    if centre is not None:
        coords |= {name: np.array([value], dtype=np.float64) for name, value in zip(("ra", "dec"), centre, strict=True)}
    settings = {
        "pixel_scale": pixel_scale,
        "density": density,
        "sigma_e": sigma_e,
        "source": source,
        "seed": seed,
    }
    # The hash stands for the pixels too: a resumed reconstruction must notice that the maps were replaced.
    content = hashlib.sha256()
    for values in arrays.values():
        content.update(np.ascontiguousarray(values).data)
    attributes = common_attributes(SHEAR_MAPS, settings | {"content": content.hexdigest()})
    # Of other values xarray asks whether they are Dask's, which imports Dask: half a second.
    held = {name: xr.Variable(dims, values, fastpath=True) for name, values in arrays.items()}
    places = {name: xr.Variable(("field",), values, fastpath=True) for name, values in coords.items()}
    return SHEAR_MAPS.described(xr.Dataset(held, places, attributes | settings))
