"""Shear catalogues of surveys, as columns of a FITS table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from lensdask.errors import InputError

__all__ = ["read_shear_catalogue"]

Float64 = npt.NDArray[np.float64]

_ROLES = ("x", "y", "g1", "g2", "weight", "measurement_error")


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
    try:
        with fits.open(path, memmap=False) as hdus:
            table: Any = next((hdu.data for hdu in hdus if isinstance(hdu, fits.BinTableHDU)), None)
            present = [] if table is None else list(table.names)
            lower = {name.lower() for name in present}
            missing = [name for name in columns if name.lower() not in lower]
            found = (
                {} if missing else {r: np.array(table[n], np.float64) for r, n in zip(_ROLES, columns, strict=False)}
            )
    # astropy raises TypeError and ValueError on files cut short and on columns without numbers.
    except (OSError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read ({reason}); expected a FITS table of galaxies") from error
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}; it has {', '.join(present) or 'no table'}; "
            'choose with columns="ra,dec,g1,g2"'
        )
    return found
