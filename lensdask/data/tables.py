"""Columns of FITS tables, and the shear catalogues of surveys that they hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from lensdask.errors import InputError

__all__ = ["read_columns", "read_shear_catalogue"]

Float64 = npt.NDArray[np.float64]

_ROLES = ("x", "y", "g1", "g2", "weight", "measurement_error")


def read_columns(path: str | Path, types: Mapping[str, npt.DTypeLike], what: str) -> dict[str, npt.NDArray[Any]]:
    """Return columns of the first table of a FITS file, in the byte order of this machine.

    Values that the table declares to be missing are NaN in columns of floating-point type.

    Parameters
    ----------
    path
        FITS file.
    types
        NumPy types of the wanted columns by name, upper or lower case alike.
    what
        What was expected there, for the message.

    Returns
    -------
    dict
        Arrays by the names that were asked for.

    Raises
    ------
    InputError
        The file cannot be read, has no table, lacks a column, or one holds no numbers.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            table: Any = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)), None)
            present = [] if table is None else [column.name for column in table.columns]
            lower = {name.lower() for name in present}
            missing = [name for name in types if name.lower() not in lower]
            found = {} if missing else {name: _column(table, name, kind) for name, kind in types.items()}
    # astropy raises TypeError and ValueError on files cut short and on columns without numbers.
    except (OSError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); expected a FITS table of {what}") from error
    if missing:
        has = ", ".join(present) or "no table"
        raise InputError(f"{path}: no column {', '.join(missing)}; it has {has}; expected a FITS table of {what}")
    return found


def _column(table: Any, name: str, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    column, values = table.columns[name], table.data[name]
    found = np.array(values, np.dtype(kind))
    # Only whole numbers need a number that stands for a missing one, and astropy leaves it in.
    if column.null is not None and found.dtype.kind == "f":
        found[values == column.null * (column.bscale or 1) + (column.bzero or 0)] = np.nan
    return found


def read_shear_catalogue(path: str | Path, columns: Sequence[str]) -> dict[str, Float64]:
    """Return the columns of a catalogue, named as `lensdask.massmap.bin_catalogue` takes them.

    Parameters
    ----------
    path
        FITS file, whose first table is read.
    columns
        Names in the file, upper or lower case alike: of the two positions and the two components of the shear, then, if
        there are, of the weight, and of the measurement error of a component.

    Raises
    ------
    InputError
        The file cannot be read or lacks a column, or too few columns or too many are named.
    """
    if not 4 <= len(columns) <= len(_ROLES):
        raise InputError(
            f"columns: {','.join(columns)}; expected the names of {', '.join(_ROLES)}, the first four at least"
        )
    found = read_columns(
        path, dict.fromkeys(columns, np.float64), 'galaxies, its columns named as in columns="ra,dec,g1,g2"'
    )
    return {role: found[name] for role, name in zip(_ROLES, columns, strict=False)}
