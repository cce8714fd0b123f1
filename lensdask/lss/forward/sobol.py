"""The points of Sobol's sequence by their number: parameters that fill a prior evenly, whoever draws which.

Point n is the sum without carry of the direction numbers of the bits of n ^ (n >> 1) (Antonov & Saleev 1979), so any
point costs the same and chunks know nothing of each other. A seed adds one number to all points, again without carry
(a digital shift), which keeps how evenly they lie.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lensdask.errors import check_number
from lensdask.random import Stream, generator

__all__ = ["DIMENSIONS", "sobol"]

_BITS = 52
"""Bits of a coordinate: all that the fraction of a double holds."""

_POLYNOMIALS = ((0, (1,)), (1, (1, 3)), (1, (1, 3, 1)), (2, (1, 1, 1)), (1, (1, 1, 3, 3)), (4, (1, 3, 5, 13)))
"""Of each dimension after the first: inner coefficients of its polynomial, and its first numbers (Joe & Kuo 2008)."""

DIMENSIONS = 1 + len(_POLYNOMIALS)
"""Largest number of dimensions."""


def sobol(ids: npt.NDArray[np.int64], dimensions: int, seed: int) -> npt.NDArray[np.float64]:
    """Return the points of some numbers.

    Parameters
    ----------
    ids
        Numbers of the points, 0 to 2^52, shape (sample,).
    dimensions
        1 to `DIMENSIONS`.
    seed
        Of the shift.

    Returns
    -------
    ndarray
        Between 0 and 1, both excluded, shape (sample, dimension).

    Raises
    ------
    InputError
        More dimensions than there are, or an id beyond 2^52.
    """
    check_number("dimensions of Sobol points", dimensions, least=1, most=DIMENSIONS, whole=True)
    for number in (ids.min(initial=0), ids.max(initial=0)):
        check_number("id of a sample", number, least=0, below=2**_BITS, whole=True)
    shift = generator(seed, Stream.NUISANCE, 0).integers(2**_BITS, size=DIMENSIONS)[:dimensions]
    return np.asarray((_points(ids, dimensions) ^ shift) * 2.0**-_BITS + 2.0 ** -(_BITS + 1), dtype=np.float64)


def _points(ids: npt.NDArray[np.int64], dimensions: int) -> npt.NDArray[np.int64]:
    """Return points as whole numbers of 52 bits, shape (sample, dimension)."""
    gray = (ids ^ (ids >> 1))[:, None]
    points = np.zeros((len(ids), dimensions), dtype=np.int64)
    for bit in range(int(gray.max(initial=0)).bit_length()):
        points ^= ((gray >> bit) & 1) * _directions()[bit, :dimensions]
    return points


@lru_cache(maxsize=1)
def _directions() -> npt.NDArray[np.int64]:
    """Return the direction numbers, shape (bit, dimension)."""
    columns = [[1] * _BITS] + [_extended(*polynomial) for polynomial in _POLYNOMIALS]
    return np.array([[number << (_BITS - 1 - bit) for bit, number in enumerate(column)] for column in columns]).T


def _extended(inner: int, first: tuple[int, ...]) -> list[int]:
    """Return the numbers of one dimension, each after the first from those before by its polynomial."""
    numbers, degree = list(first), len(first)
    coefficients = [inner >> (degree - 1 - k) & 1 for k in range(1, degree)] + [1]
    while len(numbers) < _BITS:
        number = numbers[-degree]
        for k, coefficient in enumerate(coefficients, start=1):
            number ^= coefficient * numbers[-k] << k
        numbers.append(number)
    return numbers
