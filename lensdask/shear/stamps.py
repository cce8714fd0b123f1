"""Datasets of stamps from anybody's arrays and PSF."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import galsim
import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.arrays import Array, to_numpy
from lensdask.data import SHAPES, STAMPS, common_attributes
from lensdask.data.catalogues.columns import is_masked
from lensdask.errors import InputError
from lensdask.shear.frame import check_jacobian, offset_on_sky, onto_sky
from lensdask.shear.noise import check_correlation
from lensdask.shear.pixels import (
    FLUX,
    check_pixels,
    check_rounding,
    checked_number,
    checked_pixel_scale,
    real_array,
    refuse_masked,
)
from lensdask.shear.psfs import centred_psf, check_psf, read_psf

__all__ = ["make_stamps"]

Float64 = npt.NDArray[np.float64]

_LARGEST_ID = np.iinfo(np.int64).max


def make_stamps(
    images: Array,
    psf: Array | galsim.Image | Sequence[galsim.Image],
    *,
    pixel_scale: float,
    noise_sigma: float | Array,
    galaxy: Array | None = None,
    psf_index: Array | None = None,
    noise_correlation: Array | None = None,
    offset: Array | None = None,
    jacobian: Array | None = None,
    renoise: Array | None = None,
    columns: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Make a dataset of stamps of any survey's arrays.

    The dataset is NumPy's; arrays of other libraries, such as CuPy's and torch's, are copied to main memory. A Quantity
    is converted to the unit that is told here, and refused where it cannot be; masked arrays are refused.

    Parameters
    ----------
    images
        Background-subtracted stamps, shape (galaxy, n, n), indexed [y, x], n even, the galaxy near the geometric
        centre ((n - 1) / 2 on both axes). Fluxes at zero point 30, in units of 3.631 nJy, else brightness
        means something else to the estimators' weighting constants.
    psf
        PSF on the same pixels and centred likewise, the pixel included, of sum 1: shape (n, n), or (galaxy, n, n), or
        (psf, n, n) where galaxies share a few of them, such as those of the cells of a coadd; arrays, an image of
        GalSim, or a list of them. A centroid up to a quarter of a pixel off the centre is shifted there, and told.
    pixel_scale
        Arcsec per pixel.
    noise_sigma
        Standard deviation of the noise per pixel, one number or one of each galaxy, shape (galaxy,); 0 means that the
        images have no noise, and get no renoise.
    galaxy
        Distinct ids, zero or more; 0, 1, 2, … when not given. They key the renoise.
    psf_index
        Which of the PSFs, from 0, each galaxy has, where `psf` is (psf, n, n).
    noise_correlation
        Correlation function of the noise, shape (n, n), 1 at lag (0, 0), which is element [0, 0]; negative lags last,
        in the order of `numpy.fft.ifft2`. White noise when not given. Coadds have correlated noise.
    offset
        Where each galaxy is, (x, y) in pixels from the geometric centre of its stamp, shape (galaxy, 2): it is measured
        about that place. Without `jacobian` it may be a Quantity of angles along the axes of the pixels. In the centre
        when not given. Of places that are not known better than by the pixels of a detection, let `measure` find the
        centroid.
    jacobian
        ∂(west, north)/∂(x, y) in arcsec per pixel, shape (2, 2), or (galaxy, 2, 2) where it changes over the image.
        The stamps, their PSFs and the rest are then put on square pixels with x to the west and y to the north, and
        so are the shapes measured on them: g1 > 0 along east-west. Without it shapes are in the frame of the pixels,
        which must be square. Each that is different costs 50 ms, and a stamp 2 ms.
    renoise
        A second realisation of the noise, shape (galaxy, n, n), independent of that of the images and, where it is
        correlated, turned by 90 degrees; drawn by the id of the galaxy when not given. Stamps of one image that overlap
        need one that goes together, such as `cutouts` draws.
    columns
        What else is known of the galaxies, such as redshift, ra, dec or patch: numbers, truth values or text by name,
        each of shape (galaxy,). They become coordinates, which shapes and stores keep; nothing is computed from them.

    Returns
    -------
    Dataset
        Of the stamps schema, ready for `lensdask.shear.measure`.

    Raises
    ------
    InputError
        Something cannot be measured; the message says what, where, and what was expected.

    Warns
    -----
    UserWarning
        A PSF was shifted, or light of it lies beyond its stamp; or the images were rounded to whole numbers.
    """
    pixels = _check_images(images)
    ids = _check_ids(np.arange(len(pixels)) if galaxy is None else galaxy, len(pixels))
    pixel_scale = checked_pixel_scale(pixel_scale)
    sigma, noise_scale = _noise_level(noise_sigma, len(ids))
    response = read_psf(psf, pixel_scale)
    variables: dict[str, Any] = {"image": (("galaxy", "y", "x"), pixels)}
    coords: dict[str, Any] = {"galaxy": ("galaxy", ids)}
    stack, count = "galaxy", len(ids)
    if psf_index is not None:
        stack, count = "psf_number", len(response)
        coords["psf_index"] = ("galaxy", _check_psf_index(psf_index, response, len(ids)))
    check_psf(response, pixels.shape[1:], count)
    variables["psf"] = ((stack, "y", "x")[3 - response.ndim :], centred_psf(response))
    if noise_correlation is not None:
        correlation = real_array(noise_correlation, "noise_correlation").astype(np.float64)
        check_correlation(correlation, pixels.shape[-1])
        variables["noise_correlation"] = (("lag_y", "lag_x"), correlation)
    if offset is not None:
        variables["offset"] = (
            ("galaxy", "axis"),
            _check_offset(offset, pixels.shape, None if jacobian is not None else pixel_scale),
        )
    if noise_scale is not None:
        variables["noise_scale"] = ("galaxy", noise_scale)
    if renoise is not None:
        variables["renoise"] = (("galaxy", "y", "x"), _check_renoise(renoise, pixels.shape))
    coords |= _user_columns(columns or {}, len(ids))
    check_pixels(pixels, ids, "images", sigma)
    check_rounding(pixels, sigma)
    if jacobian is not None:
        _put_on_sky(variables, coords, check_jacobian(jacobian, len(ids), pixel_scale), pixel_scale)
    settings = {"pixel_scale": float(pixel_scale), "noise_sigma": sigma, "seed": None}
    # The hash stands for the pixels too: a resumed measurement must notice that the stamps were replaced.
    content = hashlib.sha256()
    for _, array in (*variables.values(), *coords.values()):
        content.update(np.ascontiguousarray(array).data)
    attributes = common_attributes(STAMPS, settings | {"content": content.hexdigest()})
    return STAMPS.described(xr.Dataset(variables, coords, attributes | settings | {"origin": "(n-1)/2"}))


def _noise_level(noise_sigma: float | Array, count: int) -> tuple[float, Float64 | None]:
    """Return the noise of the mean stamp, and that of each over it if they differ."""
    if np.ndim(noise_sigma) == 0:
        return float(checked_number(noise_sigma, "noise_sigma", FLUX, least=0)), None
    each = real_array(noise_sigma, "noise_sigma", FLUX).astype(np.float64)
    if each.shape != (count,):
        raise InputError(f"noise_sigma: shape {each.shape}; expected one number, or {(count,)}")
    if not (np.isfinite(each) & (each > 0)).all():
        row = int(np.argmin(np.isfinite(each) & (each > 0)))
        raise InputError(f"noise_sigma: {each[row]:g} of galaxy {row}; expected numbers above 0")
    mean = float(np.sqrt(np.mean(each**2)))
    return mean, each / mean


def _put_on_sky(variables: dict[str, Any], coords: dict[str, Any], jacobian: Float64, pixel_scale: float) -> None:
    """Put what lies on pixels on those of the sky's frame, in place."""
    dims, psf = variables["psf"]
    of_psf = jacobian
    if jacobian.ndim == 3:
        if "noise_correlation" in variables:
            raise InputError("jacobian: one of each galaxy with noise_correlation; expected one of all, shape (2, 2)")
        # The PSF of a galaxy is turned as the galaxy is.
        if psf.ndim == 2:
            of_psf, index = np.unique(jacobian, axis=0, return_inverse=True)
            psf, dims = np.repeat(psf[None], len(of_psf), axis=0), ("psf_number", "y", "x")
            coords["psf_index"] = "galaxy", index.astype(np.int64)
        elif "psf_index" in coords:
            _, index = coords.pop("psf_index")
            psf, dims = psf[index], ("galaxy", "y", "x")
    variables["psf"] = dims, onto_sky(psf, of_psf, pixel_scale)
    dims, image = variables["image"]
    variables["image"] = dims, onto_sky(image, jacobian, pixel_scale)
    if "renoise" in variables:
        dims, renoise = variables["renoise"]
        variables["renoise"] = dims, onto_sky(renoise, jacobian, pixel_scale)
    if "noise_correlation" in variables:
        dims, correlation = variables["noise_correlation"]
        moved = onto_sky(correlation, jacobian, pixel_scale, about_first=True)
        variables["noise_correlation"] = dims, moved / moved[0, 0]
    if "offset" in variables:
        dims, offset = variables["offset"]
        variables["offset"] = dims, offset_on_sky(offset, jacobian, pixel_scale)


def _check_images(images: Array) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        pixels = real_array(images, "images", FLUX).astype(np.float32, copy=False)
    if pixels.ndim != 3 or pixels.shape[-1] != pixels.shape[-2]:
        raise InputError(f"images: shape {pixels.shape}; expected (galaxy, n, n), square stamps")
    if pixels.size == 0 or pixels.shape[-1] % 2:
        raise InputError(f"images: shape {pixels.shape}; expected at least one stamp, n even")
    return pixels


def _check_renoise(renoise: Array, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    drawn = real_array(renoise, "renoise", FLUX).astype(np.float32, copy=False)
    if drawn.shape != shape or not np.isfinite(drawn).all():
        raise InputError(f"renoise: shape {drawn.shape}; expected finite numbers of shape {shape}, as the images")
    return drawn


def _check_ids(galaxy: Array, count: int) -> npt.NDArray[np.int64]:
    refuse_masked(galaxy, "galaxy", "for every galaxy")
    ids = to_numpy(galaxy)
    if ids.shape != (count,) or not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"galaxy: {ids.dtype} of shape {ids.shape}; expected {count} integer ids")
    if ids.min() < 0 or len(np.unique(ids)) < count:
        raise InputError("galaxy: ids repeat or are negative; expected distinct ids, zero or more")
    if ids.max() > _LARGEST_ID:
        raise InputError(f"galaxy: id {ids.max()}; expected ids up to {_LARGEST_ID}, the largest of int64")
    return ids.astype(np.int64)


def _check_psf_index(psf_index: Array, psf: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    refuse_masked(psf_index, "psf_index", "for every galaxy")
    index = to_numpy(psf_index)
    if index.shape != (count,) or not np.issubdtype(index.dtype, np.integer):
        raise InputError(f"psf_index: {index.dtype} of shape {index.shape}; expected {count} whole numbers")
    if psf.ndim != 3 or not 0 <= index.min() <= index.max() < len(psf):
        raise InputError(
            f"psf_index: {index.min()} to {index.max()} with PSFs of shape {psf.shape}; expected 0 to k - 1, (k, n, n)"
        )
    return index.astype(np.int64)


def _check_offset(offset: Array, shape: tuple[int, ...], pixel_scale: float | None) -> Float64:
    """Return places in pixels; where no pixel scale is given they must not be angles."""
    is_angle = getattr(getattr(offset, "unit", None), "physical_type", None) == "angle"
    if is_angle and pixel_scale is None:
        raise InputError(f"offset: in {offset.unit} beside a jacobian; expected pixels, along their axes")
    places = real_array(offset, "offset", "arcsec" if is_angle else "pix").astype(np.float64)
    if is_angle and pixel_scale is not None:
        places /= pixel_scale
    if places.shape != (shape[0], 2):
        raise InputError(f"offset: shape {places.shape}; expected {(shape[0], 2)}, x and y of each galaxy in pixels")
    outside = ~(np.abs(places) < shape[-1] / 2).all(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(
            f"offset: {tuple(map(float, places[row]))} of galaxy {row}; expected a place in its stamp, "
            f"less than {shape[-1] / 2:g} pixels from the centre"
        )
    return places


def _user_columns(columns: Mapping[str, Any], count: int) -> dict[str, tuple[str, npt.NDArray[Any]]]:
    own = (*STAMPS.variables.items(), *STAMPS.coords.items(), *SHAPES.variables.items())
    taken = {name for name, _ in own} | {dim for _, variable in own for dim in variable.dims}
    found = {}
    for name, column in columns.items():
        if name in taken:
            raise InputError(f"columns: {name!r} is a name of lensdask; expected another")
        if is_masked(column):
            raise InputError(f"columns: {name!r} is masked; expected a value for every galaxy")
        values = to_numpy(column)
        if values.shape != (count,):
            raise InputError(
                f"columns: {name!r} has shape {values.shape}; expected {(count,)}, one value for each galaxy"
            )
        # Text of tables is bytes or Python's.
        is_text = values.dtype.kind == "S" or (values.dtype.kind == "O" and all(isinstance(v, str) for v in values))
        found[name] = ("galaxy", values.astype(str) if is_text else values)
    STAMPS.with_columns_of(xr.Dataset(coords=found))
    return found
