"""Rows of numbers in text files."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lensdask.data.files import refuse_devices
from lensdask.errors import InputError

__all__ = ["read_rows"]


def read_rows(path: str | Path, columns: int, what: str) -> npt.NDArray[np.float64]:
    """Return the numbers of a text file, one row a line; what follows a # is left out.

    Parameters
    ----------
    path
        The file.
    columns
        Numbers in a row.
    what
        What a row holds, for the message.

    Returns
    -------
    ndarray
        At least one row, shape (row, columns). Numbers may be infinite or NaN.

    Raises
    ------
    InputError
        The file cannot be read, or its rows are others.
    """
    expected = f"expected a text file with {what} in each row"
    refuse_devices(path, f"a text file with {what} in each row")
    try:
        with warnings.catch_warnings():
            # Of an empty file, which is told below.
            warnings.simplefilter("ignore", UserWarning)
            table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0].rstrip('.')}; {expected}") from error
    if not table.size:
        raise InputError(f"{path}: it is empty; {expected}")
    if table.shape[1] != columns:
        raise InputError(f"{path}: rows of {table.shape[1]}; {expected}")
    return table
