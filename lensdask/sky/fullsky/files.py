"""Full skies in files: arrays of NumPy, tables and images of FITS, data sets of HDF5; and how files are told apart.

A map is read when it is used, and one that lies open in a file (``.npy``) only where it is looked at.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError
from lensdask.sky.fullsky.healpix import Order

__all__ = ["check_file", "file_mark", "read_sky"]

Map = npt.NDArray[Any]

HDF5 = (".h5", ".hdf5")
"""Suffixes of files that hold several maps by name."""

_PIECE = 2**16
"""Bytes that are looked at in three places of a file."""


def check_file(path: Path, what: str) -> None:
    """Refuse a file that is not there.

    Raises
    ------
    InputError
        There is no such file.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; expected {what}")


def file_mark(paths: Iterable[Path]) -> str:
    """Return what tells files from others, whatever their names: a checksum of their sizes and of three pieces of each.

    Simulations of many gigabytes are not read for it: two of them differ in any 64 KiB.

    Parameters
    ----------
    paths
        Files, in order.

    Raises
    ------
    InputError
        One is not there.
    """
    found = hashlib.sha256()
    for path in paths:
        check_file(path, "a file of the simulation")
        size = path.stat().st_size
        found.update(size.to_bytes(8, "little"))
        with path.open("rb") as file:
            for place in (0, size // 2, size - _PIECE):
                file.seek(max(place, 0))
                found.update(file.read(_PIECE))
    return found.hexdigest()


def read_sky(path: Path, dataset: str | None, order: Order) -> Map:
    """Return the map of a file.

    Parameters
    ----------
    path
        ``.npy``; ``.fits``, ``.fits.gz`` or ``.fits.fz``; ``.h5`` or ``.hdf5``.
    dataset
        Name of the array in an HDF5 file.
    order
        How the pixels are counted; FITS files may say so themselves.

    Returns
    -------
    ndarray
        Shape (pixel,); their number is not looked at.

    Raises
    ------
    InputError
        The file cannot be read, holds no map of one dimension, or has its pixels in another order.
    """
    check_file(path, "a map of the sky")
    if path.suffix == ".npy":
        found = _of_npy(path)
    elif path.suffix in HDF5:
        found = _of_hdf5(path, dataset)
    elif {".fits", ".fit"} & set(path.suffixes):
        found = _of_fits(path, order)
    else:
        raise InputError(f"{path}: unknown format; expected .npy, .fits, .h5 or .hdf5")
    if found.ndim != 1 or found.dtype.kind not in "iuf":
        raise InputError(f"{path}: {found.dtype} of shape {found.shape}; expected numbers of shape (pixel,)")
    return found


def _of_npy(path: Path) -> Map:
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: is not an array in NumPy's format ({error}); expected a map of the sky") from error


def _of_hdf5(path: Path, dataset: str | None) -> Map:
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: h5py is not installed; expected it for HDF5: pip install h5py") from error
    try:
        with h5py.File(path, "r") as content:
            found = content.get(dataset) if dataset else None
            if not isinstance(found, h5py.Dataset):
                raise InputError(f"{path}: dataset {dataset!r}; expected the name of one, under {', '.join(content)}")
            return np.asarray(found[()])
    except OSError as error:
        raise InputError(f"{path}: is not HDF5 ({error}); expected maps of the sky") from error


def _of_fits(path: Path, order: Order) -> Map:
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as units:
            unit = next((one for one in units if one.header["NAXIS"] > 0), None)
            if unit is None:
                raise InputError(f"{path}: holds no data; expected a map of the sky")
            _check_order(unit.header, path, order)
            return _column(unit, path)
    except InputError:
        raise
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise InputError(f"{path}: is not FITS ({error}); expected a map of the sky") from error


def _check_order(header: Any, path: Path, order: Order) -> None:
    told = str(header.get("ORDERING", order)).strip().lower()
    if told not in {order, order.removesuffix("ed")}:
        raise InputError(f"{path}: its header says ORDERING {told.upper()}; expected {order.upper()}, as described")
    if str(header.get("INDXSCHM", "IMPLICIT")).strip().upper() != "IMPLICIT":
        raise InputError(f"{path}: pixels with numbers of their own (INDXSCHM); expected a full sky")


def _column(unit: Any, path: Path) -> Map:
    """Return an image as it is, and the one column of a table with all its rows in a line."""
    names = getattr(unit, "columns", None)
    if names is not None and len(names) != 1:
        raise InputError(f"{path}: columns {', '.join(names.names)}; expected one, the map")
    values = np.asarray(unit.data if names is None else unit.data.field(0))
    values = values if names is None else values.ravel()
    # FITS is big-endian, for which arithmetic is slow.
    return values.astype(values.dtype.newbyteorder("="), copy=False)
