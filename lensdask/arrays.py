"""One array namespace for NumPy, CuPy and torch, and the only place where data changes device.

Physics is written once on ``namespace(x)`` (the array API standard, through ``array_api_compat``) and runs on
whichever library holds ``x``. Whole chunks run on torch, which has both the networks and the devices, so that one
allocator owns the memory of a GPU; CuPy's arrays become torch's where they lie.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

__all__ = [
    "Array",
    "constant",
    "held_on",
    "in_batches",
    "index_like",
    "is_on_cpu",
    "like",
    "namespace",
    "to_numpy",
    "to_torch",
]

Array = Any
"""An array of NumPy, CuPy or torch."""


@dataclass(frozen=True)
class _Place:
    """Where and in which precision an array is held; hashable."""

    library: Any
    device: Any = field(compare=False)
    device_name: str
    """Stands for the device where places are compared: CuPy's devices are not hashable."""
    single: bool


def namespace(*arrays: Array) -> Any:
    """Return the array-API namespace that the arrays share.

    Raises
    ------
    TypeError
        If they come from different libraries.
    """
    return array_api_compat.array_namespace(*arrays)


def is_on_cpu(array: Array) -> bool:
    """Return whether an array is held in main memory."""
    return str(array_api_compat.device(array)) == "cpu"


def like(values: npt.ArrayLike, reference: Array) -> Array:
    """Return values as an array of the reference's library and device.

    Real values take the reference's precision, complex values the complex type of that precision. What is an array of
    that library already, other than NumPy's, is returned as it is; one of NumPy's without a copy where it can be.
    """
    place = _place(reference)
    if not isinstance(values, np.ndarray) and array_api_compat.is_array_api_obj(values):
        namespace(values, reference)
        return values
    return _put(np.asarray(values), place)


def index_like(values: npt.NDArray[np.integer[Any]], reference: Array) -> Array:
    """Return whole numbers as an array of the reference's library and device, to index it with."""
    return _moved(np.asarray(values, dtype=np.int64), _place(reference))


def constant(function: Callable[..., npt.NDArray[Any]], *arguments: Hashable, reference: Array) -> Array:
    """Return ``like(function(*arguments), reference)``, kept for the next call.

    Parameters
    ----------
    function
        Pure function at module level; it and its arguments are the key.
    arguments
        Hashable.
    reference
        Array whose library, device and precision the result takes. The result must not be changed.
    """
    return _kept(function, arguments, _place(reference))


@lru_cache(maxsize=128)
def _kept(function: Callable[..., npt.NDArray[Any]], arguments: tuple[Hashable, ...], place: _Place) -> Array:
    return _put(function(*arguments), place)


def _place(reference: Array) -> _Place:
    device = array_api_compat.device(reference)
    return _Place(
        namespace(reference), device, str(device), _is_single(type(reference.dtype).__module__, reference.dtype)
    )


@lru_cache(maxsize=128)
def _is_single(_library: str, dtype: Hashable) -> bool:
    # Types of different libraries do not compare, not even in a cache: the library is looked at first.
    # NumPy takes longer for the name of a type than for the sum of a row of pixels.
    return str(dtype).endswith(("float32", "complex64"))


def _put(values: npt.NDArray[Any], place: _Place) -> Array:
    kinds = ("complex64", "complex128") if np.iscomplexobj(values) else ("float32", "float64")
    return _moved(np.ascontiguousarray(values, dtype=kinds[0] if place.single else kinds[1]), place)


def _moved(values: npt.NDArray[Any], place: _Place) -> Array:
    if array_api_compat.is_torch_namespace(place.library):
        return to_torch(values, place.device)
    return place.library.asarray(values, device=place.device)


def to_numpy(array: Array) -> npt.NDArray[Any]:
    """Return the array in main memory as a NumPy array, without a copy where it is there already.

    Takes anything that `numpy.asarray` takes, and arrays of any library that exports them by DLPack.
    """
    if array_api_compat.is_torch_array(array):
        return np.asarray(array.detach().cpu())
    if array_api_compat.is_cupy_array(array):
        return np.asarray(array.get())
    if hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
        return np.from_dlpack(array, device="cpu")
    return np.asarray(array)


def to_torch(array: Array, device: "str | torch.device") -> "torch.Tensor":
    """Return the array as a torch tensor on a device, without a copy where it is there already.

    The host does not wait for a copy to the device, nor for what the device has still to do before it: CUDA copies
    from page-locked memory while the host goes on, from pageable memory only while the host waits.

    Parameters
    ----------
    array
        Of NumPy, CuPy, torch, or any library that exports arrays by DLPack.
    device
        "cpu" or "cuda".
    """
    import torch

    if isinstance(array, np.ndarray):
        # Torch knows no strides below zero, such as those of a turned image, nor the byte order of FITS files, nor
        # memory that is read only.
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        on_host = torch.device(device).type == "cpu"
        return tensor if on_host else tensor.pin_memory().to(device, non_blocking=True)
    if any(stride < 0 for stride in getattr(array, "strides", None) or ()):
        array = namespace(array).concat([array])
    tensor = torch.utils.dlpack.from_dlpack(array)
    return tensor.to(device)


def held_on(array: npt.NDArray[Any], device: str) -> Array:
    """Return an array in the library whose element by element operations are the fastest on a device.

    Parameters
    ----------
    array
        In main memory.
    device
        "cpu", where it is NumPy's, or "cuda", where it is torch's.
    """
    return array if device == "cpu" else to_torch(array, device)


def in_batches(function: Callable[..., Array], arrays: tuple[Array, ...], batch: int) -> Array:
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
        part = [_filled(array[start : start + batch, ...], batch) for array in arrays]
        results.append(function(*part)[: rows - start, ...])
    return namespace(results[0]).concat(results)


def _filled(rows: Array, batch: int) -> Array:
    """Return rows, filled up to a whole batch by copies of the last one."""
    if len(rows) == batch:
        return rows
    xp = namespace(rows)
    number = xp.arange(batch, device=array_api_compat.device(rows))
    return xp.take(rows, xp.clip(number, max=len(rows) - 1), axis=0)
