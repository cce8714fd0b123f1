"""How a task computes lazy arrays: in its own thread.

Dask inside a worker asks the worker's cluster by default, whose workers may be busy for hours, or wait for each other.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dask

__all__ = ["computing_here"]


_HERE = "synchronous"


class _Inside:
    """How many threads of this process are inside, and the setting before; it is one for all of them."""

    lock = threading.Lock()
    number = 0
    before: object = None


@contextmanager
def computing_here() -> Iterator[None]:
    """Have Dask compute in the thread that asks; the last of several threads to leave puts the setting back."""
    with _Inside.lock:
        if _Inside.number == 0:
            _Inside.before = dask.config.get("scheduler", None)
            dask.config.set(scheduler=_HERE)
        _Inside.number += 1
    try:
        yield
    finally:
        with _Inside.lock:
            _Inside.number -= 1
            # A client that was closed meanwhile has taken its own setting back: it must not come again.
            if _Inside.number == 0 and dask.config.get("scheduler", None) == _HERE:
                dask.config.set(scheduler=_Inside.before)
