"""Loops over particles that numba compiles, where it is installed: the extra ``nbody``.

They do what `lensdask.sky.nbody.mesh` does in array operations, several times as fast on a processor, because a
particle is in the cache while its eight cells are. Numbers differ by the rounding of single precision.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = ["Loops", "compiled_loops"]


class Loops(NamedTuple):
    """Compiled functions of arrays of NumPy, float32."""

    paint: Callable[..., None]
    """Adds particles (3, particle) to a field (x, y, z), in place."""
    read: Callable[..., None]
    """Reads a field (x, y, z) at particles (3, particle), into (particle,)."""


@lru_cache(maxsize=1)
def compiled_loops() -> Loops | None:
    """Return the loops, or nothing where numba is not installed. They take some seconds to compile in each process."""
    try:
        import numba
    except ImportError:
        return None
    compiled: Any = numba.njit(nogil=True)
    return Loops(compiled(_paint), compiled(_read))


def _paint(position: Any, field: Any) -> None:
    size = field.shape[0]
    for one in range(position.shape[1]):
        x, y, z = position[0, one], position[1, one], position[2, one]
        i, j, k = int(x), int(y), int(z)
        u, v, w = x - i, y - j, z - k
        # Rounding puts some particles on the far face, which is the near one. A remainder would take longer.
        i, j, k = i if i < size else 0, j if j < size else 0, k if k < size else 0
        i1, j1, k1 = i + 1 if i + 1 < size else 0, j + 1 if j + 1 < size else 0, k + 1 if k + 1 < size else 0
        field[i, j, k] += (1 - u) * (1 - v) * (1 - w)
        field[i, j, k1] += (1 - u) * (1 - v) * w
        field[i, j1, k] += (1 - u) * v * (1 - w)
        field[i, j1, k1] += (1 - u) * v * w
        field[i1, j, k] += u * (1 - v) * (1 - w)
        field[i1, j, k1] += u * (1 - v) * w
        field[i1, j1, k] += u * v * (1 - w)
        field[i1, j1, k1] += u * v * w


def _read(field: Any, position: Any, out: Any) -> None:
    size = field.shape[0]
    for one in range(position.shape[1]):
        x, y, z = position[0, one], position[1, one], position[2, one]
        i, j, k = int(x), int(y), int(z)
        u, v, w = x - i, y - j, z - k
        i, j, k = i if i < size else 0, j if j < size else 0, k if k < size else 0
        i1, j1, k1 = i + 1 if i + 1 < size else 0, j + 1 if j + 1 < size else 0, k + 1 if k + 1 < size else 0
        near = (1 - v) * ((1 - w) * field[i, j, k] + w * field[i, j, k1])
        near += v * ((1 - w) * field[i, j1, k] + w * field[i, j1, k1])
        far = (1 - v) * ((1 - w) * field[i1, j, k] + w * field[i1, j, k1])
        far += v * ((1 - w) * field[i1, j1, k] + w * field[i1, j1, k1])
        out[one] = (1 - u) * near + u * far
