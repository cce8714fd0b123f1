"""Errors of statistics of block sums, by bootstrap and by the delta method.

A statistic takes totals, shape (..., k), to numbers, shape (..., q): means, ratios, biases.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError, check_number
from lensdask.random import Stream, generator

__all__ = ["MOST_RESAMPLINGS", "Statistic", "bootstrap_error", "delta_error"]

Float64 = npt.NDArray[np.float64]
Statistic = Callable[[Float64], Float64]
"""From totals, shape (..., k), to numbers, shape (..., q)."""

MOST_RESAMPLINGS = 1_000_000
"""Then the error of an error is 0.07 %."""

_AT_ONCE = 50


def bootstrap_error(table: Float64, statistic: Statistic, *, seed: int, replicas: int = 1000) -> Float64:
    """Return the standard deviation of a statistic over resamplings of the blocks with replacement.

    Parameters
    ----------
    table
        Block sums, shape (blocks, k).
    statistic
        Function of the totals.
    seed
        Seed of the resampling.
    replicas
        Number of resamplings; 20 is what Lin, Li et al. 2026 use, with an error of 16 % on the error.

    Raises
    ------
    InputError
        Fewer than two blocks or resamplings.
    """
    blocks = len(table)
    check_number("bootstrap", replicas, least=2, most=MOST_RESAMPLINGS, whole=True)
    if blocks < 2:
        raise InputError(f"bootstrap: {replicas} resamplings of {blocks} blocks; expected at least 2 of these")
    rng = generator(seed, Stream.BOOTSTRAP, 0)
    values = []
    for start in range(0, replicas, _AT_ONCE):
        count = min(_AT_ONCE, replicas - start)
        weights = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=count)
        values.append(statistic(weights @ table))
    return np.asarray(np.concatenate(values).std(axis=0, ddof=1))


def delta_error(table: Float64, statistic: Statistic) -> Float64:
    """Return the error of a statistic from its derivative with respect to the totals.

    The derivative is a central difference over one standard deviation of each total: the scale on which the
    statistic has to be linear for the method to hold.

    Parameters
    ----------
    table
        Block sums, shape (blocks, k).
    statistic
        Function of the totals.
    """
    blocks = len(table)
    deviations = table - table.mean(axis=0)
    scatter = np.sqrt((deviations**2).sum(axis=0) * blocks / max(blocks - 1, 1))
    steps = np.diag(scatter)
    total = table.sum(axis=0)
    change = (statistic(total + steps) - statistic(total - steps)) / 2
    slope = np.divide(change, scatter[:, None], out=np.zeros_like(change), where=scatter[:, None] > 0)
    influence = deviations @ slope
    return np.asarray(np.sqrt((influence**2).sum(axis=0) * blocks / max(blocks - 1, 1)))
