"""Sums over blocks: the sufficient statistics of a survey, a few hundred bytes per block.

A block is a run of neighbouring units (a unit is whatever is correlated: both members of an orthogonal pair under
all shears). Means, ratios of means and their errors all follow from the (block, statistic) table, so a run of any
length keeps only that table.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MINIMUM_BLOCKS", "block_length", "block_sums"]

MINIMUM_BLOCKS = 400
"""Fewer blocks underestimate errors: with 20 blocks they come out 12 % too small."""

_LONGEST_BLOCK = 1024


def block_length(units: int) -> int:
    """Return how many units make a block: as many as leave 400 blocks or more, 1024 at the most."""
    return max(1, min(_LONGEST_BLOCK, units // MINIMUM_BLOCKS))


def block_sums(values: npt.NDArray[Any], length: int) -> npt.NDArray[np.float64]:
    """Return sums over consecutive blocks in double precision.

    Parameters
    ----------
    values
        One row per object, shape (n, ...).
    length
        Objects per block; the last block may be shorter.

    Returns
    -------
    ndarray
        Shape (ceil(n / length), ...).
    """
    starts = np.arange(0, len(values), length)
    return np.add.reduceat(values.astype(np.float64), starts, axis=0)
