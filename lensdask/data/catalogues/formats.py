"""Columns of tables in the formats that catalogues come in: FITS and LDAC, HDF5, Parquet, ECSV and CSV.

A format is told by how a file begins, not by its name. Of wide tables only the wanted columns are read into memory, and
of long ones only a block of rows at a time: a row group of a Parquet file at most. ECSV, and FITS that is compressed,
are read at once.
"""

import gzip
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table

from lensdask.data.catalogues.csv_files import read_csv
from lensdask.data.catalogues.fits_files import read_fits
from lensdask.data.catalogues.found import (
    Found,
    Reader,
    columns_of_astropy,
    lacking,
    matched_names,
    plain_column,
    row_slices,
)
from lensdask.data.catalogues.hdf5_files import read_hdf5
from lensdask.data.files import refuse_devices
from lensdask.errors import InputError

__all__ = ["FORMATS", "is_hdf5", "reader_of"]

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
        The file cannot be opened, or is none of these; an `InputError` where it is a device or a pipe.
    """
    refuse_devices(path, f"a catalogue, as {FORMATS}")
    if path.is_dir() and any(path.glob("*.parquet")):
        return _read_parquet
    with path.open("rb") as file:
        begin = file.read(9)
    if begin.startswith(b"\x1f\x8b"):
        with gzip.open(path) as unpacked:
            begin = unpacked.read(9)
    kinds: dict[bytes, Reader] = {b"SIMPLE": read_fits, b"PAR1": _read_parquet, b"\x89HDF": read_hdf5}
    kinds[b"# %ECSV"] = _read_ecsv
    for magic, reader in kinds.items():
        if begin.startswith(magic):
            return reader
    # Nothing tells a CSV file but its name.
    if not {".csv", ".txt", ".dat", ".cat"} & {suffix.lower() for suffix in path.suffixes}:
        raise ValueError(f"neither {FORMATS}")
    return read_csv


def is_hdf5(path: Path) -> bool:
    """Return whether a file is HDF5, whose columns are grouped."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x89HDF"


def _read_ecsv(path: Path, names: Sequence[str], _chosen: int | str | None, _rows: int | None) -> Iterator[Found]:
    table = Table.read(path, format="ascii.ecsv")
    matched = matched_names(names, table.colnames)
    if matched is None:
        raise lacking(path, names, {"": table.colnames}, None)
    yield columns_of_astropy(path, table, matched)


def _read_parquet(path: Path, names: Sequence[str], _chosen: int | str | None, rows: int | None) -> Iterator[Found]:
    try:
        import pyarrow
        from pyarrow import dataset
    except ImportError as error:
        raise InputError(f"{path}: pyarrow is not installed; expected it for Parquet: pip install pyarrow") from error
    try:
        content = dataset.dataset(path, format="parquet")
        matched = matched_names(names, content.schema.names)
        if matched is None:
            raise lacking(path, names, {"": content.schema.names}, None)
        wanted, units = list(set(matched.values())), _parquet_units(content.schema)
        # The batches of a data set read ahead, and hold many row groups.
        pieces = [] if rows is None else [one.split_by_row_group() for one in content.get_fragments()]
        groups = (piece.to_table(columns=wanted, schema=content.schema) for piece in chain(*pieces))
        # A table without rows has no groups.
        whole = (content.to_table(columns=wanted) for _ in range(rows is None or not content.count_rows()))
        for block in (
            table.slice(part.start, rows) for table in chain(groups, whole) for part in row_slices(len(table), rows)
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
    return plain_column(
        path, name, values.to_numpy(zero_copy_only=False), missing if missing.any() else np.ma.nomask, unit
    )


def _parquet_units(schema: Any) -> dict[str, str]:
    """Return the units that columns state, in their own metadata or as Astropy writes them."""
    from astropy.table import meta

    found = {}
    for field in schema:
        stated = {key.lower(): value.decode() for key, value in (field.metadata or {}).items()}
        if unit := stated.get(b"unit") or stated.get(b"units"):
            found[field.name] = unit
    text = (schema.metadata or {}).get(b"table_meta_yaml")
    columns = meta.get_header_from_yaml(text.decode().split("\n"))["datatype"] if text else []
    return found | {column["name"]: column["unit"] for column in columns if "unit" in column}
