"""Columns of HDF5: arrays in a group, or fields of an array of records."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import MaskedColumn, Table

from lensdask.data.catalogues.found import (
    Found,
    columns_of_astropy,
    lacking,
    matched_names,
    plain_column,
    row_slices,
)
from lensdask.errors import InputError

__all__ = ["read_hdf5"]


def read_hdf5(path: Path, names: Sequence[str], chosen: int | str | None, rows: int | None) -> Iterator[Found]:
    """Yield the wanted columns; see `lensdask.data.catalogues.formats.reader_of`."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: h5py is not installed; expected it for HDF5: pip install h5py") from error
    with h5py.File(path, "r") as file:
        tables = _hdf5_tables(file, h5py.Dataset)
        wanted = None if chosen is None else str(chosen).strip("/")
        tables = {label: columns for label, columns in tables.items() if wanted in (None, label)}
        for label, columns in tables.items():
            if matched := matched_names(names, columns):
                if f"{label}.__table_column_meta__" in file:
                    yield columns_of_astropy(path, Table.read(file, path=label, format="hdf5"), matched)
                    return
                arrays = {match: columns[match] for match in matched.values()}
                for block in row_slices(_length(path, arrays), rows):
                    yield {name: _hdf5_column(path, match, arrays[match], block) for name, match in matched.items()}
                return
        raise lacking(path, names, {label or "/": columns for label, columns in tables.items()}, chosen)


def _hdf5_tables(file: Any, dataset: type) -> dict[str, dict[str, Any]]:
    """Return what may be tables: groups of arrays, by their paths below the group, and arrays of records."""
    arrays: dict[str, Any] = {}
    # Only what is in the file itself: links are not followed.
    file.visititems(lambda name, item: arrays.update({name: item}) if isinstance(item, dataset) else None)
    tables: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        if array.dtype.names:
            tables[name] = {field: array.fields(field) for field in array.dtype.names}
        parts = name.split("/")
        for depth in range(len(parts)):
            tables.setdefault("/".join(parts[:depth]), {})["/".join(parts[depth:])] = array
    return tables


def _length(path: Path, arrays: Mapping[str, Any]) -> int:
    """Return how many rows the columns have, or refuse columns that are of no one table."""
    lengths = {}
    for name, array in arrays.items():
        if getattr(array, "shape", None) == ():
            raise InputError(f"{path}: column {name}: a single number; expected one real number in each row")
        lengths[name] = len(array)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} of {length} rows" for name, length in lengths.items())
        raise InputError(f"{path}: columns of different lengths, {told}; expected one length")
    return next(iter(lengths.values()))


def _hdf5_column(path: Path, name: str, array: Any, rows: slice) -> MaskedColumn:
    values = np.asarray(array[rows])
    # Fields of records have no attributes.
    attributes = {key.lower(): value for key, value in getattr(array, "attrs", {}).items()}
    missing: Any = np.ma.nomask
    for key in ("_fillvalue", "missing_value"):
        if values.dtype.kind in "iuf" and key in attributes:
            missing = np.ma.mask_or(missing, _is_any_of(values, np.ravel(attributes[key])))
    # As netCDF packs numbers; what stands for none is packed, too.
    scale, zero = (np.ravel(attributes.get(key, [default])) for key, default in _PACKED.items())
    if values.dtype.kind in "iuf" and _PACKED.keys() & attributes.keys():
        values = values * float(scale[0]) + float(zero[0])
    return plain_column(path, name, values, missing, _unit(attributes))


_PACKED = {"scale_factor": 1.0, "add_offset": 0.0}
"""Attributes by which numbers are multiplied, and what is then added, and what they are where they are missing."""


def _is_any_of(values: npt.NDArray[Any], marks: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where numbers are one of those that stand for none, of which NaN may be one."""
    found = np.zeros(values.shape, dtype=bool)
    for mark in marks if marks.dtype.kind in "iuf" else ():
        # Numbers of single precision equal a mark only in that precision.
        same = values.dtype.type(mark) if values.dtype.kind == "f" else mark
        found |= np.isnan(values) if np.isnan(mark) else values == same
    return found


def _unit(attributes: Mapping[str, Any]) -> str | None:
    """Return the unit of an array, by its attributes in lower case."""
    stated = next((attributes[key] for key in ("unit", "units") if key in attributes), None)
    stated = stated.ravel()[0] if isinstance(stated, np.ndarray) and stated.size else stated
    return stated.decode() if isinstance(stated, bytes) else None if stated is None else str(stated)
