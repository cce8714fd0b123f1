"""From a coadd to stamps: the image with its WCS and noise, and a stamp around each object of a detection list."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from lensdask.arrays import Array
from lensdask.conventions import ZERO_POINT
from lensdask.data.catalogues.columns import as_numbers, warn_of_catalogue
from lensdask.errors import InputError, check_number
from lensdask.shear.coadds.background import correlation_of_noise
from lensdask.shear.coadds.psf import on_stamps, psfs_of_model
from lensdask.shear.coadds.renoise import ids_of_places, renoise_of_image
from lensdask.shear.noise import Noise
from lensdask.shear.stamps import make_stamps

__all__ = ["Coadd", "cutouts", "read_coadd"]

Float64 = npt.NDArray[np.float64]

_CELL = 512
"""Side of the squares of pixels that share a Jacobian: north turns by some 1e-4 over one."""

_LAGS = 64
"""Side of a correlation function."""

_ALIGNED = 1e-5
"""By how much pixels may be turned, or oblong, to be those of the sky's frame."""

_RIM = 8
"""Pixels beyond a stamp from which it is put onto the sky, where its image fades."""

_NEAR = 3.0
"""Bad pixels as near as this to an object, arcsec, cost its stamp; farther ones are set to the sky."""

_ZERO_POINTS = ("MAGZERO", "MAGZPT", "MAGZP", "ZEROPNT", "PHOTZP")
"""Keywords under which headers have the magnitude of one unit of flux."""


@dataclass(frozen=True)
class Coadd:
    """A background-subtracted image of the sky."""

    image: npt.NDArray[np.float32]
    """Shape (y, x), flux at zero point 30; not finite where a pixel is bad."""
    wcs: WCS
    """From pixels, counted from 0, to right ascension and declination in degrees."""
    known_noise: Noise | None = None
    """Law of the noise, where it is known; that of the pixels without sources when none."""

    @cached_property
    def noise(self) -> Noise:
        """Law of the noise.

        Raises
        ------
        InputError
            Too few pixels are without sources.
        """
        return self.known_noise or Noise(*correlation_of_noise(self.image, _LAGS))

    @cached_property
    def renoise(self) -> npt.NDArray[np.float32]:
        """The second realisation of the noise, which detection and stamps share, shape (y, x)."""
        return renoise_of_image(self.wcs, self.image.shape, self.noise)

    @property
    def middle(self) -> Float64:
        """∂(west, north)/∂(x, y) in the middle of the image, shape (2, 2)."""
        x, y = (np.array([length / 2]) for length in self.image.shape[::-1])
        return np.asarray(self.jacobian(x, y)[0])

    @property
    def pixel_scale(self) -> float:
        """Arcsec per pixel: the root of the area of the pixel in the middle."""
        return float(np.sqrt(abs(np.linalg.det(self.middle))))

    def jacobian(self, x: Float64, y: Float64) -> Float64:
        """Return ∂(west, north)/∂(x, y) in arcsec per pixel at places, shape (place, 2, 2)."""
        around = [(x + 0.5, y), (x - 0.5, y), (x, y + 0.5), (x, y - 0.5)]
        (ra0, dec0), (ra1, dec1), (ra2, dec2), (ra3, dec3) = (self.wcs.all_pix2world(a, b, 0) for a, b in around)
        turns = [(np.stack(pair) + 180) % 360 - 180 for pair in ((ra0 - ra1), (ra2 - ra3))]
        level = np.cos(np.deg2rad((dec0 + dec1) / 2))
        columns = [
            np.stack([-turn * level, up], axis=-1) for turn, up in zip(turns, (dec0 - dec1, dec2 - dec3), strict=True)
        ]
        return 3600 * np.stack(columns, axis=-1)


def read_coadd(path: str | Path, *, zero_point: float | None = None) -> Coadd:
    """Read a coadd: the first image of a FITS file, with its WCS.

    Parameters
    ----------
    path
        The file. Where it has an extension VARIANCE, pixels without a positive finite variance are bad; others are bad
        where the image is not finite.
    zero_point
        AB magnitude of one unit of flux; that of the header (MAGZERO, MAGZPT, FLUXMAG0, …) when not given.

    Raises
    ------
    InputError
        The file cannot be read, or has no image, no celestial WCS or no zero point.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            hdu = next((hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2), None)
            if hdu is None:
                raise InputError(f"{path}: no image of two axes; expected a coadd")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FITSFixedWarning)
                wcs = WCS(hdu.header)
            image, header = np.array(hdu.data, dtype=np.float32), hdu.header
            variance = np.asarray(hdus["VARIANCE"].data) if "VARIANCE" in hdus else None
    except OSError as error:
        raise InputError(f"{path}: {error}; expected a FITS image") from error
    if not wcs.has_celestial:
        raise InputError(f"{path}: no celestial WCS in its header; expected one")
    if variance is not None:
        if variance.shape != image.shape:
            raise InputError(f"{path}: VARIANCE of shape {variance.shape}; expected {image.shape}, as of the image")
        image[~(np.isfinite(variance) & (variance > 0))] = np.nan
    if not np.isfinite(image).any():
        raise InputError(f"{path}: all pixels are bad; expected some that are finite")
    magnitude = _zero_point(path, header) if zero_point is None else zero_point
    check_number("zero_point", magnitude, least=0, most=50, meaning="an AB magnitude")
    image *= np.float32(10 ** (0.4 * (ZERO_POINT - magnitude)))
    return Coadd(image, wcs)


def _zero_point(path: str | Path, header: Mapping[str, Any]) -> float:
    for name in _ZERO_POINTS:
        if name in header:
            return float(header[name])
    if header.get("FLUXMAG0", 0) > 0:
        return float(2.5 * np.log10(header["FLUXMAG0"]))
    raise InputError(
        f"{path}: no zero point in its header; expected one ({', '.join(_ZERO_POINTS)}, FLUXMAG0) or given"
    )


def cutouts(
    coadd: Coadd,
    ra: Array,
    dec: Array,
    psf: Array | Callable[[float, float], Array],
    *,
    size: int = 64,
    columns: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Cut a stamp of whole pixels around each object, and put it into the frame of the sky.

    Objects are up to half a pixel off the middle of their stamps: measure them with ``recentre=True``. The noise is
    that of the coadd, and all stamps are cut from one renoise. Stamps that reach beyond the image, and objects with bad
    pixels within 3 arcsec, are left out, and counted in a warning; bad pixels farther off are set to the sky.

    Parameters
    ----------
    coadd
        From `read_coadd`.
    ra, dec
        Objects, degrees or what states another unit, shape (object,).
    psf
        PSF on the pixels of the coadd, the pixel included, of sum 1, shape (n, n), or (object, n, n); or a model of it,
        a function from the place (x, y) of an object, in pixels counted from 0, to an image (n, n).
    size
        Side of a stamp, an even number of pixels. Smaller PSFs are surrounded by zeros, larger ones cut.
    columns
        What else is known of the objects, by name, each of shape (object,). Those of `detect` that say how a detection
        answers to shear, ``wdet``, ``dwdet_dg1`` and ``dwdet_dg2``, are taken into account by `calibrate`.

    Returns
    -------
    Dataset
        Of the stamps schema; ``object``, the row of the object, ``ra`` and ``dec`` go along. Ids follow from the place
        on the sky.

    Raises
    ------
    InputError
        No object is left, or the WCS, the PSF or the pixels are not acceptable.
    """
    ra, dec = _place("ra", ra), _place("dec", dec)
    x, y = coadd.wcs.all_world2pix(ra, dec, 0)
    rim = 0 if _is_aligned(coadd) else _RIM
    wide = size + 2 * rim
    corner = np.stack([np.rint(place - (wide - 1) / 2) for place in (x, y)], axis=-1)
    on_image = np.isfinite(corner).all(1) & (corner >= 0).all(1) & (corner + wide <= coadd.image.shape[::-1]).all(1)
    rows = np.flatnonzero(on_image)
    images = _windows(coadd.image, corner[rows], wide)
    scale = coadd.pixel_scale
    bad, middle = ~np.isfinite(images), np.arange(wide) - (wide - 1) / 2
    near = np.hypot(middle, middle[:, None]) * scale < _NEAR
    whole = ~(bad & near).any((1, 2))
    _tell(len(ra), int(np.sum(~on_image)), int(np.sum(~whole)))
    images[bad] = 0.0
    rows, images = rows[whole], images[whole]
    response = on_stamps(psfs_of_model(psf, x[rows], y[rows]) if callable(psf) else np.asarray(psf, np.float64), wide)
    # Masks stay, and are refused with the stamps.
    others = {name: np.asanyarray(values)[rows] for name, values in (columns or {}).items()}
    if taken := sorted(others.keys() & {"object", "ra", "dec"}):
        raise InputError(f"columns: {taken[0]!r} is a column of cut-outs; expected another name")
    fade = _fading(wide, rim)
    stamps = make_stamps(
        images * fade,
        response[rows] if response.ndim == 3 and not callable(psf) else response,
        pixel_scale=scale,
        noise_sigma=coadd.noise.sigma,
        renoise=_windows(coadd.renoise, corner[rows], wide) * fade,
        galaxy=ids_of_places(ra[rows], dec[rows]),
        jacobian=_jacobian(coadd, x[rows], y[rows]) if rim else None,
        columns={"object": rows, "ra": ra[rows], "dec": dec[rows]} | others,
    )
    inside = slice(rim, rim + size)
    return stamps.isel(y=inside, x=inside)


def _fading(wide: int, rim: int) -> npt.NDArray[np.float32]:
    """Return what goes from 1 to 0 over the rim of a stamp: a galaxy that the edge cuts would ring all over it."""
    steps = np.minimum(np.arange(wide), np.arange(wide)[::-1]) + 0.5
    along = np.sin(np.pi / 2 * np.minimum(steps / max(rim, 0.5), 1.0)) ** 2
    return np.asarray(along * along[:, None], dtype=np.float32)


def _place(name: str, values: Any) -> Float64:
    """Return a coordinate of objects in degrees; what states another unit is converted."""
    numbers = as_numbers(f"objects: {name}", values, "deg")
    if (missing := int(np.sum(np.ma.getmaskarray(numbers)))) or numbers.ndim != 1:
        lack = f"missing for {missing} of {numbers.size} objects" if missing else f"of shape {numbers.shape}"
        raise InputError(f"objects: {name} is {lack}; expected one angle of each")
    return np.asarray(numbers.data)


def _windows(image: npt.NDArray[np.float32], corner: Float64, size: int) -> npt.NDArray[np.float32]:
    """Return squares of an image, shape (square, size, size), by the places (x, y) of their first pixels."""
    if not len(corner):
        return np.empty((0, size, size), np.float32)
    squares = np.lib.stride_tricks.sliding_window_view(image, (size, size))
    return np.array(squares[tuple(corner[:, ::-1].astype(int).T)])


def _tell(count: int, outside: int, masked: int) -> None:
    if outside + masked == count:
        raise InputError(
            f"objects: of {count}, {outside} are outside the image or at its edge, {masked} on bad pixels; "
            "expected some that are neither"
        )
    if outside or masked:
        warn_of_catalogue(
            f"dropped {outside} of {count} objects outside the image or at its edge, {masked} on bad pixels"
        )


def _is_aligned(coadd: Coadd) -> bool:
    """Return whether the pixels lie as the sky does, all over the image."""
    ends = [np.array([0.0, length / 2, length]) for length in coadd.image.shape[::-1]]
    x, y = (place.ravel() for place in np.meshgrid(*ends))
    return bool(np.abs(coadd.jacobian(x, y) / coadd.pixel_scale - np.eye(2)).max() < _ALIGNED)


def _jacobian(coadd: Coadd, x: Float64, y: Float64) -> Float64:
    """Return the Jacobian of each object, that of the square of pixels that it is in."""
    cells = [
        np.minimum((place // _CELL + 0.5) * _CELL, length)
        for place, length in zip((x, y), coadd.image.shape[::-1], strict=True)
    ]
    return coadd.jacobian(*cells)
