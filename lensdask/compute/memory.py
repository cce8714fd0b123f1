"""Batches that fit into the memory of a device."""

import warnings
from collections.abc import Callable
from functools import lru_cache

from lensdask.arrays import Array, in_batches

__all__ = ["OutOfMemoryWarning", "batches_that_fit"]


class OutOfMemoryWarning(UserWarning):
    """The device has less memory than batches of the usual size take, which makes the run slower."""


def batches_that_fit(function: Callable[..., Array], arrays: tuple[Array, ...], batch: int) -> Array:
    """Return what `in_batches` returns, in batches of half the size as often as the device runs out of memory.

    Parameters
    ----------
    function, arrays, batch
        As for `in_batches`.

    Warns
    -----
    OutOfMemoryWarning
        Once per process, that batches are smaller than usual.

    Raises
    ------
    torch.OutOfMemoryError
        A single row does not fit.
    """
    import torch

    while True:
        try:
            return in_batches(function, arrays, batch)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        # Outside the clause, so that the traceback no longer keeps the arrays of the attempt.
        torch.cuda.empty_cache()
        _tell_once()
        batch //= 2


@lru_cache(maxsize=1)
def _tell_once() -> None:
    """Warn; the cache makes it once per process, whatever the filters of warnings."""
    warnings.warn("out of memory on the device: going on in smaller batches", OutOfMemoryWarning, stacklevel=3)
