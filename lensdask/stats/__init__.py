"""Sums over blocks and the errors that follow from them; statistics of maps."""

from lensdask.stats.bootstrap import MOST_RESAMPLINGS, bootstrap_error, delta_error
from lensdask.stats.maps import correlation, local_maxima, map_moments, ring_power
from lensdask.stats.sums import MINIMUM_BLOCKS, block_length, block_sums

__all__ = [
    "MINIMUM_BLOCKS",
    "MOST_RESAMPLINGS",
    "block_length",
    "block_sums",
    "bootstrap_error",
    "correlation",
    "delta_error",
    "local_maxima",
    "map_moments",
    "ring_power",
]
