"""Sums over blocks of objects, and the errors that follow from them."""

from lensdask.stats.bootstrap import bootstrap_error, delta_error
from lensdask.stats.sums import MINIMUM_BLOCKS, block_length, block_sums

__all__ = ["MINIMUM_BLOCKS", "block_length", "block_sums", "bootstrap_error", "delta_error"]
