"""Convergence maps of simulations that a user owns: MassiveNuS, κTNG, CosmoGrid, and whatever has their formats.

=========================  =====================================================================================
``.fits``, ``.fits.gz``    The first image; MassiveNuS has 512² pixels over 3.5 degrees, and no scale in its header.
``.dat``                   κTNG before 2024: one Fortran record of float64, 1024² pixels over 5 degrees.
``.h5``, ``.hdf5``         κTNG since 2024 (``dataset="z23/kappa"``), and CosmoGrid; needs h5py.
``.npy``                   An array.
=========================  =====================================================================================

A map with one dimension is taken as a full sky in HEALPix's RING order, as CosmoGrid's are, from which a patch on the
tangent plane is cut. Every pixel of a map must have a convergence: NaN and HEALPix's UNSEEN are refused.
"""

import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError, check_number
from lensdask.sky.fullsky.healpix import directions, nside_of, pixel_numbers

__all__ = ["healpix_patch", "read_convergence_map"]

Float64 = npt.NDArray[np.float64]

_SIDES = {".fits": {512: 3.5}, ".dat": {1024: 5.0}, ".h5": {1024: 5.0}}
"""Degrees on a side of the maps whose files do not say so, by pixels on a side: MassiveNuS and κTNG."""

_UNSEEN = -1e30
"""What is below is no convergence: HEALPix has -1.6375e30 in pixels that were not seen."""

_SUFFIXES = {".fits": ".fits", ".fit": ".fits", ".dat": ".dat", ".h5": ".h5", ".hdf5": ".h5", ".npy": ".npy"}


def read_convergence_map(
    path: str | os.PathLike[str],
    *,
    dataset: str | None = None,
    pixel_scale: float | None = None,
    patch: tuple[float, float, int] | None = None,
) -> tuple[npt.NDArray[np.float32], float]:
    """Return a convergence map and its pixel scale.

    Parameters
    ----------
    path
        The file; its suffix says the format.
    dataset
        Name of the array in an HDF5 file.
    pixel_scale
        Arcmin per pixel, for files that do not say it and are not of a known survey; required for a patch.
    patch
        Longitude and latitude of the centre in degrees, and pixels on a side, of the field that is cut from a full sky;
        see `healpix_patch`.

    Returns
    -------
    kappa
        Float32, shape (y, x).
    pixel_scale
        Arcmin per pixel.

    Raises
    ------
    InputError
        The file cannot be read, holds no such map or one with unknown pixels, or does not say how large its pixels are.
    """
    file = Path(path)
    kind = _SUFFIXES.get(Path(file.stem if file.suffix == ".gz" else file.name).suffix.lower())
    if kind is None:
        raise InputError(f"{file}: unknown format; expected one of {', '.join(_SUFFIXES)}")
    if not file.is_file():
        raise InputError(f"{file}: there is no such file; expected a convergence map")
    if pixel_scale is not None:
        check_number("pixel_scale", pixel_scale, least=1e-3, most=1e3, meaning="arcmin")
    values, scale = _READERS[kind](file, dataset)
    if values.ndim == 1:
        if patch is None or pixel_scale is None:
            raise InputError(f"{file}: a full sky; expected patch and pixel_scale to cut a field from it")
        lon, lat, size = patch
        return _checked(healpix_patch(values, (lon, lat), size, pixel_scale), file), pixel_scale
    return _checked(values, file), pixel_scale or scale or _known_scale(values, kind, file)


def _checked(values: npt.NDArray[Any], file: Path) -> npt.NDArray[np.float32]:
    if values.ndim != 2 or min(values.shape) < 2 or not np.issubdtype(values.dtype, np.floating):
        raise InputError(f"{file}: {values.dtype} of shape {values.shape}; expected a map (y, x) of real numbers")
    unknown = np.count_nonzero(~np.isfinite(values) | (values < _UNSEEN))
    if unknown:
        raise InputError(
            f"{file}: {unknown} of {values.size} pixels are not finite, or UNSEEN; expected a convergence everywhere"
        )
    return np.ascontiguousarray(values, dtype=np.float32)


def _known_scale(values: npt.NDArray[Any], kind: str, file: Path) -> float:
    side = _SIDES.get(kind, {}).get(values.shape[-1])
    if side is None:
        raise InputError(f"{file}: does not say how large its {values.shape} pixels are; expected pixel_scale")
    return float(side * 60 / values.shape[-1])


def _read_fits(file: Path, _: str | None) -> tuple[npt.NDArray[Any], float | None]:
    from astropy.io import fits

    try:
        with fits.open(file, memmap=False) as units:
            image = next(
                (unit for unit in units if getattr(unit, "is_image", False) and unit.header["NAXIS"] > 0), None
            )
            if image is None:
                raise InputError(f"{file}: holds no image; expected a convergence map")
            return np.asarray(image.data), header_scale(image.header, file)
    except InputError:
        raise
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"{file}: is not FITS ({error}); expected a convergence map") from error


def header_scale(header: Any, file: Path) -> float | None:
    """Return arcmin per pixel, where the header has coordinates on the sky.

    Raises
    ------
    InputError
        The pixels are not square, or see `sky_coordinates`.
    """
    from astropy.wcs.utils import proj_plane_pixel_scales

    world = sky_coordinates(header, file)
    if world is None:
        return None
    along_x, along_y = 60 * proj_plane_pixel_scales(world)
    if abs(along_x / along_y - 1) > 1e-3:
        raise InputError(f"{file}: pixels of {along_x:.4g} x {along_y:.4g} arcmin; expected square ones")
    return float(along_x)


def sky_coordinates(header: Any, file: Path) -> Any | None:
    """Return the coordinates on the sky of an image, an `astropy.wcs.WCS`, where its header has them with a scale.

    Raises
    ------
    InputError
        They contradict themselves.
    """
    from astropy.wcs import WCS, FITSFixedWarning, WcsError

    try:
        with warnings.catch_warnings():
            # It tells of every spelling that it mends, and of what it could not before it raises.
            warnings.filterwarnings("ignore", r"'\w+' made the change", FITSFixedWarning)
            world = WCS(header)
    except WcsError as error:
        reason = str(error).strip().splitlines()[-1].rstrip(".")
        raise InputError(
            f"{file}: coordinates that make no sense ({reason}); expected those of the sky, or none"
        ) from error
    # Without a scale its default would count, a degree.
    told = world.has_celestial and not _SCALES.isdisjoint(header)
    return world.celestial if told else None


_SCALES = {"CDELT1", "CD1_1", "CD1_2", "PC1_1", "PC1_2"}
"""What a header says its scale with, one of these at least."""


def _read_record(file: Path, _: str | None) -> tuple[npt.NDArray[Any], float | None]:
    """Read one Fortran record of float64: its length in bytes stands before and after it."""
    data = file.read_bytes()
    length = int.from_bytes(data[:4], "little")
    side = math.isqrt(length // 8)
    if len(data) != length + 8 or data[-4:] != data[:4] or 8 * side**2 != length:
        raise InputError(f"{file}: is not one record of a square of float64; expected a map of κTNG")
    return np.frombuffer(data, dtype="<f8", count=side**2, offset=4).reshape(side, side), None


def _read_hdf5(file: Path, dataset: str | None) -> tuple[npt.NDArray[Any], float | None]:
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{file}: h5py is not installed; expected it for HDF5: pip install h5py") from error
    try:
        with h5py.File(file, "r") as content:
            found = content.get(dataset) if dataset else None
            if not isinstance(found, h5py.Dataset):
                raise InputError(f"{file}: dataset {dataset!r}; expected the name of one, under {', '.join(content)}")
            return np.asarray(found[()]), None
    except OSError as error:
        raise InputError(f"{file}: is not HDF5 ({error}); expected a convergence map") from error


def _read_npy(file: Path, _: str | None) -> tuple[npt.NDArray[Any], float | None]:
    try:
        values = np.load(file, allow_pickle=False)
    except (ValueError, EOFError):
        values = None
    if not isinstance(values, np.ndarray):
        raise InputError(f"{file}: is not an array in NumPy's format; expected a convergence map")
    return values, None


_READERS = {".fits": _read_fits, ".dat": _read_record, ".h5": _read_hdf5, ".npy": _read_npy}


def healpix_patch(
    sky: npt.NDArray[Any], centre: tuple[float, float], size: int, pixel_scale: float
) -> npt.NDArray[Any]:
    """Return a square field of a full sky in HEALPix's RING order, on the tangent plane, by the nearest pixel.

    The field is an even grid on the plane that touches the sky at its centre: the gnomonic projection, FITS's TAN. At
    an angle θ from the centre its pixels are smaller on the sky, by cos² θ along the radius and cos θ across it: by 0.8
    and 0.4 % at 5 degrees.

    Parameters
    ----------
    sky
        Shape (12 nside²,).
    centre
        Longitude and latitude of the middle of the field, degrees.
    size
        Pixels on a side.
    pixel_scale
        Arcmin per pixel at the centre. y grows to the north and x to the west, so that the field is not mirrored.

    Raises
    ------
    InputError
        The sky has another number of pixels than a HEALPix sky, or there is no such field.
    """
    nside = nside_of(len(sky), "sky")
    if not (np.isfinite([*centre, pixel_scale]).all() and abs(centre[1]) <= 90 and pixel_scale > 0 and size >= 1):
        raise InputError(
            f"patch of {size} pixels of {pixel_scale} arcmin at longitude {centre[0]}, latitude {centre[1]}; "
            "expected a pixel at least, of positive side, and a latitude from -90 to 90 degrees"
        )
    x = np.deg2rad((np.arange(size) - (size - 1) / 2) * pixel_scale / 60)
    z, longitude = directions(centre, x[None, :], x[:, None])
    return np.asarray(sky[pixel_numbers(nside, z, longitude)])
