"""Random numbers keyed by object id.

A galaxy draws the same numbers whatever chunk, worker or device it lands on, because its generator is a
Philox counter positioned at the galaxy's own id. Two streams, or two ids, never overlap: each id owns
2^192 draws.
"""

from enum import IntEnum

import numpy as np

__all__ = ["Stream", "generator"]


class Stream(IntEnum):
    """What a random number is for. Every use has its own number, and numbers are never reused."""

    GALAXY = 0
    """Which galaxy of the catalogue, or the parameters of a mock galaxy."""
    ORIENTATION = 1
    """Random rotation and sub-pixel offset of a galaxy."""
    NOISE = 2
    """Noise of the image."""
    RENOISE = 3
    """The second noise realisation, added by the measurement."""
    BOOTSTRAP = 4
    """Resampling of blocks."""
    TRAINING = 5
    """Order of the batches, augmentation and noise of training stamps, by epoch."""
    WEIGHTS = 6
    """Initial weights of a network."""
    BRIGHTNESS = 7
    """Signal-to-noise of a training stamp."""
    PSF = 8
    """Shape and size of one of several PSFs."""


def generator(seed: int, stream: Stream, object_id: int) -> np.random.Generator:
    """Return the generator of one object in one stream.

    Parameters
    ----------
    seed
        Seed of the run, 0 to 2^63.
    stream
        What the numbers are for.
    object_id
        The object's id (galaxy, pair, block, epoch), 0 to 2^63.
    """
    bits = np.random.Philox(key=[seed, int(stream)], counter=[0, 0, 0, object_id])
    return np.random.Generator(bits)
