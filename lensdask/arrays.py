"""One array namespace for NumPy, CuPy and torch, and the only place where data changes device.

Physics is written once on ``namespace(x)`` (the array API standard, through ``array_api_compat``) and runs on
whichever library holds ``x``.
"""

from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np
import numpy.typing as npt

__all__ = ["Array", "in_batches", "like", "namespace", "to_numpy"]

Array = Any
"""An array of NumPy, CuPy or torch."""


def namespace(*arrays: Array) -> Any:
    """Return the array-API namespace that the arrays share.

    Raises
    ------
    TypeError
        If they come from different libraries.
    """
    return array_api_compat.array_namespace(*arrays)


def like(values: npt.ArrayLike, reference: Array) -> Array:
    """Return values as an array of the reference's library and device.

    Real values take the reference's precision, complex values the complex type of that precision.
    """
    xp = namespace(reference)
    values = np.asarray(values)
    single = str(reference.dtype).endswith(("float32", "complex64"))
    kinds = ("complex64", "complex128") if np.iscomplexobj(values) else ("float32", "float64")
    values = np.ascontiguousarray(values.astype(kinds[0] if single else kinds[1]))
    return xp.asarray(values, device=array_api_compat.device(reference))


def to_numpy(array: Array) -> npt.NDArray[Any]:
    """Return the array in main memory as a NumPy array, without a copy where it is there already."""
    if array_api_compat.is_torch_array(array):
        return np.asarray(array.detach().cpu())
    if array_api_compat.is_cupy_array(array):
        return np.asarray(array.get())
    return np.asarray(array)


def in_batches(
    function: Callable[..., npt.NDArray[Any]], arrays: tuple[npt.NDArray[Any], ...], batch: int
) -> npt.NDArray[Any]:
    """Apply a row-wise function to batches of one fixed size and join the results.

    Matrix and convolution libraries choose their kernel, and so their rounding, by the number of rows. The last
    batch is therefore filled up by repeating its last row: a row gives the same bits whatever rows stand beside it,
    which makes tables independent of the chunking.

    Parameters
    ----------
    function
        Takes arrays with ``batch`` rows and returns an array with ``batch`` rows.
    arrays
        Arrays with one common number of rows, at least one.
    batch
        Rows per call.
    """
    rows = len(arrays[0])
    results = []
    for start in range(0, rows, batch):
        part = [array[start : start + batch] for array in arrays]
        missing = batch - len(part[0])
        if missing:
            part = [np.concatenate([p, np.repeat(p[-1:], missing, axis=0)]) for p in part]
        results.append(function(*part)[: rows - start])
    return np.concatenate(results)
