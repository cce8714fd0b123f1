"""Columns as they are found in a table: which of them are wanted, and what is refused of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import MaskedColumn, Table

from lensdask.errors import InputError

__all__ = [
    "Found",
    "Reader",
    "columns_of_astropy",
    "file_stamp",
    "lacking",
    "matched_names",
    "plain_column",
    "row_slices",
]

Found = dict[str, MaskedColumn]
"""The wanted columns of a block of rows."""

Reader = Callable[[Path, Sequence[str], int | str | None, int | None], Iterator[Found]]
"""See `lensdask.data.catalogues.formats.reader_of`."""


def file_stamp(path: Path) -> tuple[int, ...]:
    """Return what changes with a file, so that one which is read several times is checked once."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def plain_column(path: Path, name: str, values: npt.NDArray[Any], missing: Any, unit: Any) -> MaskedColumn:
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


def matched_names(names: Sequence[str], present: Iterable[str]) -> dict[str, str] | None:
    """Return which of the present names are wanted ones, None unless all of them are."""
    # As it is written first, else whatever the case.
    known = {name.lower(): name for name in reversed(list(present))} | {name: name for name in present}
    found = {name: known.get(name, known.get(name.lower())) for name in names}
    return None if None in found.values() else {name: str(match) for name, match in found.items()}


def lacking(
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


def row_slices(count: int, rows: int | None) -> list[slice]:
    """Return the blocks of so many rows, one at least."""
    step = rows or max(count, 1)
    return [slice(start, start + step) for start in range(0, max(count, 1), step)]


def columns_of_astropy(path: Path, table: Table, matched: Mapping[str, str]) -> Found:
    """Return columns of a table that Astropy has read."""
    found = {}
    for name, match in matched.items():
        column = table[match]
        values = getattr(column, "unmasked", column)
        data = np.asarray(getattr(values, "value", values))
        found[name] = plain_column(path, match, data, getattr(column, "mask", np.ma.nomask), column.unit)
    return found
