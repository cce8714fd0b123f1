"""Datasets of stamps from anybody's arrays and PSF."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.arrays import Array, namespace, to_numpy
from lensdask.conventions import stamp_origin
from lensdask.data import STAMPS, common_attributes
from lensdask.errors import InputError, check_number
from lensdask.fourier import coordinates
from lensdask.shear.noise import check_correlation

__all__ = ["make_stamps"]

_CENTRING = 0.25
"""Tolerated offset of a PSF in pixels; one on pixel n // 2 is off by 0.7, which biases m by -14 %."""

_NORMALISATION = 0.05
"""A PSF stamp loses light beyond its edge, 0.1 % for the default; more than 5 % is another mistake."""


def make_stamps(
    images: Array,
    psf: Array,
    *,
    pixel_scale: float,
    noise_sigma: float,
    galaxy: Array | None = None,
    psf_index: Array | None = None,
    noise_correlation: Array | None = None,
) -> xr.Dataset:
    """Make a dataset of stamps of any survey's arrays.

    The dataset is NumPy's; arrays of other libraries, such as CuPy's and torch's, are copied to main memory.

    Parameters
    ----------
    images
        Background-subtracted stamps, shape (galaxy, n, n), indexed [y, x], n even, the galaxy near the geometric
        centre ((n - 1) / 2 on both axes). Fluxes at zero point 30, else brightness means something else to the
        estimators' weighting constants.
    psf
        PSF on the same pixels and centred likewise, the pixel included, of sum 1: shape (n, n), or (galaxy, n, n), or
        (psf, n, n) where galaxies share a few of them, such as those of the cells of a coadd.
    pixel_scale
        Arcsec per pixel.
    noise_sigma
        Standard deviation of the noise per pixel; 0 means that the images have no noise, and get no renoise.
    galaxy
        Distinct ids, zero or more; 0, 1, 2, … when not given. They key the renoise.
    psf_index
        Which of the PSFs, from 0, each galaxy has, where `psf` is (psf, n, n).
    noise_correlation
        Correlation function of the noise, shape (n, n), 1 at lag (0, 0), which is element [0, 0]; negative lags last,
        in the order of `numpy.fft.ifft2`. White noise when not given. Coadds have correlated noise.

    Returns
    -------
    Dataset
        Of the stamps schema, ready for `lensdask.shear.measure`.

    Raises
    ------
    InputError
        Something cannot be measured; the message says what, where, and what was expected.
    """
    pixels = _check_images(images)
    ids = _check_ids(np.arange(len(pixels)) if galaxy is None else to_numpy(galaxy), len(pixels))
    check_finite(pixels, ids, "images")
    check_number("pixel_scale", pixel_scale, above=0, meaning="arcsec")
    check_number("noise_sigma", noise_sigma, least=0)
    response = np.asarray(to_numpy(psf), dtype=np.float64)
    variables: dict[str, Any] = {"image": (("galaxy", "y", "x"), pixels)}
    coords: dict[str, Any] = {"galaxy": ("galaxy", ids)}
    stack, count = "galaxy", len(ids)
    if psf_index is not None:
        stack, count = "psf_number", len(response)
        coords["psf_index"] = ("galaxy", _check_psf_index(to_numpy(psf_index), response, len(ids)))
    _check_psf(response, pixels.shape[1:], count)
    variables["psf"] = ((stack, "y", "x")[3 - response.ndim :], response)
    if noise_correlation is not None:
        correlation = np.asarray(to_numpy(noise_correlation), dtype=np.float64)
        check_correlation(correlation, pixels.shape[-1])
        variables["noise_correlation"] = (("lag_y", "lag_x"), correlation)
    settings = {"pixel_scale": float(pixel_scale), "noise_sigma": float(noise_sigma), "seed": None}
    # The hash stands for the pixels too: a resumed measurement must notice that the stamps were replaced.
    content = hashlib.sha256()
    for _, array in (*variables.values(), *coords.values()):
        content.update(np.ascontiguousarray(array).data)
    attributes = common_attributes(STAMPS, settings | {"content": content.hexdigest()})
    return STAMPS.described(xr.Dataset(variables, coords, attributes | settings | {"origin": "(n-1)/2"}))


def _check_images(images: Array) -> npt.NDArray[np.float32]:
    if np.ma.isMaskedArray(images):
        raise InputError("images: masked arrays are not supported; expected a value in every pixel")
    pixels = np.asarray(to_numpy(images), dtype=np.float32)
    if pixels.ndim != 3 or pixels.shape[-1] != pixels.shape[-2]:
        raise InputError(f"images: shape {pixels.shape}; expected (galaxy, n, n), square stamps")
    if pixels.size == 0 or pixels.shape[-1] % 2:
        raise InputError(f"images: shape {pixels.shape}; expected at least one stamp, n even")
    return pixels


def check_finite(images: Array, ids: npt.NDArray[np.int64], where: str) -> None:
    """Refuse stamps, shape (galaxy, ...), with pixels that are not finite, and name their galaxies.

    Raises
    ------
    InputError
        There are such pixels.
    """
    # NumPy's test is sixteen times as fast as torch's.
    pixels = to_numpy(images) if str(images.device) == "cpu" else images
    xp = namespace(pixels)
    broken = ids[to_numpy(~xp.all(xp.isfinite(pixels), axis=tuple(range(1, pixels.ndim))))]
    if broken.size:
        more = f" and {broken.size - 5} more" if broken.size > 5 else ""
        listed = ", ".join(str(i) for i in broken[:5])
        raise InputError(f"{where}: pixels are not finite in galaxy {listed}{more}; expected numbers")


def _check_ids(ids: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    if ids.shape != (count,) or not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"galaxy: {ids.dtype} of shape {ids.shape}; expected {count} integer ids")
    if ids.min() < 0 or len(np.unique(ids)) < count:
        raise InputError("galaxy: ids repeat or are negative; expected distinct ids, zero or more")
    return ids.astype(np.int64)


def _check_psf_index(index: npt.NDArray[Any], psf: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    if index.shape != (count,) or not np.issubdtype(index.dtype, np.integer):
        raise InputError(f"psf_index: {index.dtype} of shape {index.shape}; expected {count} whole numbers")
    if psf.ndim != 3 or not 0 <= index.min() <= index.max() < len(psf):
        raise InputError(
            f"psf_index: {index.min()} to {index.max()} with PSFs of shape {psf.shape}; expected 0 to k - 1, (k, n, n)"
        )
    return index.astype(np.int64)


def _check_psf(psf: npt.NDArray[np.float64], stamp: tuple[int, ...], count: int) -> None:
    if psf.shape not in (stamp, (count, *stamp)):
        raise InputError(f"psf: shape {psf.shape}; expected {stamp} or {(count, *stamp)}, the pixels of the stamps")
    if not np.isfinite(psf).all():
        raise InputError("psf: pixels are not finite; expected numbers")
    sums = np.atleast_1d(psf.sum(axis=(-2, -1)))
    worst = sums[np.argmax(np.abs(sums - 1))]
    if abs(worst - 1) > _NORMALISATION:
        raise InputError(f"psf: the pixels sum to {worst:.4g}; expected 1 within {_NORMALISATION:.0%}")
    worst_offset = _off_centre(psf)
    if worst_offset > _CENTRING:
        middle = stamp_origin(psf.shape[-1])
        raise InputError(
            f"psf: its centroid is {worst_offset:.2f} pixels from ({middle}, {middle}); expected the geometric centre "
            "of the stamp, on both axes: shift stamps and PSF by half a pixel if they are centred on a pixel"
        )


def _off_centre(psf: npt.NDArray[np.float64]) -> float:
    """Return the largest distance of a PSF's centroid from the origin, in pixels."""
    x = coordinates(psf.shape[-1], 1.0)
    flux = psf.sum(axis=(-2, -1))
    dx, dy = (psf.sum(axis=-2) @ x) / flux, (psf.sum(axis=-1) @ x) / flux
    return float(np.max(np.hypot(dx, dy)))
