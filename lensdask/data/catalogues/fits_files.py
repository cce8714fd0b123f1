"""Columns of FITS tables: binary ones, ASCII ones, and those of LDAC."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn

from lensdask.data.catalogues.found import Found, file_stamp, lacking, matched_names, plain_column, row_slices
from lensdask.errors import InputError

__all__ = ["read_fits"]


def read_fits(path: Path, names: Sequence[str], chosen: int | str | None, rows: int | None) -> Iterator[Found]:
    """Yield the wanted columns; see `lensdask.data.catalogues.formats.reader_of`."""
    with path.open("rb") as file:
        is_packed = not file.read(6).startswith(b"SIMPLE")
    with fits.open(path) as hdus:
        hdu, matched = _fits_table(path, hdus, names, chosen)
        place, count = hdus.index_of(hdu), int(hdu.header["NAXIS2"])
        # Plain values: where a column of Astropy is kept, or sought beside the data, closing the file copies all rows.
        told = {name: (match, hdu.columns[match].unit, _fits_null(hdu, match)) for name, match in matched.items()}
    _check_sum(path, place, file_stamp(path))
    for block in row_slices(count, None if is_packed else rows):
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
        if matched := matched_names(names, hdu.columns.names):
            return hdu, matched
    raise lacking(path, names, {label: hdu.columns.names for label, hdu in tables.items()}, chosen)


_PIECE = 2**22
"""Bytes of a table that are added up at once, a multiple of four."""


@lru_cache(maxsize=64)
def _check_sum(path: Path, place: int, _stamp: tuple[int, ...]) -> None:
    """Refuse a table whose bytes do not add up to what its header says: to the sum of them as words of 32 bits."""
    with fits.open(path) as hdus:
        header, info = hdus[place].header, hdus[place].fileinfo()
        stated = str(header.get("DATASUM", "")).strip()
        if not stated:
            return
        info["file"].seek(info["datLoc"])
        total = _sum_of_words(info["file"], info["datSpan"])
    # What overflows is added again, and so a sum of 2^32 - 1 is that of 0.
    if (total - int(stated)) % (2**32 - 1):
        what = f"its table {header.get('EXTNAME', place)} is not what its header says (DATASUM)"
        raise InputError(f"{path}: {what}; expected the file as it was written, or one without DATASUM")


def _sum_of_words(file: Any, left: int) -> int:
    """Return the sum of the words of 32 bits in the next bytes of a file."""
    total = 0
    while left > 0 and (piece := file.read(min(left, _PIECE))):
        left -= len(piece)
        words = np.frombuffer(piece + b"\0" * (-len(piece) % 4), dtype=">u4")
        total += int(words.sum(dtype=np.uint64))
    return total


def _fits_null(hdu: Any, name: str) -> Any:
    """Return the number that stands for a missing one, None where there is none; of tables of text the text."""
    declared = hdu.columns[name]
    if isinstance(hdu, fits.TableHDU):
        return str("" if declared.null is None else declared.null).strip()
    if not isinstance(declared.null, int | float):
        return None
    return declared.null * (declared.bscale or 1) + (declared.bzero or 0)


def _fits_column(path: Path, rows: Any, name: str, unit: str | None, null: Any) -> MaskedColumn:
    values = np.asarray(rows[name])
    missing: Any = np.ma.nomask
    if isinstance(null, str):
        # Astropy has made a number of it. Nothing but blanks is no number either.
        text = np.char.strip(np.asarray(rows)[name])
        missing = (text == b"") | (text == null.encode()[: text.dtype.itemsize])
        return plain_column(path, name, values, missing, unit)
    # Only whole numbers need a number that stands for a missing one, and Astropy leaves it in.
    if null is not None and values.dtype.kind in "iuf":
        missing = values == null
    return plain_column(path, name, values, missing, unit)
