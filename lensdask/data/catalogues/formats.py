"""Columns of tables in the formats that catalogues come in: FITS and LDAC, HDF5, Parquet, ECSV and CSV.

A format is told by how a file begins, not by its name. Of wide tables only the wanted columns are read into memory, and
of long ones only a block of rows at a time: a row group of a Parquet file at most. ECSV, and FITS that is compressed,
are read at once.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from lensdask.errors import InputError

__all__ = ["FORMATS", "is_hdf5", "reader_of"]

Found = dict[str, MaskedColumn]
Reader = Callable[[Path, Sequence[str], int | str | None, int | None], Iterator[Found]]

FORMATS = "FITS, LDAC, Parquet, HDF5, ECSV or CSV"
"""What can be read, for messages."""


def reader_of(path: Path) -> Reader:
    """Return what reads the wanted columns of a file, by names in upper or lower case alike.

    It takes the path, the names, which table of several: its number or name, the first that has the columns when None,
    and how many rows a block has at most, all when None. It yields masked columns with their units, one block at least,
    and raises `InputError` where columns are missing, hold text, or several numbers in each row.

    Raises
    ------
    OSError, ValueError
        The file cannot be opened, or is none of these.
    """
    if path.is_dir() and any(path.glob("*.parquet")):
        return _read_parquet
    with path.open("rb") as file:
        begin = file.read(9)
    if begin.startswith(b"\x1f\x8b"):
        with gzip.open(path) as unpacked:
            begin = unpacked.read(9)
    kinds: dict[bytes, Reader] = {b"SIMPLE": _read_fits, b"PAR1": _read_parquet, b"\x89HDF": _read_hdf5}
    kinds[b"# %ECSV"] = _read_ecsv
    for magic, reader in kinds.items():
        if begin.startswith(magic):
            return reader
    # Nothing tells a CSV file but its name.
    if not {".csv", ".txt", ".dat", ".cat"} & {suffix.lower() for suffix in path.suffixes}:
        raise ValueError(f"neither {FORMATS}")
    return _read_csv


def is_hdf5(path: Path) -> bool:
    """Return whether a file is HDF5, whose columns are grouped."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x89HDF"


def _column(path: Path, name: str, values: npt.NDArray[Any], missing: Any, unit: Any) -> MaskedColumn:
    """Return a column in the byte order of this machine, or name what it holds instead of numbers."""
    kind = {"S": "text", "U": "text", "O": "text or lists", "c": "complex numbers", "V": "records"}
    if values.ndim > 1 and values.dtype.kind in "biufc":
        what: str | None = f"{int(np.prod(values.shape[1:]))} numbers in each row"
    else:
        what = None if values.dtype.kind in "biuf" else kind.get(values.dtype.kind, f"values of type {values.dtype}")
    if what:
        raise InputError(f"{path}: column {name}: {what}; expected one real number in each row")
    values = np.array(values, dtype=values.dtype.newbyteorder("="))
    return MaskedColumn(values, mask=missing, unit=unit or None, name=name, copy=False)


def _matched(names: Sequence[str], present: Iterable[str]) -> dict[str, str] | None:
    """Return which of the present names are wanted ones, None unless all of them are."""
    # As it is written first, else whatever the case.
    known = {name.lower(): name for name in reversed(list(present))} | {name: name for name in present}
    found = {name: known.get(name, known.get(name.lower())) for name in names}
    return None if None in found.values() else {name: str(match) for name, match in found.items()}


def _lacking(
    path: Path, names: Sequence[str], tables: Mapping[str, Iterable[str]], chosen: int | str | None
) -> InputError:
    """Return the error of a file without the wanted columns, which says what it has."""
    if not tables:
        return InputError(f"{path}: no table" + f" {chosen}" * (chosen is not None))
    best = max(tables, key=lambda table: len(_present(names, tables[table])))
    missing = [name for name in names if name not in _present(names, tables[best])]
    has = ", ".join(tables[best]) or "no columns"
    where = f"its table {best} has" if len(tables) > 1 else "it has"
    return InputError(f"{path}: no column {', '.join(missing)}; {where} {has}")


def _present(names: Sequence[str], columns: Iterable[str]) -> list[str]:
    lower = {column.lower() for column in columns}
    return [name for name in names if name.lower() in lower]


def _slices(count: int, rows: int | None) -> list[slice]:
    """Return the blocks of so many rows, one at least."""
    step = rows or max(count, 1)
    return [slice(start, start + step) for start in range(0, max(count, 1), step)]


def _read_fits(path: Path, names: Sequence[str], chosen: int | str | None, rows: int | None) -> Iterator[Found]:
    with path.open("rb") as file:
        is_packed = not file.read(6).startswith(b"SIMPLE")
    with fits.open(path) as hdus:
        hdu, matched = _fits_table(path, hdus, names, chosen)
        place, count = hdus.index_of(hdu), int(hdu.header["NAXIS2"])
        # Plain values: where a column of Astropy is kept, or sought beside the data, closing the file copies all rows.
        told = {name: (match, hdu.columns[match].unit, _fits_null(hdu, match)) for name, match in matched.items()}
    for block in _slices(count, None if is_packed else rows):
        # Mapped, so that no more than the wanted columns is read, and opened anew, or what was read would stay mapped.
        with fits.open(path, memmap=True) as hdus:
            part = hdus[place].data[block]
            yield {name: _fits_column(path, part, *column) for name, column in told.items()}


def _fits_table(
    path: Path, hdus: Any, names: Sequence[str], chosen: int | str | None
) -> tuple[fits.BinTableHDU, dict[str, str]]:
    """Return the table with the wanted columns, and what these are called there."""
    tables = {
        f"{number} ({hdu.name})" if hdu.name else str(number): hdu
        for number, hdu in enumerate(hdus)
        if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and not isinstance(hdu, fits.CompImageHDU)
        if chosen is None or chosen == number or str(chosen).upper() == hdu.name
    }
    for hdu in tables.values():
        if matched := _matched(names, hdu.columns.names):
            return hdu, matched
    raise _lacking(path, names, {label: hdu.columns.names for label, hdu in tables.items()}, chosen)


def _fits_null(hdu: Any, name: str) -> Any:
    """Return the number that stands for a missing one, None where there is none."""
    declared = hdu.columns[name]
    if declared.null in (None, ""):
        return None
    return declared.null * (declared.bscale or 1) + (declared.bzero or 0)


def _fits_column(path: Path, rows: Any, name: str, unit: str | None, null: Any) -> MaskedColumn:
    values = np.asarray(rows[name])
    missing: Any = np.ma.nomask
    # Only whole numbers need a number that stands for a missing one, and Astropy leaves it in.
    if null is not None and values.dtype.kind in "iuf":
        missing = values == null
    return _column(path, name, values, missing, unit)


def _read_hdf5(path: Path, names: Sequence[str], chosen: int | str | None, rows: int | None) -> Iterator[Found]:
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: h5py is not installed; expected it for HDF5: pip install h5py") from error
    with h5py.File(path, "r") as file:
        tables = _hdf5_tables(file, h5py.Dataset)
        wanted = None if chosen is None else str(chosen).strip("/")
        tables = {label: columns for label, columns in tables.items() if wanted in (None, label)}
        for label, columns in tables.items():
            if matched := _matched(names, columns):
                if f"{label}.__table_column_meta__" in file:
                    yield _of_astropy(path, Table.read(file, path=label, format="hdf5"), matched)
                    return
                arrays = {name: columns[match] for name, match in matched.items()}
                for block in _slices(max(len(array) for array in arrays.values()), rows):
                    yield {
                        name: _column(path, name, np.asarray(array[block]), np.ma.nomask, _hdf5_unit(array))
                        for name, array in arrays.items()
                    }
                return
        raise _lacking(path, names, {label or "/": columns for label, columns in tables.items()}, chosen)


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


def _hdf5_unit(array: Any) -> str | None:
    """Return the unit of an array; fields of records have none."""
    attributes = getattr(array, "attrs", {})
    stated = next((attributes[key] for key in ("unit", "units") if key in attributes), None)
    return stated.decode() if isinstance(stated, bytes) else None if stated is None else str(stated)


def _of_astropy(path: Path, table: Table, matched: Mapping[str, str]) -> Found:
    """Return columns of a table that Astropy has read."""
    found = {}
    for name, match in matched.items():
        column = table[match]
        values = getattr(column, "unmasked", column)
        data = np.asarray(getattr(values, "value", values))
        found[name] = _column(path, match, data, getattr(column, "mask", np.ma.nomask), column.unit)
    return found


def _read_ecsv(path: Path, names: Sequence[str], _chosen: int | str | None, _rows: int | None) -> Iterator[Found]:
    table = Table.read(path, format="ascii.ecsv")
    matched = _matched(names, table.colnames)
    if matched is None:
        raise _lacking(path, names, {"": table.colnames}, None)
    yield _of_astropy(path, table, matched)


_EMPTY = ("", "NA", "N/A", "<NA>", "null", "NULL", "None", "--")
"""Cells of text that hold nothing. That of nan holds a number that is none, which is another matter."""


def _read_csv(path: Path, names: Sequence[str], _chosen: int | str | None, rows: int | None) -> Iterator[Found]:
    import pandas as pd

    def wanted(name: str) -> bool:
        return name.strip().lower() in {each.lower() for each in names}

    options: dict[str, Any] = {"comment": "#", "skipinitialspace": True}
    present = [str(name).strip() for name in pd.read_csv(path, nrows=0, **options).columns]
    matched = _matched(names, present)
    if matched is None:
        raise _lacking(path, names, {"": present}, None)
    options |= {"na_values": list(_EMPTY), "keep_default_na": False}
    with pd.read_csv(path, usecols=wanted, iterator=True, chunksize=rows, **options) as reader:
        for block in [reader.read()] if rows is None else reader:
            block.columns = [str(name).strip() for name in block.columns]
            yield {name: _csv_column(path, match, block[match]) for name, match in matched.items()}


def _csv_column(path: Path, name: str, values: Any) -> MaskedColumn:
    missing = np.asarray(values.isna())
    numbers = values.to_numpy()
    if numbers.dtype.kind not in "biuf":
        try:
            # A column with the word nan is not numbers for pandas.
            numbers = np.array([0.0 if gone else float(value) for value, gone in zip(values, missing, strict=True)])
        except (TypeError, ValueError):
            numbers = np.asarray(values, dtype=str)
    return _column(path, name, numbers, missing, None)


def _read_parquet(path: Path, names: Sequence[str], _chosen: int | str | None, rows: int | None) -> Iterator[Found]:
    try:
        import pyarrow
        from pyarrow import dataset
    except ImportError as error:
        raise InputError(f"{path}: pyarrow is not installed; expected it for Parquet: pip install pyarrow") from error
    try:
        content = dataset.dataset(path, format="parquet")
        matched = _matched(names, content.schema.names)
        if matched is None:
            raise _lacking(path, names, {"": content.schema.names}, None)
        wanted, units = list(set(matched.values())), _parquet_units(content.schema)
        # The batches of a data set read ahead, and hold many row groups.
        pieces = [] if rows is None else [one.split_by_row_group() for one in content.get_fragments()]
        groups = (piece.to_table(columns=wanted, schema=content.schema) for piece in chain(*pieces))
        # A table without rows has no groups.
        whole = (content.to_table(columns=wanted) for _ in range(rows is None or not content.count_rows()))
        for block in (
            table.slice(part.start, rows) for table in chain(groups, whole) for part in _slices(len(table), rows)
        ):
            yield {
                name: _arrow_column(path, match, block.column(match), units.get(match))
                for name, match in matched.items()
            }
    except pyarrow.ArrowInvalid as error:
        raise ValueError(error) from error


def _arrow_column(path: Path, name: str, values: Any, unit: str | None) -> MaskedColumn:
    from pyarrow import types

    if types.is_decimal(values.type):
        values = values.cast("float64")
    missing, several = (
        values.is_null().to_numpy(zero_copy_only=False),
        types.is_list(values.type) or types.is_fixed_size_list(values.type),
    )
    if several:
        raise InputError(f"{path}: column {name}: several numbers in each row; expected one real number in each row")
    if types.is_integer(values.type) or types.is_boolean(values.type):
        # Where some are missing, whole numbers would become floating-point numbers, which do not hold all of them.
        values = values.fill_null(False if types.is_boolean(values.type) else 0)
    return _column(path, name, values.to_numpy(zero_copy_only=False), missing if missing.any() else np.ma.nomask, unit)


def _parquet_units(schema: Any) -> dict[str, str]:
    """Return the units that columns state, in their own metadata or as Astropy writes them."""
    from astropy.table import meta

    found = {field.name: field.metadata[b"unit"].decode() for field in schema if b"unit" in (field.metadata or {})}
    text = (schema.metadata or {}).get(b"table_meta_yaml")
    columns = meta.get_header_from_yaml(text.decode().split("\n"))["datatype"] if text else []
    return found | {column["name"]: column["unit"] for column in columns if "unit" in column}
